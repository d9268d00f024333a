"""What the arguments of Lr-LiVAE change, and what happens to examples without label."""

import math

import pytest
import torch
from torch import nn

from bench.training.interface import Batch
from models import terms
from models.lr_livae import LrLiVAE
from tests.small import GRAY, make_batch

LABELED = 5  # of twelve examples


def make(**options):
    torch.manual_seed(0)
    return LrLiVAE(GRAY, **({"width": 0.25, "relevant": 4, "irrelevant": 5} | options))


def play(model, stage, batch, wanted=None):
    torch.manual_seed(2)
    players = next(s.players for s in model.stages if s.name == stage)
    every = frozenset(term for p in players for term in model.objective[p])
    return model.terms(stage, batch, every if wanted is None else frozenset(wanted))


def test_softmax_trains_a_linear_layer_in_place_of_the_gaussians():
    model, batch = make(label_loss="softmax").eval(), make_batch()
    assert model.objective["prior"] == {"classify_s": 1.0}
    assert model.objective["encoder_s"] == {"reconstruct": 10.0}
    assert model.stages[0].players == ("prior",)
    logits = model.encode(batch.x).relevant @ model.classifier.weight.t() + model.classifier.bias
    found = play(model, "prior", batch)
    assert set(found) == {"classify_s"}
    torch.testing.assert_close(found["classify_s"], nn.functional.cross_entropy(logits, batch.y))
    torch.testing.assert_close(model.class_logits(batch.x), logits)
    assert "gm_likelihood" not in play(model, "main", batch)


def test_softmax_shows_the_critic_codes_of_the_batch():
    model, batch = make(label_loss="softmax").eval(), make_batch()
    seen = []
    hook = model.decoder.register_forward_hook(lambda _, given, __: seen.append(given[0]))
    play(model, "main", batch)
    hook.remove()
    of_reconstruction, of_fake = (codes[:, :4] for codes in seen)
    assert torch.equal(of_reconstruction, of_fake)
    assert not torch.equal(seen[0][:, 4:], seen[1][:, 4:])


@pytest.mark.parametrize("label_loss", ["mixture", "softmax"])
def test_finish_takes_the_moments_of_labeled_codes(label_loss):
    model, batch = make(label_loss=label_loss).eval(), make_batch()
    parts = [Batch(batch.x[part], batch.y[part], len(part)) for part in torch.arange(12).split(5)]
    others = Batch(-batch.x, torch.full_like(batch.y, -1), 0)
    with torch.no_grad():
        model.finish([*parts, others])
        z_s = model.encode(batch.x).relevant
    labels = torch.zeros(4000, dtype=torch.int64)
    for label in range(3):
        members = z_s[batch.y == label]
        torch.testing.assert_close(model.moments.means[label], members.mean(dim=0))
        spread = members.var(dim=0, unbiased=False)
        torch.testing.assert_close(model.moments.variances[label], spread, rtol=1e-4, atol=1e-6)
    seen = []
    hook = model.decoder.register_forward_hook(lambda _, given, __: seen.append(given[0]))
    model.sample(labels, torch.Generator().manual_seed(0), relevant_from="moments")
    hook.remove()
    drawn = seen[0][:, :4].mean(dim=0)
    torch.testing.assert_close(drawn, model.moments.means[0], atol=0.05, rtol=0.05)


def test_samples_come_from_the_prior_if_there_is_one():
    model, y = make(), torch.arange(3)
    assert model.class_prior()[0] is model.prior.means
    default, prior, moments = (
        model.sample(y, torch.Generator().manual_seed(0), relevant_from=source)
        for source in (None, "prior", "moments")
    )
    assert torch.equal(default, prior)
    assert not torch.equal(default, moments)
    softmax = make(label_loss="softmax")
    assert softmax.class_prior()[0] is softmax.moments.means
    with pytest.raises(ValueError, match="no prior to sample from; use moments"):
        softmax.sample(y, relevant_from="prior")


def test_the_temperature_scales_the_relevant_noise():
    model, y = make(), torch.arange(3)
    seen = []
    hook = model.decoder.register_forward_hook(lambda _, given, __: seen.append(given[0]))
    for temperature in (0, 1, 2):
        model.sample(y, torch.Generator().manual_seed(0), temperature=temperature)
    hook.remove()
    means, drawn, twice = (z[:, :4] for z in seen)
    assert torch.equal(means, model.prior.means)
    torch.testing.assert_close(twice - means, 2 * (drawn - means))
    assert torch.equal(seen[0][:, 4:], seen[1][:, 4:])


def test_all_players_may_move_in_one_stage():
    """Terms do not depend on the stage, so a sweep can put everyone into one."""
    apart, batch = make().eval(), make_batch()
    wanted = {term for weights in apart.objective.values() for term in weights}
    found = play(apart, "main", batch, wanted)
    for stage in apart.stages:
        for term, value in play(apart, stage.name, batch).items():
            torch.testing.assert_close(found[term], value)


def test_the_first_stage_does_not_look_at_examples_without_label():
    model, batch = make().eval(), make_batch(labeled=LABELED)
    other = batch._replace(x=torch.cat((batch.x[:LABELED], -batch.x[LABELED:])))
    short = Batch(batch.x[:LABELED], batch.y[:LABELED], LABELED)
    for term, value in play(model, "prior", batch).items():
        assert torch.equal(value, play(model, "prior", other)[term])
        torch.testing.assert_close(value, play(model, "prior", short)[term])


@pytest.mark.parametrize("kind", ["gaussian", "mixture"])
def test_codes_without_label_follow_the_prior_of_all_classes(kind):
    model, batch = make(unlabeled_prior=kind).eval(), make_batch(labeled=LABELED)
    nn.init.normal_(model.prior.means)
    nn.init.normal_(model.prior.logvars)
    z_s = model.encode(batch.x).relevant.double()
    means, deviations = model.prior.means.double(), (0.5 * model.prior.logvars.double()).exp()
    own = torch.distributions.Normal(means[batch.y[:LABELED]], deviations[batch.y[:LABELED]])
    if kind == "gaussian":
        center = means.mean(dim=0)
        variance = deviations.square().mean(dim=0) + (means - center).square().mean(dim=0)
        others = torch.distributions.Normal(center, variance.sqrt()).log_prob(z_s[LABELED:]).sum(1)
    else:
        classes = torch.distributions.Independent(torch.distributions.Normal(means, deviations), 1)
        weights = torch.distributions.Categorical(torch.ones(3, dtype=torch.float64))
        mixture = torch.distributions.MixtureSameFamily(weights, classes)
        others = mixture.log_prob(z_s[LABELED:])
    every = torch.cat((own.log_prob(z_s[:LABELED]).sum(1), others))
    expected = -every.mean() - 4 / 2 * math.log(2 * math.pi)
    found = play(model, "main", batch)["gm_likelihood"]
    torch.testing.assert_close(found.double(), expected, rtol=1e-5, atol=1e-5)


def test_examples_without_label_are_not_classified():
    model, batch = make().eval(), make_batch(labeled=LABELED)
    found = play(model, "main", batch)
    torch.manual_seed(2)
    mean, logvar = model.encoder_u(batch.x).chunk(2, dim=1)
    z_u = mean + (0.5 * logvar).exp() * torch.randn_like(mean)
    logits = model.adversary(z_u[:LABELED])
    torch.testing.assert_close(found["confuse"], terms.confuse(logits))
    torch.testing.assert_close(
        found["classify_u"], nn.functional.cross_entropy(logits, batch.y[:LABELED])
    )


def test_examples_without_label_are_reconstructed_and_judged_without_one():
    model, batch = make().eval(), make_batch(labeled=LABELED)
    for parameter in model.critic.parameters():
        nn.init.normal_(parameter)
    weights = model.critic.weights()
    found = model.critic(batch.x, batch.y, weights)
    features = model.critic.features(batch.x, weights)
    alone = model.critic.psi(features, weights[-2]).squeeze(1)
    torch.testing.assert_close(found[LABELED:], alone[LABELED:])
    own = (weights[-1][batch.y[:LABELED]] * features[:LABELED]).sum(1)
    torch.testing.assert_close(found[:LABELED], alone[:LABELED] + own)
    values = play(model, "main", batch)
    slopes = torch.autograd.grad(values["reconstruct"], model.decoder.parameters())
    assert all(slope.isfinite().all() for slope in slopes)
    torch.manual_seed(2)
    mean, logvar = model.encoder_u(batch.x).chunk(2, dim=1)
    z_u = mean + (0.5 * logvar).exp() * torch.randn_like(mean)
    image = model.decoder(torch.cat((model.encoder_s(batch.x), z_u), dim=1))
    torch.testing.assert_close(values["reconstruct"], (image - batch.x).square().mean())


@pytest.mark.parametrize("balanced", [False, True])
def test_balanced_critic_averages_its_two_kinds_of_fakes(balanced):
    model, batch = make(balanced_critic=balanced).eval(), make_batch()
    scores = []
    hook = model.critic.register_forward_hook(lambda _, __, out: scores.append(out))
    found = play(model, "main", batch)["discriminate"]
    hook.remove()
    real, fakes = scores
    hinge = (1 + fakes).relu().view(2, -1).mean(dim=1).sum() / (2 if balanced else 1)
    torch.testing.assert_close(found, (1 - real).relu().mean() + hinge)
