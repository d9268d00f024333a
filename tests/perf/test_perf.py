"""`bench perf` measures what it says; how fast a machine is, tests do not ask."""

import json

import pytest
import torch

from bench.data.base import to_float
from bench.errors import BenchError
from bench.metrics.extractors import classifier
from bench.perf import training_times
from bench.perf.plain_loop import PlainLoop
from tests.small import small

SMALL = ("--data", "{name: blobs, image_size: 8, per_class: 30, test_per_class: 10}")
FEW = ("--samples-per-class", "10", "--device", "cpu", *SMALL)


@pytest.fixture(autouse=True)
def quick(monkeypatch):
    monkeypatch.setattr(classifier, "STEPS", 1)
    monkeypatch.setattr(classifier, "EPOCHS", 0)
    monkeypatch.setattr(training_times, "ROUNDS", 2)
    monkeypatch.setattr(training_times, "BLOCK_SECONDS", 0.0)


def test_every_metric_is_timed_and_absent_ones_have_a_reason(bench):
    status, out, err = bench("perf", "metrics", *FEW, "--json")
    assert status == 0, err
    found = json.loads(out)
    assert found["samples"] == 30
    rows = {row["what"]: row for row in found["metrics"]}
    assert rows["arc_fit"]["reason"] == "blobs has no arcs"
    assert rows["intra_class_diversity"]["reason"] == ""
    assert all(row["seconds"] > 0 for row in rows.values())
    for kind in ("seconds", "cpu_seconds"):
        total = sum(row[kind] for row in rows.values())
        assert found["total"][kind] == pytest.approx(total)
    assert [row["what"] for row in found["setup"]] == [
        "training the domain classifier",
        "drawing 30 samples",
    ]


def test_metrics_are_a_table(bench):
    words = ("--metric", "class_accuracy", "--metric", "arc_fit", "--threads", "1")
    status, out, err = bench("perf", "metrics", *FEW, *words)
    assert status == 0, err
    title, _, head, *lines = out.splitlines()
    assert title == "30 samples of blobs, model lr_livae without training, cpu, 1 threads"
    assert head.split() == ["wall", "s", "CPU", "s"]
    assert lines[2] == lines[5] == ""
    assert [line.split()[0] for line in lines[3:5]] == ["class_accuracy", "arc_fit"]
    assert lines[4].endswith("n/a: blobs has no arcs")
    assert lines[6].startswith("total ")


def test_points_have_no_classifier_to_train(bench):
    words = ("--data", "{name: moons, per_class: 50}", "--metric", "arc_fit", "--json")
    status, out, err = bench("perf", "metrics", "--samples-per-class", "10", *words)
    assert status == 0, err
    found = json.loads(out)
    assert [row["what"] for row in found["setup"]] == ["drawing 30 samples"]
    assert [row["what"] for row in found["metrics"]] == ["arc_fit"]


TRAIN = ("perf", "train", "--device", "cpu", *SMALL, "--batch-size", "8", "--no-compile")


@pytest.mark.parametrize(
    "words",
    [("perf", "metrics", *FEW, "--model", "cvea"), (*TRAIN, "cvea")],
    ids=["metrics", "train"],
)
def test_a_wrong_model_is_an_error(bench, words):
    status, _, err = bench(*words)
    assert status == 2
    assert "command line: model.name: unknown model 'cvea'" in err
    assert "cvae" in err


def test_every_mode_of_training_is_timed(bench, here):
    words = ("{name: cvae, width: 0.25}", "--json", "out/speed.json")
    (here / "out").mkdir()
    status, out, err = bench(*TRAIN, *words)
    assert status == 0, err
    found = json.loads((here / "out" / "speed.json").read_text())
    assert {"date", "versions", "device_name", "commit"} <= found.keys()
    (model,) = found["models"]
    rows = {row["mode"]: row for row in model["rows"]}
    assert {"plain loop", "eager", "channels_last", "two processes"} <= rows.keys()
    assert not any(row["reason"] for row in rows.values())
    assert rows["eager"]["times_eager"] == rows["plain loop"]["times_plain_loop"] == 1
    assert rows["two processes"]["times_one_process"] > 0
    eager = rows["eager"]
    assert eager["images_per_second"] == pytest.approx(8 / eager["seconds_per_iteration"])
    assert all(name in out for name in rows)
    (line,) = (line for line in out.splitlines() if line.startswith("  eager "))
    assert line.split()[-1] == "1.00", "times as fast as eager mode, below its title"


def test_a_mode_that_cannot_begin_is_named_with_its_reason(bench, here, monkeypatch):
    def broken(*what):
        raise RuntimeError("no such kernel\nat line 3")

    modes = [
        training_times.Mode("plain loop", training_times.PlainLoop),
        training_times.Mode("eager", training_times.start_trainer),
        training_times.Mode("warp", broken),
    ]
    monkeypatch.setattr(training_times, "modes_of", lambda *what: modes)
    monkeypatch.setattr(training_times, "two_processes", lambda *what: 1.5)
    status, out, err = bench(*TRAIN, "{name: cvae, width: 0.25}")
    assert status == 0, err
    assert "n/a: RuntimeError: no such kernel\n" in out
    assert "1.50\n" in out


def test_ratios_are_taken_within_rounds():
    def mode(name, *seconds):
        return training_times.Mode(name, None, loop=FakeLoop, seconds=list(seconds))

    modes = [mode("plain loop", 4.0, 40.0, 8.0), mode("eager", 2.0, 20.0, 2.0)]
    modes.append(mode("graphs", 1.0, 10.0, 4.0))
    row = training_times._row(modes[2], modes, 8)
    assert (row["times_plain_loop"], row["times_eager"]) == (4, 2)
    assert row["seconds_per_iteration"] == 4
    assert row["images_per_second"] == 2 * 8 / 4


class FakeLoop:
    draws = 2


def test_a_gpu_has_more_modes():
    cuda = torch.device("cuda")
    names = [mode.name for mode in training_times.modes_of(cuda, compiling=True)]
    assert names[:3] == ["plain loop", "eager", "graphs"]
    assert names[-1] == "graphs, autotune, channels_last, compile, bfloat16"
    assert not any("compile" in mode.name for mode in training_times.modes_of(cuda, False))


def test_a_plain_loop_needs_a_full_batch():
    large = small().changed(batch_size=10_000)
    with pytest.raises(BenchError, match="examples make no batch of 10000"):
        PlainLoop(large.training, large.data, torch.device("cpu"))


def test_the_plain_loop_learns_what_we_learn_from_batches_of_its_own():
    under_test = small("lr_livae")
    loop = PlainLoop(under_test.training, under_test.data, torch.device("cpu"))
    ours = under_test.model()
    for plain, own in zip(loop.model.parameters(), ours.parameters(), strict=True):
        assert torch.equal(plain, own)
    size, epoch = len(under_test.data.train), loop._endless()
    batches = [next(epoch) for _ in range(size // 16)]
    assert all(batch.x.dtype == torch.float32 for batch in batches)
    stored = to_float(under_test.data.train.x)
    seen = [(stored == x).flatten(1).all(1).nonzero() for batch in batches for x in batch.x]
    assert all(len(found) for found in seen), "images of the training split"
    assert len({int(found[0]) for found in seen}) == 16 * len(batches), "each once an epoch"
    assert loop.draws == 3, "one for each pass of the prior, none for the main one"
    before = [p.detach().clone() for p in loop.model.parameters()]
    loop.iterate(0)
    moved = [not torch.equal(a, b) for a, b in zip(before, loop.model.parameters(), strict=True)]
    assert all(moved)
