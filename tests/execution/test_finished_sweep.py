"""A finished sweep is recognized without torch; after any change the whole check is made."""

import json
import subprocess
import sys
import time
from dataclasses import replace
from pathlib import Path

import pytest

from bench import registry
from bench.execution import run_sweep
from bench.execution.finished_sweep import FinishedSweep, Untold, _files
from tests.made_once import FACES, copy_faces_sweep, draw_faces

TICK_S = 0.02  # file times lag behind the clock by a tick of the kernel, 10 ms at most
WORDS = ["", None, (), True, None]  # about trackers
RUN = ("run", "faces.yaml", "--no-mlflow", "--device", "cpu")

WITHOUT_TORCH = """\
import sys
from bench.cli import main
try:
    main(sys.argv[1:])
except SystemExit as end:
    assert not end.code
heavy = {"torch", "pandas", "numpy", "scipy", "matplotlib"} & set(sys.modules)
assert not heavy, heavy
"""


def faces_sweep(*overrides):
    return FinishedSweep.of(Path("faces.yaml"), overrides, Path("results"), WORDS)


@pytest.fixture
def finished(bench, here):
    """A sweep on a folder of images, whose runs are done and marked."""
    copy_faces_sweep(here)
    assert "nothing to do: all 1 runs are done" in bench(*RUN)[2]
    sweep = faces_sweep()
    assert sweep.is_unchanged()
    return sweep


def append(path, text):
    path.write_text(path.read_text() + text)


def some_run(here):
    return next(here.glob("results/faces/*/model.pt")).parent


def add_to_source(monkeypatch, name):
    read_text = Path.read_text

    def edited(path, **how):
        return read_text(path, **how) + "edited = True\n" * str(path).endswith(name)

    monkeypatch.setattr(Path, "read_text", edited)


def add_model(here, monkeypatch):
    """Register a model of another package, of whose parts one of the sweep may be built."""
    (here / "parts.py").touch()
    monkeypatch.syspath_prepend(here)
    registered = registry.registered
    more = {name: registry.Registration(f"{name}:Model", "") for name in ("parts", "not_there")}
    table = {kind: registered(kind) for kind in registry.BASES} | {
        "model": registered("model") | more
    }
    monkeypatch.setattr(registry, "registered", table.__getitem__)


@pytest.mark.parametrize(
    "change",
    [
        lambda here, _: append(here / "faces.yaml", "# a comment\n"),
        lambda here, _: draw_faces(here / "faces", seed=1),
        lambda here, _: (some_run(here) / "done").unlink(),
        lambda here, _: (some_run(here) / "failed").write_text("by hand"),
        lambda here, _: append(some_run(here) / "provenance.json", "\n"),
        lambda here, _: (here / "results/faces/runs.csv").unlink(),
        lambda here, _: (here / "results/faces/finished.json").write_text("{}"),
        lambda _, monkeypatch: add_to_source(monkeypatch, "baselines/csvae.py"),
        add_model,
        lambda _, monkeypatch: add_to_source(monkeypatch, "bench/spec/sizes.py"),
    ],
    ids=[
        "sweep",
        "data",
        "done",
        "failed",
        "record",
        "mirror",
        "mark",
        "model",
        "plug-in",
        "harness",
    ],
)
def test_a_change_is_noticed(finished, here, monkeypatch, change):
    change(here, monkeypatch)
    assert not finished.is_unchanged()


def test_a_change_of_what_runs_imported_is_noticed(finished, here, monkeypatch):
    (here / "helpers.py").write_text("WIDTH = 1\n")  # which registers nothing
    monkeypatch.syspath_prepend(here)
    provenance = some_run(here) / "provenance.json"
    origin = json.loads(provenance.read_text())
    origin["sources"]["model"]["helpers.py"] = "0" * 12
    provenance.write_text(json.dumps(origin))
    sweep = replace(finished, began_ns=time.time_ns() + 10**9)
    sweep.mark()
    assert sweep.is_unchanged()
    (here / "helpers.py").write_text("WIDTH = 2\n")
    assert not sweep.is_unchanged()


def test_what_changes_while_runs_are_done_is_not_marked(finished, here):
    command = faces_sweep()
    time.sleep(TICK_S)
    (here / "faces.yaml").write_text(FACES.replace("{cvae: {}}", "{cvae: {}, wide: {}}"))
    command.mark()
    assert not faces_sweep().is_unchanged()


@pytest.mark.usefixtures("finished")
def test_the_plan_of_another_command_is_told_and_not_marked(bench, here, monkeypatch):
    folder = here / "results" / "faces"
    (folder / "finished.json").unlink()
    run_whole = run_sweep.run_sweep

    def run_beside_another(*arguments):
        outcome = run_whole(*arguments)
        plan = json.loads((folder / "sweep.json").read_text())
        plan["runs"] = []
        (folder / "sweep.json").write_text(json.dumps(plan))
        return outcome

    with monkeypatch.context() as patch:
        patch.setattr(run_sweep, "run_sweep", run_beside_another)
        status, _, err = bench(*RUN)
    assert status == 0, err
    assert "another command has meanwhile written its own plan to results/faces" in err
    assert not (folder / "finished.json").exists()
    assert "nothing to do" in bench(*RUN)[2]
    assert len(json.loads((folder / "sweep.json").read_text())["runs"]) == 1


@pytest.mark.usefixtures("finished")
@pytest.mark.parametrize(
    "metrics", ["[]", "[intra_class_diversity_native]"], ids=["finished", "kept"]
)
def test_what_another_command_measures_meanwhile_is_not_done(bench, here, monkeypatch, metrics):
    """Whether the runs were done before or by this command."""
    folder = here / "results" / "faces"
    (folder / "finished.json").unlink()
    schedule = run_sweep.schedule

    def schedule_beside_another(tasks, executor):
        yield from schedule(tasks, executor)
        plan = json.loads((folder / "sweep.json").read_text())
        plan["runs"][0]["evaluation"] = "another"
        (folder / "sweep.json").write_text(json.dumps(plan))
        done = some_run(here) / "done"
        done.write_text(json.dumps(json.loads(done.read_text()) | {"evaluation": "another"}))

    with monkeypatch.context() as patch:
        patch.setattr(run_sweep, "schedule", schedule_beside_another)
        status, _, err = bench(*RUN, f"base.metrics={metrics}")
    assert status == 1, err
    assert "another command has meanwhile written its own plan to results/faces" in err
    assert "1 of 1 runs are not done as this command asks" in err
    assert not (folder / "finished.json").exists()
    status, _, err = bench(*RUN, f"base.metrics={metrics}")
    assert (status, "note:" in err, "1 finished" in err) == (0, False, True), err


def test_all_files_that_settings_name_are_found(here):
    inside = here / "set" / "inside"
    names = [inside / "0.png", here / "a-00.tar", here / "a-01.tar", here / "word" / "file"]
    for path in names:
        path.parent.mkdir(parents=True, exist_ok=True)
        path.touch()
    (here / "linked").mkdir()
    (here / "linked" / "there").symlink_to(inside)
    (inside / "around").symlink_to(here / "set")
    found = {"path": "linked", "test_path": "a-{00..01}.tar", "name": "word", "more": ["set"]}
    assert {*map(str, _files(found))} == {
        "a-00.tar",
        "a-01.tar",
        "linked/there/0.png",
        "set/inside/0.png",
    }
    with pytest.raises(Untold):
        [*_files({"path": "{a-00,a-01}.tar"})]


@pytest.mark.parametrize("words", [["seeds=[0, 1]"], ["title=other"]])
def test_other_words_are_another_sweep(finished, words):
    assert not FinishedSweep.of(
        Path("faces.yaml"), words, Path("results"), [True, None]
    ).is_unchanged()


def test_the_plan_is_that_of_the_whole_check(finished, bench, here):
    at_once = bench(*RUN, "--dry-run")
    (here / "results/faces/finished.json").unlink()
    assert bench(*RUN, "--dry-run") == at_once


@pytest.mark.parametrize("more", [[], ["--dry-run"]])
def test_torch_is_not_loaded(finished, here, more):
    words = [sys.executable, "-c", WITHOUT_TORCH, *RUN, *more]
    ended = subprocess.run(words, cwd=here, capture_output=True, text=True)
    assert ended.returncode == 0, ended.stderr


def test_a_plan_of_comparisons_that_came_after_the_results_is_no_plan(finished, here, bench):
    path = here / "faces.yaml"
    variant = next(run["variant"] for run in read_plan(here)["runs"])
    append(path, f"compare: {{reference: {variant}}}\n")
    changed = "note: `compare:` changed after runs finished"
    assert changed in bench(*RUN)[2]
    assert read_plan(here)["compare"]["reference"] == variant
    append(path, "\n")
    assert changed not in bench(*RUN)[2]


def read_plan(here):
    return json.loads((here / "results" / "faces" / "sweep.json").read_text())
