"""One price for the nats of all models."""

import pytest

from bench.spec.run_config import complete_settings
from bench.spec.validation import KeyProblem
from bench.training.cost import count_cost


@pytest.mark.parametrize(
    ("model", "sizes"),
    [
        ({"name": "cvae", "latent": 6}, {"kl": 6}),
        ({"name": "cvae_gan", "latent": 6}, {"kl": 6}),
        ({"name": "lr_livae", "relevant": 4, "irrelevant": 6}, {"kl": 6}),
        ({"name": "csvae", "relevant": 4, "irrelevant": 6}, {"kl_w": 4, "kl_z": 6}),
        (
            {"name": "ccvae", "relevant": 20, "irrelevant": 6},
            {"kl_relevant": 20, "kl_irrelevant": 6, "certainty": 1, "classify": 1},
        ),
    ],
    ids=lambda v: v.get("name", ""),
)
def test_one_price_can_be_set_for_the_nats_of_all_models(model, sizes):
    base = {"model": model, "data": "digits", "seed": 0, "iterations": 9}
    own, priced = (complete_settings(base | more) for more in ({}, {"price_per_nat": 0.5}))
    assert own.id != priced.id
    for player, weights in own.training.objective.items():
        expected = {t: 0.5 * sizes[t] if t in sizes and w else w for t, w in weights.items()}
        assert priced.training.objective[player] == pytest.approx(expected)
    cost = {e.metric: e.value for e in count_cost(priced.training, priced.source().spec)}
    assert cost["price_per_nat"] == 0.5


def test_an_edit_of_the_objective_comes_after_the_price():
    base = {"model": "cvae", "data": "digits", "seed": 0, "iterations": 9, "price_per_nat": 0.5}
    run = complete_settings(base | {"objective": {"encoder": {"kl": 3.0}}})
    assert run.training.objective["encoder"]["kl"] == 3.0


def test_a_model_without_nats_has_no_price():
    base = {"model": "cgan", "data": "digits", "seed": 0, "iterations": 9, "price_per_nat": 0.5}
    with pytest.raises(KeyProblem, match="price_per_nat: cgan declares no terms as nats"):
        complete_settings(base)
