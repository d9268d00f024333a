"""`bench tune` as a whole: proposals, interruptions, pruning, and what it leaves."""

import json
import os
import pickle
import re
import shutil
import signal

import pytest
import yaml

from bench.errors import BenchError, DamagedRecord
from bench.metrics.extractors import small_classifier
from bench.record.jsonl import read_jsonl
from bench.spec.sweep_file import load_sweep
from bench.tuning.outcome import tuned_sweep, write_outcome
from bench.tuning.space import SearchRange
from bench.tuning.study import Study, TuningTrial
from bench.tuning.trial_task import TrialTask
from bench.tuning.tuning_file import load_tuning
from tests.execution.sweeps import logs, process_of, wait_for
from tests.made_once import copy_mlflow_database

TUNE = ("tune", "mini.yaml", "--device", "cpu", "--checkpoint-seconds", "0.02")
QUIET = (*TUNE, "--no-mlflow")


def csv(here, results="results"):
    return (here / results / "mini" / "trials.csv").read_text().splitlines()


def study(write, here, *changes, variant="cvae", results="results"):
    tuning = load_tuning(write(*changes))
    (tuned,) = (v for v in tuning.variants if v.name == variant)
    return Study(tuning, tuned, here / results)


def finished(study, *losses):
    """Do trials with losses that a test chooses; return what was tried."""
    tried = []
    for pair in losses:
        with study.locked_trial() as trial:
            tried.append(trial.values)
            trial.complete(pair)
    return tried


def test_a_file_of_weights_that_does_not_fit_is_refused_before_a_trial(bench, write, here):
    write()
    (here / "net.pth").write_text("no weights")
    status, _, err = bench(*QUIET, "--inception-weights", "net.pth")
    assert status == 2
    assert "error: --inception-weights: net.pth " in err
    assert not [*here.glob("results/mini/*/config.json")], "nothing was trained"


def test_it_ends_with_trials_runs_plots_and_a_sweep_that_loads(bench, write, here, monkeypatch):
    monkeypatch.setattr(small_classifier, "STEPS", 30)  # any accuracy will do
    write(("trials: 4", "trials: 3"))
    copy_mlflow_database(here / "results")
    status, out, err = bench(*TUNE)
    assert status == 0, err
    folder = here / "results" / "mini"
    lines = csv(here)
    assert len(lines) == 1 + 2 * 3
    assert "cvae: 3 trials (3 complete)" in out
    for path in folder.glob("*/evaluation.jsonl"):
        assert {row["split"] for row in read_jsonl(path)} == {"validation"}, (
            "the test split was seen"
        )
    for name in ("importance-cvae.png", "pareto-cvae.pdf", "pareto-cgan.png"):
        assert (folder / name).stat().st_size > 1000
    sweep = load_sweep(folder / "tuned.yaml")
    seeds = sorted({run.config.training.seed for run in sweep.runs})
    assert seeds == [1, 2, 4, 5, 6, 7], "seeds of trials are not used again"
    assert sweep.runs[0].config.evaluation.splits == ["test"]
    tuned = yaml.safe_load((folder / "tuned.yaml").read_text())["variants"]
    assert "&id" not in (folder / "tuned.yaml").read_text(), "each variant can be taken out alone"
    for variant in ("cvae", "cgan"):
        best = next(line for line in lines if line.startswith(variant) and ",yes," in line)
        assert (f"{variant}, tuned" in tuned) == (",0,complete" not in best)
    runs = json.loads((folder / "sweep.json").read_text())["runs"]
    assert len(runs) == 2 * 3 * 2
    assert "MLflow: 13 runs written" in err

    monkeypatch.setattr("bench.tuning.outcome._draw", lambda *study: None)  # they are there
    status, again, err = bench(*QUIET)
    assert (status, again) == (0, out)
    assert ", trial " not in err, "nothing was left to do"
    status, _, err = bench(*QUIET, "trials=4", "--variants", "cgan")
    assert status == 0, err
    assert csv(here)[:4] == lines[:4]
    assert len(csv(here)) == len(lines) + 1, "one more trial for that variant alone"

    provenance = folder / runs[0]["id"] / "provenance.json"
    origin = provenance.read_text()
    metric = "bench/metrics/class_accuracy.py"
    provenance.write_text(re.sub(rf'("{metric}": )"\w+"', r'\1"000000000000"', origin))
    status, _, err = bench(*QUIET, "trials=5")
    assert status == 2
    assert f"changed since: {metric}; to keep both, set name=ANOTHER; to begin all studies" in err
    provenance.write_text(origin)

    (folder / runs[0]["id"] / "done").unlink()  # its loss would stay that of the old measurement
    status, _, err = bench(*QUIET, "trials=5")
    assert status == 2
    assert "is trained, not done any more, but the study still has its loss" in err
    shutil.rmtree(folder / runs[0]["id"])  # as one might after other data are refused
    status, _, err = bench(*QUIET, "trials=5")
    assert status == 2
    assert f"{runs[0]['id']}, a run of trial" in err
    assert "is gone, but the study still has its loss" in err


def test_proposals_are_the_same_with_an_interruption(write, here):
    losses = [(float(i % 5), float(i % 3)) for i in range(12)]
    twelve = ("trials: 4", "trials: 12")
    straight = finished(study(write, here, twelve, results="a"), *losses)
    first = finished(study(write, here, twelve, results="b"), *losses[:5])
    again = study(write, here, twelve, results="b")
    with again.locked_trial() as begun:
        pass  # and then this process dies
    resumed = finished(study(write, here, twelve, results="b"), *losses[5:])
    assert first + resumed == straight
    assert begun.values == straight[5]
    assert straight[0] == {"reconstruct": 10.0, "kl": 1.0}
    assert len({str(values) for values in straight}) == 12


@pytest.mark.parametrize("content", [b'{"op_code": 0, "worker_id"\n{}\n', b"\xff\xfe\n\n"])
def test_a_damaged_journal_is_named(write, here, content):
    finished(study(write, here), (1.0, 2.0))
    [journal] = here.rglob("journal.jsonl")
    journal.write_bytes(content + journal.read_bytes())
    with pytest.raises(
        DamagedRecord, match=r"journal.jsonl is damaged \(.*begin all studies of this"
    ):
        study(write, here)


def test_a_trial_that_somebody_holds_is_left_to_them(write, here):
    one, other = study(write, here), study(write, here)
    with one.locked_trial() as first, other.locked_trial() as second:
        assert (first.number, second.number) == (0, 1)
        with (
            other.locked_trial() as third,
            one.locked_trial() as fourth,
            one.locked_trial() as nothing,
        ):
            assert (third.number, fourth.number) == (2, 3)
            assert nothing is None
            assert one.left == 4
    with one.locked_trial() as orphan:
        assert orphan.number == 0
    finished(one, *[(0.0, 0.0)] * 4)
    assert one.left == 0
    assert [trial.state for trial in other.trials()] == ["complete"] * 4


def test_a_study_does_not_go_on_with_another_question(write, here):
    finished(study(write, here), (1.0, 1.0))
    finished(study(write, here, ("trials: 4", "trials: 9")), (1.0, 1.0))
    with pytest.raises(BenchError, match="begun with other settings, files, seeds, objectives"):
        study(write, here, ("seeds: [0, 3]", "seeds: [0]"))


def test_the_best_compromise_comes_first_and_beaten_trials_not_at_all(write, here):
    held = study(write, here)
    finished(held, (5.0, 9.0), (1.0, 20.0), (2.0, 2.0), (4.5, 1.0))
    assert [trial.number for trial in held.best()] == [2, 3, 1]  # the last one costs an objective


def test_nothing_is_traded_for_something_else_unasked(write, here):
    held = study(write, here)
    finished(held, (1.0, 9.0), (2.0, 2.0), (9.0, 1.0), (3.0, 3.0))
    assert [trial.number for trial in held.best()] == [0, 1, 2]


def test_failed_trials_are_part_of_the_budget(write, here):
    held = study(write, here)
    with held.locked_trial() as trial:
        trial.fail("kl is nan")
    finished(held, *[(1.0, 1.0)] * 3)
    assert held.left == 0
    values = {"reconstruct": 10.0, "kl": 1.0}
    assert held.trials()[0] == TuningTrial(0, "failed", values, failure="kl is nan")


def test_a_database_serves_as_well_as_the_journal(write, here):
    held = study(write, here, ("trials: 4", f"trials: 4\nstorage: sqlite:///{here}/optuna.db"))
    finished(held, (1.0, 2.0))
    assert (here / "optuna.db").exists()
    assert not (here / "results" / "journal.jsonl").exists()


def test_choices_and_whole_numbers_are_tried_as_they_are():
    words, numbers = SearchRange(choices=["a", "b"]), SearchRange(low=2, high=9, integer=True)
    assert words.rounded("b") == "b"
    assert str(numbers.rounded(4.0)) == "4"


def test_a_trial_whose_processes_die_is_failed(write, here):
    held = study(write, here)
    task = TrialTask(here / "results" / "mini" / "trials", "cvae, a trial", held)
    with held.locked_trial():
        pass  # and then this process dies
    task.give_up("each time its process ended")
    assert held.trials()[0].failure == "each time its process ended"
    assert (held.left, task.state()) == (3, "unfinished")
    task.give_up("each time its process ended")
    assert task.state() == "failed", "processes that die before they begin a trial end it all"
    assert (task.path / "failed").read_text() == "cvae, a trial: each time its process ended\n"


def test_a_task_waits_only_while_others_hold_all_that_is_left(write, here):
    one = study(write, here, ("trials: 4", "trials: 2"))
    task = pickle.loads(pickle.dumps(TrialTask(here / "trials", "cvae, a trial", one)))
    with one.locked_trial() as first:
        assert not task.is_busy()
        with one.locked_trial() as second:
            assert task.is_busy()
            second.complete((1.0, 1.0))
        assert task.is_busy()
        first.complete((1.0, 1.0))
    assert not task.is_busy()
    assert task.state() == "done"


@pytest.mark.parametrize("jobs", ["1", pytest.param("2", marks=pytest.mark.slow)])
def test_an_objective_that_is_no_figure_is_told_with_those_that_are(bench, write, here, jobs):
    write(("within_class_variance/pixels", "within_class_variance/pixel"))
    status, _, err = bench(*QUIET, "--jobs", jobs)
    assert status == 2
    assert "unknown measurement as objective 'within_class_variance/pixel' (did you mean" in err


def test_trials_without_hope_are_given_up_on_the_way(bench, write, here):
    write(
        (
            "objectives: [class_accuracy, within_class_variance/pixels]",
            "objectives: [within_class_variance/pixels]",
        ),
        ("iterations: 6", "iterations: 30\n  snapshots: 3"),
        ("metrics: [class_accuracy, within_class_variance]", "metrics: [within_class_variance]"),
        ("seeds: [0, 3]", "seeds: [0]"),
        ("trials: 4", "trials: 6"),
    )
    status, out, err = bench(*QUIET, "--variants", "cvae")
    assert status == 0, err
    states = [line.split(",")[2] for line in csv(here)[1:]]
    assert len(states) == 6
    assert set(states) == {"complete", "pruned"}
    assert "given up, worse than the median of the others" in err
    assert "pruned" in out
    assert not (here / "results" / "mini" / "pareto-cvae.png").exists()


@pytest.mark.slow
def test_killed_at_any_time_it_ends_with_exactly_the_trials_asked_for(bench_process, write, here):
    write(("trials: 4", "trials: 8"), ("iterations: 6", "iterations: 80"))
    jobs = (*QUIET, "--jobs", "2")
    killed = bench_process(*jobs)
    wait_for(lambda: len(list(here.glob("results/mini/*/done"))) > 4)
    killed.send_signal(signal.SIGKILL)
    killed.wait()
    stopped = bench_process(*jobs)
    wait_for(lambda: len(list(here.glob("results/mini/*/done"))) > 10)
    stopped.send_signal(signal.SIGINT)
    _, err = stopped.communicate(timeout=120)
    assert "continue with: bench tune mini.yaml" in err
    before = logs(here / "results" / "mini")
    again = bench_process(*jobs)
    now = wait_for(
        lambda: [
            log
            for run, log in logs(here / "results" / "mini").items()
            if run not in before and "by process" in log
        ]
    )
    os.kill(process_of(now[0]), signal.SIGKILL)
    out, err = again.communicate(timeout=600)
    assert again.returncode == 0, err
    assert "a trial: worker process was killed" in err
    lines = csv(here)[1:]
    assert [line.split(",")[:3] for line in lines] == [
        [variant, str(number), "complete"] for variant in ("cvae", "cgan") for number in range(8)
    ]
    assert "8 trials (8 complete)" in out
    load_sweep(here / "results" / "mini" / "tuned.yaml")


def test_the_proposed_sweep_has_the_points_of_a_grid(write, here):
    cgan = "  cgan: {model: {name: cgan, width: 0.25, latent: 4}}\n"
    space = "space:\n  cgan:\n    optimizers.default.rate: {low: 1e-4, high: 1e-2}\n"
    without_latent = (", latent: 4}\n  metrics", "}\n  metrics")
    path = write((cgan + space, "grid: {model.latent: [2, 4]}\n"), without_latent)
    tuning = load_tuning(path)
    studies = [Study(tuning, variant, here / "results") for variant in tuning.variants]
    for each in studies:
        finished(each, (1.0, 1.0))
    assert len(write_outcome(tuning, studies, here / "results", "bench tune")) == 2
    sweep = load_sweep(here / "results" / "mini" / "tuned.yaml")
    latents = {run.variant: run.config.training.model["latent"] for run in sweep.runs}
    assert latents == {"cvae, latent=2": 2, "cvae, latent=4": 4}


def test_values_that_no_run_can_have_fail_one_trial(bench, write, here):
    cgan = "  cgan: {model: {name: cgan, width: 0.25, latent: 4}}\n"
    space = "  cgan:\n    optimizers.default.rate: {low: 1e-4, high: 1e-2}\n"
    edges = "{low: 1, high: 5, integer: true}"
    ends = edges.replace("1", "2").replace("5", "6")
    odd = f"  cvae:\n    stages.main.start: {edges}\n    stages.main.end: {ends}\n"
    write(
        (cgan, ""),
        (space, odd),
        ("cvae: {}", "cvae: {stages: {main: {start: 1, end: 6}}}"),
        ("trials: 4", "trials: 6"),
    )
    status, _, err = bench(*QUIET)
    assert status == 0, err
    rows = [line.split(",") for line in csv(here)[1:]]
    assert len(rows) == 6
    assert {row[2] for row in rows} == {"complete", "failed"}


def test_trials_that_all_fail_are_no_success(bench, write, here, monkeypatch):
    write()
    monkeypatch.setattr(TrialTask, "execute", lambda task, worker: failing(task))
    status, out, err = bench(*QUIET)
    assert status == 1, err
    assert "4 failed" in out


def failing(task):
    with task.study.locked_trial() as trial:
        trial.fail("kl is nan")
    return "failed"


def test_the_folder_of_something_else_is_refused(bench, write, here):
    write(("trials: 4", "trials: 1"))
    (here / "sweep.yaml").write_text(
        "name: mini\nbase: {data: blobs, iterations: 2, batch_size: 4, metrics: []}\n"
        "seeds: [0]\nvariants: {a: {model: {name: cvae, width: 0.25}}}\n"
    )
    assert bench("run", "sweep.yaml", "--no-mlflow", "--device", "cpu")[0] == 0
    status, _, err = bench(*QUIET)
    assert status == 2
    assert "results/mini holds the runs of the sweep sweep.yaml; give one of both files" in err


def test_one_setting_varies_once(write):
    both = "  cgan:\n    again: {keys: [optimizers.default.rate], low: 1e-4, high: 1e-2}\n"
    with pytest.raises(BenchError, match=r"optimizers\.default\.rate is varied by 'again', too"):
        load_tuning(write(("  cgan:\n    opt", f"{both}    opt")))


def test_what_is_no_yaml_is_said_of_a_tuning_file(bench, write, here):
    path = write()
    path.write_text(path.read_text().replace("seeds: [0, 3]", "seeds: [0, 3"))
    _, _, err = bench(*QUIET)
    assert "this is a sweep" not in err
    assert "mini.yaml:9: is not valid YAML" in err


def test_what_was_tuned_before_keeps_its_name(write, here):
    tuned = "  cvae, tuned: {objective: {encoder: {kl: 5.0}}}\n"
    tuning = load_tuning(write(("  cgan: {model", f"{tuned}  cgan: {{model")))
    [study] = [Study(tuning, v, here / "results") for v in tuning.variants if v.name == "cvae"]
    finished(study, (2.0, 2.0), (1.0, 1.0))
    text = tuned_sweep(tuning, {"cvae": study.best()[0]}, "bench tune")
    assert set(yaml.safe_load(text)["variants"]) == {"cvae", "cvae, tuned"}
    other = [Study(tuning, v, here / "results") for v in tuning.variants]
    for each in other[1:]:
        finished(each, (1.0, 1.0))
    best = {each.variant.name: each.best()[0] for each in other}
    variants = yaml.safe_load(tuned_sweep(tuning, best, "bench tune"))["variants"]
    assert variants["cvae, tuned"] == {"objective": {"encoder": {"kl": 5.0}}}
    assert "cvae, tuned again" in variants
