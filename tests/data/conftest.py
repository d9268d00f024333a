"""Every test of this folder has a data folder of its own and no network."""

import numpy as np
import pytest

from bench.data.files.arrays import Arrays
from bench.data.files.npz_files import write


@pytest.fixture(autouse=True)
def data_folder(tmp_path, monkeypatch):
    folder = tmp_path / "bench-data"
    monkeypatch.setenv("BENCH_DATA", str(folder))
    monkeypatch.setenv("BENCH_OFFLINE", "1")
    return folder


def random_arrays(shape, classes, train_per_class=6, test_per_class=2):
    rng = np.random.default_rng(0)

    def part(per_class):
        y = np.tile(np.arange(classes), per_class)
        return rng.integers(0, 256, (len(y), *shape), np.uint8), y

    return Arrays(*part(train_per_class), *part(test_per_class))


@pytest.fixture
def arrays():
    return random_arrays


@pytest.fixture
def save():
    return write
