import pytest
import torch
from scipy.stats import energy_distance as scipy_energy_distance

from bench.data.moons import CENTERS, Moons
from bench.metrics import arc_fit, density_coverage
from bench.metrics.arc_fit import ArcFit, energy_distance
from bench.metrics.base import SampleSet


@pytest.fixture
def fit(contexts, moons):
    """Measure points; return the three values by name."""

    def measure(x, y=moons.test.y):
        found = ArcFit().measure(SampleSet(x, y, moons.spec), contexts(moons))
        return {one.metric: one.value for one in found}

    return measure


def normal(n, seed, shift=0.0, dimensions=2):
    generator = torch.Generator().manual_seed(seed)
    return shift + torch.randn(n, dimensions, generator=generator, dtype=torch.float64)


def test_real_test_points_fit_themselves(fit, moons):
    found = fit(moons.test.x)
    assert list(found) == ["arc_spread", "arc_coverage", "arc_distance"]
    assert found["arc_spread"] == pytest.approx(1)
    assert found["arc_coverage"] == 100
    assert found["arc_distance"] == pytest.approx(0, abs=1e-7)


def test_other_points_of_the_same_arcs_fit(fit):
    other = Moons(per_class=10, test_per_class=400, split_seed=1).load().test
    found = fit(other.x, other.y)
    assert found["arc_spread"] == pytest.approx(1, abs=0.08)
    assert found["arc_coverage"] > 90
    assert found["arc_distance"] < 0.08


def test_arcs_of_half_the_width_have_half_the_spread(fit, moons):
    centers = torch.tensor(CENTERS)[moons.test.y]
    offset = moons.test.x - centers
    radius = offset.norm(dim=1, keepdim=True)
    narrow = centers + offset / radius * (1 + (radius - 1) / 2)
    assert fit(narrow)["arc_spread"] == pytest.approx(0.5, abs=1e-5)


def test_half_an_arc_covers_half(fit, moons):
    centers = torch.tensor(CENTERS)[moons.test.y]
    x = moons.test.x.clone()
    x[:, 0] = centers[:, 0] + (x[:, 0] - centers[:, 0]).abs()
    found = fit(x)
    assert 45 < found["arc_coverage"] < 65
    assert found["arc_distance"] > 0.3


def test_samples_of_the_wrong_class_fit_badly(fit, moons):
    found = fit(moons.test.x, (moons.test.y + 1) % 3)
    assert found["arc_coverage"] < 20
    assert found["arc_distance"] > 1


def test_the_size_of_a_block_changes_nothing(fit, moons, monkeypatch):
    x = moons.test.x + 0.1
    expected = fit(x)
    monkeypatch.setattr(density_coverage, "BLOCK", 1000)
    assert fit(x) == pytest.approx(expected, rel=1e-12)


def test_many_points_are_thinned_evenly(fit, moons, monkeypatch):
    expected = fit(moons.test.x + 0.1)
    monkeypatch.setattr(arc_fit, "MOST", 200)
    assert fit(moons.test.x + 0.1) == pytest.approx(expected, rel=0.2)


def test_the_protocol_tells_how_many_points(contexts, moons, moons_samples):
    for one in ArcFit().measure(moons_samples, contexts(moons)):
        assert one.protocol == "arcs[radius=0.1,per_class=400,real=400]"


def test_one_point_a_class_gives_reasons_instead_of_values(contexts, moons):
    single = SampleSet(torch.zeros(3, 2), torch.arange(3), moons.spec)
    for one in ArcFit().measure(single, contexts(moons)):
        assert one.value is None
        assert one.reason == "one point a class has no spread"


def test_energy_distance_equals_that_of_scipy():
    first, second = normal(50, 0, dimensions=1), normal(70, 1, 0.5, dimensions=1)
    # scipy's is over the distribution functions, and the same up to a factor of its definition
    expected = scipy_energy_distance(first[:, 0].numpy(), second[:, 0].numpy())
    assert energy_distance(first, second).item() == pytest.approx(expected, rel=1e-9)


def test_energy_distance_is_symmetric_and_grows_with_the_shift():
    first = normal(60, 0)
    near, far = normal(40, 1, 0.5), normal(40, 1, 2.0)
    assert energy_distance(first, near) == pytest.approx(energy_distance(near, first).item())
    assert energy_distance(first, near) < energy_distance(first, far)
    assert energy_distance(first, first) == 0
