import numpy as np
import pytest
import torch
from torch import nn

from baselines.flow_matching import FlowMatching, flow_match, integrate
from bench.data.base import DataSpec
from bench.training.interface import Batch
from tests.small import GRAY, MOONS, make_batch

COLOR = DataSpec("color", (3, 16, 16), ("a", "b", "c"))
SPECS = pytest.mark.parametrize("spec", [GRAY, COLOR, MOONS], ids=["gray", "color", "points"])
WANTED = frozenset({"flow_match"})
UNTOLD = 3  # the label that stands for none


class Known(nn.Module):
    """Stands in for the network: a function of states, times and labels that keeps what it saw."""

    def __init__(self, function):
        super().__init__()
        self.function = function
        self.weight = nn.Parameter(torch.zeros(()))  # says where noise belongs

    def forward(self, x, t, y):
        self.seen = x, t, y
        return self.function(x, t, y)


def make(spec=GRAY, known=None, **options):
    torch.manual_seed(0)
    model = FlowMatching(spec, **({"width": 0.25} | options))
    if known:
        model.velocity = Known(known)
    return model


def play(model, batch):
    torch.manual_seed(2)
    return model.terms("main", batch, WANTED)["flow_match"]


def awake(model):
    """Fill the layers that start at zero, as training would."""
    torch.manual_seed(3)
    for parameter in model.parameters():
        if not parameter.any():
            nn.init.normal_(parameter, std=0.1)
    return model


def spread(t, x):
    return t.view(-1, *[1] * (x.ndim - 1))


@SPECS
def test_the_term_is_the_mean_squared_distance_from_the_straight_path(spec):
    model, batch = make(spec, lambda x, t, y: 2 * x - spread(t * y, x)), make_batch(spec)
    found = play(model, batch)
    torch.manual_seed(2)
    noise, logits = torch.randn(12, *spec.shape).numpy(), torch.randn(12).numpy()
    losses = []
    for x_0, logit, x_1, y in zip(noise, logits, batch.x.numpy(), batch.y.numpy(), strict=True):
        t = 1 / (1 + np.exp(-logit))
        velocity = 2 * ((1 - t) * x_0 + t * x_1) - t * y
        losses.append(np.mean((velocity - (x_1 - x_0)) ** 2))
    assert found.item() == pytest.approx(np.mean(losses), rel=1e-5)


def test_the_exact_velocity_to_a_single_image_has_no_error():
    model = make(known=lambda x, t, y: (0.3 - x) / (1 - spread(t, x)))
    batch = make_batch()._replace(x=torch.full((12, 1, 8, 8), 0.3))
    assert play(model, batch).item() == pytest.approx(0, abs=1e-8)


def test_the_term_is_differentiated_as_a_mean_square():
    torch.manual_seed(0)
    velocity = torch.randn(4, 3, dtype=torch.float64, requires_grad=True)
    noise, x = torch.randn(2, 4, 3, dtype=torch.float64)
    assert torch.autograd.gradcheck(flow_match, (velocity, noise, x))


def gaussian_velocity(mean, scale):
    """Return the exact velocity from the standard normal to another Gaussian; it carries
    `x` to `mean + scale * x`."""

    def velocity(x, t):
        t = t.unsqueeze(1)
        slope = (t * scale**2 - (1 - t)) / ((1 - t) ** 2 + t**2 * scale**2)
        return mean + slope * (x - t * mean)

    return velocity


@pytest.mark.parametrize(("mean", "scale"), [(0.0, 0.5), (-1.5, 0.2), (2.0, 3.0)])
def test_the_solver_follows_the_flow_between_gaussians(mean, scale):
    x = torch.randn(50, 2, dtype=torch.float64, generator=torch.Generator().manual_seed(0))
    found = integrate(gaussian_velocity(mean, scale), x, 80)
    torch.testing.assert_close(found, mean + scale * x, rtol=0, atol=2e-3)


def test_twice_the_steps_leave_a_quarter_of_the_error():
    one = torch.ones(1, 1, dtype=torch.float64)
    errors = [np.e - integrate(lambda x, t: x, one, steps).item() for steps in (20, 40, 80)]
    assert errors[0] / errors[1] == pytest.approx(4, rel=0.05)
    assert errors[1] / errors[2] == pytest.approx(4, rel=0.05)


def test_the_solver_asks_twice_a_step_and_never_at_the_end():
    times = []
    integrate(lambda x, t: times.append(t) or x, torch.ones(2, 1), 4)
    assert torch.equal(torch.stack(times)[:, 0], torch.arange(8) / 8)


def test_samples_have_the_moments_of_the_gaussian_that_the_velocity_belongs_to():
    velocity = gaussian_velocity(-0.4, 0.1)
    model = make(MOONS, lambda x, t, y: velocity(x, t))
    generator = torch.Generator().manual_seed(4)
    sample = model.sample(torch.zeros(20_000).long(), generator, steps=40)
    assert sample.mean().item() == pytest.approx(-0.4, abs=0.01)
    assert sample.std().item() == pytest.approx(0.1, rel=0.02)


@pytest.mark.parametrize(("spec", "most"), [(GRAY, 1), (MOONS, 50)], ids=["images", "points"])
def test_images_are_clamped_and_points_are_not(spec, most):
    model = make(spec, lambda x, t, y: 50 - 100 * spread(y, x) + 0 * x)
    generator = torch.Generator().manual_seed(0)
    high, low = model.sample(torch.tensor([0, 1]), generator)
    torch.testing.assert_close(high, torch.full(spec.shape, float(most)), rtol=0.1, atol=0)
    torch.testing.assert_close(low, torch.full(spec.shape, -float(most)), rtol=0.1, atol=0)
    assert spec is MOONS or high.max() == -low.min() == 1


@SPECS
def test_guidance_goes_beyond_the_velocity_with_label_away_from_that_without(spec):
    model, batch = awake(make(spec, label_dropout=0.1)), make_batch(spec)
    t = torch.linspace(0.1, 0.9, 12)
    told = model.velocity(batch.x, t, batch.y)
    untold = model.velocity(batch.x, t, torch.full((12,), UNTOLD))
    assert (told - untold).abs().max() > 1e-3
    found = model._guided(batch.x, t, batch.y, 3.0)
    torch.testing.assert_close(found, untold + 3 * (told - untold), rtol=1e-4, atol=1e-5)


def test_without_guidance_one_call_on_the_labels_alone_is_made():
    model, batch = make(known=lambda x, t, y: 3 * x), make_batch()
    assert torch.equal(model._guided(batch.x, torch.zeros(12), batch.y, 1.0), 3 * batch.x)
    assert torch.equal(model.velocity.seen[2], batch.y)


def test_guidance_needs_a_training_that_hid_labels():
    with pytest.raises(ValueError, match="other than 1 needs a model trained with label_dropout"):
        make().sample(torch.tensor([0]), guidance=2.0)


@pytest.mark.parametrize("label_dropout", [0.0, 0.1, 0.5])
def test_labels_are_hidden_at_the_rate_asked_for(label_dropout):
    model = make(MOONS, lambda x, t, y: x, label_dropout=label_dropout)
    batch = make_batch(MOONS, 20_000)
    play(model, batch)
    y = model.velocity.seen[2]
    hidden = y == UNTOLD
    assert hidden.float().mean().item() == pytest.approx(label_dropout, abs=0.01)
    assert torch.equal(y[~hidden], batch.y[~hidden])


def test_times_are_logit_normal_and_one_an_example():
    model = make(MOONS, lambda x, t, y: x)
    play(model, make_batch(MOONS, 20_000))
    logits = model.velocity.seen[1].logit()
    assert logits.shape == (20_000,)
    assert logits.mean().item() == pytest.approx(0, abs=0.03)
    assert logits.std().item() == pytest.approx(1, abs=0.03)


@SPECS
def test_the_velocity_depends_on_time_and_label_of_each_example_alone(spec):
    model, batch = awake(make(spec)), make_batch(spec)
    t = torch.full((12,), 0.4)
    before = model.velocity(batch.x, t, batch.y)
    for changed in (
        model.velocity(batch.x, torch.cat((t[:6], t[6:] + 0.1)), batch.y),
        model.velocity(batch.x, t, torch.cat((batch.y[:6], (batch.y[6:] + 1) % 3))),
        model.velocity(torch.cat((batch.x[:6], -batch.x[6:])), t, batch.y),
    ):
        distances = (changed - before).flatten(1).abs().amax(dim=1)
        assert distances[:6].max() < 1e-5
        assert distances[6:].min() > 1e-4


@SPECS
def test_training_and_evaluation_are_the_same_function(spec):
    model, batch = awake(make(spec)), make_batch(spec)
    assert torch.equal(play(model.train(), batch), play(model.eval(), batch))


def test_a_few_hundred_moves_carry_points_to_their_class():
    model = make(MOONS, width=1.0)
    optimizer = torch.optim.Adam(model.parameters(), 3e-3)
    y = torch.arange(96) % 3
    centers = torch.tensor([[-2.0, 0.0], [0.0, 1.0], [2.0, 0.0]])
    for step in range(300):
        torch.manual_seed(step)
        batch = Batch(centers[y] + 0.1 * torch.randn(96, 2), y, 96)
        optimizer.zero_grad()
        model.terms("main", batch, WANTED)["flow_match"].backward()
        optimizer.step()
    with torch.inference_mode():
        sample = model.sample(y, torch.Generator().manual_seed(0))
    assert (sample - centers[y]).norm(dim=1).median() < 0.4


def test_the_velocity_moves_with_momentum():
    assert FlowMatching.optimizers["default"]["betas"][0] > 0


@pytest.mark.parametrize(
    ("shape", "millions"), [((3, 32, 32), (4, 14)), ((1, 64, 64), (4, 14)), ((2,), (0.01, 0.03))]
)
def test_it_is_built_on_the_meta_device_at_the_size_of_the_others(shape, millions):
    with torch.device("meta"):
        model = FlowMatching(DataSpec("set", shape, tuple("0123456789")))
    assert all(p.is_meta for p in model.parameters())
    assert millions[0] < sum(p.numel() for p in model.parameters()) / 1e6 < millions[1]
