"""What a model costs: closed forms, and that counting leaves no trace."""

import pytest
import torch
from torch import nn

from bench import registry
from bench.spec import run_config
from bench.training.cost import OperationCounter, count_cost, write_cost
from bench.training.interface import ConditionalGenerator, Encodes, Stage
from tests.small import small

B = 5
NO_NATS = "it has no term in nats"
SHORT = {"iterations": 1, "batch_size": B, "seed": 0}


class Tiny(ConditionalGenerator):
    """Two linear layers, 2 -> 7 -> 2, a player each, and no encoder."""

    stages = (Stage("main", ("first", "second")),)
    objective = {"first": {"reconstruct": 1.0}, "second": {"reconstruct": 1.0}}

    def __init__(self, spec):
        super().__init__()
        self.first = nn.Linear(2, 7)
        self.second = nn.Linear(7, 2)

    def players(self):
        return {name: list(getattr(self, name).parameters()) for name in ("first", "second")}

    def terms(self, stage, batch, wanted):
        return {"reconstruct": (self.second(self.first(batch.x)) - batch.x).square().mean()}

    def sample(self, y, generator=None):
        return self.second(torch.randn(len(y), 7, generator=generator))


class Staged(Tiny):
    stages = (
        Stage("a", ("first", "second"), repeat=3),
        Stage("b", ("first", "second"), fresh=False),
    )


class Looks(Tiny):
    """Does what no model may: it looks at a value."""

    def terms(self, stage, batch, wanted):
        found = super().terms(stage, batch, wanted)
        return found if found["reconstruct"].item() else {}


class Inferring(Tiny):
    @torch.inference_mode()
    def sample(self, y, generator=None):
        return self.second(torch.randn(len(y), 7))


class Convolving(ConditionalGenerator):
    """8x8 -> 4x4 with three channels -> 8x8."""

    stages = (Stage("main", ("all",)),)
    objective = {"all": {"reconstruct": 1.0}}

    def __init__(self, spec):
        super().__init__()
        self.down = nn.Conv2d(1, 3, 4, stride=2, padding=1)
        self.up = nn.ConvTranspose2d(3, 1, 4, stride=2, padding=1)

    def players(self):
        return {"all": list(self.parameters())}

    def terms(self, stage, batch, wanted):
        return {"reconstruct": (self.up(self.down(batch.x)) - batch.x).square().mean()}

    def sample(self, y, generator=None):
        return self.up(torch.randn(len(y), 3, 4, 4))


@pytest.fixture
def cost(monkeypatch):
    """Count a model class on a data set."""

    def count(model, data="moons", **settings):
        load = registry.load
        monkeypatch.setattr(
            registry, "load", lambda kind, name: model if name == "own" else load(kind, name)
        )
        run = run_config.complete_settings({"model": "own", "data": data, **SHORT, **settings})
        entries = count_cost(run.training, run.source().spec)
        return {entry.metric: entry.reason or entry.value for entry in entries}

    return count


def test_linear_layers_have_the_closed_form(cost):
    forward = 2 * 7 + 7 * 2
    backward = 2 * 7 + 2 * (7 * 2)  # the examples need no gradient
    assert cost(Tiny) == {
        "parameters": 2 * 7 + 7 + 7 * 2 + 2,
        "images_per_iteration": B,
        "multiply_adds_per_iteration": B * (forward + backward),
        "multiply_adds_per_sample": 7 * 2,
        "sampling_parameters": 7 * 2 + 2,
        "relevant_code": "it cannot encode",
        "irrelevant_code": "it cannot encode",
        "price_per_nat": NO_NATS,
    }


def test_convolutions_have_the_closed_form(cost):
    layer = 4 * 4 * (4 * 4) * 3  # positions, taps, channels; the same in both directions
    found = cost(Convolving, "blobs")
    assert found["multiply_adds_per_iteration"] == B * (2 * layer + layer + 2 * layer)
    assert found["multiply_adds_per_sample"] == layer


def test_every_pass_counts_and_every_draw(cost):
    once, staged = cost(Tiny), cost(Staged)
    key = "multiply_adds_per_iteration"
    assert staged[key] == 4 * once[key]
    assert staged["images_per_iteration"] == 3 * B


def test_who_does_not_move_costs_no_gradient(cost):
    key = "multiply_adds_per_iteration"
    still = cost(Tiny, objective={"first": {"reconstruct": 0}})
    assert still[key] == B * (2 * 7 + 7 * 2 + 7 * 2)
    assert still["parameters"] == cost(Tiny)["parameters"]
    nobody = cost(Tiny, objective={"second": {"reconstruct": 0}})
    assert nobody[key] == cost(Tiny)[key] - B * 7 * 2  # its weights' gradient alone


def test_precision_changes_no_count(cost):
    assert cost(Tiny, precision="bfloat16") == cost(Tiny)


def test_what_cannot_be_counted_says_why_and_stops_nothing(cost):
    found = cost(Looks)
    assert found["multiply_adds_per_iteration"].startswith("it cannot be counted: DataDependent")
    assert found["multiply_adds_per_sample"] == 7 * 2


def test_inference_mode_hides_nothing(cost):
    assert cost(Inferring) == cost(Tiny)


def test_a_real_iteration_does_what_was_counted():
    under_test = small("lr_livae")
    trainer = under_test.trainer()
    counts = count_cost(under_test.training, under_test.data.spec)
    counted = {entry.metric: entry.value for entry in counts}
    with OperationCounter() as counter:
        trainer.iterate(0)
    assert counter.multiply_adds == counted["multiply_adds_per_iteration"]


@pytest.mark.parametrize("data", ["blobs", "moons"])
@pytest.mark.parametrize("name", registry.registered("model"))
def test_every_model_is_counted_without_a_trace(name, data):
    state = torch.get_rng_state()
    run = run_config.complete_settings({"model": name, "data": data, **SHORT})
    entries = count_cost(run.training, run.source().spec)
    assert torch.equal(state, torch.get_rng_state())
    codes = ("relevant_code", "irrelevant_code")
    encodes = issubclass(registry.load("model", name), Encodes)
    nats = run.model(run.source().spec).nats
    for metric, value, reason in entries:
        if metric in codes:
            assert (value, reason) == (None, "it cannot encode") if not encodes else value >= 0
        elif metric == "price_per_nat":
            assert value or any(term in reason for term in nats) or (reason == NO_NATS and not nats)
        else:
            assert value > 0, reason
    total, used = entries[0].value, dict(entry[:2] for entry in entries)["sampling_parameters"]
    assert used <= total == sum(p.numel() for p in run.model(run.source().spec).parameters())


@pytest.mark.parametrize(
    "settings",
    [{"labeled_fraction": 0.5}, {"data": "digit_attributes", "model": "ccvae"}],
    ids=lambda settings: next(iter(settings)),
)
def test_examples_without_label_and_attributes_are_counted(settings):
    run = run_config.complete_settings({"model": "lr_livae", "data": "blobs", **SHORT, **settings})
    assert not any(entry.reason for entry in count_cost(run.training, run.source().spec))


def test_equal_runs_write_equal_bytes_once(tmp_path):
    run = run_config.complete_settings({"model": "cvae", "data": "blobs", **SHORT})
    for name in ("a", "b"):
        write_cost(run.training, run.source().spec, tmp_path / name)
    path = tmp_path / "a" / "cost.jsonl"
    assert path.read_bytes() == (tmp_path / "b" / "cost.jsonl").read_bytes()
    path.write_bytes(b"")
    write_cost(run.training, run.source().spec, tmp_path / "a")
    assert path.read_bytes() == b""
