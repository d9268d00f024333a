import copy
import math

import pytest
import torch
from torch import nn

from baselines.cvae_gan import (
    CVAEGAN,
    Classifier,
    ClassMeans,
    CVAEGANBao,
    discriminate_by_cross_entropy,
    match_class_means,
)
from bench.training.interface import Code
from models import backbones, terms
from tests.small import FACES, GRAY, MOONS, make_batch, small

BOTH = pytest.mark.parametrize("factory", [CVAEGAN, CVAEGANBao])


def make(factory, **options):
    torch.manual_seed(0)
    return factory(GRAY, width=0.25, latent=5, **options)


def wanted_of(model):
    return frozenset(term for row in model.objective.values() for term in row)


def play(model, batch, wanted=None):
    torch.manual_seed(2)
    return model.terms("main", batch, wanted_of(model) if wanted is None else wanted)


def replay(model, batch):
    """Return posterior, reconstructions and samples of `play`, from the networks themselves."""
    torch.manual_seed(2)
    mean, logvar = model.encoder(batch.x, batch.y).chunk(2, dim=1)
    reconstruction = model.decode(
        Code(None, mean + (0.5 * logvar).exp() * torch.randn_like(mean)), batch.y
    )
    y_sample = torch.randint(model.classes, batch.y.shape)
    noise = torch.randn(len(batch.y), model.latent)
    return mean, logvar, reconstruction, model.decode(Code(None, noise), y_sample), y_sample


def squared(first, second):
    return (first - second).square().mean()


def test_controlled_terms_are_the_bound_and_the_hinges_of_two_kinds_of_fakes():
    model, batch = make(CVAEGAN).eval(), make_batch()
    found = play(model, batch)
    mean, logvar, reconstruction, sample, y_sample = replay(model, batch)
    weights = model.critic.weights()
    real = model.critic(batch.x, batch.y, weights)
    first = model.critic(reconstruction, batch.y, weights)
    second = model.critic(sample, y_sample, weights)
    hinges = [(1 - real).relu(), (1 + first).relu(), (1 + second).relu()]
    torch.testing.assert_close(found["discriminate"], sum(hinge.mean() for hinge in hinges))
    torch.testing.assert_close(found["fool"], -first.mean() - second.mean())
    torch.testing.assert_close(found["reconstruct"], squared(batch.x, reconstruction))
    torch.testing.assert_close(found["kl"], terms.kl_to_standard_normal(mean, logvar))


def test_published_terms_match_features_of_critic_and_classifier():
    model, batch = make(CVAEGANBao), make_batch()
    start = copy.deepcopy(model).eval()
    found = play(model.eval(), batch)
    mean, logvar, reconstruction, sample, y_sample = replay(start, batch)
    weights = start.critic.weights()
    h_real, h_first, h_second = (
        start.critic.features(x, weights) for x in (batch.x, reconstruction, sample)
    )
    c_real, c_first, c_second = map(start.classifier.features, (batch.x, reconstruction, sample))
    first = start.critic(reconstruction, batch.y, weights)
    second = start.critic(sample, y_sample, weights)
    log_d = start.critic(batch.x, batch.y, weights).sigmoid().log().mean()
    for fake in (first, second):
        log_d = log_d + (1 - fake.sigmoid()).log().mean()
    classes = [
        squared(c_real[batch.y == label].mean(0), c_second[y_sample == label].mean(0))
        for label in range(3)
        if (y_sample == label).any()
    ]
    expected = {
        "reconstruct": squared(batch.x, reconstruction),
        "kl": terms.kl_to_standard_normal(mean, logvar),
        "reconstruct_critic_features": squared(h_real, h_first),
        "reconstruct_classifier_features": squared(c_real, c_first),
        "match_critic_mean": squared(h_real.mean(0), h_second.mean(0)),
        "match_class_means": sum(classes) / len(classes),
        "classify": nn.functional.cross_entropy(start.class_logits(batch.x), batch.y),
        "discriminate": -log_d,
    }
    assert found.keys() == expected.keys() == wanted_of(model)
    for term, value in expected.items():
        torch.testing.assert_close(found[term], value, msg=term)


def test_no_term_of_the_encoder_comes_from_the_critics_verdict():
    for factory in (CVAEGAN, CVAEGANBao):
        table = factory.objective
        assert not {"fool", "discriminate", "classify"} & set(table["encoder"])
        assert {"discriminate"} == set(table["critic"])
    assert "fool" not in CVAEGANBao.objective["decoder"]


def test_the_trainer_gives_the_encoder_the_gradient_of_the_bound_alone():
    """Weights of the adversarial terms change what the decoder learns, not the encoder."""
    under_test, after = small("cvae_gan"), {}
    for weight in (1.0, 50.0):
        objective = {**under_test.training.objective}
        objective["decoder"] = {"reconstruct": 10.0, "fool": weight}
        trainer = under_test.trainer(objective=objective)
        trainer.iterate(0)
        after[weight] = trainer.model.state_dict()
    moved = {
        name.partition(".")[0]
        for name, value in after[1.0].items()
        if not torch.equal(value, after[50.0][name])
    }
    assert moved == {"decoder"}


def test_class_means_keep_nine_tenths_and_take_the_first_whole():
    averages, y = ClassMeans(3, 2), torch.tensor([0, 0, 1])
    first = torch.tensor([[1.0, 3.0], [3.0, 5.0], [7.0, 7.0]], requires_grad=True)
    means, seen = averages(first, y)
    torch.testing.assert_close(means[:2], torch.tensor([[2.0, 4.0], [7.0, 7.0]]))
    assert seen.tolist() == [True, True, False]
    again = torch.tensor([[12.0, 4.0], [5.0, 5.0]], requires_grad=True)
    means, seen = averages(again, torch.tensor([0, 2]))
    torch.testing.assert_close(means, torch.tensor([[3.0, 4.0], [7.0, 7.0], [5.0, 5.0]]))
    assert seen.all()
    assert torch.equal(averages.means, means)
    assert not averages.means.requires_grad
    slope = torch.autograd.grad(means.sum(), again)[0]
    torch.testing.assert_close(slope, torch.tensor([[0.1, 0.1], [1.0, 1.0]]))


def test_class_means_move_in_training_alone():
    averages = ClassMeans(3, 2).eval()
    averages(torch.ones(4, 2), torch.tensor([0, 1, 2, 2]))
    assert not averages.seen.any()
    assert not averages.means.any()


def test_classes_count_where_both_sides_have_been_seen():
    real, fake = torch.zeros(3, 4), torch.tensor([[1.0], [2.0], [9.0]]).expand(3, 4)
    known, all_seen = torch.tensor([True, True, False]), torch.ones(3, dtype=torch.bool)
    assert match_class_means(real, all_seen, fake, known).item() == pytest.approx((1 + 4) / 2)
    assert match_class_means(real, ~all_seen, fake, known).item() == 0


def test_cross_entropy_of_an_ignorant_critic_is_log_two_a_summand():
    zeros = torch.zeros(4)
    loss = discriminate_by_cross_entropy(zeros, zeros, zeros)
    assert loss.item() == pytest.approx(3 * math.log(2))


def test_the_classifier_has_the_layers_of_the_critic_without_its_norm():
    for spec in (GRAY, FACES, MOONS):
        critic = backbones.critic(spec, "auto", 0.25)
        classifier = Classifier(critic, spec.classes)
        x = torch.rand(2, *spec.shape)
        plain = [spectral.layer.weight for spectral in (*critic.trunk, critic.psi, critic.label)]
        torch.testing.assert_close(classifier.features(x), critic.features(x, plain))
        assert classifier.head(classifier.features(x)).shape == (2, spec.classes)
        assert not any("Norm" in type(module).__name__ for module in classifier.modules())


@BOTH
def test_codes_are_irrelevant_ones_and_need_the_label(factory):
    model, batch = make(factory).eval(), make_batch()
    code = model.encode(batch.x, batch.y)
    assert code.relevant is None
    assert code.irrelevant.shape == (12, 5)
    assert model.decode(code, batch.y).shape == batch.x.shape
    with pytest.raises(ValueError, match="needs labels to encode"):
        model.encode(batch.x)
    with pytest.raises(ValueError, match="needs labels"):
        model.decode(code)


@pytest.mark.parametrize("balanced", [False, True])
def test_balanced_critic_averages_its_two_kinds_of_fakes(balanced):
    model, batch = make(CVAEGAN, balanced_critic=balanced).eval(), make_batch()
    scores = []
    hook = model.critic.register_forward_hook(lambda _, __, out: scores.append(out))
    found = model.terms("main", batch, frozenset({"discriminate"}))["discriminate"]
    hook.remove()
    real, fakes = scores
    hinge = (1 + fakes).relu().view(2, -1).mean(dim=1).sum() / (2 if balanced else 1)
    torch.testing.assert_close(found, (1 - real).relu().mean() + hinge)
