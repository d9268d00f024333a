"""The device of these tests: a GPU if there is one; in `make test` a CPU plays its part."""

import gc

import pytest
import torch

from bench.process.worker import Worker
from tests.fake_graph import use_fake_graphs
from tests.gpu.trainings import ON_GPU


@pytest.fixture(params=["cpu", pytest.param("cuda", marks=ON_GPU)])
def device(request, monkeypatch):
    """A device that is ready for use; graphs on a CPU run the captured function again."""
    if request.param == "cpu":
        use_fake_graphs(monkeypatch)
    yield Worker(request.param).device
    if request.param == "cuda":
        gc.collect()
        torch.cuda.synchronize()  # what went wrong belongs to this test
        torch.cuda.empty_cache()


def pytest_collection_modifyitems(items):
    """Put what takes long last, since a borrowed GPU has little time."""
    items.sort(key=lambda item: "slow" in item.keywords and item.path.parent.name == "gpu")
