import subprocess
import sys

import pytest
from sklearn.datasets import load_digits

from bench.data.base import fingerprint
from bench.data.digits import Digits


@pytest.fixture(scope="module")
def data():
    return Digits().load()


def test_spec_matches_the_images(data):
    assert data.spec == Digits().spec
    assert data.train.x.shape[1:] == data.spec.shape == (1, 8, 8)
    assert data.spec.classes == 10
    assert not data.flip


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


def test_split_seed_changes_the_splits(data):
    other = Digits(split_seed=1).load()
    assert other.fingerprint != data.fingerprint
    assert not other.test.x.equal(data.test.x)


def test_fingerprint_is_that_of_the_splits_and_equal_in_another_process(data):
    code = "from bench.data.digits import Digits; print(Digits().load().fingerprint)"
    other = subprocess.run([sys.executable, "-c", code], capture_output=True, text=True, check=True)
    assert other.stdout.strip() == data.fingerprint
    assert fingerprint(data.train, data.validation, data.test) == data.fingerprint
