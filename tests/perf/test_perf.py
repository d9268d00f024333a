"""`bench perf`: that it measures what it says; how fast a machine is, tests do not ask."""

import json
from types import SimpleNamespace

import pytest
import torch

from bench.conformance.model_under_test import ModelUnderTest
from bench.data.base import to_float
from bench.errors import BenchError
from bench.metrics.extractors import classifier
from bench.perf import training_times
from bench.perf.plain_loop import PlainLoop

SMALL = ("--data", "{name: blobs, image_size: 8, per_class: 30, test_per_class: 10}")
FEW = ("--samples-per-class", "10", "--pairs", "2", "--device", "cpu", *SMALL)


@pytest.fixture(autouse=True)
def quick(monkeypatch):
    monkeypatch.setattr(classifier, "STEPS", 1)
    monkeypatch.setattr(classifier, "EPOCHS", 0)


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


def test_all_pairs_are_compared_with_a_loop_on_some(bench):
    status, out, err = bench("perf", "metrics", *FEW, "--metric", "intra_class_diversity", "--json")
    assert status == 0, err
    found = json.loads(out)["ms_ssim"]
    assert (found["pairs"], found["naive_pairs"]) == (3 * 45, 2)
    assert found["times_as_fast"] == pytest.approx(found["naive_seconds_scaled"] / found["seconds"])


def test_the_table_says_what_was_scaled(bench):
    status, out, err = bench("perf", "metrics", *FEW, "--metric", "intra_class_diversity")
    assert status == 0, err
    assert "times as fast as a loop over pytorch_msssim" in out
    assert "which was run on 2 pairs and scaled to" in out
    assert "within the 180 s" in out


def test_points_have_no_classifier_to_train(bench):
    words = ("--data", "{name: moons, per_class: 50}", "--metric", "arc_fit", "--json")
    status, out, err = bench("perf", "metrics", "--samples-per-class", "10", *words)
    assert status == 0, err
    found = json.loads(out)
    assert [row["what"] for row in found["setup"]] == ["drawing 30 samples"]
    assert [row["what"] for row in found["metrics"]] == ["arc_fit"]


def test_a_wrong_model_is_an_error(bench):
    status, _, err = bench("perf", "metrics", *FEW, "--model", "cvea")
    assert status == 2
    assert "cvae" in err


@pytest.fixture
def quick_training(monkeypatch):
    monkeypatch.setattr(training_times, "ROUNDS", 2)
    monkeypatch.setitem(training_times.MATRIX, "cpu", 64)
    monkeypatch.setitem(training_times.COPIED, "cpu", 1 << 12)


TRAIN = ("perf", "train", "--device", "cpu", *SMALL, "--batch-size", "8", "--no-compile")


def test_every_way_of_training_is_timed(bench, here, quick_training):
    words = ("{name: cvae, width: 0.25}", "--iterations", "1", "--json", "out/speed.json")
    (here / "out").mkdir()
    status, out, err = bench(*TRAIN, *words)
    assert status == 0, err
    found = json.loads((here / "out" / "speed.json").read_text())
    assert {"date", "versions", "device_name", "commit"} <= found.keys()
    (model,) = found["models"]
    rows = {row["way"]: row for row in model["rows"]}
    assert {"plain loop", "eager", "channels_last", "two processes"} <= rows.keys()
    assert not any(row["reason"] for row in rows.values())
    assert rows["eager"]["times_eager"] == rows["plain loop"]["times_plain_loop"] == 1
    assert rows["two processes"]["times_one_process"] > 0
    eager = rows["eager"]
    assert eager["images_per_second"] == pytest.approx(8 / eager["seconds_per_iteration"])
    done = model["operations_per_iteration"] / eager["seconds_per_iteration"]
    share = done / model["matrix_product_flops"]["float32"]
    assert eager["share_of_matrix_product"] == pytest.approx(share)
    assert all(name in out for name in rows)


def test_a_way_that_cannot_begin_is_told(bench, here, quick_training, monkeypatch):
    def broken(*what):
        raise RuntimeError("no such kernel\nat line 3")

    ways = [
        training_times.Way("plain loop", training_times.PlainLoop),
        training_times.Way("eager", training_times.Ours),
        training_times.Way("warp", broken),
    ]
    monkeypatch.setattr(training_times, "ways", lambda *what: ways)
    monkeypatch.setattr(
        training_times, "two_processes", lambda *what: {"way": "two", "reason": "no"}
    )
    status, out, err = bench(*TRAIN, "{name: cvae, width: 0.25}", "--iterations", "1")
    assert status == 0, err
    assert "n/a: RuntimeError: no such kernel\n" in out


def test_a_plain_loop_needs_a_full_batch():
    under_test = ModelUnderTest.of("cvae", {"width": 0.25}, batch_size=10_000)
    with pytest.raises(BenchError, match="examples make no batch of 10000"):
        PlainLoop(under_test.training, under_test.data, torch.device("cpu"))


def test_ratios_are_taken_within_rounds_and_count_images(quick_training):
    def line(name, images, *seconds):
        loop = SimpleNamespace(images=images)
        return training_times._Line(training_times.Way(name, None), loop, seconds=seconds)

    lines = [line("plain loop", 8, 4.0, 40.0, 4.0), line("eager", 8, 2.0, 20.0, 2.0)]
    lines.append(line("eight seeds", 64, 4.0, 40.0, 4.0))
    row = lines[2].row(lines, 10, {"float32": 5.0})
    assert (row["times_plain_loop"], row["times_eager"]) == (8, 4)
    assert row["images_per_second"] == 16
    assert row["share_of_matrix_product"] == 4  # it does eight times the work


def test_a_gpu_has_more_ways():
    names = [way.name for way in training_times.ways(torch.device("cuda"), compiling=True)]
    assert names[:3] == ["plain loop", "eager", "graphs"]
    assert names[-1] == "graphs, autotune, channels_last, compile, bfloat16"
    assert not any("compile" in w.name for w in training_times.ways(torch.device("cuda"), False))


def test_the_plain_loop_learns_what_we_learn_from_batches_of_its_own():
    under_test = ModelUnderTest.of("lr_livae", {"width": 0.25, "relevant": 4, "irrelevant": 4})
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
    assert loop.images == 3 * 16, "one draw for each pass of the prior, none for the main one"
    before = [p.detach().clone() for p in loop.model.parameters()]
    loop.iterate(0)
    moved = [not torch.equal(a, b) for a, b in zip(before, loop.model.parameters(), strict=True)]
    assert all(moved)


def test_a_wrong_model_to_train_is_an_error(bench):
    status, _, err = bench(*TRAIN, "cvea")
    assert status == 2
    assert "cvae" in err
