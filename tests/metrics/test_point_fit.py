import pytest
import torch
from scipy.stats import energy_distance as scipy_energy_distance

from bench.data.swiss_roll import SwissRoll
from bench.metrics import point_fit
from bench.metrics.base import SampleSet
from bench.metrics.features import distances
from bench.metrics.point_fit import PointFit, energy_distance


@pytest.fixture(scope="module")
def roll():
    return SwissRoll(per_class=10, test_per_class=400).load()


@pytest.fixture
def fit(contexts, roll):
    """Measure points; return the three values by name."""

    def measure(x, y=roll.test.y, data=roll):
        found = PointFit().measure(SampleSet(x, y, data.spec), contexts(data))
        return {one.metric: one.value for one in found}

    return measure


def normal(n, seed, shift=0.0, dimensions=2):
    generator = torch.Generator().manual_seed(seed)
    return shift + torch.randn(n, dimensions, generator=generator, dtype=torch.float64)


def test_real_test_points_fit_themselves(fit, roll):
    assert fit(roll.test.x) == {
        "point_coverage": 100,
        "point_precision": 100,
        "point_distance": pytest.approx(0, abs=1e-7),
    }


def test_a_half_of_the_points_far_away_halves_the_precision_alone(fit, roll):
    x = roll.test.x.clone()
    x[::2] += 1000
    y = roll.test.y
    found = fit(torch.cat((x, roll.test.x)), torch.cat((y, y)))
    assert found["point_coverage"] == 100
    assert found["point_precision"] == 75


def test_on_a_grid_the_radius_is_two_spacings(fit):
    """Points 0 to 9 of a line, of both classes; one sample at 4.5 covers those at 3 to 6."""
    line = torch.zeros(10, 3)
    line[:, 0] = torch.arange(10)
    data = SwissRoll(per_class=10, test_per_class=10).load()
    data.test.x[:10], data.test.x[10:] = line, line
    x = torch.tensor([[4.5, 0, 0], [4.5, 0, 0], [4.5, 0, 0], [14.5, 0, 0]])
    found = fit(x, torch.tensor([0, 0, 1, 1]), data)
    assert found["point_coverage"] == 40
    assert found["point_precision"] == 75


def test_other_points_of_the_same_roll_fit(fit):
    other = SwissRoll(per_class=10, test_per_class=400, split_seed=1).load().test
    found = fit(other.x, other.y)
    assert found["point_coverage"] > 90
    assert found["point_precision"] > 90
    assert found["point_distance"] < 0.5


def test_samples_of_the_wrong_class_fit_badly(fit, roll):
    found = fit(roll.test.x, 1 - roll.test.y)
    assert found["point_coverage"] < 20
    assert found["point_distance"] > 2


def test_points_of_the_plane_are_measured_too(fit, moons):
    found = fit(moons.test.x, moons.test.y, moons)
    assert found["point_coverage"] == found["point_precision"] == 100


def test_the_size_of_a_block_changes_nothing(fit, roll, monkeypatch):
    x = roll.test.x + 0.5
    expected = fit(x)
    monkeypatch.setattr(distances, "BLOCK", 1000)
    assert fit(x) == pytest.approx(expected, rel=1e-12)


def test_many_points_are_thinned_evenly(fit, roll, monkeypatch):
    expected = fit(roll.test.x + 0.5)
    monkeypatch.setattr(point_fit, "MOST", 200)
    assert fit(roll.test.x + 0.5)["point_distance"] == pytest.approx(
        expected["point_distance"], rel=0.2
    )


def test_one_point_a_class_gives_reasons_instead_of_values(contexts, roll):
    single = SampleSet(torch.zeros(2, 3), torch.arange(2), roll.spec)
    found = PointFit().measure(single, contexts(roll))
    assert {(m.value, m.reason) for m in found} == {(None, "one point a class has no neighbor")}


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
