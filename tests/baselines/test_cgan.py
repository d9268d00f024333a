import copy

import pytest
import torch
from torch import nn

from baselines.cgan import CGAN, LabelNorm
from bench.conformance import suite
from bench.conformance.model_under_test import ModelUnderTest
from bench.data.base import DataSpec
from bench.training.interface import Batch, Encodes
from models import backbones

GRAY = DataSpec("gray", (1, 8, 8), ("a", "b", "c"))
MOONS = DataSpec("moons", (2,), ("left", "middle", "right"))
WANTED = frozenset({"fool", "discriminate"})
STRONG = {"cond_bn": True, "critic_steps": 5}


def make(spec=GRAY, **options):
    torch.manual_seed(0)
    small = {} if spec is MOONS else {"width": 0.25, "latent": 5}
    return CGAN(spec, **(small | options))


def make_batch(spec=GRAY, rows=12):
    torch.manual_seed(1)
    y = torch.arange(rows) % spec.classes
    return Batch(torch.rand(rows, *spec.shape) * 2 - 1, y, rows)


def play(model, batch, wanted=WANTED, stage="main"):
    torch.manual_seed(2)
    return model.terms(stage, batch, wanted)


def tell_apart(model):
    """Give each class gains and biases of its own, as training would."""
    for layer in model.modules():
        if isinstance(layer, LabelNorm):
            nn.init.normal_(layer.gains, 1.0, 0.5)
            nn.init.normal_(layer.biases, 0.0, 0.5)
    return model


@pytest.fixture(scope="module")
def strong_subject():
    return ModelUnderTest.of("cgan", {"width": 0.25, "latent": 4, **STRONG})


@pytest.mark.parametrize("check", suite.CHECKS, ids=lambda check: check.__name__)
def test_the_strong_form_conforms(strong_subject, check):
    check(strong_subject)


@pytest.mark.parametrize("cond_bn", [False, True])
def test_terms_are_the_hinge_losses_of_images_and_one_kind_of_fakes(cond_bn):
    model, batch = tell_apart(make(cond_bn=cond_bn)).eval(), make_batch()
    found = play(model, batch)
    torch.manual_seed(2)
    y_sample = torch.randint(3, (12,))
    x_sample = model.decoder(torch.randn(12, 5), y_sample)
    weights = model.critic.weights()
    real, fake = model.critic(batch.x, batch.y, weights), model.critic(x_sample, y_sample, weights)
    hinges = (1 - real).clamp(min=0).mean() + (1 + fake).clamp(min=0).mean()
    torch.testing.assert_close(found["discriminate"], hinges)
    torch.testing.assert_close(found["fool"], -fake.mean())


def test_by_default_the_label_stands_beside_the_noise_of_the_shared_decoder():
    model, z, y = make().eval(), torch.randn(3, 5), torch.tensor([2, 0, 1])
    torch.manual_seed(0)
    shared = backbones.decoder(GRAY, "auto", 0.25, 5 + 3).eval()
    rows = torch.cat((z, nn.functional.one_hot(y, 3)), dim=1)
    assert torch.equal(model.decoder(z, y), shared(rows))


def test_label_norms_start_as_the_shared_decoder_of_the_noise_alone():
    model, z, y = make(cond_bn=True), torch.randn(6, 5), torch.tensor([2, 0, 1, 1, 0, 2])
    torch.manual_seed(0)
    shared = backbones.decoder(GRAY, "auto", 0.25, 5)
    torch.testing.assert_close(model.decoder(z, y), shared(z))
    torch.testing.assert_close(model.eval().decoder(z, y), shared.eval()(z))


@pytest.mark.parametrize(
    ("norm", "shape"), [(nn.BatchNorm1d(4), (9, 4)), (nn.BatchNorm2d(4), (9, 4, 3, 3))]
)
def test_label_norm_is_an_affine_map_of_batch_norm_for_each_class(norm, shape):
    torch.manual_seed(3)
    layer = LabelNorm(norm, 3)
    nn.init.normal_(layer.gains)
    nn.init.normal_(layer.biases)
    x, y = torch.randn(shape), torch.tensor([0, 1, 2] * 3)
    for training in (True, False):
        norm.train(training)
        layer.train(training)
        plain, found = norm(x).transpose(0, 1), layer(x, y).transpose(0, 1)
        for label in range(3):
            for channel in range(4):
                gain, bias = layer.gains[label, channel], layer.biases[label, channel]
                expected = gain * plain[channel, y == label] + bias
                torch.testing.assert_close(found[channel, y == label], expected)


def test_the_default_is_one_simultaneous_move():
    model = make()
    assert [stage.players for stage in model.stages] == [("decoder", "critic")]
    assert model.optimizers == {}


def test_several_critic_steps_come_before_one_of_the_generator():
    critic, generator = make(critic_steps=5).stages
    assert (critic.players, critic.repeat, critic.fresh) == (("critic",), 5, True)
    assert (generator.players, generator.repeat, generator.fresh) == (("decoder",), 1, False)
    assert len(CGAN.stages) == 1


@pytest.mark.parametrize("options", [{}, STRONG], ids=["like for like", "strong"])
def test_players_own_every_parameter_and_move_once_each_stage(options):
    model = make(**options)
    owned = [p for own in model.players().values() for p in own]
    assert len(owned) == len({id(p) for p in owned}) == len(list(model.parameters()))
    moving = [player for stage in model.stages for player in stage.players]
    assert sorted(moving) == sorted(model.players()) == sorted(model.objective)


def test_a_subset_of_the_terms_has_the_same_values():
    model, batch = make(cond_bn=True), make_batch()
    together = play(copy.deepcopy(model), batch)
    for term in WANTED:
        alone = play(copy.deepcopy(model), batch, frozenset({term}))
        assert torch.equal(alone[term], together[term])


@pytest.mark.parametrize("spec", [GRAY, MOONS], ids=["image", "points"])
def test_samples_are_a_function_of_the_generator(spec):
    model, y = make(spec).eval(), torch.tensor([2, 0, 1, 1])
    state = torch.get_rng_state()
    with torch.inference_mode():
        first, again, other = (
            model.sample(y, torch.Generator().manual_seed(seed)) for seed in (5, 5, 6)
        )
    assert first.shape == (4, *spec.shape)
    assert torch.equal(first, again)
    assert not torch.equal(first, other)
    assert torch.equal(torch.get_rng_state(), state)
    if spec.is_image:
        assert first.abs().max() <= 1


@pytest.mark.parametrize("cond_bn", [False, True])
def test_samples_depend_on_the_label(cond_bn):
    model, y = tell_apart(make(cond_bn=cond_bn)).eval(), torch.tensor([2, 0, 1, 1])
    with torch.inference_mode():
        first, other = (
            model.sample(labels, torch.Generator().manual_seed(5)) for labels in (y, (y + 1) % 3)
        )
    assert ((first - other).flatten(1).abs().amax(dim=1) > 1e-3).all()


@pytest.mark.parametrize("cond_bn", [False, True])
def test_bfloat16_autocast_leaves_terms_in_float32_and_close(cond_bn):
    model, batch = tell_apart(make(cond_bn=cond_bn)), make_batch()
    exact = play(copy.deepcopy(model), batch)
    with torch.autocast("cpu", torch.bfloat16):
        found = play(model, batch)
    for term, value in exact.items():
        assert found[term].dtype == torch.float32, term
        assert found[term].item() == pytest.approx(value.item(), rel=0.1, abs=0.02), term


def test_it_does_not_claim_to_encode():
    assert not isinstance(make(), Encodes)


def test_wrong_options_are_refused_with_a_sentence():
    with pytest.raises(ValueError, match="at least one dimension"):
        make(latent=0)
    with pytest.raises(ValueError, match="critic_steps must be at least 1, got 0"):
        make(critic_steps=0)
    with pytest.raises(ValueError, match="networks for points have none"):
        make(MOONS, cond_bn=True)


@pytest.mark.parametrize(
    ("spec", "latent"),
    [
        (DataSpec("cifar10", (3, 32, 32), tuple("0123456789")), 200),
        (DataSpec("faces", (3, 64, 64), tuple(map(str, range(530)))), 512),
    ],
    ids=["cifar10", "faces"],
)
def test_it_is_built_on_the_meta_device_at_its_full_size(spec, latent):
    with torch.device("meta"):
        model = CGAN(spec, cond_bn=True)
    assert model.latent == latent
    assert all(p.is_meta for p in model.parameters())
