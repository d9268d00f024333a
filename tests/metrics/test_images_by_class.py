"""Equally many images of each class, in an order that follows from their content."""

import torch

from bench.metrics.images_by_class import by_class


def images(n, seed=0):
    generator = torch.Generator().manual_seed(seed)
    return torch.randint(256, (n, 1, 8, 8), generator=generator, dtype=torch.uint8)


def test_classes_take_turns_and_the_smallest_decides():
    x, y = images(12), torch.tensor([0, 0, 0, 0, 0, 1, 1, 1, 2, 2, 2, 2])
    found = by_class(x, y, range(3), equal=True)
    assert y[found.indices].tolist() == [0, 1, 2] * 3
    assert found.per_class == 3
    assert len(set(found.indices.tolist())) == 9
    assert y[found.indices[2::3]].tolist() == [2, 2, 2]
    assert torch.equal(found.first(2).indices, found.indices[:6])
    assert found.first(2).name != found.name


def test_the_order_of_storage_does_not_matter():
    x, y = images(30), torch.arange(30) % 3
    order = torch.randperm(30, generator=torch.Generator().manual_seed(1))
    first = by_class(x, y, range(3), equal=True)
    second = by_class(x[order], y[order], range(3), equal=True)
    assert torch.equal(x[first.indices], x[order][second.indices])
    assert first.name == second.name


def test_a_class_without_images_leaves_none():
    assert len(by_class(images(4), torch.tensor([0, 0, 2, 2]), range(3), equal=True)) == 0
