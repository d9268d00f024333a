import copy
from math import log, sqrt

import numpy as np
import pytest
import torch
from torch.distributions import Normal, kl_divergence

from baselines.csvae import CSVAE
from bench import contract
from bench.data.base import DataSpec
from bench.training.interface import Batch, Classifies, Code, Encodes
from models import terms

GRAY = DataSpec("gray", (1, 8, 8), ("a", "b", "c"))
MOONS = DataSpec("moons", (2,), ("left", "middle", "right"))
WANTED = frozenset({"reconstruct", "kl_w", "kl_z", "negative_entropy", "classify_z"})
SMALL = {"width": 0.25, "relevant": 4, "irrelevant": 5}


def make(spec=GRAY, **options):
    torch.manual_seed(0)
    return CSVAE(spec, **({} if spec is MOONS else SMALL) | options)


def make_batch(spec=GRAY, rows=12):
    torch.manual_seed(1)
    y = torch.arange(rows) % spec.classes
    return Batch(torch.rand(rows, *spec.shape) * 2 - 1, y, rows)


def play(model, batch, wanted=WANTED):
    torch.manual_seed(2)
    return model.terms("main", batch, wanted)


def shaken(**options):
    """Return a model whose class Gaussians have scales of their own, and its batch."""
    model = make(**options).eval()
    with torch.no_grad():
        model.prior.logvars.normal_(std=0.5)
    return model, make_batch()


@pytest.mark.parametrize("check", contract.CHECKS, ids=lambda check: check.__name__)
def test_fixed_prior_conforms(check):
    check(contract.make_subject("csvae", SMALL | {"prior": "fixed"}))


def test_terms_are_those_of_the_paper():
    model, batch = shaken()
    found = play(model, batch)
    torch.manual_seed(2)
    mean_w, logvar_w = model.encoder_w(batch.x, batch.y).chunk(2, dim=1)
    mean_z, logvar_z = model.encoder_z(batch.x).chunk(2, dim=1)
    q_w, q_z = Normal(mean_w, (logvar_w / 2).exp()), Normal(mean_z, (logvar_z / 2).exp())
    w = q_w.mean + q_w.stddev * torch.randn_like(mean_w)
    z = q_z.mean + q_z.stddev * torch.randn_like(mean_z)
    p_w = Normal(model.prior.means[batch.y], (model.prior.logvars[batch.y] / 2).exp())
    torch.testing.assert_close(found["kl_w"], kl_divergence(q_w, p_w).mean())
    torch.testing.assert_close(found["kl_z"], kl_divergence(q_z, Normal(0, 1)).mean())
    x = model.decode(Code(w, z))
    torch.testing.assert_close(found["reconstruct"], (x - batch.x).square().mean())
    says = torch.distributions.Categorical(logits=model.adversary(z))
    torch.testing.assert_close(found["classify_z"], -says.log_prob(batch.y).mean())
    torch.testing.assert_close(found["negative_entropy"], -says.entropy().mean())


def test_gaussian_kl_is_the_integral_of_the_log_ratio():
    (mean, logvar, prior_mean, prior_logvar) = torch.tensor([0.7, -1.1, -0.4, 0.9]).double()
    z = np.linspace(-15, 15, 20_001)
    log_q = -0.5 * ((z - 0.7) ** 2 / np.exp(-1.1) + np.log(2 * np.pi) - 1.1)
    log_p = -0.5 * ((z + 0.4) ** 2 / np.exp(0.9) + np.log(2 * np.pi) + 0.9)
    expected = np.trapezoid(np.exp(log_q) * (log_q - log_p), z)
    found = terms.gaussian_kl(mean, logvar, prior_mean, prior_logvar)
    assert found.item() == pytest.approx(expected, rel=1e-5)
    zero = torch.zeros(1).double()
    standard = terms.gaussian_kl(mean, logvar, zero, zero)
    torch.testing.assert_close(standard.mean(), terms.kl_to_standard_normal(mean, logvar))


def test_gaussian_kl_is_not_reduced_and_in_float32():
    code = torch.zeros(3, 4, dtype=torch.bfloat16)
    found = terms.gaussian_kl(code, code, torch.ones(4), torch.zeros(4))
    assert found.dtype == torch.float32
    assert torch.equal(found, torch.full((3, 4), 0.5))


def test_negative_entropy_is_least_where_the_classifier_knows_nothing():
    assert terms.negative_entropy(torch.zeros(2, 8)).item() == pytest.approx(-log(8))
    certain = terms.negative_entropy(torch.eye(3) * 200)
    assert certain.item() == pytest.approx(0)
    p = np.array([0.7, 0.2, 0.1])
    found = terms.negative_entropy(torch.tensor(np.log(p))[None].repeat(4, 1) + 3)
    assert found.item() == pytest.approx((p * np.log(p)).sum())


def test_prior_starts_on_a_sphere_with_classes_equally_far_apart():
    prior = make(relevant=7).prior
    torch.testing.assert_close(prior.means.norm(dim=1), torch.full((3,), 3.0))
    distances = torch.pdist(prior.means)
    torch.testing.assert_close(distances, torch.full((3,), 3 * sqrt(2)))
    assert torch.equal(prior.logvars, torch.zeros(3, 7))
    crowded = make(relevant=2).prior.means  # fewer dimensions than classes
    torch.testing.assert_close(crowded.norm(dim=1), torch.full((3,), 3.0))
    assert torch.pdist(crowded).min() > 0.1


def test_code_of_everything_else_never_sees_the_label():
    model, batch = make().eval(), make_batch()
    code, other = (model.encode(batch.x, y) for y in (batch.y, (batch.y + 1) % 3))
    assert torch.equal(code.irrelevant, other.irrelevant)
    assert not torch.allclose(code.relevant, other.relevant)


def test_learned_prior_moves_and_fixed_prior_has_no_terms():
    assert make().objective["prior"] == {"kl_w": 1.0}
    fixed = make(prior="fixed")
    assert "prior" not in fixed.objective
    assert "prior" in CSVAE.objective
    assert torch.equal(fixed.prior.means, make().prior.means)


@pytest.mark.parametrize("spec", [GRAY, MOONS], ids=["image", "points"])
def test_players_own_and_reach_every_parameter(spec):
    model, batch = make(spec), make_batch(spec)
    assert model.stages[0].players == tuple(model.players()) == tuple(model.objective)
    owned = [p for own in model.players().values() for p in own]
    assert sorted(map(id, owned)) == sorted(map(id, model.parameters()))
    values = play(model, batch)
    for player, row in model.objective.items():
        loss = sum(weight * values[term] for term, weight in row.items())
        slopes = torch.autograd.grad(
            loss, model.players()[player], retain_graph=True, allow_unused=True
        )
        assert all(g is not None and g.isfinite().all() for g in slopes)


def test_encoder_and_adversary_want_opposite_things_of_the_code():
    # A step of the adversary lowers its loss, a step of the encoder raises the adversary's entropy.
    model, batch = make(), make_batch()
    for term, player in (("classify_z", "adversary"), ("negative_entropy", "encoder_z")):
        moved = copy.deepcopy(model)
        own = moved.players()[player]
        slopes = torch.autograd.grad(play(moved, batch)[term], own)
        with torch.no_grad():
            for p, slope in zip(own, slopes, strict=True):
                p -= 0.05 * slope
        assert play(moved, batch)[term] < play(copy.deepcopy(model), batch)[term]


def test_a_subset_of_the_terms_has_the_same_values():
    model, batch = make(), make_batch()
    together = play(copy.deepcopy(model), batch)
    for term in WANTED:
        alone = play(copy.deepcopy(model), batch, frozenset({term}))
        assert torch.equal(alone[term], together[term])


def test_samples_come_from_the_gaussian_of_the_label():
    model, y = make().eval(), torch.tensor([2, 0, 1, 1])
    with torch.inference_mode():
        first, again, other = (
            model.sample(y, torch.Generator().manual_seed(seed)) for seed in (5, 5, 6)
        )
        swapped = model.sample((y + 1) % 3, torch.Generator().manual_seed(5))
    assert first.shape == (4, 1, 8, 8)
    assert first.abs().max() <= 1
    assert torch.equal(first, again)
    assert not torch.equal(first, other)
    assert not torch.allclose(first, swapped)
    codes = []
    model.decoder.register_forward_pre_hook(lambda _, args: codes.append(args[0]))
    with torch.no_grad():
        model.prior.logvars.fill_(-1)
        model.sample(torch.full((4000,), 2), torch.Generator().manual_seed(5))
    w, z = codes[0].split((4, 5), dim=1)
    torch.testing.assert_close(w.mean(0), model.prior.means[2], atol=0.05, rtol=0)
    torch.testing.assert_close(w.var(0), torch.full((4,), 0.3679), atol=0.05, rtol=0)
    torch.testing.assert_close(z.mean(0), torch.zeros(5), atol=0.08, rtol=0)
    torch.testing.assert_close(z.var(0), torch.ones(5), atol=0.1, rtol=0)


def test_codes_need_the_label_and_images_do_not():
    model, batch = make().eval(), make_batch()
    code = model.encode(batch.x, batch.y)
    assert code.relevant.shape == (12, 4)
    assert code.irrelevant.shape == (12, 5)
    assert torch.equal(model.decode(code), model.decode(code, batch.y))
    assert isinstance(model, Encodes)
    assert not isinstance(model, Classifies)
    with pytest.raises(ValueError, match="needs labels to encode"):
        model.encode(batch.x)
    with pytest.raises(ValueError, match="both parts"):
        model.decode(code._replace(relevant=None))


def test_rows_without_label_are_refused():
    with pytest.raises(ValueError, match="a label in each of 12 rows, not 6"):
        play(make(), make_batch()._replace(labeled=6))


def test_wrong_options_are_refused_with_a_sentence():
    with pytest.raises(ValueError, match="at least one dimension"):
        make(relevant=0)
    with pytest.raises(ValueError, match="learned or fixed"):
        make(prior="both")


def test_it_is_built_on_the_meta_device_at_its_full_size():
    with torch.device("meta"):
        model = CSVAE(DataSpec("cifar10", (3, 32, 32), tuple("0123456789")))
    assert (model.relevant, model.irrelevant) == (100, 200)
    assert all(p.is_meta for p in model.parameters())
