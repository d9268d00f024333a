import pytest
import torch

from bench.data.moons import CENTERS, Moons
from bench.metrics import point_fit
from bench.metrics.base import SampleSet
from bench.metrics.features import distances
from bench.metrics.point_fit import ArcFit


@pytest.fixture
def fit(contexts, moons):
    """Measure points; return the three values by name."""

    def measure(x, y=moons.test.y):
        found = ArcFit().measure(SampleSet(x, y, moons.spec), contexts(moons))
        return {one.metric: one.value for one in found}

    return measure


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
    monkeypatch.setattr(distances, "BLOCK", 1000)
    assert fit(x) == pytest.approx(expected, rel=1e-12)


def test_many_points_are_thinned_evenly(fit, moons, monkeypatch):
    expected = fit(moons.test.x + 0.1)
    monkeypatch.setattr(point_fit, "MOST", 200)
    assert fit(moons.test.x + 0.1) == pytest.approx(expected, rel=0.2)


def test_the_protocol_tells_how_many_points(contexts, moons, moons_samples):
    found = ArcFit().measure(moons_samples, contexts(moons))
    assert {one.protocol for one in found} == {"arcs[radius=0.1,per_class=400,real=400]"}


def test_one_point_a_class_gives_reasons_instead_of_values(contexts, moons):
    single = SampleSet(torch.zeros(3, 2), torch.arange(3), moons.spec)
    for one in ArcFit().measure(single, contexts(moons)):
        assert one.value is None
        assert one.reason == "one point a class has no spread"
