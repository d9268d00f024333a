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
    discriminate,
    match_class_means,
)
from bench.conformance.model_under_test import ModelUnderTest
from bench.data.base import DataSpec
from bench.training.interface import Batch, Classifies, Code, Encodes
from models import backbones, terms

GRAY = DataSpec("gray", (1, 8, 8), ("a", "b", "c"))
FACES = DataSpec("faces", (3, 64, 64), tuple(map(str, range(530))))
MOONS = DataSpec("moons", (2,), ("left", "middle", "right"))
BOTH = pytest.mark.parametrize("factory", [CVAEGAN, CVAEGANBao])


def make(factory, spec=GRAY, **options):
    torch.manual_seed(0)
    small = {} if spec is MOONS else {"width": 0.25, "latent": 5}
    return factory(spec, **(small | options))


def make_batch(spec=GRAY, rows=12):
    torch.manual_seed(1)
    y = torch.arange(rows) % spec.classes
    return Batch(torch.rand(rows, *spec.shape) * 2 - 1, y, rows)


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


def test_the_trainer_gives_the_encoder_the_gradient_of_the_bound_alone(tmp_path):
    """Weights of the adversarial terms change what the decoder learns, not the encoder."""
    under_test = ModelUnderTest.of("cvae_gan", {"width": 0.25, "latent": 4})
    after = {}
    for weight in (1.0, 50.0):
        objective = {**under_test.training.objective}
        objective["decoder"] = {"reconstruct": 10.0, "fool": weight}
        trainer = under_test.trainer(tmp_path / str(weight), objective=objective)
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
    assert discriminate(zeros, zeros, zeros).item() == pytest.approx(3 * math.log(2))


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
@pytest.mark.parametrize("spec", [GRAY, MOONS], ids=["image", "points"])
def test_players_own_and_reach_every_parameter(factory, spec):
    model, batch = make(factory, spec), make_batch(spec)
    assert model.stages[0].players == tuple(model.players()) == tuple(model.objective)
    owned = [p for own in model.players().values() for p in own]
    assert len(owned) == len({id(p) for p in owned}) == len(list(model.parameters()))
    values = play(model, batch)
    for player, row in model.objective.items():
        loss = sum(weight * values[term] for term, weight in row.items())
        slopes = torch.autograd.grad(
            loss, model.players()[player], retain_graph=True, allow_unused=True
        )
        assert all(g is not None and g.isfinite().all() for g in slopes)


@BOTH
def test_a_subset_of_the_terms_has_the_same_values(factory):
    model, batch = make(factory), make_batch()
    together = play(copy.deepcopy(model), batch)
    for term in wanted_of(model):
        alone = play(copy.deepcopy(model), batch, frozenset({term}))
        assert torch.equal(alone[term], together[term])


@BOTH
@pytest.mark.parametrize("spec", [GRAY, MOONS], ids=["image", "points"])
def test_samples_are_a_function_of_generator_and_label(factory, spec):
    model, y = make(factory, spec).eval(), torch.tensor([2, 0, 1, 1])
    before, state = copy.deepcopy(model.state_dict()), torch.get_rng_state()
    with torch.inference_mode():
        first, again, other = (
            model.sample(y, torch.Generator().manual_seed(seed)) for seed in (5, 5, 6)
        )
        moved = model.sample((y + 1) % 3, torch.Generator().manual_seed(5))
    assert first.shape == (4, *spec.shape)
    assert torch.equal(first, again)
    assert not torch.equal(first, other)
    assert ((first - moved).flatten(1).abs().amax(dim=1) > 1e-4).all()
    assert torch.equal(torch.get_rng_state(), state)
    assert all(torch.equal(before[name], value) for name, value in model.state_dict().items())
    if spec.is_image:
        assert first.abs().max() <= 1


@BOTH
def test_codes_are_irrelevant_ones_and_need_the_label(factory):
    model, batch = make(factory).eval(), make_batch()
    code = model.encode(batch.x, batch.y)
    assert code.relevant is None
    assert code.irrelevant.shape == (12, 5)
    assert model.decode(code, batch.y).shape == batch.x.shape
    assert isinstance(model, Encodes)
    assert isinstance(model, Classifies) == (factory is CVAEGANBao)
    with pytest.raises(ValueError, match="needs labels to encode"):
        model.encode(batch.x)
    with pytest.raises(ValueError, match="needs labels"):
        model.decode(code)


@BOTH
def test_bfloat16_autocast_leaves_terms_in_float32_and_close(factory):
    model, batch = make(factory), make_batch()
    exact = play(copy.deepcopy(model), batch)
    with torch.autocast("cpu", torch.bfloat16):
        found = play(model, batch)
    for term, value in exact.items():
        assert found[term].dtype == torch.float32, term
        assert found[term].item() == pytest.approx(value.item(), rel=0.1, abs=0.02), term


@BOTH
def test_it_is_built_on_the_meta_device_at_its_full_size(factory):
    with torch.device("meta"):
        model = factory(FACES)
    assert model.latent == 512
    assert all(p.is_meta for p in model.parameters())


@BOTH
def test_wrong_sizes_are_refused_with_a_sentence(factory):
    with pytest.raises(ValueError, match="at least one dimension"):
        make(factory, latent=0)


@pytest.mark.parametrize("balanced", [False, True])
def test_balanced_critic_averages_its_two_kinds_of_fakes(balanced):
    torch.manual_seed(0)
    model, batch = (
        CVAEGAN(GRAY, width=0.25, latent=4, balanced_critic=balanced).eval(),
        make_batch(),
    )
    scores = []
    hook = model.critic.register_forward_hook(lambda _, __, out: scores.append(out))
    found = model.terms("main", batch, frozenset({"discriminate"}))["discriminate"]
    hook.remove()
    real, fakes = scores
    hinge = (1 + fakes).relu().view(2, -1).mean(dim=1).sum() / (2 if balanced else 1)
    torch.testing.assert_close(found, (1 - real).relu().mean() + hinge)
