"""Generators as they are written today conform, train, and are eager where a GPU has to wait."""

import math
import sys

import pytest
import torch
from torch.overrides import TorchFunctionMode

from bench import registry
from bench.conformance import suite
from bench.conformance.findings import check_model
from bench.conformance.model_under_test import CPU, ModelUnderTest
from bench.spec.switches import EAGER
from bench.training import cuda_graphs
from bench.training.switch_trials import choose_switches
from bench.training.trainer import Trainer
from tests.conformance import todays_models
from tests.fake_graph import FakeGraph, use_fake_graphs

WAITS, COMPILES = "no-stage-waits-for-a-gpu", "stages-compile-as-one-graph"
MODELS = {
    "GAN": set(),
    "WassersteinPenalty": set(),
    "WassersteinPenaltyGradOutputs": {COMPILES},
    "R1": set(),
    "R1InPlace": {COMPILES},
    "Rows": {COMPILES},
    "RowsGRU": {COMPILES},
    "PackedRows": {WAITS, COMPILES},
    "Pixels": set(),
    "UntilAccepted": set(),
    "ReadsValue": {WAITS},
    "Halting": {WAITS, COMPILES},
    "MaskedMean": {WAITS, COMPILES},
    "MeanFlow": set(),
}
"""Model -> the rules with a note."""
FAST = ("WassersteinPenalty", "PackedRows", "Halting")
"""One model of each kind."""
SMALL = {"name": "blobs", "image_size": 4}
UNROLLED = ("Pixels", "UntilAccepted")
"""Models whose compilation takes long."""


@pytest.fixture(autouse=True)
def registered(monkeypatch):
    target = todays_models.__name__
    table = {name: registry.Registration(f"{target}:{name}", "") for name in MODELS}
    tables = registry.BUILT_IN | {"model": table}
    monkeypatch.setattr(registry, "registered", lambda kind: tables[kind])


@pytest.mark.filterwarnings("ignore:.torch.jit.script. is deprecated")  # by torch.func.jvp
@pytest.mark.parametrize(
    "name", [pytest.param(n, marks=() if n in FAST else pytest.mark.slow) for n in MODELS]
)
def test_it_conforms_and_what_concerns_speed_is_a_note(name, monkeypatch):
    if name in UNROLLED:
        without = {c: about for c, about in suite.CHECKS.items() if about != "compilation"}
        monkeypatch.setattr(suite, "CHECKS", without)
    found = list(check_model(name, data=SMALL))
    assert [finding for finding in found if finding.outcome == "FAIL"] == []
    notes = {finding.rule: finding for finding in found if finding.outcome == "note"}
    assert notes.keys() == MODELS[name]
    for finding in notes.values():
        assert f"{todays_models.__file__}:" in finding.text + finding.place
        assert "eager mode" in finding.text or "slower on a GPU" in finding.text


@pytest.mark.slow
@pytest.mark.parametrize("name", ["WassersteinPenalty", "R1", "Rows", "PackedRows", "Halting"])
def test_it_trains(name, tmp_path):
    trainer = ModelUnderTest.of(name, iterations=60).trainer(tmp_path)
    trainer.train()
    rows = trainer.losses.take()
    assert all(map(math.isfinite, rows.values()))


class RefusesReads(TorchFunctionMode):
    """A mode in which a model that reads a value raises, as in a capture on a GPU."""

    def __torch_function__(self, function, types, args=(), kwargs=None):
        is_of_model = sys._getframe(1).f_code.co_filename == todays_models.__file__
        if is_of_model and function in (torch.Tensor.item, torch.Tensor.__bool__):
            raise RuntimeError("called a synchronizing CUDA operation")
        return function(*args, **(kwargs or {}))


class RefusingGraph(FakeGraph):
    """A fake graph that cannot be captured where a model reads a value."""

    def capture(self, work):
        with RefusesReads():
            return super().capture(work)


@pytest.mark.parametrize(
    ("name", "reason"),
    [
        ("ReadsValue", "graphs off, RuntimeError: called a synchronizing CUDA operation"),
        ("Halting", "graphs off, RuntimeError: called a synchronizing CUDA operation"),
        ("WassersteinPenalty", "times as fast"),
    ],
)
def test_a_gpu_trains_it_in_eager_mode_where_a_value_is_read(name, reason, tmp_path, monkeypatch):
    use_fake_graphs(monkeypatch)
    monkeypatch.setattr(cuda_graphs, "CudaGraph", RefusingGraph)
    under_test = ModelUnderTest.of(name)

    def start(switches):
        return Trainer(under_test.training, under_test.data, tmp_path, CPU, "", switches)

    decision = choose_switches(start, iterations=1000, candidates=[("graphs", 0.0)])
    assert reason in decision.reasons[0]
    if "off, R" in reason:
        assert decision.switches == EAGER
