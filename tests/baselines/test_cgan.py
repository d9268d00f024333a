import pytest
import torch
from torch import nn

from baselines.cgan import CGAN, LabelNorm, truncated
from models import backbones
from tests.small import GRAY, make_batch

WANTED = frozenset({"fool", "discriminate"})


def make(**options):
    torch.manual_seed(0)
    return CGAN(GRAY, width=0.25, latent=5, **options)


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
    codes = torch.cat((z, nn.functional.one_hot(y, 3)), dim=1)
    assert torch.equal(model.decoder(z, y), shared(codes))


@pytest.mark.parametrize("bound", [0.1, 0.5, 2.0, 5.0])
def test_truncated_noise_is_distributed_as_noise_that_is_drawn_again(bound):
    z = torch.randn(200_000, generator=torch.Generator().manual_seed(0))
    found, redrawn = truncated(z, bound), z[z.abs() <= bound]
    assert found.abs().max() <= bound
    quantiles = torch.linspace(0.05, 0.95, 10)
    close = found.quantile(quantiles), redrawn.quantile(quantiles)
    torch.testing.assert_close(*close, atol=0.04 * bound, rtol=0)


def test_a_bound_beyond_all_noise_changes_next_to_nothing_and_a_small_one_a_lot():
    model, y = tell_apart(make()).eval(), torch.tensor([0, 1, 2])
    plain, far, near = (
        model.sample(y, torch.Generator().manual_seed(0), truncation=bound)
        for bound in (None, 8.0, 0.1)
    )
    torch.testing.assert_close(far, plain, atol=1e-4, rtol=0)
    assert not torch.allclose(near, plain, atol=1e-2)


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
