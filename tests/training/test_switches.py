"""SwitchSet compute what eager mode computes, for every model; their names."""

import shutil

import pytest
import torch

from bench import registry
from bench.conformance import suite
from bench.errors import BenchError
from bench.execution.switch_choice import TrainerTrial
from bench.spec.switches import EAGER, SwitchSet, parse_speed
from bench.training import passes as module
from bench.training.numerics import numerics
from bench.training.switch_trials import TOLERANCE, begin, difference
from bench.training.trainer import Trainer

CPU = torch.device("cpu")


def trained(subject, folder, switches):
    """Return what the first iterations compute."""

    def start(switches):
        where = subject.training, subject.data, folder, CPU
        return TrainerTrial(Trainer(*where, switches=switches))

    return begin(start, switches)[1]


@pytest.mark.parametrize("precision", ["float32", "bfloat16"])
@pytest.mark.parametrize("name", list(registry.TABLES["model"]))
def test_channels_last_agrees_with_eager_mode(name, precision, tmp_path):
    subject = suite.make_subject(name, {"width": 0.25}, precision=precision)
    eager = trained(subject, tmp_path, EAGER)
    found = trained(subject, tmp_path, SwitchSet(channels_last=True))
    assert difference(eager, found) < TOLERANCE[precision]


@pytest.mark.slow
@pytest.mark.parametrize("name", list(registry.TABLES["model"]))
def test_compiled_passes_agree_with_eager_mode(name, tmp_path, monkeypatch):
    if shutil.which("g++") is None:
        monkeypatch.setattr(module, "BACKEND", "aot_eager")
    subject = suite.make_subject(name, {"width": 0.25})
    eager = trained(subject, tmp_path, EAGER)
    found = trained(subject, tmp_path, SwitchSet(compile=True, channels_last=True))
    assert difference(eager, found) < TOLERANCE["float32"]


def test_a_compiled_pass_takes_the_shared_gradients_and_the_same_noise(tmp_path, monkeypatch):
    monkeypatch.setattr(module, "BACKEND", "aot_eager")  # traces it all, but generates no code
    options = {"width": 0.25, "relevant": 4, "irrelevant": 4}
    subject = suite.make_subject("lr_livae", options)
    eager = trained(subject, tmp_path, EAGER)
    found = trained(subject, tmp_path, SwitchSet(compile=True))
    assert difference(eager, found) < 1e-3
    other = trained(subject.changed(seed=1), tmp_path, EAGER)
    assert difference(eager, other) > 0.05, "what other noise and data do"


def test_weights_and_batches_lie_with_channels_last(tmp_path):
    subject = suite.make_subject("cvae", {"width": 0.25})
    switches = SwitchSet(channels_last=True)
    trainer = Trainer(subject.training, subject.data, tmp_path, CPU, "", switches)
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
    subject = suite.make_subject("cvae", {"width": 0.25})
    backends = torch.backends
    before = backends.cuda.matmul.allow_tf32, backends.cudnn.allow_tf32
    for precision in ("float32", "tf32", "bfloat16"):
        training = subject.training.model_copy(update={"precision": precision})
        with numerics(training, autotune=True):
            assert backends.cudnn.allow_tf32 == (precision == "tf32")
            assert backends.cuda.matmul.allow_tf32 == (precision == "tf32")
            assert backends.cudnn.benchmark
    exact = subject.training.model_copy(update={"deterministic": True})
    with numerics(exact, autotune=True):
        assert torch.are_deterministic_algorithms_enabled()
        assert not backends.cudnn.benchmark
    assert not torch.are_deterministic_algorithms_enabled()
    assert before == (backends.cuda.matmul.allow_tf32, backends.cudnn.allow_tf32)


def test_tf32_is_another_experiment_and_float32_on_a_cpu(tmp_path):
    subject = suite.make_subject("cvae", {"width": 0.25})
    changed = subject.changed(precision="tf32")
    assert changed.run.id != subject.changed().run.id
    for a, b in zip(
        trained(subject, tmp_path, EAGER), trained(changed, tmp_path, EAGER), strict=True
    ):
        assert torch.equal(a, b)


def test_a_trained_model_lies_in_memory_as_it_is_loaded_later(tmp_path):
    subject = suite.make_subject("cvae", {"width": 0.25})
    where = subject.training, subject.data, tmp_path, CPU
    model = Trainer(*where, switches=SwitchSet(channels_last=True)).train()
    assert all(value.is_contiguous() for value in model.state_dict().values())
