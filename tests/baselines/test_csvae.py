import copy
from math import log, sqrt

import numpy as np
import pytest
import torch
from torch.distributions import Bernoulli, Normal, kl_divergence

from baselines.csvae import CSVAE
from bench.data.base import DataSpec
from bench.training.interface import Code
from models import terms
from tests.small import GRAY, make_batch

HATS = ("hat", "smile", "glasses")
FACES = DataSpec("faces", (1, 8, 8), ("a", "b", "c"), HATS, ((0, 0, 1), (1, 0, 0), (1, 1, 1)))
WANTED = frozenset({"reconstruct", "kl_w", "kl_z", "negative_entropy", "classify_z"})
SMALL = {"width": 0.25, "relevant": 6, "irrelevant": 5}


def make(spec=GRAY, **options):
    torch.manual_seed(0)
    return CSVAE(spec, **(SMALL | options))


def play(model, batch, wanted=WANTED):
    torch.manual_seed(2)
    return model.terms("main", batch, wanted)


def shaken(spec=GRAY, **options):
    """Return a model whose Gaussians have means and scales of their own, and its batch."""
    model = make(spec, **options).eval()
    with torch.no_grad():
        model.prior.logvars.normal_(std=0.5)
        model.prior.means.normal_()
    return model, make_batch(spec)


def codes_of(model, y, seed=5):
    """Return what the decoder is given for samples: `w` and `z`."""
    codes = []
    hook = model.decoder.register_forward_pre_hook(lambda _, args: codes.append(args[0]))
    with torch.inference_mode():
        model.sample(y, torch.Generator().manual_seed(seed))
    hook.remove()
    return codes[0].split((model.relevant, model.irrelevant), dim=1)


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


@pytest.mark.parametrize("size", [1, 2, 3])
def test_terms_of_attributes_are_sums_over_subspaces_of_their_own(size):
    model, batch = shaken(FACES, relevant=3 * size)
    with torch.no_grad():  # an adversary that says something
        model.adversary[-1].weight.mul_(5)
        model.adversary[-1].bias.normal_()
    found = play(model, batch)
    torch.manual_seed(2)
    mean_w, logvar_w = model.encoder_w(batch.x, batch.y).chunk(2, dim=1)
    mean_z, logvar_z = model.encoder_z(batch.x).chunk(2, dim=1)
    w = mean_w + (logvar_w / 2).exp() * torch.randn_like(mean_w)
    z = mean_z + (logvar_z / 2).exp() * torch.randn_like(mean_z)
    logits, kl, entropy, log_prob = model.adversary(z), 0.0, 0.0, 0.0
    for i in range(3):
        values, own = batch.y[:, i], slice(size * i, size * (i + 1))
        means, logvars = (p[2 * i : 2 * i + 2] for p in (model.prior.means, model.prior.logvars))
        q = Normal(mean_w[:, own], (logvar_w[:, own] / 2).exp())
        kl += kl_divergence(q, Normal(means[values], (logvars[values] / 2).exp())).sum(dim=1)
        says = Bernoulli(logits=logits[:, 2 * i + 1] - logits[:, 2 * i])
        entropy += says.entropy()
        log_prob += says.log_prob(values.float())
    torch.testing.assert_close(found["kl_w"], kl.mean() / (3 * size))
    torch.testing.assert_close(found["negative_entropy"], -entropy.mean())
    torch.testing.assert_close(found["classify_z"], -log_prob.mean())
    standard = kl_divergence(Normal(mean_z, (logvar_z / 2).exp()), Normal(0, 1))
    torch.testing.assert_close(found["kl_z"], standard.mean())
    error = model.decode(Code(w, z)) - batch.x
    torch.testing.assert_close(found["reconstruct"], error.square().mean())


def test_one_attribute_is_a_label_of_two_classes():
    one = DataSpec("hats", (1, 8, 8), ("none", "hat"), ("hat",), ((0,), (1,)))
    two = DataSpec("hats", (1, 8, 8), ("none", "hat"))
    model, batch = shaken(one)
    other, state = make(two).eval(), model.state_dict()
    planes = state["encoder_w.first.weight"]
    nothing = torch.zeros_like(planes[:, :1])  # what is said of an image without the attribute
    state["encoder_w.first.weight"] = torch.cat((planes[:, :1], nothing, planes[:, 1:]), dim=1)
    other.load_state_dict(state)
    found, expected = play(model, batch), play(other, batch._replace(y=batch.y[:, 0]))
    for term in WANTED:
        torch.testing.assert_close(found[term], expected[term])
    y = torch.tensor([0, 1, 1])
    torch.testing.assert_close(codes_of(model, y[:, None]), codes_of(other, y))


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


def test_prior_of_an_attribute_starts_as_in_the_toy_problem():
    prior = make(FACES).prior
    absent, present = (Normal(m, (s / 2).exp()) for m, s in zip(*map(pairs, prior()), strict=True))
    assert torch.equal(absent.mean, torch.zeros(3, 2))
    torch.testing.assert_close(absent.stddev, torch.full((3, 2), 0.1))
    assert torch.equal(present.mean, torch.full((3, 2), 3.0))
    assert torch.equal(present.stddev, torch.ones(3, 2))
    wide = pairs(make(FACES, relevant=15).prior.means)
    torch.testing.assert_close((wide[1] - wide[0]).norm(dim=1), torch.full((3,), 3 * sqrt(2)))


def pairs(table):
    """Return the rows of absent and of present attributes."""
    return table[0::2], table[1::2]


@pytest.mark.parametrize("spec", [GRAY, FACES], ids=["class", "attributes"])
def test_code_of_everything_else_never_sees_the_label(spec):
    model, batch = make(spec).eval(), make_batch(spec)
    code, other = (model.encode(batch.x, y) for y in (batch.y, batch.y.roll(1, 0)))
    assert torch.equal(code.irrelevant, other.irrelevant)
    assert not torch.allclose(code.relevant, other.relevant)


def test_learned_prior_moves_and_fixed_prior_has_no_terms():
    assert make().objective["prior"] == {"kl_w": 1.0}
    fixed = make(prior="fixed")
    assert "prior" not in fixed.objective
    assert "prior" in CSVAE.objective
    assert torch.equal(fixed.prior.means, make().prior.means)


def test_a_nat_of_either_code_of_attributes_has_the_same_price():
    objective = make(FACES).objective
    for player in ("encoder_w", "prior"):
        assert objective[player]["kl_w"] == pytest.approx(6 / 5)  # of means over 6 and 5 dimensions
    assert CSVAE.objective["encoder_w"]["kl_w"] == make().objective["encoder_w"]["kl_w"] == 1
    assert "prior" not in make(FACES, prior="fixed").objective


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


def test_samples_come_from_the_gaussian_of_the_label():
    model = make().eval()
    with torch.no_grad():
        model.prior.logvars.fill_(-1)
    w, z = codes_of(model, torch.full((4000,), 2))
    torch.testing.assert_close(w.mean(0), model.prior.means[2], atol=0.05, rtol=0)
    torch.testing.assert_close(w.var(0), torch.full((6,), 0.3679), atol=0.05, rtol=0)
    torch.testing.assert_close(z.mean(0), torch.zeros(5), atol=0.08, rtol=0)
    torch.testing.assert_close(z.var(0), torch.ones(5), atol=0.1, rtol=0)


def test_samples_of_attributes_come_from_their_gaussians():
    model, _ = shaken(FACES)
    y = torch.tensor([1, 0, 1]).expand(4000, 3)
    w, z = codes_of(model, y)
    at = [1, 2, 5]  # each attribute has two
    means, variances = model.prior.means[at].flatten(), model.prior.logvars[at].exp().flatten()
    torch.testing.assert_close(w.mean(0), means, atol=0.1, rtol=0)
    torch.testing.assert_close(w.var(0), variances, atol=0.05, rtol=0.1)
    torch.testing.assert_close(z.var(0), torch.ones(5), atol=0.1, rtol=0)


@pytest.mark.parametrize("spec", [GRAY, FACES], ids=["class", "attributes"])
def test_class_prior_is_what_samples_of_a_class_come_from(spec):
    model, _ = shaken(spec)
    means, variances = model.class_prior()
    for label in range(spec.classes):
        y = torch.full((4000,), label)
        w, _ = codes_of(model, spec.attributes_of(y) if spec.attributes else y)
        torch.testing.assert_close(w.mean(dim=0), means[label], atol=0.15, rtol=0)
        torch.testing.assert_close(w.var(dim=0), variances[label], atol=0, rtol=0.15)


def test_swapping_an_attribute_leaves_the_other_subspaces_alone():
    model, batch = shaken(FACES)
    swapped = batch.y.clone()
    swapped[:, 1] = 1 - swapped[:, 1]
    (w, z), (other_w, other_z) = (codes_of(model, y) for y in (batch.y, swapped))
    changed = (w != other_w).all(dim=0)
    assert changed.tolist() == [False, False, True, True, False, False]
    assert torch.equal(w[:, ~changed], other_w[:, ~changed])
    assert torch.equal(z, other_z)
    assert not torch.allclose(model.decode(Code(w, z)), model.decode(Code(other_w, other_z)))


def test_sizes_follow_the_attributes():
    model = make(FACES, relevant=None)
    assert model.relevant == 2 * 3
    assert model.encoder_w.first.in_channels == 1 + 3
    assert model.encoder_z.first.in_channels == 1
    assert model.adversary[-1].out_features == 2 * 3


@pytest.mark.parametrize("spec", [GRAY, FACES], ids=["class", "attributes"])
def test_codes_need_the_label_and_images_do_not(spec):
    model, batch = make(spec).eval(), make_batch(spec)
    code = model.encode(batch.x, batch.y)
    assert code.relevant.shape == (12, model.relevant)
    assert code.irrelevant.shape == (12, 5)
    assert torch.equal(model.decode(code), model.decode(code, batch.y))
    with pytest.raises(ValueError, match="needs labels to encode"):
        model.encode(batch.x)
    with pytest.raises(ValueError, match="both parts"):
        model.decode(code._replace(relevant=None))


@pytest.mark.parametrize(("spec", "other"), [(GRAY, FACES), (FACES, GRAY)], ids=["class", "faces"])
def test_samples_of_labels_of_the_other_form_are_refused(spec, other):
    with pytest.raises(ValueError, match="CSVAE needs labels"):
        make(spec).sample(make_batch(other).y)
