import torch

from bench.data.base import to_bytes, to_float

LEVELS = torch.arange(256, dtype=torch.uint8).reshape(1, 1, 16, 16)


def test_bytes_survive_the_round_trip():
    assert to_bytes(to_float(LEVELS)).equal(LEVELS)


def test_range_is_minus_one_to_one():
    x = to_float(LEVELS)
    assert (x.min().item(), x.max().item()) == (-1, 1)


def test_values_outside_are_clamped():
    assert to_bytes(torch.tensor([[[[-3.0, 3.0]]]])).flatten().tolist() == [0, 255]


def test_points_pass_unchanged():
    points = torch.tensor([[0.3, -7.0]])
    assert to_bytes(to_float(points)).equal(points)
