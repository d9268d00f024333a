"""A Slurm for tests."""

import os
import shlex
import sys
from pathlib import Path

import pytest

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


@pytest.fixture(scope="module")
def undisturbed():
    """Keep what an undisturbed sweep leaves, for all tests of a file."""
    return {}
