"""What only Slurm does: it preempts jobs, and queues them again."""

import re
import signal
import subprocess

import pytest

from bench.errors import BenchError
from bench.execution.executors.slurm import Slurm
from bench.process.worker import Worker
from tests.execution.sweeps import RUN, logs, wait_for


@pytest.mark.slow
def test_a_preempted_job_saves_is_queued_again_and_goes_on(bench_process, here, fake_slurm):
    options = "{name: slurm, minutes: 5, partition: short, more: {constraint: fast}}"
    words = (*RUN[:-1], "1000", "--no-mlflow", "--executor", options, "seeds=[0]")
    one = (here / "tiny.yaml").read_text().split("  lr_livae:")[0]
    (here / "tiny.yaml").write_text(one)
    process = bench_process(*words, "base.iterations=200")
    wait_for(lambda: list(here.glob("results/tiny/*/rows.jsonl")))
    job = next(path.parent for path in fake_slurm.glob("*/step"))
    subprocess.run(["scancel", f"--signal={signal.SIGUSR2.name[3:]}", job.name], check=True)
    _, err = process.communicate(timeout=300)
    assert process.returncode == 0, err
    (log,) = logs(here / "results" / "tiny").values()
    assert log.count("by process") == 2
    assert int(re.search(r"resumed at iteration (\d+)", log)[1]) > 0
    assert log.count(" finished\n") == 1
    script = (job / "script").read_text()
    for line in ("--partition=short", "--constraint=fast", "--time=5", "--signal=USR2@90"):
        assert line in script


def test_without_slurm_it_says_so(monkeypatch, tmp_path):
    pytest.importorskip("submitit", reason="the extra 'slurm' is not installed")
    monkeypatch.setenv("PATH", str(tmp_path))
    with pytest.raises(BenchError, match="finds no srun here; is this a Slurm cluster"):
        Slurm(None, Worker("cpu"))


@pytest.mark.parametrize(
    ("option", "problem"),
    [
        ("minutes: 0", "minutes: must be >= 1, got 0"),  # to Slurm, no limit
        ("cpus: 0", "cpus: must be >= 1"),
        ("gpus: -1", "gpus: must be >= 0"),
        ("memory_gb: 0", "memory_gb: must be >= 0.01"),  # to Slurm, all that there is
        ("more: {gres: [a]}", "more.gres"),
    ],
)
def test_numbers_that_slurm_would_misunderstand_are_refused(
    bench, here, fake_slurm, option, problem
):
    words = "run", "tiny.yaml", "--dry-run", "--executor", f"{{name: slurm, {option}}}"
    status, _, err = bench(*words)
    assert status == 2
    assert problem in err


def test_what_is_set_already_is_not_set_again():
    with pytest.raises(BenchError, match="'slurm' sets cpus_per_task, time itself; leave it out"):
        Slurm(None, Worker("cpu"), more={"cpus_per_task": 1, "time": 5, "constraint": "fast"})


@pytest.mark.parametrize("name", ["ray", "slurm"])
def test_an_engine_that_is_not_installed_names_its_extra(bench, monkeypatch, name):
    monkeypatch.setitem(__import__("sys").modules, {"slurm": "submitit"}.get(name, name), None)
    status, _, err = bench("run", "tiny.yaml", "--device", "cpu", "--executor", name)
    assert status == 2
    assert f"pip install 'bench-generators[{name}]'" in err
