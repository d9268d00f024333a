import math

import pytest
import torch

from bench.data.swiss_roll import SHEET, SwissRoll


def turns(x):
    """Return the angle of points without noise, which is their distance from the axis."""
    return x[:, [0, 2]].norm(dim=1)


@pytest.mark.parametrize(
    ("cut", "place", "at"), [("height", lambda x: x[:, 1], 10), ("turn", turns, 3 * math.pi)]
)
def test_classes_are_the_two_sides_of_the_cut(cut, place, at):
    data = SwissRoll(per_class=400, cut=cut).load()
    assert data.train.y.bincount().tolist() == [360] * 2
    assert data.test.y.bincount().tolist() == [1000] * 2
    for split in (data.train, data.validation, data.test):
        assert torch.equal(place(split.x) > at, split.y == 1)
    assert data.spec.attributes == data.spec.class_names[1:]
    assert data.spec.attributes_of(torch.tensor([0, 1])).tolist() == [[0], [1]]


def test_points_fill_the_sheet_and_lie_on_it():
    x = SwissRoll(per_class=2000).load().train.x.double()
    angle = turns(x)
    torch.testing.assert_close(x[:, 0], angle * angle.cos(), atol=1e-4, rtol=0)
    torch.testing.assert_close(x[:, 2], angle * angle.sin(), atol=1e-4, rtol=0)
    for column, (low, high) in ((angle, SHEET["turn"]), (x[:, 1], SHEET["height"])):
        assert low - 1e-4 <= column.min() < low + 0.1
        assert high - 0.1 < column.max() <= high + 1e-4
    assert angle.mean().item() == pytest.approx(3 * math.pi, abs=0.15)


def test_noise_is_around_the_sheet():
    clean, noisy = (SwissRoll(per_class=2000, noise=n).load().train.x for n in (0, 0.5))
    offset = noisy - clean
    assert offset.std(dim=0).tolist() == pytest.approx([0.5] * 3, abs=0.03)


def test_test_points_are_further_draws():
    data = SwissRoll(per_class=1000, validation_fraction=0).load()
    assert not data.train.x.equal(data.test.x)
