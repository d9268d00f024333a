"""A node that does not see the results folder sends its run back; no Ray is needed to see that."""

import errno
from types import SimpleNamespace

from bench.execution.executors.ray import Ray, _execute_on_node, _unpack
from bench.execution.task import RunTask
from bench.process.worker import Worker
from bench.spec.run_config import complete_settings

SETTINGS = {
    "model": {"name": "cvae", "width": 0.25, "latent": 4},
    "data": {"name": "blobs"},
    "iterations": 3,
    "batch_size": 16,
    "samples_per_class": 2,
    "snapshots": 3,
    "seed": 0,
}


def test_a_run_comes_back_whole_from_a_node_that_does_not_see_the_results(here):
    config = complete_settings(SETTINGS)
    task = RunTask(here / "far" / config.id, "far", config)
    outcome, _, packed = _execute_on_node(task, Worker("cpu"), here / "mark", here)
    assert outcome == "finished"
    assert not task.path.exists()
    with task.folder.locked():  # where a driver sees it, something may lie already
        (task.path / "snapshots" / "1").mkdir(parents=True)
        _unpack(packed, task.path)
    assert task.state() == "done"
    assert {"model.pt", "rows.jsonl", "evaluation.jsonl"} <= {p.name for p in task.path.iterdir()}

    seen = here / "mark"
    seen.touch()
    near = RunTask(here / "near" / config.id, "near", config)
    assert _execute_on_node(near, Worker("cpu"), seen, here) == ("finished", "", None)
    snapshot = "snapshots/2/evaluation.jsonl"
    for name in ("rows.jsonl", "evaluation.jsonl", "config.json", "done", snapshot):
        assert (near.path / name).read_bytes() == (task.path / name).read_bytes()


def test_a_full_disk_where_a_run_comes_back_to_fails_that_run_alone(here, monkeypatch):
    def unpack(packed, folder):
        raise OSError(errno.ENOSPC, "No space left on device", str(folder))

    monkeypatch.setattr("bench.execution.executors.ray._unpack", unpack)
    executor = object.__new__(Ray)
    executor._ray = SimpleNamespace(
        get=lambda reference: ("finished", "", b"a run"),
        exceptions=SimpleNamespace(RayError=RuntimeError),
    )
    task = SimpleNamespace(path=here / "far")
    executor._tasks = {"reference": task}
    ended = executor._outcome("reference")
    assert ended.outcome == "failed"
    assert ended.reason == f"No space left on device: {here / 'far'}; free some space there"
