"""Switches compute what eager mode computes, for every model; their names."""

import shutil
import warnings
from pathlib import Path

import pytest
import torch

from bench import registry
from bench.errors import BenchError
from bench.spec.switches import EAGER, SwitchSet, parse_speed
from bench.training import passes as module
from bench.training.device import numerics, torch_warnings_settled
from bench.training.switch_trials import (
    ROUNDINGS,
    differences,
    evidence,
    evidence_after_rounding,
    tolerances,
)
from bench.training.trainer import Trainer
from tests.small import small

CPU = torch.device("cpu")


def start(under_test, switches=EAGER):
    """Return a trainer that writes nothing."""
    return Trainer(under_test.training, under_test.data, Path("nowhere"), CPU, switches=switches)


def computed(under_test, switches=EAGER):
    """Return what the first iterations compute."""
    return evidence(start(under_test, switches))


def excess(under_test, found):
    """Return by how many times of what is allowed a training differs from eager mode."""
    expected, precision = computed(under_test), under_test.training.precision
    seeds = range(ROUNDINGS)
    rounded = [evidence_after_rounding(start(under_test), precision, seed) for seed in seeds]
    return float((differences(expected, found) / tolerances(expected, rounded, precision)).max())


@pytest.mark.parametrize("precision", ["float32", "bfloat16"])
@pytest.mark.parametrize("name", list(registry.BUILT_IN["model"]))
def test_channels_last_agrees_with_eager_mode(name, precision):
    under_test = small(name).changed(precision=precision)
    assert excess(under_test, computed(under_test, SwitchSet(channels_last=True))) < 1


@pytest.mark.slow
@pytest.mark.parametrize(
    ("name", "precision"),
    [
        *((name, "float32") for name in registry.BUILT_IN["model"]),
        ("cvae", "bfloat16"),
        ("lr_livae", "bfloat16"),
    ],
)
def test_compiled_passes_agree_with_eager_mode(name, precision, monkeypatch):
    if shutil.which("g++") is None:
        monkeypatch.setattr(module, "BACKEND", "aot_eager")
    under_test = small(name).changed(precision=precision)
    switches = SwitchSet(compile=True, channels_last=True)
    assert excess(under_test, computed(under_test, switches)) < 1


@pytest.mark.parametrize("precision", ["float32", "bfloat16"])
def test_other_noise_and_data_differ_too_much(precision):
    under_test, other = (small("csvae").changed(precision=precision, seed=s) for s in (0, 1))
    assert excess(under_test, computed(other)) > 2


def test_a_compiled_pass_takes_the_shared_gradients_and_the_same_noise(monkeypatch):
    monkeypatch.setattr(module, "BACKEND", "aot_eager")  # traces it all, but generates no code
    eager = computed(small("csvae"))
    found = computed(small("csvae"), SwitchSet(compile=True))
    assert differences(eager, found).max() < 1e-3


@pytest.mark.slow
def test_many_trainings_are_compiled_while_others_live(monkeypatch):
    monkeypatch.setattr(module, "BACKEND", "eager")
    where = small().training, small().data, Path("nowhere"), CPU
    trainers = [Trainer(*where, switches=SwitchSet(compile=True)) for _ in range(2)]
    with torch._dynamo.config.patch(recompile_limit=1):
        for trainer in trainers:
            trainer.prepare()
        for trainer in trainers:
            trainer.iterate(0)


def test_weights_and_batches_lie_with_channels_last(tmp_path):
    switches = SwitchSet(channels_last=True)
    trainer = Trainer(small().training, small().data, tmp_path, CPU, "", switches)
    layout = {"memory_format": torch.channels_last}
    assert trainer._batch(trainer.stream.draws(0, 1), 0).x.is_contiguous(**layout)
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
        with numerics(training, CPU, autotune=True):
            assert backends.cudnn.allow_tf32 == (precision == "tf32")
            assert backends.cuda.matmul.allow_tf32 == (precision == "tf32")
            assert backends.cudnn.benchmark
    exact = small().training.model_copy(update={"deterministic": True})
    with numerics(exact, CPU, autotune=True):
        assert torch.are_deterministic_algorithms_enabled()
        assert not torch.is_deterministic_algorithms_warn_only_enabled()
        assert not backends.cudnn.benchmark
    assert not torch.are_deterministic_algorithms_enabled()
    assert before == (backends.cuda.matmul.allow_tf32, backends.cudnn.allow_tf32)


def test_a_gpu_is_deterministic_unless_algorithms_are_timed():
    training, cuda, cudnn = small().training, torch.device("cuda"), torch.backends.cudnn
    with numerics(training, cuda):
        assert (cudnn.deterministic, cudnn.benchmark) == (True, False)
        assert torch.is_deterministic_algorithms_warn_only_enabled()
        assert not torch.utils.deterministic.fill_uninitialized_memory
    with numerics(training, cuda, autotune=True):
        assert (cudnn.deterministic, cudnn.benchmark) == (False, True)
        assert not torch.are_deterministic_algorithms_enabled()
    with numerics(training, CPU):
        assert not torch.are_deterministic_algorithms_enabled(), "last digits stay as they were"
    assert (cudnn.deterministic, cudnn.benchmark) == (False, False)
    assert torch.utils.deterministic.fill_uninitialized_memory


def test_operations_without_a_deterministic_kernel_are_named_once(capsys):
    with torch_warnings_settled():
        for _ in range(2):
            warnings.warn("warp_cuda does not have a deterministic implementation", stacklevel=1)
        warnings.warn("Synchronization debug mode is a prototype feature and", stacklevel=1)
    assert capsys.readouterr().err.count("warp_cuda") == 1
    with pytest.warns(UserWarning, match="something else"), torch_warnings_settled():
        warnings.warn("something else", stacklevel=1)


def test_tf32_is_another_experiment_and_float32_on_a_cpu():
    changed = small().changed(precision="tf32")
    assert changed.run.id != small().run.id
    for a, b in zip(computed(small()), computed(changed), strict=True):
        assert torch.equal(a, b)


def test_a_trained_model_lies_in_memory_as_it_is_loaded_later(tmp_path):
    where = small().training, small().data, tmp_path, CPU
    model = Trainer(*where, switches=SwitchSet(channels_last=True)).train()
    assert all(value.is_contiguous() for value in model.state_dict().values())
