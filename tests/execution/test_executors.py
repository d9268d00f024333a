"""What every executor has to do, whichever it is."""

import os
import re
import shlex
import signal
import sys
import time
from pathlib import Path

import pytest

RUN = ("run", "tiny.yaml", "--no-mlflow", "--device", "cpu", "--checkpoint-seconds", "0.02")
WILD = "variants.wild={model: {name: cvae, width: 0.25}, optimizers: {default: {rate: 1e+30}}}"
LONG = ("base.iterations=300", "seeds=[0]")
LINKS = ("sbatch", "srun", "scancel", "sacct", "scontrol")


@pytest.fixture(params=["inline", "local", "slurm", pytest.param("ray", marks=pytest.mark.slow)])
def executor(request, tmp_path, monkeypatch):
    """Return the words that choose an executor."""
    if request.param == "slurm":
        pytest.importorskip("submitit", reason="the extra 'slurm' is not installed")
        commands = tmp_path / "slurm-commands"
        commands.mkdir()
        fake = Path(__file__).with_name("fake_slurm.py")
        for name in LINKS:
            link = commands / name
            link.write_text(
                f"#!/bin/sh\nexec {sys.executable} {shlex.quote(str(fake))} {name} $@\n"
            )
            link.chmod(0o755)
        (tmp_path / "slurm").mkdir()
        monkeypatch.setenv("FAKE_SLURM", str(tmp_path / "slurm"))
        monkeypatch.setenv("PATH", f"{commands}:{os.environ['PATH']}")
    if request.param == "ray":
        pytest.importorskip("ray", reason="the extra 'ray' is not installed")
        monkeypatch.setenv("RAY_ACCEL_ENV_VAR_OVERRIDE_ON_ZERO", "0")
    return ("--executor", request.param, *(("--jobs", "2") if request.param == "local" else ()))


@pytest.fixture(scope="module")
def undisturbed():
    """Keep the figures of one undisturbed sweep for all tests."""
    return {}


@pytest.fixture
def expected(undisturbed, bench, here):
    """Return the figures of the long sweep, done in one go."""
    if not undisturbed:
        assert bench(*RUN, *LONG, "--results", "undisturbed")[0] == 0
        undisturbed["figures"] = csv(here / "undisturbed" / "tiny")
    return undisturbed["figures"]


def csv(folder):
    return [(folder / name).read_bytes() for name in ("figures.csv", "runs.csv", "curves.csv")]


def wait_for(condition, seconds=90.0):
    end = time.monotonic() + seconds
    while not (found := condition()):
        assert time.monotonic() < end, "gave up waiting"
        time.sleep(0.005)
    return found


def process_of(run):
    """Return the process that was the last to take up a run."""
    return int(re.findall(r"by process (\d+)", (run / "log.txt").read_text())[-1])


def alive(process):
    try:
        state = Path(f"/proc/{process}/stat").read_text().rsplit(")", 1)[1].split()[0]
    except FileNotFoundError:
        return False
    return state != "Z"


def test_all_is_done_but_what_fails_and_the_last_line_says_so(executor, bench_process, here):
    process = bench_process(*RUN, *executor, WILD, "seeds=[0]", "base.references=[noise]")
    _, err = process.communicate(timeout=300)
    assert process.returncode == 1, err
    assert "1 failed, 2 finished; results in results/tiny" in err
    last = err.splitlines()[-1]
    why = re.fullmatch(r"why: cat (\S+); again: bench run tiny.yaml .* --retry-failed", last)
    assert "was not finite at iteration" in (here / why[1]).read_text()
    again = bench_process(*RUN, *executor, WILD, "seeds=[0]", "base.references=[noise]")
    _, err = again.communicate(timeout=300)
    assert again.returncode == 1
    assert "1 failed, 2 kept" in err


def test_a_killed_run_goes_on_where_it_was(executor, bench_process, here, expected):
    process = bench_process(*RUN, *executor, *LONG)
    run = wait_for(lambda: list(here.glob("results/tiny/*/checkpoint.pt")))[0].parent
    os.kill(process_of(run), signal.SIGKILL)
    _, err = process.communicate(timeout=300)
    if executor[1] == "inline":
        process = bench_process(*RUN, *executor, *LONG)
        _, err = process.communicate(timeout=300)
    assert process.returncode == 0, err
    assert "resumed at iteration" in (run / "log.txt").read_text()
    for log in here.glob("results/tiny/*/log.txt"):
        assert log.read_text().count("finished") == 1
    assert csv(here / "results" / "tiny") == expected


def test_one_ctrl_c_saves_all_and_leaves_nobody_behind(executor, bench_process, here):
    process = bench_process(*RUN, *executor, "base.iterations=100000", "seeds=[0]")
    wait_for(lambda: list(here.glob("results/tiny/*/checkpoint.pt")))
    process.send_signal(signal.SIGINT)
    _, err = process.communicate(timeout=120)
    assert process.returncode == 130, err
    assert "continue with: bench run tiny.yaml" in err
    assert "Traceback" not in err
    for log in here.glob("results/tiny/*/log.txt"):
        assert "run failed" not in log.read_text()
        if "by process" in log.read_text():
            wait_for(lambda log=log: not alive(process_of(log.parent)), 10)
