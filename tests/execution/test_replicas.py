"""Several seeds as one program, from the command line."""

import errno
import json
import os
import signal

import pytest
import torch

from bench.errors import Interrupted, NotApplicable
from bench.execution.replicas import grouped
from bench.execution.task import RunTask
from bench.execution.workplace import Workplace
from bench.sweep import load_sweep
from bench.tracking.execution import note_execution
from bench.tracking.rows import read_rows
from bench.training.journal import Journal
from bench.training.replicas import ReplicaTrainer
from bench.training.trainer import Trainer
from tests.execution.sweeps import RUN, logs, process_of, wait_for

WORDS = (*RUN, "--no-mlflow", "--replicas", "3")
PLAIN = "base.optimizers={default: {name: sgd, rate: 1e-3}}"  # Adam divides rounding by rounding
THREE = ("seeds=[0, 1, 2]", PLAIN)
CPU = torch.device("cpu")


def tasks(here, *overrides):
    sweep = load_sweep(here / "tiny.yaml", overrides)
    return [
        RunTask(here / "results" / run.config.id, str(run.config.training.seed), run.config)
        for run in sweep.runs
    ]


def figures(folder):
    """Return the weights of all runs by their ids."""
    return {
        path.parent.name: torch.load(path, weights_only=True) for path in folder.glob("*/model.pt")
    }


def read(run, name):
    return json.loads((run / name).read_text())


def same(first, second):
    assert first.keys() == second.keys()
    return all(
        torch.allclose(first[run][name], second[run][name], rtol=1e-3, atol=1e-4)
        for run in first
        for name in first[run]
    )


@pytest.fixture
def expected(undisturbed, bench, here):
    """Return the weights of the same runs, each trained alone."""
    if not undisturbed:
        assert bench(*RUN, "--no-mlflow", "--results", "alone", *THREE)[0] == 0
        undisturbed.update(figures(here / "alone" / "tiny"))
    return undisturbed


def test_runs_that_differ_in_their_seed_alone_are_grouped(here):
    runs = tasks(here, "seeds=[0, 1, 2, 3, 4]")
    found = grouped(runs, 3, device=CPU)
    assert [[part.label for part in task.parts] for task in found] == [
        ["0", "1"],
        ["2", "3", "4"],
    ] * 2
    assert all(len({part.kind for part in task.parts}) == 1 for task in found)
    assert grouped(runs, None, CPU) == runs == grouped(runs, 1, CPU)
    of_gpu = grouped(runs, None, torch.device("cuda"))
    assert [(len(task.parts), task.if_faster) for task in of_gpu] == [(5, True)] * 2
    runs[0].path.mkdir(parents=True)
    note_execution(runs[0].path, micro_batch={"rows": 4, "batch_size": 8})
    assert runs[0] in grouped(runs, 5, CPU), "memory did not suffice for one"


@pytest.mark.parametrize(
    "executor",
    [
        "inline",
        "local",
        pytest.param("slurm", marks=pytest.mark.slow),
        pytest.param("ray", marks=pytest.mark.slow),
    ],
)
def test_replicas_leave_what_runs_alone_leave(executor, bench, here, expected, request):
    if executor == "slurm":
        request.getfixturevalue("fake_slurm")
    if executor == "ray":
        pytest.importorskip("ray", reason="the extra 'ray' is not installed")
    status, _, err = bench(*WORDS, *THREE, "--executor", executor, "--jobs", "2")
    assert status == 0, err
    assert "6 finished" in err
    folder = here / "results" / "tiny"
    assert same(figures(folder), expected)
    for name, log in logs(folder).items():
        if name.startswith("real"):
            continue
        run, twin = folder / name, here / "alone" / "tiny" / name
        assert log.count("as a replica") == log.count(" finished\n") == 1
        assert read(run, "execution.json")["replicas"] == 3
        metrics = [row["metric"] for row in read_rows(run / "timings.jsonl")]
        assert metrics[-1] == "replicas"
        if twin.exists():
            left = {path.name for path in twin.iterdir()} | {"execution.json"}
            assert {path.name for path in run.iterdir()} == left
    assert bench(*WORDS, *THREE)[2].startswith("tiny: 6 runs")


def test_one_that_fails_does_not_stop_its_companions(bench, here, monkeypatch):
    build = ReplicaTrainer._build

    def spoilt(self, *given):
        model, stream = build(self, *given)
        with torch.no_grad():
            next(model.parameters())[1].fill_(float("nan"))
        return model, stream

    monkeypatch.setattr(ReplicaTrainer, "_build", spoilt)
    status, _, err = bench(*WORDS, *THREE)
    assert status == 1
    assert "2 failed, 4 finished" in err
    [first, _] = here.glob("results/tiny/*/failed")
    assert "RunFailed: term" in first.read_text()
    assert "was not finite at iteration 0" in (first.parent / "log.txt").read_text()


def test_a_disk_that_is_full_makes_no_run_a_failed_one(here, monkeypatch):
    [group] = grouped(tasks(here)[:2], 2, CPU)
    first = group.parts[0]
    report = Journal.report

    def full(self, done, losses=None):
        if self.folder == first.path and done == 3:
            raise OSError(errno.ENOSPC, "No space left on device")
        report(self, done, losses)

    monkeypatch.setattr(Journal, "report", full)
    group.do(Workplace("cpu"))
    assert first.settled() is None
    assert [part.folder.model.exists() for part in group.parts] == [False, True]
    monkeypatch.setattr(Journal, "report", report)
    assert first.do(Workplace("cpu")) == "finished"


def test_killed_replicas_go_on(bench_process, here, expected):
    words = (*WORDS, *THREE, "--executor", "local", "--jobs", "1")
    process = bench_process(*words)
    checkpoints = wait_for(lambda: list(here.glob("results/tiny/*/checkpoint.pt")))
    os.kill(process_of((checkpoints[0].parent / "log.txt").read_text()), signal.SIGKILL)
    _, err = process.communicate(timeout=600)
    assert process.returncode == 0, err
    assert "was killed" in err
    assert "they go on one by one" in err
    assert same(figures(here / "results" / "tiny"), expected)


def test_stopped_replicas_go_on_as_replicas(bench_process, bench, here, expected):
    process = bench_process(*WORDS, *THREE, "--executor", "inline")
    wait_for(lambda: list(here.glob("results/tiny/*/checkpoint.pt")))
    process.send_signal(signal.SIGINT)
    _, err = process.communicate(timeout=300)
    assert process.returncode == 130, err
    assert bench(*WORDS, *THREE)[0] == 0
    assert same(figures(here / "results" / "tiny"), expected)


def test_what_another_process_holds_is_left_out(here):
    of_one = [task for task in tasks(here, *THREE) if task.kind == tasks(here, *THREE)[0].kind]
    [group] = grouped(of_one, 3, CPU)
    with of_one[1].folder.locked():
        assert group.do(Workplace("cpu")) == "divided"
        assert [task.folder.model.exists() for task in of_one] == [True, False, True]
    assert not any(task.held() for task in of_one)
    assert read(of_one[0].path, "execution.json")["replicas"] == 2


def test_runs_at_other_iterations_are_trained_by_themselves(here):
    of_one = [task for task in tasks(here, *THREE) if task.kind == tasks(here, *THREE)[0].kind]
    stop = iter(range(100))
    workplace = Workplace("cpu")
    context = workplace.context(of_one[2].config)
    of_one[2].path.mkdir(parents=True)
    trainer = Trainer(
        of_one[2].config.training, context.data, of_one[2].path, CPU, of_one[2].config.id
    )
    with pytest.raises(Interrupted):
        trainer.train(stop=lambda: next(stop) == 3)
    [group] = grouped(of_one, 3, CPU)
    group.do(workplace)
    assert [task.folder.model.exists() for task in of_one] == [True, True, False]
    assert of_one[2].do(workplace) == "finished"
    assert "resumed at iteration 4" in (of_one[2].path / "log.txt").read_text()


def test_what_cannot_be_replicated_is_trained_one_by_one(here, capsys, monkeypatch):
    def refuse(*_):
        raise NotApplicable("its terms assign x anew")

    monkeypatch.setattr("bench.training.replicas.Replicas.terms", refuse)
    [group] = grouped(tasks(here)[:2], 2, CPU)
    assert group.do(Workplace("cpu")) == "divided"
    assert "trained one by one: its terms assign x anew" in capsys.readouterr().err
    assert [part.do(Workplace("cpu")) for part in group.parts] == ["finished"] * 2


@pytest.mark.parametrize(("ratio", "trained"), [(0.9, False), (3.0, True)])
def test_auto_trains_as_one_where_that_is_faster(ratio, trained, here, capsys, monkeypatch):
    monkeypatch.setattr("bench.execution.replicas.speedup", lambda *_: ratio)
    [group] = grouped(tasks(here)[:2], "auto", CPU)
    group.do(Workplace("cpu"))
    assert f"since as one they are {ratio} times as fast" in capsys.readouterr().err
    assert all(task.folder.model.exists() == trained for task in group.parts)


def test_a_wrong_number_of_replicas_is_refused(bench):
    status, _, err = bench("run", "tiny.yaml", "--replicas", "some")
    assert status == 2
    assert "--replicas some" in err
