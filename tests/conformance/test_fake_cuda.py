"""Every form of every model would run on a GPU, and a CUDA graph could hold each of its stages."""

import copy
import re

import pytest
import torch
from torch import nn
from torch._subclasses.fake_tensor import FakeTensorMode
from torch.autograd import Function

from bench import registry
from bench.conformance import fake_cuda, suite
from bench.conformance.fake_cuda import (
    GPURules,
    WrongGenerator,
    on_fake_cuda,
    play_on_fake_cuda,
)
from bench.conformance.outcomes import Violation
from bench.conformance.walked_gradients import walked_gradients
from bench.spec import declaration
from bench.spec.run_config import complete_settings
from bench.spec.sweep_file import find_sweeps, load_sweep
from tests.conformance.test_models import CASES, MODELS
from tests.shipped_data import SWEEPS, make_shipped_data, overrides_for
from tests.small import half_labeled, small

CVAE = registry.load("model", "cvae")


@pytest.fixture(autouse=True)
def bfloat16_of_cuda(monkeypatch):
    """Let autocast do as if there were a GPU, which it asks for."""
    monkeypatch.setattr(torch.cuda.amp.common, "amp_definitely_not_available", lambda: False)
    monkeypatch.setattr(torch.cuda, "is_bf16_supported", lambda: True)


def at_32x32(name):
    """Return a model for color images, in bfloat16, as a configuration."""
    raw = {"model": {"name": name, "width": 0.25}, "data": "cifar10", "precision": "bfloat16"}
    return complete_settings({"seed": 0, "iterations": 6, "batch_size": 16, **raw})


OTHERS = [case for case in CASES if case not in MODELS and not case.endswith(" on points")]
POINTS = ["lr_livae on points", "flow_matching on points"]  # two kinds of networks


@pytest.mark.parametrize("name", MODELS)
def test_each_model_runs_on_a_gpu(name):
    run = at_32x32(name)
    assert play_on_fake_cuda(run.training, run.source().spec) == []


@pytest.mark.parametrize(
    "case", OTHERS + [pytest.param(case, marks=pytest.mark.slow) for case in POINTS]
)
def test_each_form_of_a_model_runs_on_a_gpu(case):
    under_test = CASES[case]()
    assert play_on_fake_cuda(under_test.training, under_test.data.spec) == []


@pytest.mark.slow
@pytest.mark.parametrize("path", find_sweeps(SWEEPS), ids=lambda path: path.stem)
@pytest.mark.parametrize("precision", ["float32", "bfloat16"])
def test_each_variant_that_ships_runs_on_a_gpu(path, precision, tmp_path, monkeypatch):
    make_shipped_data(tmp_path)
    monkeypatch.chdir(tmp_path)
    edits = ["seeds=[0]", f"base.precision={precision}", *overrides_for(path)]
    for run in load_sweep(path, edits).runs:
        assert play_on_fake_cuda(run.config.training, run.config.source().spec) == []


def broken(change, monkeypatch, where="terms"):
    """Return what waits in cVAE with a method changed; `change` gets the model and the results."""
    original = getattr(CVAE, where)

    def method(self, *args, **options):
        return change(self, original(self, *args, **options))

    monkeypatch.setattr(CVAE, where, method)
    return play_on_fake_cuda(small("cvae").training, small("cvae").data.spec)


ONES = torch.ones(1)


def plus(make):
    """Return a change that adds something to a term."""
    return lambda model, values: {**values, "kl": values["kl"] + make(model, values["kl"])}


def detour(make):
    """Return a change that puts a function with a backward of its own behind a term."""

    class Detour(Function):
        @staticmethod
        def forward(context, value):
            return value.clone()

        @staticmethod
        def backward(context, gradient):
            return make(gradient)

    return lambda model, values: {**values, "kl": Detour.apply(values["kl"])}


FAILS = {
    "a constant outside": plus(lambda model, kl: (kl + ONES).sum()),
    "a new tensor": plus(lambda model, kl: (kl * torch.zeros(3)).sum()),
    "noise": plus(lambda model, kl: (kl * torch.randn(3)).sum()),
    "a table": plus(lambda model, kl: torch.zeros(9)[kl.long().repeat(2)].sum()),
    "a stack": plus(lambda model, kl: torch.stack([kl, torch.tensor(1.0)]).sum()),
    "in a backward": detour(lambda gradient: (gradient * ONES).sum()),
}
WAITS = {
    "item": (plus(lambda model, kl: kl.item()), "reads a value back"),
    "branch": (plus(lambda model, kl: 1 if kl > 0 else 0), "reads a value back"),
    "cpu": (plus(lambda model, kl: float(0 * kl.cpu().ndim)), "copies between"),
    "number": (plus(lambda model, kl: torch.tensor(1.0, device=kl.device)), "copies between"),
    "mask": (plus(lambda model, kl: kl.repeat(3)[kl.repeat(3) > 0].sum()), "depends on values"),
    "nonzero": (plus(lambda model, kl: kl.nonzero().sum()), "depends on values"),
    "indices": (plus(lambda model, kl: kl.repeat(3)[torch.arange(2)].sum()), "copies indices"),
    "masked write": (
        plus(lambda model, kl: kl.repeat(3).index_put((kl.repeat(3) > 0,), kl.repeat(1)).sum()),
        "has a mask as index",
    ),
    "inverse": (plus(lambda model, kl: kl.repeat(2, 2).inverse().sum()), "whether the operation"),
    "in a backward": (detour(lambda gradient: gradient * gradient.item()), "reads a value back"),
}


HERE = re.escape(f" ({__file__}:")


@pytest.mark.parametrize("change", FAILS.values(), ids=FAILS)
def test_a_tensor_on_the_cpu_is_caught_by_its_line(change, monkeypatch):
    with pytest.raises(Violation, match=r"^stage 'main': .* takes tensors of the CPU") as caught:
        broken(change, monkeypatch)
    assert caught.value.place.startswith(f"{__file__}:")


@pytest.mark.parametrize(("change", "problem"), WAITS.values(), ids=WAITS)
def test_what_waits_for_a_gpu_is_remarked_by_its_line(change, problem, monkeypatch):
    found = broken(change, monkeypatch)
    assert any(re.match(f"stage 'main': .*{problem}.*{HERE}", line) for line in found), found


def test_what_fails_is_told_before_what_waits(monkeypatch):
    def both(model, kl):
        kl.cpu()
        return (kl + ONES).sum()

    with pytest.raises(Violation):
        broken(plus(both), monkeypatch)


def test_a_number_on_the_cpu_is_fine(monkeypatch):
    assert broken(plus(lambda model, kl: torch.tensor(1.0)), monkeypatch) == []


def test_a_constant_of_the_model_is_caught(monkeypatch):
    class Scaled(nn.Module):
        def __init__(self):
            super().__init__()
            self.scale = torch.ones(3)
            self.register_buffer("moved", torch.ones(3))

    mode = FakeTensorMode(allow_non_fake_inputs=True)
    module = on_fake_cuda(Scaled(), mode)
    with mode, GPURules("it", {}):
        assert module.moved.is_cuda
        module.moved * 2
        with pytest.raises(Violation, match="it: mul takes tensors of the CPU"):
            module.moved * module.scale


def test_sampling_may_wait(monkeypatch):
    change = lambda model, images: images * float(images.mean())  # noqa: E731
    assert broken(change, monkeypatch, "sample") == []


def test_sampling_may_not_fail(monkeypatch):
    with pytest.raises(Violation, match=r"^sample\(\): add takes tensors of the CPU"):
        broken(lambda model, images: images + ONES, monkeypatch, "sample")


READS = {
    "stage": ("terms", plus(lambda model, kl: (kl + ONES).sum() if kl.item() > -9 else 0)),
    "several reads": ("terms", plus(lambda model, kl: [kl.item(), kl.item(), kl + ONES][2].sum())),
    "a shape": ("terms", plus(lambda model, kl: (kl.repeat(3)[kl.repeat(3) > -9] + ONES).sum())),
    "a list": (
        "terms",
        plus(lambda model, kl: (kl.repeat(3) + kl.repeat(3).tolist()[2] + ONES).sum()),
    ),
    "NumPy": ("sample", lambda model, x: x + ONES if x.cpu().numpy().size else x),
    "a loop": ("sample", lambda model, x: x + ONES if (x.mean() < 9).any() else x),
}


@pytest.mark.parametrize(("where", "change"), READS.values(), ids=READS)
def test_what_comes_after_a_value_that_is_read_is_tried_too(where, change, monkeypatch):
    with pytest.raises(Violation, match="add takes tensors of the CPU"):
        broken(change, monkeypatch, where)


def test_other_values_than_on_the_cpu_end_the_trial(monkeypatch):
    def odd(model, kl):
        return kl.item() + (kl.item() if kl.is_cuda else 0.0)

    assert broken(plus(odd), monkeypatch)[-1] == "stage 'main': cannot be followed to its end"


DRAWS = {
    "randn": lambda g, d: torch.randn(2, generator=g, device=d),
    "rand": lambda g, d: torch.rand(2, generator=g, device=d),
    "randint": lambda g, d: torch.randint(3, (2,), generator=g, device=d),
    "randperm": lambda g, d: torch.randperm(3, generator=g, device=d),
    "normal": lambda g, d: torch.normal(torch.zeros(2, device=d), 1.0, generator=g),
    "bernoulli": lambda g, d: torch.bernoulli(torch.full((2,), 0.5, device=d), generator=g),
    "multinomial": lambda g, d: torch.ones(3, device=d).multinomial(2, generator=g),
    "normal_": lambda g, d: torch.empty(2, device=d).normal_(generator=g),
    "uniform_": lambda g, d: torch.empty(2, device=d).uniform_(generator=g),
    "exponential_": lambda g, d: torch.empty(2, device=d).exponential_(generator=g),
    "random_": lambda g, d: torch.empty(2, device=d).random_(generator=g),
    "init": lambda g, d: nn.init.normal_(torch.empty(2, device=d), generator=g),
    "geometric_": lambda g, d: torch.empty(2, device=d).geometric_(0.5, generator=g),
    "poisson": lambda g, d: torch.poisson(torch.ones(2, device=d), generator=g),
}


@pytest.mark.parametrize("draw", DRAWS.values(), ids=DRAWS)
def test_a_draw_on_another_device_than_the_generators_is_caught_by_its_line(draw, monkeypatch):
    def sample(self, y, generator=None):
        draw(generator, "cpu")  # is fine
        return draw(generator, y.device)

    monkeypatch.setattr(CVAE, "sample", sample)
    with pytest.raises(WrongGenerator, match="'cuda' with a generator of 'cpu'") as caught:
        play_on_fake_cuda(small("cvae").training, small("cvae").data.spec)
    assert caught.value.place == f"{__file__}:{draw.__code__.co_firstlineno}, in <lambda>"


def test_the_command_tells_a_remark_from_a_failure(bench, monkeypatch):
    monkeypatch.setattr(suite, "CHECKS", {suite.no_stage_waits_for_a_gpu: "gpu"})
    terms = CVAE.terms
    monkeypatch.setattr(
        CVAE, "terms", lambda *args: {t: v for t, v in terms(*args).items() if v > 0}
    )
    status, out, _ = bench("check", "cvae", "width=0.25")
    assert status == 0
    title, problem, cost, page, last = out.splitlines()[len(declaration.RULES) :]
    assert re.match("note  no-stage-waits-for-a-gpu +No stage waits for a GPU, as it does", title)
    assert problem.startswith("      stage 'main': reads a value back (")
    assert "neither a CUDA graph nor compiled" in cost
    assert page == "      docs/guide/rules.md#no-stage-waits-for-a-gpu"
    assert last == "cvae: conforms"


@pytest.mark.parametrize("under_test", [small("lr_livae"), small("cgan"), half_labeled("ccvae")])
def test_walked_gradients_are_those_of_the_engine(under_test, monkeypatch):
    for stage_pass in under_test.passes():
        again = copy.deepcopy(stage_pass)
        torch.manual_seed(0)
        _, expected = stage_pass.gradients(under_test.batch)
        torch.manual_seed(0)
        with fake_cuda.gradients_in_python():
            _, found = again.gradients(under_test.batch)
        for player, gradients in expected.items():
            for one, other in zip(gradients, found[player], strict=True):
                torch.testing.assert_close(other, one)


def test_walked_gradients_of_gradients_are_those_of_the_engine():
    x = torch.linspace(0.1, 1, 6).requires_grad_()
    outcomes = []
    for grad in (torch.autograd.grad, walked_gradients):
        y = (x.exp() * x[:1]).square()
        (slope,) = grad(y.sum(), x, create_graph=True)
        outcomes.append(grad([slope.square().sum(), y[0]], [x, y], allow_unused=True))
    for one, other in zip(*outcomes, strict=True):
        torch.testing.assert_close(other, one)


def test_what_fake_tensors_cannot_follow_is_not_a_failure(monkeypatch):
    change = plus(lambda model, kl: (_ for _ in ()).throw(ValueError("odd")))
    problem = "stage 'main': cannot be followed to its end, ValueError: odd"
    assert broken(change, monkeypatch) == [problem]
