import pytest
import torch

from bench.data.blobs import Blobs


@pytest.mark.parametrize("shape", [(1, 8), (3, 32)], ids=str)
def test_shape_follows_the_options(shape):
    channels, size = shape
    data = Blobs(image_size=size, channels=channels, classes=4).load()
    assert data.train.x.shape == (4 * 36, channels, size, size)
    assert data.train.x.shape[1:] == data.spec.shape
    assert data.train.x.dtype == torch.uint8
    assert data.validation.y.bincount().tolist() == [4] * 4
    assert data.test.y.bincount().tolist() == [10] * 4


def test_classes_can_be_told_apart():
    data = Blobs().load()
    means = torch.stack([data.train.x[data.train.y == k].float().mean(0) for k in range(3)])
    distances = (data.test.x.float()[:, None] - means).flatten(2).norm(dim=2)
    assert (distances.argmin(1) == data.test.y).float().mean() > 0.95


def test_images_of_a_class_differ():
    x = Blobs(classes=1).load().train.x.flatten(1)
    assert len(x.unique(dim=0)) == len(x)
