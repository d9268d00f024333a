import math

import pytest
import torch
from torch import nn
from torch.distributions import Normal, kl_divergence

from bench.data.base import DataSet, DataSpec, Split, fingerprint
from bench.metrics.base import Context, SampleSet
from bench.metrics.prior_fit import PriorFit, Rate
from bench.training.interface import Posterior
from models.lr_livae import LrLiVAE

CPU = torch.device("cpu")
SPEC = DataSpec("points", (2,), ("a", "b"))


class Known(nn.Module):
    """Codes that are the points themselves, shifted and scaled."""

    def __init__(self, relevant=True, scale=1.0, variance=0.0):
        super().__init__()
        self.relevant, self.scale, self.variance = relevant, scale, variance

    def posterior(self, x, y=None):
        mean = self.scale * x
        own = (mean + y[:, None] * 5, torch.full_like(x, self.variance)) if self.relevant else None
        return Posterior(own, (mean, torch.full_like(x, max(self.variance, 1e-6))))

    def class_prior(self):
        means = torch.tensor([[0.0, 0.0], [5.0, 5.0]])
        return (means, torch.full((2, 2), 4.0)) if self.relevant else None


@pytest.fixture(scope="module")
def data():
    x = torch.randn(4000, 2, generator=torch.Generator().manual_seed(0))
    split = Split(x, torch.arange(4000) % 2)
    return DataSet(SPEC, split, split, split, False, fingerprint(split))


def values(data, model):
    context = Context(data, CPU, cache=None, model=model)
    samples = SampleSet(data.test.x, data.test.y, SPEC)
    found = PriorFit().measure(samples, context)
    assert len(found) == 4
    assert all(m.reason == "it has no such code" for m in found if m.value is None)
    return {m.metric: m.value for m in found if m.value is not None}


@pytest.mark.parametrize(("scale", "variance", "expected"), [(2, 0, 1), (1, 3, 1), (0.2, 0, 0.01)])
def test_distance_is_one_where_codes_have_the_moments_of_the_prior(data, scale, variance, expected):
    found = values(data, Known(scale=scale, variance=variance))["relevant_distance"]
    assert found == pytest.approx(expected, rel=0.05)


def test_irrelevant_codes_are_measured_against_the_standard_normal(data):
    found = values(data, Known(relevant=False, scale=0.8, variance=0.36))
    assert set(found) == {"irrelevant_distance", "irrelevant_kl", "irrelevant_active"}
    assert found["irrelevant_distance"] == pytest.approx(1, rel=0.05)
    second = 0.64 * data.test.x.square().mean().item()
    kl = 0.5 * (second + 0.36 - 1 - math.log(0.36))
    assert found["irrelevant_kl"] == pytest.approx(kl, rel=1e-5)
    assert found["irrelevant_active"] == 100


def test_a_collapsed_code_is_seen(data):
    found = values(data, Known(relevant=False, scale=0.0, variance=1.0))
    assert found["irrelevant_kl"] == pytest.approx(0, abs=1e-6)
    assert found["irrelevant_active"] == 0
    assert found["irrelevant_distance"] == pytest.approx(1)


def test_an_untrained_model_has_all_four_values(data):
    model = LrLiVAE(SPEC).eval()
    found = values(data, model)
    z_s = model.encoder_s(data.test.x)
    expected = (z_s - model.prior.means[data.test.y]).square().mean()
    assert found["relevant_distance"] == pytest.approx(expected.item(), rel=1e-5)
    assert len(found) == 4


def rates(data, model):
    context = Context(data, CPU, cache=None, model=model)
    found = Rate().measure(SampleSet(data.test.x, data.test.y, SPEC), context)
    assert [m.metric for m in found] == ["rate", "relevant_rate", "irrelevant_rate"]
    return found


def test_the_rate_counts_both_codes(data):
    rate, relevant, irrelevant = rates(data, Known(scale=0.7, variance=0.3))
    x = data.test.x
    posterior, prior = Normal(0.7 * x, 0.3**0.5), Normal(torch.zeros(()), 1.0)
    assert irrelevant.value == pytest.approx(
        kl_divergence(posterior, prior).sum(dim=1).mean().item(), rel=1e-6
    )
    of_class = Normal(torch.zeros(()), 2.0)  # its center is where the mean was moved to
    expected = kl_divergence(posterior, of_class).sum(dim=1).mean().item()
    assert relevant.value == pytest.approx(expected, rel=1e-6)
    assert rate.value == relevant.value + irrelevant.value
    assert rate.protocol == "kl[prior=of-samples,n=4000]"


def test_a_model_without_a_relevant_code_has_the_rate_of_the_other(data):
    rate, relevant, irrelevant = rates(data, Known(relevant=False, variance=0.3))
    assert relevant.reason == "it has no such code"
    assert rate.value == irrelevant.value > 0


def test_a_point_has_no_rate(data):
    rate, relevant, irrelevant = rates(data, Known(variance=0.0))
    assert rate.reason == relevant.reason == "its relevant code is a point"
    assert irrelevant.value > 0


def test_a_collapsed_code_costs_nothing(data):
    *_, irrelevant = rates(data, Known(relevant=False, scale=0.0, variance=1.0))
    assert irrelevant.value == pytest.approx(0, abs=1e-6)
