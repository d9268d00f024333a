"""Switches compute what eager mode computes, for every model; their names."""

import shutil
from pathlib import Path

import pytest
import torch

from bench import registry
from bench.errors import BenchError
from bench.spec.switches import EAGER, SwitchSet, parse_speed
from bench.training import passes as module
from bench.training.device import numerics
from bench.training.switch_trials import TOLERANCE, difference, evidence
from bench.training.trainer import Trainer
from tests.small import small

CPU = torch.device("cpu")


def computed(under_test, switches=EAGER):
    """Return what the first iterations compute."""
    where = under_test.training, under_test.data, Path("nowhere"), CPU
    return evidence(Trainer(*where, switches=switches))


@pytest.mark.parametrize("precision", ["float32", "bfloat16"])
@pytest.mark.parametrize("name", list(registry.BUILT_IN["model"]))
def test_channels_last_agrees_with_eager_mode(name, precision):
    under_test = small(name).changed(precision=precision)
    found = computed(under_test, SwitchSet(channels_last=True))
    assert difference(computed(under_test), found) < TOLERANCE[precision]


@pytest.mark.slow
@pytest.mark.parametrize("name", list(registry.BUILT_IN["model"]))
def test_compiled_passes_agree_with_eager_mode(name, monkeypatch):
    if shutil.which("g++") is None:
        monkeypatch.setattr(module, "BACKEND", "aot_eager")
    found = computed(small(name), SwitchSet(compile=True, channels_last=True))
    assert difference(computed(small(name)), found) < TOLERANCE["float32"]


def test_a_compiled_pass_takes_the_shared_gradients_and_the_same_noise(monkeypatch):
    monkeypatch.setattr(module, "BACKEND", "aot_eager")  # traces it all, but generates no code
    eager = computed(small("csvae"))
    assert difference(eager, computed(small("csvae"), SwitchSet(compile=True))) < 1e-3
    other = computed(small("csvae").changed(seed=1))
    assert difference(eager, other) > 0.05, "what other noise and data do"


def test_weights_and_batches_lie_with_channels_last(tmp_path):
    switches = SwitchSet(channels_last=True)
    trainer = Trainer(small().training, small().data, tmp_path, CPU, "", switches)
    layout = {"memory_format": torch.channels_last}
    assert trainer._batch(0).x.is_contiguous(**layout)
    kernels = [p for p in trainer.model.parameters() if p.ndim == 4]
    assert kernels
    assert all(p.is_contiguous(**layout) for p in kernels)


def test_names():
    assert parse_speed("auto") is None
    assert parse_speed("eager") == EAGER
    assert parse_speed("compile, graphs") == SwitchSet(graphs=True, compile=True)
    assert str(SwitchSet(graphs=True, compile=True)) == "graphs, compile"
    assert str(EAGER) == "eager"
    with pytest.raises(BenchError, match=r"unknown switch 'graph' .*'graphs'"):
        parse_speed("graph")
    with pytest.raises(BenchError, match="unknown switch 'eager'"):
        parse_speed("eager,compile")


def test_numerics_are_those_of_the_configuration_and_are_put_back():
    backends = torch.backends
    before = backends.cuda.matmul.allow_tf32, backends.cudnn.allow_tf32
    for precision in ("float32", "tf32", "bfloat16"):
        training = small().training.model_copy(update={"precision": precision})
        with numerics(training, autotune=True):
            assert backends.cudnn.allow_tf32 == (precision == "tf32")
            assert backends.cuda.matmul.allow_tf32 == (precision == "tf32")
            assert backends.cudnn.benchmark
    exact = small().training.model_copy(update={"deterministic": True})
    with numerics(exact, autotune=True):
        assert torch.are_deterministic_algorithms_enabled()
        assert not backends.cudnn.benchmark
    assert not torch.are_deterministic_algorithms_enabled()
    assert before == (backends.cuda.matmul.allow_tf32, backends.cudnn.allow_tf32)


def test_tf32_is_another_experiment_and_float32_on_a_cpu():
    changed = small().changed(precision="tf32")
    assert changed.run.id != small().run.id
    for a, b in zip(computed(small()), computed(changed), strict=True):
        assert torch.equal(a, b)


def test_a_trained_model_lies_in_memory_as_it_is_loaded_later(tmp_path):
    where = small().training, small().data, tmp_path, CPU
    model = Trainer(*where, switches=SwitchSet(channels_last=True)).train()
    assert all(value.is_contiguous() for value in model.state_dict().values())
