"""A whole iteration on fake CUDA tensors: batches, passes, steps and averages."""

from pathlib import Path

import pytest
import torch
from torch import Tensor
from torch._subclasses.fake_tensor import FakeTensorMode
from torch.utils._pytree import tree_leaves

from bench.conformance.fake_cuda import GPURules, gradients_in_python, on_fake_cuda
from bench.data.base import LEVELS
from bench.spec.run_settings import Average
from bench.spec.switches import SwitchSet
from bench.training import optimizers
from bench.training import trainer as module
from bench.training.trainer import Trainer
from tests.fake_graph import rated
from tests.small import on_attributes, small


class Rules(GPURules):
    """Fused steps have no fake form: only the devices of what they take are looked at."""

    def __torch_dispatch__(self, func, types, args=(), kwargs=None):
        if not func.overloadpacket.__name__.startswith("_fused_"):
            return super().__torch_dispatch__(func, types, args, kwargs)
        taken = [leaf for leaf in tree_leaves((args, kwargs)) if isinstance(leaf, Tensor)]
        assert {tensor.device.type for tensor in taken} == {"cuda"}
        self.steps = getattr(self, "steps", 0) + 1
        return None


def with_rate_unread(kind):
    """Return a kind of optimizer that does not read its rate back to check it."""

    def make(parameters, lr, **options):
        made = kind(parameters, lr=1e-3, **options)
        made.param_groups[0]["lr"] = lr
        return made

    return make


@pytest.fixture
def iterate(monkeypatch):
    """Do two iterations of a training; return what would wait for the GPU."""
    unread = {name: with_rate_unread(kind) for name, kind in optimizers.CLASSES.items()}
    monkeypatch.setattr(optimizers, "CLASSES", unread)

    def iterate(under_test, change=lambda trainer: None, **changes):
        mode = FakeTensorMode(allow_non_fake_inputs=True)
        model = on_fake_cuda(under_test.model(), mode)
        monkeypatch.setattr(module, "build_model", lambda *_: model)
        training = under_test.training.model_copy(update=changes)
        where = under_test.data, Path("nowhere"), torch.device("cuda")
        with mode:
            trainer = Trainer(training, *where, switches=SwitchSet(graphs=True))
            change(trainer)
            passes = trainer.timetable.passes_of(0)
            draws = trainer.stream.draws(0, trainer.timetable.draws)
            with Rules("the iteration", {}) as rules, gradients_in_python():
                for _ in range(2):  # the second has moments
                    assert trainer._play(trainer.moving_passes(passes), draws).is_cuda
        assert rules.steps == 2 * sum(
            len(played.weights) for played, _ in trainer.moving_passes(passes)
        )
        return rules.waits

    return iterate


CASES = {
    "cvae by adam": (small("cvae"), "adam"),
    "cvae by adamw": (small("cvae"), "adamw"),
    "cvae by sgd": (small("cvae"), "sgd"),
    "lr_livae by adam": (small("lr_livae"), "adam"),
    "csvae on attributes by adam": (on_attributes("csvae"), "adam"),
}


@pytest.mark.parametrize(("under_test", "optimizer"), CASES.values(), ids=CASES)
def test_nothing_waits_and_nothing_is_on_the_cpu(under_test, optimizer, iterate):
    changes = {"clip_norm": 0.5, "average": Average(decay=0.9, players=["decoder"])}
    assert iterate(under_test, optimizers=rated(under_test, optimizer), **changes) == []


def test_mirrored_images_are_assembled_on_the_gpu(iterate):
    def mirrored(trainer):
        trainer.stream._flip = True

    assert iterate(small("cvae"), mirrored) == []


def test_a_table_on_the_cpu_would_be_seen(iterate):
    def forgotten(trainer):
        trainer.stream._levels = LEVELS

    (problem,) = iterate(small("cvae"), forgotten)
    assert problem.startswith("the iteration: to_copy copies between the CPU and the GPU")
