import copy
from math import log

import numpy as np
import pytest
import torch
from torch.distributions import (
    Bernoulli,
    Categorical,
    Independent,
    Laplace,
    Normal,
    kl_divergence,
)

from bench.data.base import DataSpec
from tests.baselines.ccvae_cases import (
    FORMS,
    PLANE_TRAITS,
    TRAITS,
    disturb,
    make,
    numpy_objective,
    play,
    total,
)
from tests.small import GRAY, MOONS, make_batch


@pytest.mark.parametrize("labeled", [12, 7, 0])
@pytest.mark.parametrize("likelihood", ["laplace", "squared"])
@pytest.mark.parametrize(("spec", "head"), FORMS.values(), ids=FORMS)
def test_objective_is_that_of_the_paper_example_by_example(spec, head, likelihood, labeled):
    model = disturb(make(spec, head=head, likelihood=likelihood, label_samples=7).eval())
    batch = make_batch(spec, labeled=labeled)
    found = play(model, batch)
    w, log_p, kl_c, kl_u, log_q_z, log_q_x = numpy_objective(model, batch).T
    assert w.std() > 0.1 or labeled == 0
    if likelihood == "laplace":  # minus the bound, in nats; log p(y) is a constant
        bound = w * (log_p - kl_c - kl_u - log_q_z) + log_q_x
        expected = {"reconstruct": -w * log_p / 64}
    else:  # divided by the ten dimensions, so that pixels weigh 10 on their mean
        bound = (w * (10 * log_p - kl_c - kl_u - log_q_z) + log_q_x) / 10
        expected = {"reconstruct": -w * log_p / 10}
    expected |= {"kl_relevant": w * kl_c / 6, "kl_irrelevant": w * kl_u / 4}
    expected |= {"certainty": w * log_q_z, "classify": -log_q_x}
    for term, values in expected.items():
        assert found[term].item() == pytest.approx(values.mean(), rel=1e-4), term
    assert total(model, found).item() == pytest.approx(-bound.mean(), rel=1e-4)


@pytest.mark.parametrize("labeled", [12, 7])
@pytest.mark.parametrize("spec", [GRAY, TRAITS], ids=["classes", "attributes"])
def test_laplace_and_kls_are_those_of_torch(spec, labeled):
    model, batch = make(spec, likelihood="laplace").eval(), make_batch(spec, labeled=labeled)
    with torch.no_grad():  # a classifier that says nothing gives all examples the weight 1
        model.classifier.weight.zero_()
    found = play(model, batch)
    torch.manual_seed(2)
    mean, logvar = model.encoder(batch.x).chunk(2, dim=1)
    q = Normal(mean, (logvar / 2).exp())
    image = model.decoder(q.mean + q.stddev * torch.randn_like(mean))
    pixels = Laplace((image + 1) / 2, 1.0).log_prob((batch.x + 1) / 2)
    torch.testing.assert_close(found["reconstruct"], -pixels.mean())
    relevant = Normal(mean[:, :6], q.stddev[:, :6])
    if spec is GRAY:
        each = [kl_divergence(relevant, Normal(m, 1.0)) for m in model.prior.means]
        kl = torch.stack(each)  # [K, B, 6]
        own = kl[batch.y[:labeled], torch.arange(labeled)]
        nats = log(3)
    else:  # all coordinates at -2, or all at +2
        kl = torch.stack([kl_divergence(relevant, Normal(m, 1.0)) for m in (-2.0, 2.0)])
        value = batch.y[:labeled].repeat_interleave(2, dim=1)
        own = kl[:, :labeled].gather(0, value.unsqueeze(0))[0]
        nats = 3 * log(2)
    expected = torch.cat((own, kl.mean(0)[labeled:])).mean()
    torch.testing.assert_close(found["kl_relevant"], expected)
    rest = kl_divergence(Normal(mean[:, 6:], q.stddev[:, 6:]), Normal(0.0, 1.0))
    torch.testing.assert_close(found["kl_irrelevant"], rest.mean())
    torch.testing.assert_close(found["certainty"], torch.tensor(-nats))
    torch.testing.assert_close(found["classify"], torch.tensor(nats * labeled / 12))


def without_labels(spec, examples):
    """Return a model of points in float64, and one example again and again, without labels."""
    model = make(spec, relevant=6, irrelevant=2, likelihood="laplace", width=0.25)
    model = disturb(model.double().eval())
    x = torch.tensor([[0.3, -0.2]], dtype=torch.float64)
    batch = make_batch(spec, examples=examples, labeled=0)
    return model, batch._replace(x=x.expand(examples, -1))


def draws(model, x, count):
    """Return draws of `z` and `y` from `q(z | x) q(y | z_c)`, both of these, and `p(z_c | y)`."""
    mean, logvar = model.encoder(x[:1]).chunk(2, dim=1)
    posterior = Normal(mean, (logvar / 2).exp())
    z = posterior.sample((count,)).squeeze(1)
    logits = model.classifier(z[:, :6])
    means, logvars = model.prior()
    if model.attributes:
        says = Independent(Bernoulli(logits=logits), 1)
        y = says.sample()
        at = [2 * i + y[:, i].long() for i in range(3)]
        mean = torch.cat([means[i] for i in at], dim=1)
        logvar = torch.cat([logvars[i] for i in at], dim=1)
    else:
        says = Categorical(logits=logits)
        y = says.sample()
        mean, logvar = means[y], logvars[y]
    return z, y, posterior, says, Normal(mean, (logvar / 2).exp())


@pytest.mark.parametrize("spec", [MOONS, PLANE_TRAITS], ids=["classes", "attributes"])
def test_examples_without_label_have_the_bound_that_monte_carlo_finds(spec):
    count = 20_000
    model, batch = without_labels(spec, count)
    with torch.no_grad():
        found = -total(model, play(model, batch)).item()
        torch.manual_seed(3)
        z, y, posterior, says, prior = draws(model, batch.x, count)
        image = model.decoder(z)
        pixels = Laplace((image + 1) / 2, 1.0).log_prob((batch.x + 1) / 2).sum(1)
        relevant = Normal(posterior.mean[:, :6], posterior.stddev[:, :6])
        rest = Normal(posterior.mean[:, 6:], posterior.stddev[:, 6:])
        kl = kl_divergence(relevant, prior).sum(1) + kl_divergence(rest, Normal(0.0, 1.0)).sum()
        certainty = says.log_prob(y)
        sampled = pixels - kl - certainty
    assert kl.std() > 0.3
    assert certainty.std() > 0.3
    assert found == pytest.approx(sampled.mean().item(), abs=5 * sampled.std().item() / count**0.5)


@pytest.mark.parametrize(("spec", "head"), FORMS.values(), ids=FORMS)
def test_gradients_of_examples_without_label_are_those_of_finite_differences(spec, head):
    model = disturb(make(spec, head=head).eval().double())
    batch = make_batch(spec, labeled=0)
    batch = batch._replace(x=batch.x.double())
    names = ["classifier.weight", "classifier.bias", "prior.means", "prior.logvars"]
    names += [
        "encoder.rest.0.weight",
        next(n for n, _ in model.named_parameters() if "decoder" in n),
    ]
    gradients = torch.autograd.grad(
        total(model, play(model, batch)), [model.get_parameter(name) for name in names]
    )
    for name, gradient in zip(names, gradients, strict=True):
        p, step = model.get_parameter(name), 1e-5
        at = gradient.abs().argmax()
        assert gradient.view(-1)[at].abs() > 1e-5, name
        around = []
        for nudge in (step, -2 * step, step):
            with torch.no_grad():
                p.view(-1)[at] += nudge
                around.append(total(model, play(model, batch)).item())
        slope = (around[0] - around[1]) / (2 * step)
        assert gradient.view(-1)[at].item() == pytest.approx(slope, rel=1e-5), name


@pytest.mark.parametrize("labeled", [12, 7])
def test_one_attribute_is_two_classes(labeled):
    names = ("no", "yes")
    two = DataSpec("two", (1, 8, 8), names)
    one = DataSpec("one", (1, 8, 8), names, ("yes",), ((0,), (1,)))
    attribute, classes = disturb(make(one)), make(two, head="linear")
    weights = attribute.state_dict()
    weight, bias = weights["classifier.weight"], weights["classifier.bias"]
    weights["classifier.weight"] = torch.cat((torch.zeros_like(weight), weight))
    weights["classifier.bias"] = torch.cat((torch.zeros_like(bias), bias))
    classes.load_state_dict(weights)
    batch = make_batch(one, labeled=labeled)
    found = play(attribute.eval(), batch)
    expected = play(classes.eval(), batch._replace(y=batch.y[:, 0]))
    torch.testing.assert_close(found, expected)
    torch.testing.assert_close(attribute.class_logits(batch.x), classes.class_logits(batch.x))
    y = torch.tensor([0, 1, 1])
    first = attribute.sample(y[:, None], torch.Generator().manual_seed(5))
    assert torch.equal(first, classes.sample(y, torch.Generator().manual_seed(5)))


def test_estimate_converges_to_the_integral_over_one_coordinate():
    model = make(head="linear", relevant=1, label_samples=40_000).eval()
    batch = make_batch(examples=3)
    with torch.no_grad():
        model.classifier.weight.copy_(torch.tensor([[2.0], [-1.0], [0.5]]))
        code = model.encoder(batch.x)
        mean, scale = code[:, :1].double(), (code[:, 5:6] / 2).exp().double()
        z = mean + scale * torch.linspace(-9, 9, 4001).double()
        density = Normal(mean, scale).log_prob(z).exp()
        logits = model.classifier(z.float().unsqueeze(-1))
        says = Categorical(logits=logits).log_prob(batch.y[:, None]).exp()
        integral = torch.trapezoid(density * says, z, dim=1)
        found = play(model, batch, frozenset({"classify"}))["classify"]
    assert found.item() == pytest.approx(-integral.log().mean().item(), abs=5e-3)


def test_weights_are_clamped():
    model, batch = make(head="linear", label_samples=1).eval(), make_batch(examples=30)
    with torch.no_grad():
        model.classifier.weight.mul_(10)
    w, log_p, *_ = numpy_objective(model, batch).T
    assert w.max() == 100
    found = play(model, batch)["reconstruct"]
    assert found.item() == pytest.approx((-w * log_p / 10).mean(), rel=1e-4)


def test_weight_moves_the_classifier_through_both_halves_and_the_encoder_through_one():
    # Against a finite difference of w alone: of q(y | x) for the encoder, of both for a bias.
    model, batch = make(label_samples=5).eval().double(), make_batch()
    batch = batch._replace(x=batch.x.double())
    y = batch.y.unsqueeze(1)

    def weights(numerator, denominator):
        torch.manual_seed(2)
        mean, logvar = numerator.encoder(batch.x).chunk(2, dim=1)
        z = mean + (logvar / 2).exp() * torch.randn_like(mean)
        log_q = numerator._log_q_of(z[:, :6], y)
        mean, logvar = denominator.encoder(batch.x).chunk(2, dim=1)
        draws = mean[:, :6] + (logvar / 2).exp()[:, :6] * torch.randn(5, 12, 6, dtype=mean.dtype)
        return (log_q - denominator._log_q_of(draws, y).logsumexp(0) + log(5)).exp()

    def nudged(name, step):
        other = copy.deepcopy(model)
        with torch.no_grad():
            other.get_parameter(name).view(-1)[0] += step
        return other

    with torch.no_grad():  # a KL that is the same for all and depends on the head alone
        head = model.encoder.rest[-1]
        for row in (slice(6, 10), slice(16, 20)):
            head.weight[row] = 0
            head.bias[row] = 1
    kl = 0.5 * (1 + np.e - 1 - 1)  # mean 1, log-variance 1
    for name, moves_numerator in (("encoder.rest.0.weight", False), ("classifier.bias", True)):
        loss = play(model, batch)["kl_irrelevant"]
        found = torch.autograd.grad(loss, model.get_parameter(name))[0].view(-1)[0]
        step = 1e-5
        high, low = nudged(name, step), nudged(name, -step)
        pair = (weights(high, high), weights(low, low))
        if not moves_numerator:
            pair = (weights(model, high), weights(model, low))
        expected = kl * ((pair[0] - pair[1]) / (2 * step)).mean()
        assert found.item() == pytest.approx(expected.item(), rel=1e-4, abs=1e-9), name
        assert abs(expected.item()) > 1e-7
