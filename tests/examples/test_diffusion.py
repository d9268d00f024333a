"""The equations of the diffusion model among the examples."""

import pytest
import torch

from bench.data.base import DataSpec
from bench.training.interface import Batch
from tests.examples.load import load

DIFFUSION = load("diffusion")
SPEC = DataSpec("colors", (3, 8, 6), ("a", "b", "c"))
BETAS = torch.linspace(1e-4, 0.02, 1000, dtype=torch.float64)  # Section 4 of the paper


@pytest.fixture
def model():
    torch.manual_seed(0)
    return DIFFUSION.Diffusion(SPEC, width=8)


def test_noising_at_once_is_noising_step_by_step(model):
    """Eq. 2, applied t times, gives the mean and the variance of Eq. 4."""
    signal, variance, x = 1.0, 0.0, torch.ones(1, *SPEC.shape)
    for t, beta in enumerate(BETAS.tolist(), 1):
        signal, variance = (1 - beta) ** 0.5 * signal, (1 - beta) * variance + beta
        if t in (1, 10, 500, 1000):
            at = torch.tensor([t])
            mean = model.noised(x, torch.zeros_like(x), at)
            of_noise = model.noised(torch.zeros_like(x), x, at)
            assert mean.mean().item() == pytest.approx(signal, rel=1e-4)
            assert of_noise.square().mean().item() == pytest.approx(variance, rel=1e-3)
    assert torch.equal(model.noised(x, -x, torch.tensor([0])), x)


@pytest.mark.parametrize("t", [1, 2, 300, 1000])
def test_a_step_back_is_the_posterior_of_the_paper(model, t):
    """Eq. 7, in float64."""
    bars = torch.cat((torch.ones(1, dtype=torch.float64), (1 - BETAS).cumprod(0)))
    beta, bar, before = BETAS[t - 1], bars[t], bars[t - 1]
    x, image = torch.randn(2, 4, dtype=torch.float64)
    expected = before.sqrt() * beta / (1 - bar) * image
    expected += (1 - beta).sqrt() * (1 - before) / (1 - bar) * x
    model.signal = bars
    mean, variance = model.step_back(x, image, t, t - 1)
    torch.testing.assert_close(mean, expected)
    torch.testing.assert_close(variance, (1 - before) / (1 - bar) * beta)


def test_steps_back_that_leave_out_times_agree_with_those_that_do_not(model):
    """Given the image, going 700 -> 300 -> 100 has the moments of going 700 -> 100."""
    x, image = torch.randn(2, 4, dtype=torch.float64)
    model.signal = model.signal.double()
    middle, of_middle = model.step_back(x, image, 700, 300)
    mean, variance = model.step_back(middle, image, 300, 100)
    share = model.step_back(torch.ones(()), torch.zeros(()), 300, 100)[0]  # of the middle
    straight, of_straight = model.step_back(x, image, 700, 100)
    torch.testing.assert_close(mean, straight)
    torch.testing.assert_close(variance + share**2 * of_middle, of_straight)


def test_guidance_1_is_the_conditional_model_and_0_the_one_without_label(model):
    x, t, y = torch.randn(2, *SPEC.shape), torch.tensor([7, 900]), torch.tensor([0, 2])
    conditional, unconditional = (
        model.network(x, t, labels) for labels in (y, torch.tensor([3, 3]))
    )
    for guidance in (0.0, 1.0, 2.5):
        expected = unconditional + guidance * (conditional - unconditional)
        torch.testing.assert_close(model.predict(x, t, y, guidance), expected)
    assert torch.equal(model.predict(x, t, y, 1.0), conditional)


@pytest.mark.parametrize("dropout", [0.0, 0.25, 1.0])
def test_training_hides_a_share_of_the_labels(dropout):
    seen = []
    model = DIFFUSION.Diffusion(SPEC, width=8, label_dropout=dropout)
    model.network.forward = lambda x, t, y: seen.append(y) or x
    y = torch.arange(3).repeat(1000)
    model.terms("main", Batch(torch.zeros(3000, *SPEC.shape), y, 3000), frozenset({"noise"}))
    is_hidden = seen[0] == SPEC.classes
    assert is_hidden.float().mean().item() == pytest.approx(dropout, abs=0.03)
    assert torch.equal(seen[0][~is_hidden], y[~is_hidden])


def test_a_network_that_knows_the_image_draws_it(model):
    image = torch.rand(2, *SPEC.shape) * 2 - 1

    def network(x, t, y):
        signal = model.signal[t].view(-1, 1, 1, 1)
        return (x - signal.sqrt() * image) / (1 - signal).sqrt()

    model.network.forward = network
    for steps in (1, 7, 1000):
        drawn = model.sample(torch.tensor([0, 1]), torch.Generator().manual_seed(0), steps=steps)
        torch.testing.assert_close(drawn, image, atol=1e-3, rtol=0)


@pytest.mark.parametrize(
    ("options", "dropout", "message"),
    [
        ({"steps": 0}, 0.1, "steps must be from 1 to 1000, got 0"),
        ({"steps": 1001}, 0.1, "steps must be from 1 to 1000, got 1001"),
        ({"guidance": 2.0}, 0.0, "needs a model trained with label_dropout"),
    ],
)
def test_options_that_make_no_sense_are_refused(options, dropout, message):
    model = DIFFUSION.Diffusion(SPEC, width=8, label_dropout=dropout)
    with pytest.raises(ValueError, match=message):
        model.sample(torch.tensor([0]), **options)
