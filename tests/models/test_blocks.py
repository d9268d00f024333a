import copy

import pytest
import torch
import torch.nn.functional as F
from torch import nn

from models.blocks import (
    ClassGaussians,
    ClassMoments,
    Critic,
    Spectral,
    conditioned,
    glorot,
    normal,
    one_hot,
)


@pytest.fixture(autouse=True)
def _seed():
    torch.manual_seed(0)


def make_critic():
    layers = [nn.Conv2d(1, 4, 3, 1, 1), nn.Conv2d(4, 6, 3, 2, 1), nn.Linear(6 * 16, 8)]
    critic = Critic(layers, classes=3).double()
    for parameter in critic.parameters():  # larger than the initial weights, and biases not 0
        nn.init.normal_(parameter)
    return critic


def examples(count):
    x = torch.randn(count, 1, 8, 8, dtype=torch.float64)
    return x, torch.randint(3, (count,))


def test_one_hot_of_an_example_without_label_is_zero():
    assert one_hot(torch.tensor([1, -1]), 3).tolist() == [[0, 1, 0], [0, 0, 0]]


def test_normal_is_a_function_of_the_generator():
    like = torch.empty(0, dtype=torch.float64)
    state = torch.get_rng_state()
    draws = [normal(4, 3, like=like, generator=torch.Generator().manual_seed(s)) for s in (1, 1, 2)]
    assert torch.equal(draws[0], draws[1])
    assert not torch.equal(draws[0], draws[2])
    assert draws[0].dtype == torch.float64
    assert torch.equal(torch.get_rng_state(), state)


def test_glorot_bounds_weights_and_clears_biases():
    layer = nn.Conv2d(3, 8, 5)
    glorot(nn.Sequential(layer))
    bound = (6 / (25 * (3 + 8))) ** 0.5
    assert 0.9 * bound < layer.weight.abs().max() <= bound
    assert layer.bias.count_nonzero() == 0


@pytest.mark.parametrize(
    "layer",
    [
        nn.Conv2d(3 + 5, 6, 5, 2, 2, bias=False),
        nn.Conv2d(3 + 5, 6, 3, 1, 1),
        nn.Linear(3 + 5, 6),
    ],
    ids=["5x5, stride 2", "3x3, stride 1", "linear"],
)
@pytest.mark.parametrize("kind", ["one label", "attributes"])
def test_conditioned_equals_tiled_labels(layer, kind):
    layer = copy.deepcopy(layer).double()
    x = torch.randn(7, 3, *(8, 8) * isinstance(layer, nn.Conv2d), dtype=torch.float64)
    y = torch.tensor([0, 4, 2, 2, 1, 3, 0])
    labels = one_hot(y, 5).double()
    if kind == "attributes":
        y = torch.randint(2, (7, 5))
        labels = y.double()
    if x.ndim == 4:
        labels = labels[:, :, None, None].expand(-1, -1, 8, 8)
    tiled, ours = layer(torch.cat((x, labels), dim=1)), conditioned(layer, x, y)
    torch.testing.assert_close(ours, tiled)
    slope = torch.randn_like(tiled)
    for mine, reference in zip(
        torch.autograd.grad(ours, layer.parameters(), slope),
        torch.autograd.grad(tiled, layer.parameters(), slope),
        strict=True,
    ):
        torch.testing.assert_close(mine, reference)


def test_class_gaussians_start_at_unit_variance_and_clamp():
    prior = ClassGaussians(3, 4)
    assert prior()[1].count_nonzero() == 0
    with torch.no_grad():
        prior.logvars.copy_(torch.linspace(-20, 20, 12).view(3, 4))
    assert (prior()[1].min().item(), prior()[1].max().item()) == (-14, 4)


def test_class_gaussians_sample_each_class_from_its_own():
    prior = ClassGaussians(2, 3)
    nn.init.normal_(prior.logvars)
    y = torch.arange(2).repeat_interleave(50_000)
    draws = prior.sample(y, torch.Generator().manual_seed(0)).detach()
    for c in range(2):
        torch.testing.assert_close(draws[y == c].mean(0), prior.means[c], rtol=0, atol=0.03)
        torch.testing.assert_close(draws[y == c].var(0).log(), prior.logvars[c], rtol=0, atol=0.03)


@pytest.mark.parametrize(
    "layer", [nn.Conv2d(3, 8, 3), nn.Linear(9, 5), nn.Embedding(6, 4)], ids=["conv", "fc", "label"]
)
def test_spectral_norm_converges_to_the_largest_singular_value(layer):
    torch.manual_seed(0)
    layer.reset_parameters()  # not as the order of imports happened to draw them
    spectral = Spectral(copy.deepcopy(layer))
    for _ in range(200):
        weight = spectral.weight()
    assert torch.linalg.matrix_norm(weight.flatten(1), 2).item() == pytest.approx(1, abs=1e-4)
    expected = layer.weight / torch.linalg.matrix_norm(layer.weight.flatten(1), 2)
    torch.testing.assert_close(weight, expected, rtol=0, atol=1e-4)


def test_spectral_norm_is_one_power_iteration_with_constant_vectors():
    """The value and the gradient of Miyato et al. (2018), Algorithm 1."""
    spectral = Spectral(nn.Linear(6, 4)).double()
    weight, u = spectral.layer.weight, spectral.u.clone()
    with torch.no_grad():
        v = F.normalize(weight.t() @ u, dim=0)
        u_next = F.normalize(weight @ v, dim=0)
    reference = weight / (u_next @ weight @ v)
    found = spectral.weight()
    torch.testing.assert_close(found, reference)
    torch.testing.assert_close(spectral.u, u_next)
    slope = torch.randn_like(found)
    torch.testing.assert_close(
        torch.autograd.grad(found, weight, slope), torch.autograd.grad(reference, weight, slope)
    )


def test_spectral_norm_rests_in_evaluation_mode():
    spectral = Spectral(nn.Linear(6, 4)).eval()
    before = spectral.u.clone()
    assert torch.equal(spectral.weight(), spectral.weight())
    assert torch.equal(spectral.u, before)


def test_spectral_norm_is_not_lowered_by_autocast():
    spectral = Spectral(nn.Linear(6, 4)).eval()
    with torch.autocast("cpu", torch.bfloat16):
        cast = spectral.weight()
    assert torch.equal(cast, spectral.weight())


def test_critic_is_a_projection():
    critic = make_critic().eval()
    (x, y), weights = examples(5), critic.weights()
    h = critic.features(x, weights)
    psi, labels = weights[-2:]
    expected = [(psi[0] + labels[k]) @ h[i] + critic.psi.layer.bias[0] for i, k in enumerate(y)]
    torch.testing.assert_close(critic(x, y, weights), torch.stack(expected))


def test_critic_features_are_those_of_its_layers():
    critic = make_critic().eval()
    x, _ = examples(5)
    layers = [spectral.layer for spectral in critic.trunk]
    with torch.no_grad():
        for layer, weight in zip(layers, critic.weights()[:-2], strict=True):
            layer.weight.copy_(weight)
    h = F.leaky_relu(layers[1](F.leaky_relu(layers[0](x), 0.1)), 0.1)
    h = F.leaky_relu(layers[2](h.flatten(1)), 0.1)
    weights = [layer.weight for layer in layers] + critic.weights()[-2:]
    torch.testing.assert_close(critic.features(x, weights), h)


def test_critic_scores_examples_apart_from_each_other():
    critic = make_critic()
    (a, ya), (b, yb) = examples(3), examples(4)
    weights = critic.weights()
    joint = critic(torch.cat((a, b)), torch.cat((ya, yb)), weights)
    torch.testing.assert_close(joint, torch.cat((critic(a, ya, weights), critic(b, yb, weights))))


def test_critic_iterates_once_a_pass_and_its_graph_survives_the_next():
    critic = make_critic()
    x, y = examples(3)
    before = [u.clone() for u in critic.trunk.buffers()]
    weights = critic.weights()
    scores = critic(x, y, weights)
    after = [u.clone() for u in critic.trunk.buffers()]
    torch.testing.assert_close(critic(x, y, weights), scores)
    assert all(torch.equal(a, u) for a, u in zip(after, critic.trunk.buffers(), strict=True))
    assert not any(torch.equal(a, b) for a, b in zip(before, after, strict=True))
    critic.weights()
    torch.autograd.grad(scores.sum(), list(critic.parameters()))


def test_class_moments_are_those_of_all_codes():
    moments = ClassMoments(3, 2).double()
    z, y = torch.randn(40, 2, dtype=torch.float64) * 3 + 1, torch.randint(2, (40,))
    moments.fit([(torch.ones(3, 2, dtype=torch.float64), torch.arange(3))])  # forgotten
    moments.fit((z[part], y[part]) for part in torch.arange(40).split(7))
    means, logvars = moments()
    for label in range(2):
        members = z[y == label]
        torch.testing.assert_close(means[label], members.mean(dim=0))
        torch.testing.assert_close(logvars[label].exp(), members.var(dim=0, unbiased=False))
    assert means[2].tolist() == [0, 0]  # a class that never came
    assert logvars[2].tolist() == [0, 0]


def test_class_moments_have_a_least_variance():
    moments = ClassMoments(1, 2)
    moments.fit([(torch.ones(5, 2), torch.zeros(5, dtype=torch.int64))])
    torch.testing.assert_close(moments()[1].exp(), torch.full((1, 2), 1e-4))
