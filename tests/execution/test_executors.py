"""What every executor has to do, whichever it is."""

import os
import re
import signal
import sys
import threading
from contextlib import closing, suppress
from types import SimpleNamespace

import pytest
import torch

from baselines.cvae import CVAE
from bench.errors import BenchError, Interrupted
from bench.execution.executors.inline import Inline
from bench.execution.executors.local import Local, _environment
from bench.execution.executors.streams import Streams
from bench.process.worker import Worker
from tests.execution.sweeps import RUN as SWEEP
from tests.execution.sweeps import alive, csv, logs, process_of, wait_for

RUN = (*SWEEP, "--no-mlflow")

WILD = "variants.wild={model: {name: cvae, width: 0.25}, optimizers: {default: {rate: 1e+30}}}"
LEAVER = "variants.leaver={model: {name: cvae, width: 0.25, latent: 3}}"
CONTROL = ("base.metrics=[intra_class_diversity_native]", "base.controls=[noise]")
TUNING = """\
name: tuning
base: {data: blobs, model: {name: cvae, width: 0.25}, iterations: 3, batch_size: 16}
seeds: [0]
trials: 3
objectives: [intra_class_diversity_native]
variants: {cvae: {}}
"""
IN_THIS_PROCESS = ("inline", "streams")
LONG = ("base.iterations=150", "seeds=[0]")


class Leaving:
    """A task that ends its process."""

    def execute(self, worker):
        os._exit(0)


class Deaf:
    """A task during which someone asks to stop, and which ends all the same."""

    def execute(self, worker):
        with suppress(Interrupted):
            signal.raise_signal(signal.SIGTERM)
        return "finished"


class Broken:
    """A task whose kernel does what is not allowed: the device tells it to all later calls."""

    label = "broken"

    def execute(self, worker):
        worker.device = torch.device("cuda")
        with pytest.MonkeyPatch.context() as patch:
            patch.setattr(torch.cuda, "synchronize", self.fail)
            worker.check_device()

    def fail(self, device):
        raise RuntimeError("CUDA error: why\nand more")


def executors(*fast):
    """Run a test with every executor, those that are not fast by `make test-slow`."""
    return pytest.mark.parametrize(
        "executor",
        [
            pytest.param(name, marks=() if name in fast else pytest.mark.slow)
            for name in ("inline", "streams", "local", "slurm", "ray")
        ],
        indirect=True,
    )


@pytest.fixture
def executor(request, here):
    """Return the words that choose an executor; leave one model in the sweep."""
    if request.param == "slurm":
        request.getfixturevalue("fake_slurm")
    if request.param == "ray":
        pytest.importorskip("ray", reason="the extra 'ray' is not installed")
    (here / "tiny.yaml").write_text((here / "tiny.yaml").read_text().split("  lr_livae:")[0])
    return ("--executor", request.param, "--jobs", "2")


@pytest.fixture
def run(executor, bench, bench_process):
    """Run a command here; with Ray in a process of its own, since it leaves a lot behind."""

    def run(*words):
        if executor[1] != "ray":
            status, _, err = bench(*words[:2], *executor, *words[2:])
            return status, err
        process = bench_process(*words[:2], *executor, *words[2:])
        _, err = process.communicate(timeout=900)
        return process.returncode, err

    return run


@executors("inline", "streams", "local")
def test_all_is_done_but_what_fails_and_the_last_line_says_so(run, here):
    words = (*RUN, WILD, "seeds=[0]", *CONTROL, "--jobs", "1")
    status, err = run(*words)
    assert status == 1, err
    assert re.search(r"^finished  \[\d/3\] noise blobs: results/tiny/noise-", err, re.MULTILINE)
    assert "1 failed, 1 finished; results in results/tiny" in err
    last = err.splitlines()[-1]
    why = re.fullmatch(
        r"for the reason, see (\S+); to retry: bench run tiny.yaml .* --retry-failed", last
    )
    assert "was not finite at iteration" in (here / why[1]).read_text()
    status, err = run(*words)
    assert status == 1
    assert "1 failed, 1 kept" in err


@pytest.mark.parametrize("executor", IN_THIS_PROCESS, indirect=True)  # where the model is patched
def test_a_model_that_exits_fails_its_run_and_no_other(run, monkeypatch):
    terms = CVAE.terms

    def leave(self, stage, batch, wanted):
        if self.latent == 3:
            sys.exit(0)
        return terms(self, stage, batch, wanted)

    monkeypatch.setattr(CVAE, "terms", leave)
    status, err = run(*RUN, LEAVER, "seeds=[0]", "--jobs", "1")
    assert status == 1, err
    assert "1 failed, 1 finished" in err
    assert "SystemExit" in err


def kill_a_run(here):
    """Kill the process of the run as soon as there is a checkpoint."""
    checkpoint = wait_for(lambda: list(here.glob("results/tiny/*/checkpoint.pt")))[0]
    os.kill(process_of(checkpoint.with_name("log.txt").read_text()), signal.SIGKILL)


@executors("local")
def test_a_killed_run_goes_on_where_it_was(executor, run, bench, bench_process, here):
    undisturbed = ("--checkpoint-seconds", "1000", "--results", "undisturbed")
    assert bench(*RUN, *LONG, *undisturbed)[0] == 0
    killer = threading.Thread(target=kill_a_run, args=(here,))
    killer.start()
    if executor[1] in IN_THIS_PROCESS:
        bench_process(*RUN, *executor, *LONG).wait()
    status, err = run(*RUN, *LONG)
    killer.join()
    if executor[1] == "local":
        assert "worker process was killed (as the system does when memory runs out" in err
        assert "resuming in a new process" in err
    assert status == 0, err
    log = next(here.glob("results/tiny/*/log.txt")).read_text()
    assert "resumed at iteration" in log
    assert all(log.count(" finished\n") == 1 for log in logs(here / "results" / "tiny").values())
    assert csv(here / "results" / "tiny") == csv(here / "undisturbed" / "tiny")


@executors()
def test_one_ctrl_c_saves_all_and_leaves_nobody_behind(executor, bench_process, here):
    process = bench_process(*RUN, *executor, "base.iterations=100000", "seeds=[0]")
    wait_for(lambda: list(here.glob("results/tiny/*/checkpoint.pt")))
    process.send_signal(signal.SIGINT)
    _, err = process.communicate(timeout=300)
    assert process.returncode == 130, err
    assert "continue with: bench run tiny.yaml" in err
    assert executor[1] in IN_THIS_PROCESS or "stopped; continue with" in err
    assert "Traceback" not in err
    for log in logs(here / "results" / "tiny").values():
        assert "run failed" not in log
        if "by process" in log:
            wait_for(lambda log=log: not alive(process_of(log)), 10)


@executors("inline", "streams")
def test_trials_are_done_like_runs(executor, bench, bench_process, here):
    (here / "tuning.yaml").write_text(TUNING)
    words = ("tune", "tuning.yaml", "--device", "cpu", "--no-mlflow", *executor)
    if executor[1] in IN_THIS_PROCESS:
        status, out, err = bench(*words)
    else:
        process = bench_process(*words)
        out, err = process.communicate(timeout=900)
        status = process.returncode
    assert status == 0, err
    assert "cvae: 3 trials (3 complete)" in out
    assert "finished  cvae, a trial, 3 of 3" in err


@pytest.mark.slow
def test_a_process_leaves_that_was_asked_to_stop_as_its_task_came_to_an_end():
    executor = Local(1, Worker("cpu"))
    executor.start([Deaf()])
    assert [ended.outcome for ended in executor.ended(60)] == ["finished"]
    leaver = threading.Thread(target=executor.close, daemon=True)
    leaver.start()
    leaver.join(60)
    assert not leaver.is_alive(), "the process waits for another task"


@pytest.mark.slow
def test_a_process_that_leaves_unasked_was_not_asked_to_stop():
    executor = Local(1, Worker("cpu"))
    with closing(executor):
        executor.start([Leaving()])
        ((_, outcome, reason),) = executor.ended(60)
    assert (outcome, reason) == ("lost", "ended with status 0")


@pytest.mark.slow
def test_a_process_that_lost_its_gpu_leaves():
    executor = Local(1, Worker("cpu"))
    try:
        executor.start([Broken()])
        ((_, outcome, reason),) = executor.ended(60)
        assert (outcome, reason) == ("lost", "cannot use cuda any more: CUDA error: why")
        assert not executor._pool, "the next task gets a new one"
    finally:
        executor.close()


@pytest.mark.parametrize("kind", [Inline, Streams])
def test_the_command_ends_when_its_process_lost_the_gpu(kind):
    def run():
        with closing(kind(1, Worker("cpu"))) as executor:
            executor.start([Broken()])
            executor.ended(60)

    with pytest.raises(BenchError, match=r"this process cannot use cuda .*; the same command"):
        run()


def test_what_inline_does_not_take_is_said(bench, already):
    already(*RUN, "seeds=[0]")
    _, _, err = bench(*RUN, "seeds=[0]", "title=again", "--executor", "inline", "--jobs", "4")
    assert "one at a time; the executor inline takes no --jobs, local does" in err


@pytest.mark.parametrize(
    ("jobs", "options", "slots"),
    [(None, {}, 2), (3, {}, 3), (None, {"per_gpu": 3}, 6), (5, {"per_gpu": 2}, 4)],
)
def test_no_gpu_is_given_more_runs_than_asked(monkeypatch, tmp_path, jobs, options, slots):
    monkeypatch.setenv("CUDA_MPS_PIPE_DIRECTORY", str(tmp_path))
    monkeypatch.setattr("bench.execution.executors.local._gpus", lambda: ["0", "1"])
    gpu = SimpleNamespace(total_memory=8 * 2**30)
    monkeypatch.setattr(torch.cuda, "get_device_properties", lambda index: gpu)
    executor = Local(jobs, Worker("auto"), **options)
    assert executor.slots == slots
    shared = [executor._variables(slot)["CUDA_VISIBLE_DEVICES"] for slot in range(slots)]
    most = max(shared.count("0"), shared.count("1"))
    assert f"at most {most} on a GPU: {8 / most:.1f} GB for each" in str(executor)
    assert ("5 were asked for" in str(executor)) == (slots == 4)
    assert ("MPS" in str(executor)) == (most > 1)
    (tmp_path / "control").touch()
    assert "MPS" not in str(executor)


@pytest.mark.parametrize(
    ("jobs", "threads", "slots", "share"),
    [(None, None, 6, "1"), (2, None, 2, "3"), (4, None, 4, "1"), (9, None, 9, "1"), (2, 5, 2, "5")],
)
def test_cores_are_divided_among_processes(monkeypatch, jobs, threads, slots, share):
    monkeypatch.setattr("bench.execution.executors.local.usable_cores", lambda: 6)
    executor = Local(jobs, Worker("cpu", threads=threads))
    assert executor.slots == slots
    assert set(executor._variables(0).values()) == {share}


def test_variables_of_a_process_come_and_go_and_no_other_is_touched(monkeypatch):
    monkeypatch.setenv("KEPT", "before")
    monkeypatch.delenv("NEW", raising=False)
    with _environment({"KEPT": "now", "NEW": "1"}):
        assert (os.environ["KEPT"], os.environ["NEW"]) == ("now", "1")
        os.environ["MEANWHILE"] = "1"
    assert (os.environ["KEPT"], os.environ.get("NEW")) == ("before", None)
    assert os.environ.pop("MEANWHILE") == "1"
