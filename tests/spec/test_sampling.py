"""Sampling options: the keyword-only parameters of `sample`, checked before a training."""

import json
import re
from pathlib import Path
from typing import Literal

import pytest

from bench.errors import BenchError
from bench.spec.components import sampling_arguments, sampling_schema
from bench.spec.declaration import refused_draw
from bench.spec.run_config import complete_settings
from bench.spec.validation import KeyProblem
from tests.small import GRAY

ROOT = Path(__file__).parents[2]
FLOW = {"name": "flow_matching", "width": 0.25, "label_dropout": 0.1}
SETTINGS = {"data": "blobs", "seed": 0, "iterations": 4, "batch_size": 16}


def complete(model=FLOW, **settings):
    return complete_settings({**SETTINGS, "model": model, **settings})


def test_rows_of_sampling_change_neither_the_run_nor_what_is_measured():
    plain, more = complete(), complete(sampling={"strong": {"guidance": 2}})
    assert (plain.id, plain.evaluation_id) == (more.id, more.evaluation_id)
    assert plain.sampling_rows == {}
    assert more.default_sampling == {"steps": 10, "guidance": 1.0}
    assert list(more.sampling_rows.values()) == [{"steps": 10, "guidance": 2.0}]


def test_a_row_is_known_by_its_options_and_not_by_its_name():
    one, other = (complete(sampling={name: {"guidance": 2.0}}) for name in ("a", "b"))
    assert one.sampling_rows == other.sampling_rows


@pytest.mark.parametrize(
    ("model", "sampling", "message"),
    [
        (FLOW, {"a": {"guidanc": 2.0}}, "sampling.a.guidanc: unknown key 'guidanc' (did you mean"),
        (FLOW, {"a": {"guidance": "x"}}, 'sampling.a.guidance: expected a number, got "x"'),
        (FLOW, {"a": {"steps": 2.5}}, "sampling.a.steps: expected a whole number, got 2.5"),
        (FLOW, {"a": 2}, "sampling.a: expected a mapping (key: value), got 2"),
        (FLOW, [1], "sampling: expected a mapping (key: value)"),
        (FLOW, {"a": {"steps": 0}}, "sampling.a.steps: must be >= 1, got 0"),
        (FLOW, {"a": {"width": 2.0}}, "sampling.a.width: is an option of the model, not of sampl"),
        (FLOW, {"a": {"steps": 10}}, "sampling.a: has the same options as the row of the variant"),
        (FLOW, {"a": {"steps": 2}, "b": {"steps": 2}}, "sampling.b: has the same options as 'a'"),
        ("flow_matching", {"a": {"guidance": 2.0}}, "sampling.a: cannot be sampled: guidance oth"),
        ("cgan", {"a": {"truncation": 0.0}}, "sampling.a.truncation: must be > 0.0, got 0.0"),
        ("cvae", {"a": {"steps": 2}}, "sampling.a: cvae has no sampling options"),
        ({**FLOW, "steps": 50}, {}, "model.steps: is a sampling option: write it next to the "),
        ({**FLOW, "guidance": 2.0}, {}, "model.guidance: is a sampling option: write it next"),
    ],
)
def test_wrong_options_of_sampling_are_refused_at_their_key(model, sampling, message):
    with pytest.raises(KeyProblem, match=re.escape(message)):
        complete(model, sampling=sampling)


def test_options_that_have_moved_stay_in_the_id_with_the_values_that_they_had():
    published = json.loads((ROOT / "results/published/digits/origins.json").read_text())
    configs = [
        c
        for c in published["config"]
        if c["shared"].get("model", {}).get("name") == "flow_matching"
    ]
    [(shared, runs)] = [(config["shared"], config["runs"]) for config in configs]
    shared.pop("schema")
    id_, seed = next(iter(runs.items()))
    assert complete_settings({**shared, "seed": seed}).id == id_


class Plain:
    def sample(self, y, generator=None):
        """Take what the harness gives."""


class Keywords:
    def sample(self, labels, noise=None, *, mode: Literal["mean", "draw"] = "draw", top: int = 3):
        """Take options."""


class ByPlace:
    def sample(self, y, generator=None, steps: int = 3):
        """Take an option that a call could give by its place."""


class Unannotated:
    def sample(self, y, generator=None, *, steps=3):
        """Take an option of any type."""


class Required:
    def sample(self, y, generator=None, *, steps: int):
        """Take an option without default."""


class Anything:
    def sample(self, y, generator=None, **options):
        """Take any option."""


def test_the_signature_of_sample_is_the_schema_whatever_labels_and_generator_are_called():
    assert not sampling_schema(Plain).model_fields
    assert sampling_arguments(Keywords, {"mode": "mean"}) == {"mode": "mean", "top": 3}
    with pytest.raises(BenchError, match=r"Keywords cannot sample with the options \{'mode': 'm"):
        sampling_arguments(Keywords, {"mode": "median"})


@pytest.mark.parametrize(
    ("factory", "message"),
    [
        (ByPlace, r"ByPlace.sample: option 'steps' must be named in a call; write \* before"),
        (Unannotated, "Unannotated.sample: option 'steps' needs a type annotation"),
        (Required, "Required.sample: option 'steps' needs a default"),
        (Anything, r"Anything.sample takes \*args or \*\*kwargs; options must be named"),
    ],
)
def test_a_signature_that_is_no_schema_is_refused_with_its_line(factory, message):
    with pytest.raises(BenchError, match=f"{message}.*test_sampling.py:"):
        sampling_schema(factory)


class Drawing:
    capabilities = ()

    def __init__(self, draw):
        self.draw = draw

    def sample(self, y, generator=None, *, steps: int = 10):
        return self.draw(y, steps)


def refuse(y, steps):
    raise ValueError("no")


def endless(y, steps):
    while True:
        y = y + 1


def reads_a_value(y, steps):
    if y.sum() > 0:
        raise ValueError("no")


def refused_by_torch(y, steps):
    import torch

    torch.distributions.Normal(torch.zeros(2, device="cpu"), -torch.ones(2, device="cpu"))


@pytest.mark.parametrize(
    ("draw", "reason"),
    [(refuse, "no"), (endless, ""), (reads_a_value, ""), (refused_by_torch, "")],
)
def test_only_what_a_model_itself_says_before_its_first_operations_is_a_refusal(draw, reason):
    assert refused_draw(Drawing(draw), GRAY, {"steps": 3}) == reason
