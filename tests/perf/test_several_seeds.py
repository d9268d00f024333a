"""Several seeds on one device: each mode is timed, and none changes what a seed computes."""

import json
from contextlib import contextmanager
from itertools import cycle
from types import SimpleNamespace

import pytest
import torch

from bench.errors import BenchError
from bench.perf import several_seeds, timed_modes, training_times
from bench.perf.plain_loop import PlainLoop
from bench.perf.training_processes import TrainingProcesses
from bench.perf.training_times import start_trainer
from bench.spec.switches import EAGER, SwitchSet
from bench.training.cuda_streams import POOL
from bench.training.trainer import Trainer
from tests.small import small

DATA = "{name: blobs, image_size: 8, per_class: 30, test_per_class: 10}"
SEEDS = ("perf", "seeds", "{name: cvae, width: 0.25}", "--data", DATA, "--batch-size", "8")


@pytest.fixture
def quick(monkeypatch):
    monkeypatch.setattr(several_seeds, "ROUNDS", 2)
    monkeypatch.setattr(timed_modes, "TURN_SECONDS", 0.02)


@pytest.mark.slow
def test_a_cpu_rehearses_what_needs_no_graphs(bench, here, quick):
    words = ("--device", "cpu", "--seeds", "2", "--precision", "bfloat16", "--json", "seeds.json")
    status, out, err = bench(*SEEDS, *words)
    assert status == 0, err
    found = json.loads((here / "seeds.json").read_text())
    assert (found["seeds"], found["precision"], found["unfinished"]) == (2, "bfloat16", False)
    rows = {row["mode"]: row for row in found["rows"]}
    assert list(rows) == ["one by one", "2 processes", "2 graphs in one process"]
    assert rows["one by one"]["times_one_by_one"] == 1
    processes = rows["2 processes"]
    assert processes["images_per_second"] == pytest.approx(8 / processes["seconds_per_iteration"])
    graphs = rows["2 graphs in one process"]
    assert graphs["reason"] == "CUDA graphs need a CUDA device, not cpu"
    best = max(found["rows"], key=lambda row: row.get("times_one_by_one", 0))
    assert found["fastest"] == best["mode"]
    assert f"fastest: {best['mode']}, {best['times_one_by_one']:.2f} times as fast" in out


def test_seconds_are_those_of_an_iteration_of_any_seed(monkeypatch):
    played = []
    monkeypatch.setattr(
        several_seeds,
        "seconds_per_iteration",
        lambda iterate, device, first, count: played.append((first, count)) or 0.4,
    )
    timed = several_seeds._timing(lambda step: None, torch.device("cpu"), 4, first=3)
    assert [timed(3), timed(20), timed(8)] == [0.1, 0.1, 0.1]
    assert played == [(3, 1), (4, 5), (9, 2)]


def test_modes_train_in_the_precision_that_they_name(monkeypatch):
    under_test, seen = small().changed(precision="bfloat16"), []

    def watched(kind):
        def start(training, *others, **options):
            seen.append(training.precision)
            return kind(training, *others, **options)

        return start

    for kind in (PlainLoop, Trainer):
        monkeypatch.setattr(training_times, kind.__name__, watched(kind))
    device = torch.device("cpu")
    several_seeds._one_by_one(under_test.training, under_test.data, device, EAGER)
    for mode in training_times.modes_of(device, compiling=False):
        mode.started(small().training, under_test.data, device)
        assert seen.pop() == mode.precision
    assert seen == ["bfloat16"]


def test_a_process_that_dies_is_named(capfd):
    under_test = small()
    broken = under_test.training.model_copy(update={"model": {"name": "cvae", "width": -1}})
    with (
        pytest.raises(BenchError, match="a process that trains has died"),
        TrainingProcesses([broken], under_test.data, "cpu"),
    ):
        pass
    assert "Error" in capfd.readouterr().err


class FakeGenerator:
    """A generator that holds a state which can be shared, as those of a GPU do."""

    def __init__(self):
        self.state = object()

    def graphsafe_get_state(self):
        return self.state

    def graphsafe_set_state(self, state):
        self.state = state


def test_every_seed_has_a_stream_and_random_numbers_of_its_own(monkeypatch):
    """What a GPU would do, with stand-ins for its streams and generators."""
    under_test, default, streams, seen = small(), FakeGenerator(), [None], []
    before = default.state

    @contextmanager
    def entered(stream):
        streams.append(stream)
        yield
        streams.pop()

    def number_of(stream):
        return stream and stream.cuda_stream

    def start(training, data, device, switches):
        assert switches.graphs
        trainer = start_trainer(training, data, device)
        iterate = trainer.iterate

        def watched(step):
            seen.append((training.seed, step, number_of(streams[-1]), default.state))
            iterate(step)

        trainer.iterate = watched
        seen.append((training.seed, "start", number_of(streams[-1]), default.state))
        return trainer

    monkeypatch.setattr(several_seeds, "start_trainer", start)
    numbers = cycle(range(POOL))
    monkeypatch.setattr(torch.cuda, "Stream", lambda: SimpleNamespace(cuda_stream=next(numbers)))
    monkeypatch.setattr(torch.cuda, "stream", entered)
    monkeypatch.setattr(torch.cuda, "synchronize", lambda device: None)
    monkeypatch.setattr(torch.cuda, "current_device", lambda: 0)
    monkeypatch.setattr(torch.cuda, "default_generators", (default,))
    on_cpu = torch.Generator
    monkeypatch.setattr(torch, "Generator", lambda *device: (FakeGenerator if device else on_cpu)())
    trainings = [under_test.training.model_copy(update={"seed": seed}) for seed in range(3)]
    noted = {}
    timed = several_seeds._in_one_process(trainings, under_test.data, torch.device("cpu"), noted)
    assert noted == {"difference_from_alone": 0.0}
    assert timed(6) > 0
    side_by_side = [entry for entry in seen if entry[2] is not None]
    places = {seed: {entry[2:] for entry in side_by_side if entry[0] == seed} for seed in range(3)}
    assert all(len(places[seed]) == 1 for seed in places), "always the same"
    assert len({part for (place,) in places.values() for part in place}) == 6, "each its own"
    assert [entry[:2] for entry in side_by_side[-3:]] == [(0, 4), (1, 4), (2, 4)]
    assert default.state is before


@pytest.mark.skipif(not torch.cuda.is_available(), reason="needs a GPU")
@pytest.mark.parametrize("name", ["cvae", "lr_livae"])
def test_seeds_side_by_side_train_as_each_does_alone(name):
    under_test, device = small(name), torch.device("cuda")
    trainings = [under_test.training.model_copy(update={"seed": seed}) for seed in range(3)]
    together = several_seeds.SideBySide(trainings, under_test.data, device)
    for step in range(20):
        together.iterate(step)
    for training, trainer in zip(trainings, together.trainers, strict=True):
        alone = start_trainer(training, under_test.data, device, SwitchSet(graphs=True))
        for step in range(20):
            alone.iterate(step)
        torch.cuda.synchronize()
        pairs = zip(several_seeds.weights(alone), several_seeds.weights(trainer), strict=True)
        assert all(torch.equal(a, b) for a, b in pairs)
