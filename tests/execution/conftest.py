"""A Slurm for tests, and sweeps that are run once for all tests that begin with their results."""

import io
import os
import shlex
import shutil
import sys
from contextlib import redirect_stderr, suppress
from pathlib import Path

import pytest

from bench.cli import main
from bench.metrics.extractors import classifier

COMMANDS = ("sbatch", "srun", "scancel", "sacct", "scontrol")


@pytest.fixture
def fake_slurm(tmp_path, monkeypatch):
    """Put a Slurm of this machine on the PATH; return a function that runs its commands."""
    pytest.importorskip("submitit", reason="the extra 'slurm' is not installed")
    commands, state = tmp_path / "commands", tmp_path / "slurm"
    for folder in (commands, state):
        folder.mkdir()
    fake = shlex.quote(str(Path(__file__).with_name("fake_slurm.py")))
    for name in COMMANDS:
        script = commands / name
        script.write_text(f"#!/bin/sh\nexec {shlex.quote(sys.executable)} {fake} {name} $@\n")
        script.chmod(0o755)
    monkeypatch.setenv("FAKE_SLURM", str(state))
    monkeypatch.setenv("PATH", f"{commands}:{os.environ['PATH']}")
    return state


@pytest.fixture
def quick_classifiers(monkeypatch, tmp_path):
    """Let classifiers that measure take no time to train, and be kept for this test alone."""
    monkeypatch.setattr(classifier, "STEPS", 8)
    monkeypatch.setattr(classifier, "EPOCHS", 0)
    monkeypatch.setenv("BENCH_DATA", str(tmp_path / "bench-data"))


@pytest.fixture
def small_models(here):
    """Put a second cvae in the place of lr_livae, which takes longer."""
    text = (here / "tiny.yaml").read_text().split("  lr_livae:")[0]
    (here / "tiny.yaml").write_text(
        text + "  other: {model: {name: cvae, width: 0.25, latent: 2}}\n"
    )


@pytest.fixture(scope="session")
def run_once(tmp_path_factory):
    """Run a command once; return the folder of its results."""
    folders = {}

    def run(sweep, *words):
        if (sweep, words) not in folders:
            folder = tmp_path_factory.mktemp("once")
            (folder / "tiny.yaml").write_text(sweep)
            with pytest.MonkeyPatch.context() as patch, redirect_stderr(io.StringIO()):
                patch.chdir(folder)
                patch.setenv("BENCH_OFFLINE", "1")
                patch.setenv("BENCH_DATA", str(tmp_path_factory.getbasetemp() / "bench-data"))
                patch.setenv("XDG_CONFIG_HOME", str(folder))
                with suppress(SystemExit):
                    main(list(words))
            folders[sweep, words] = folder / "results"
        return folders[sweep, words]

    return run


@pytest.fixture
def already(run_once, here):
    """Let the results of a command lie here, as if it had been run."""

    def copy(*words):
        sweep = (here / "tiny.yaml").read_text()
        shutil.copytree(run_once(sweep, *words), here / "results", dirs_exist_ok=True)
        return here / "results"

    return copy
