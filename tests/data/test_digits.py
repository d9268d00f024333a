import pytest
from sklearn.datasets import load_digits

from bench.data.digits import Digits


@pytest.fixture(scope="module")
def data():
    return Digits().load()


def test_split_sizes(data):
    assert data.test.y.bincount().tolist() == [50] * 10
    assert len(data.train) + len(data.validation) + len(data.test) == 1797
    assert len(data.validation) == pytest.approx(0.1 * 1297, abs=5)
    assert data.validation.y.bincount(minlength=10).min() >= 12


def test_gray_levels_are_stretched_to_bytes(data):
    raw = sorted({int(v) for v in load_digits().images.flatten()})
    levels = {round(v * 255 / 16) for v in raw}
    assert set(data.train.x.unique().tolist()) == levels
    assert {0, 255} <= levels
