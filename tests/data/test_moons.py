import pytest
import torch

from bench.data.moons import CENTERS, Moons


@pytest.fixture(scope="module")
def data():
    return Moons(per_class=4000).load()


def test_split_sizes(data):
    assert data.train.y.bincount().tolist() == [3600] * 3
    assert data.validation.y.bincount().tolist() == [400] * 3
    assert data.test.y.bincount().tolist() == [1000] * 3


@pytest.mark.parametrize("part", ["train", "test"])
@pytest.mark.parametrize("label", range(3))
def test_points_lie_around_the_arc_of_their_class(data, part, label):
    split = getattr(data, part)
    points = split.x[split.y == label] - torch.tensor(CENTERS[label])
    radius = points.norm(dim=1)
    # the noise across the radius adds sigma^2 / 2 to its mean
    assert radius.mean().item() == pytest.approx(1 + 0.15**2 / 2, abs=0.015)
    assert radius.std().item() == pytest.approx(0.15, abs=0.015)


def test_without_noise_points_are_on_the_upper_half_circles():
    data = Moons(per_class=50, noise=0, validation_fraction=0).load()
    points = data.train.x - torch.tensor(CENTERS)[data.train.y]
    torch.testing.assert_close(points.norm(dim=1), torch.ones(150))
    assert points[:, 1].min() >= -1e-6


def test_test_points_are_new_noise(data):
    same_size = Moons(per_class=1000, validation_fraction=0, test_per_class=1000).load()
    assert not same_size.train.x.equal(same_size.test.x)
