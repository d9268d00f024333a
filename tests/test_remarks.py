"""What a model need not do is remarked on, and fails nothing."""

import pytest
import torch

from bench import registry
from bench.contract import Violation, check_model, make_subject
from bench.remarks import seeds_can_be_trained_as_one_program

OPTIONS = {"width": 0.25, "latent": 4}


def with_terms(monkeypatch, change):
    """Let the terms of cVAE be computed otherwise."""
    factory = registry.load("model", "cvae")
    terms = factory.terms

    def changed(self, stage, batch, wanted):
        return terms(self, stage, change(self, batch), wanted)

    monkeypatch.setattr(factory, "terms", changed)


def test_dropout_is_remarked_on_and_is_no_failure(monkeypatch):
    with_terms(monkeypatch, lambda _, b: b._replace(x=torch.nn.functional.dropout(b.x)))
    monkeypatch.setattr("bench.contract.CHECKS", ())
    [(title, problem, essential)] = check_model("cvae", OPTIONS)
    assert title.startswith("Several seeds can be trained as one program")
    assert "trained one by one, since its terms draw random numbers in a way" in problem
    assert not essential


def test_a_tensor_that_seeds_would_share_is_found(monkeypatch):
    def shifted(model, batch):
        if not hasattr(model, "shift"):
            model.shift = float(next(model.parameters()).detach().flatten()[0])
        return batch._replace(x=batch.x + model.shift)

    with_terms(monkeypatch, shifted)
    subject = make_subject("cvae", OPTIONS)
    with pytest.raises(Violation, match=r"of seed 1 comes out otherwise|one by one"):
        seeds_can_be_trained_as_one_program(subject)
