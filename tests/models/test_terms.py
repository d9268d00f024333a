import math

import numpy as np
import pytest
import torch
import torch.nn.functional as F
from torch.distributions import (
    Categorical,
    Independent,
    MixtureSameFamily,
    MultivariateNormal,
    Normal,
    kl_divergence,
)

from models import terms

SUPPORTED = [torch.float32, torch.float64, torch.bfloat16]


@pytest.fixture(autouse=True)
def _seed():
    torch.manual_seed(0)


def double(*shape):
    return torch.randn(*shape, dtype=torch.float64)


def mixture(classes, dimensions, spread=1.0, logvar=0.5):
    """Return means and log-variances in float64."""
    return spread * double(classes, dimensions), logvar * double(classes, dimensions)


def direct_logits(z, means, logvars):
    """Eq. 6 from the differences, with the tensor `[B, K, D]`."""
    squares = (z[:, None] - means).square() * (-logvars).exp()
    return -0.5 * (squares + logvars).sum(dim=2)


def every_term(dtype):
    """Return name -> value of each term on random inputs of a type."""
    z, mean, logvar = (double(6, 4).to(dtype) for _ in range(3))
    means, logvars = (t.to(dtype) for t in mixture(3, 4))
    y = torch.tensor([0, 1, 2, 2, 1, 0])
    return {
        "reconstruct": terms.reconstruct(z, mean),
        "kl": terms.kl_to_standard_normal(mean, logvar),
        "classify": terms.classify(z, y),
        "confuse": terms.confuse(z),
        "gm_classify": terms.classify(terms.gm_logits(z, means, logvars), y),
        "gm_likelihood": terms.gm_likelihood(z, y, means, logvars),
        "gaussian_nll": terms.gaussian_nll(z, *terms.moment_match(means, logvars)),
        "discriminate": terms.discriminate(z[:, 0], z[:, 1], z[:, 2]),
        "fool": terms.fool(z[:, 0], z[:, 1]),
    }


@pytest.mark.parametrize("dtype", SUPPORTED, ids=str)
def test_terms_are_scalars_in_float32_at_least(dtype):
    expected = torch.promote_types(dtype, torch.float32)
    for name, value in every_term(dtype).items():
        assert value.ndim == 0, name
        assert value.dtype == expected, name


def test_autocast_changes_no_term():
    plain = every_term(torch.float32)
    torch.manual_seed(0)
    with torch.autocast("cpu", torch.bfloat16):
        cast = every_term(torch.float32)
    for name, value in plain.items():
        assert torch.equal(cast[name], value), name


def test_reconstruct_is_a_mean_over_elements():
    x, reconstruction = double(3, 2, 4, 4), double(3, 2, 4, 4)
    expected = np.mean((x.numpy() - reconstruction.numpy()) ** 2)
    assert terms.reconstruct(x, reconstruction).item() == pytest.approx(expected)


def test_kl_is_that_of_torch_distributions_per_dimension():
    mean, logvar = double(5, 7), double(5, 7)
    reference = kl_divergence(Normal(mean, (0.5 * logvar).exp()), Normal(0.0, 1.0))
    assert terms.kl_to_standard_normal(mean, logvar).item() == pytest.approx(
        reference.sum(dim=1).mean().item() / 7
    )


def test_kl_agrees_with_monte_carlo():
    mean, logvar = double(1, 3), double(1, 3)
    posterior = Normal(mean, (0.5 * logvar).exp())
    z = posterior.sample((200_000,))
    estimate = (posterior.log_prob(z) - Normal(0.0, 1.0).log_prob(z)).mean().item()
    assert terms.kl_to_standard_normal(mean, logvar).item() == pytest.approx(estimate, rel=0.01)


def test_kl_vanishes_at_the_standard_normal_alone():
    zeros = torch.zeros(2, 3)
    assert terms.kl_to_standard_normal(zeros, zeros) == 0
    assert terms.kl_to_standard_normal(zeros + 0.1, zeros) > 0
    assert terms.kl_to_standard_normal(zeros, zeros - 0.1) > 0


def test_classify_is_the_mean_negative_log_probability():
    logits, y = double(4, 3), torch.tensor([2, 0, 1, 1])
    probs = np.exp(logits.numpy()) / np.exp(logits.numpy()).sum(axis=1, keepdims=True)
    expected = -np.log(probs[np.arange(4), y.numpy()]).mean()
    assert terms.classify(logits, y).item() == pytest.approx(expected)


def test_confuse_is_the_cross_entropy_to_uniform():
    logits = double(6, 5)
    uniform = Categorical(logits=torch.zeros(6, 5, dtype=torch.float64))
    classifier = Categorical(logits=logits)
    expected = (kl_divergence(uniform, classifier) + uniform.entropy()).mean()
    assert terms.confuse(logits).item() == pytest.approx(expected.item())


@pytest.mark.parametrize("classes", [2, 10, 530])
def test_confuse_is_least_at_log_k_where_the_classifier_is_uniform(classes):
    constant = double(4, 1).expand(4, classes)
    assert terms.confuse(constant).item() == pytest.approx(math.log(classes), abs=1e-12)
    assert terms.confuse(constant + 0.1 * double(4, classes)).item() > math.log(classes)


def test_confuse_is_not_the_negative_of_classify():
    logits, y = torch.tensor([[9.0, 0.0, 0.0]]), torch.tensor([1])
    assert terms.classify(logits, y) > 1
    assert terms.confuse(logits) > math.log(3)


def test_gm_logits_are_log_densities_up_to_the_common_constant():
    z, (means, logvars) = double(5, 4), mixture(3, 4)
    constant = -0.5 * 4 * math.log(2 * math.pi)
    for c in range(3):
        gaussian = MultivariateNormal(means[c], torch.diag(logvars[c].exp()))
        found = terms.gm_logits(z, means, logvars)[:, c]
        torch.testing.assert_close(found + constant, gaussian.log_prob(z))


def test_gm_logits_do_not_depend_on_the_origin():
    z, (means, logvars) = double(5, 4), mixture(3, 4)
    moved = terms.gm_logits(z + 100, means + 100, logvars)
    torch.testing.assert_close(moved, terms.gm_logits(z, means, logvars))


@pytest.mark.parametrize("far", [0.0, 1000.0])
def test_gaussian_kl_to_each_is_that_of_torch_distributions_also_far_from_the_origin(far):
    shapes = (2, 5, 1, 4), (2, 5, 1, 4), (2, 1, 3, 4), (2, 1, 3, 4)
    mean, logvar, means, logvars = (torch.randn(shape) for shape in shapes)
    ours, others = (Normal(far + m, (v / 2).exp()) for m, v in ((mean, logvar), (means, logvars)))
    inputs = (ours.loc.squeeze(2), logvar.squeeze(2), others.loc.squeeze(1), logvars.squeeze(1))
    found = terms.gaussian_kl_to_each(*inputs)
    torch.testing.assert_close(found, kl_divergence(ours, others).sum(dim=3), rtol=1e-5, atol=1e-5)
    inputs = [t.double().requires_grad_() for t in inputs]
    assert torch.autograd.gradcheck(terms.gaussian_kl_to_each, inputs)


def test_centering_keeps_float32_accurate_far_from_the_origin():
    z, (means, logvars) = double(8, 64), mixture(5, 64)
    far = [(t + 1000).float() for t in (z, means)]
    found = terms.gm_logits(*far, logvars.float())
    expected = direct_logits(*(t.double() for t in far), logvars.float().double())
    torch.testing.assert_close(found.double(), expected, rtol=1e-5, atol=1e-3)


def test_gm_classify_is_bayes_rule_for_equal_class_probabilities():
    z, (means, logvars), y = double(6, 4), mixture(3, 4), torch.tensor([0, 1, 2, 2, 1, 0])
    scales = (0.5 * logvars).exp()
    joint = Independent(Normal(means[:, None], scales[:, None]), 1).log_prob(z)  # [K, B]
    expected = -(joint[y, torch.arange(6)] - joint.logsumexp(dim=0)).mean()
    found = terms.classify(terms.gm_logits(z, means, logvars), y)
    assert found.item() == pytest.approx(expected.item())


def test_gm_classify_at_unit_variances_is_softmax_regression():
    z, means, y = double(6, 4), double(3, 4), torch.tensor([0, 1, 2, 2, 1, 0])
    linear = z @ means.t() - 0.5 * means.square().sum(dim=1)
    found = terms.classify(terms.gm_logits(z, means, torch.zeros_like(means)), y)
    torch.testing.assert_close(found, F.cross_entropy(linear, y))


def test_gm_likelihood_is_the_negative_log_density_of_the_own_class():
    z, (means, logvars), y = double(6, 4), mixture(3, 4), torch.tensor([0, 1, 2, 2, 1, 0])
    own = Independent(Normal(means[y], (0.5 * logvars[y]).exp()), 1)
    constant = 0.5 * 4 * math.log(2 * math.pi)
    found = terms.gm_likelihood(z, y, means, logvars)
    assert found.item() == pytest.approx(-own.log_prob(z).mean().item() - constant)
    logits = terms.gm_logits(z, means, logvars)
    assert found.item() == pytest.approx(-logits.gather(1, y[:, None]).mean().item())


def test_moment_match_has_the_moments_of_the_mixture():
    means, logvars = mixture(5, 3, spread=2.0)
    components = Independent(Normal(means, (0.5 * logvars).exp()), 1)
    reference = MixtureSameFamily(Categorical(torch.ones(5, dtype=torch.float64)), components)
    mean, logvar = terms.moment_match(means, logvars)
    torch.testing.assert_close(mean, reference.mean)
    torch.testing.assert_close(logvar.exp(), reference.variance)
    draws = reference.sample((200_000,))
    torch.testing.assert_close(draws.mean(dim=0), mean, rtol=0, atol=0.02)
    torch.testing.assert_close(draws.var(dim=0), logvar.exp(), rtol=0.02, atol=0)


def test_discriminate_sums_a_hinge_for_reals_and_for_each_kind_of_fake():
    real, first, second = torch.tensor([0.5, 3.0]), torch.tensor([-2.0, 0.0]), torch.tensor([1.0])
    assert terms.discriminate(real, first, second).item() == pytest.approx(0.25 + 0.5 + 2)


def test_discriminate_gives_no_gradient_beyond_the_margins():
    real, fake = (torch.tensor(v, requires_grad=True) for v in ([1.5, 0.0], [-1.5, 0.0]))
    found = torch.autograd.grad(terms.discriminate(real, fake), (real, fake))
    assert [g.tolist() for g in found] == [[0, -0.5], [0, 0.5]]


def test_fool_is_minus_the_sum_of_mean_scores():
    first, second = torch.tensor([1.0, 3.0]), torch.tensor([-1.0])
    assert terms.fool(first, second).item() == -1
    assert terms.fool(first).item() == -2


@pytest.mark.parametrize(
    "function",
    [
        lambda z, means, logvars, y: terms.gm_logits(z, means, logvars),
        lambda z, means, logvars, y: terms.gm_likelihood(z, y, means, logvars),
        lambda z, means, logvars, y: terms.classify(terms.gm_logits(z, means, logvars), y),
        lambda z, means, logvars, y: terms.gaussian_nll(z, *terms.moment_match(means, logvars)),
    ],
    ids=["gm_logits", "gm_likelihood", "gm_classify", "moment_match"],
)
def test_mixture_gradients_are_those_of_finite_differences(function):
    inputs = [t.requires_grad_() for t in (double(5, 3), *mixture(4, 3))]
    y = torch.tensor([0, 3, 1, 1, 2])
    assert torch.autograd.gradcheck(lambda *a: function(*a, y), inputs)


@pytest.mark.parametrize(
    "function",
    [terms.reconstruct, terms.kl_to_standard_normal, terms.discriminate, terms.fool],
    ids=lambda f: f.__name__,
)
def test_other_gradients_are_those_of_finite_differences(function):
    assert torch.autograd.gradcheck(function, [double(4, 3).requires_grad_() for _ in range(2)])


@pytest.mark.parametrize("logvar", [-14.0, 0.0, 4.0])
@pytest.mark.parametrize("near", [True, False], ids=["features at means", "features anywhere"])
def test_mixture_terms_are_right_for_faces(logvar, near):
    """512 dimensions, 530 classes: products of densities under- and overflow here."""
    y = torch.arange(16)
    means, noise = double(530, 512), 0.1 * double(530, 512)
    z = means[y] + 0.01 * double(16, 512) if near else 3 * double(16, 512)
    inputs = [t.float().requires_grad_() for t in (z, means, noise + logvar)]
    exact = [t.detach().double().requires_grad_() for t in inputs]

    found_logits = terms.gm_logits(*inputs)
    found = terms.classify(found_logits, y), terms.gm_likelihood(inputs[0], y, *inputs[1:])
    logits = direct_logits(*exact)
    expected = F.cross_entropy(logits, y), -logits.gather(1, y[:, None]).mean()

    assert torch.equal(found_logits.argmax(dim=1), logits.argmax(dim=1))
    for ours, reference in zip(found, expected, strict=True):
        assert torch.isfinite(ours)
        torch.testing.assert_close(ours.double(), reference, rtol=2e-5, atol=2e-3)
        slopes = torch.autograd.grad(ours, inputs, retain_graph=True)
        truths = torch.autograd.grad(reference, exact, retain_graph=True)
        for slope, truth in zip(slopes, truths, strict=True):
            error = (slope.double() - truth).abs().max()
            assert error <= 2e-4 * truth.abs().max() + 1e-7


def test_a_far_feature_still_feels_its_class():
    """Where `exp(-distance)` underflows, the reference implementation's loss is constant."""
    z = torch.full((1, 512), 5.0, requires_grad=True)
    means = torch.cat((torch.zeros(1, 512), torch.ones(1, 512)))
    loss = terms.classify(terms.gm_logits(z, means, torch.zeros(2, 512)), torch.tensor([0]))
    (slope,) = torch.autograd.grad(loss, z)
    assert torch.exp(-0.5 * (z - means).square().sum(dim=1)).max() == 0
    assert loss.item() == pytest.approx(512 * (25 - 16) / 2)
    torch.testing.assert_close(slope, torch.ones(1, 512))


def test_mixture_nll_is_that_of_torch_distributions():
    torch.manual_seed(0)
    z, means, logvars = (torch.randn(n, 4, dtype=torch.float64) for n in (6, 3, 3))
    normal = torch.distributions.Normal(means, (0.5 * logvars).exp())
    classes = torch.distributions.Independent(normal, 1)
    weights = torch.distributions.Categorical(torch.ones(3, dtype=torch.float64))
    log_density = torch.distributions.MixtureSameFamily(weights, classes).log_prob(z).mean()
    found = terms.mixture_nll(terms.gm_logits(z, means, logvars))
    torch.testing.assert_close(found, -log_density - 2 * math.log(2 * math.pi))


def test_balanced_fakes_weigh_as_much_as_reals():
    torch.manual_seed(0)
    real, first, second = torch.randn(3, 8, dtype=torch.float64)
    hinge = [(1 - real).relu().mean(), (1 + first).relu().mean(), (1 + second).relu().mean()]
    found = terms.discriminate(real, first, second, balanced=True)
    torch.testing.assert_close(found, hinge[0] + (hinge[1] + hinge[2]) / 2)
    alone = terms.discriminate(real, first, balanced=True)
    torch.testing.assert_close(alone, terms.discriminate(real, first))


def test_a_constant_critic_prefers_minus_one_only_where_fakes_outnumber_reals():
    constants = [torch.full((4,), value) for value in (-1.0, 0.0, 1.0)]
    published = [terms.discriminate(c, c, c).item() for c in constants]
    balanced = [terms.discriminate(c, c, c, balanced=True).item() for c in constants]
    assert published == [2, 3, 4]
    assert balanced == [2, 2, 2]
