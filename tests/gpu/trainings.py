"""Trainings on either device, and whether two of them are the same."""

import pytest
import torch

from bench.spec.run_settings import Average
from bench.spec.switches import EAGER
from bench.training.trainer import Trainer
from tests.fake_graph import rated

ON_GPU = (
    pytest.mark.gpu,
    pytest.mark.skipif(not torch.cuda.is_available(), reason="no GPU"),
    # A warning that nobody has seen yet should not hide what a test is about.
    pytest.mark.filterwarnings("default"),
)
only_on_gpu = pytest.mark.parametrize("device", [pytest.param("cuda", marks=ON_GPU)], indirect=True)


def on_gpu_and(on_cpu, argument, values):
    """Run a test on a GPU for each value of an argument, and on a CPU for some of them."""
    cases = [pytest.param(value, "cuda", marks=ON_GPU) for value in values]
    cases += [(value, "cpu") for value in on_cpu]
    return pytest.mark.parametrize((argument, "device"), cases, indirect=["device"])


def moving(under_test):
    """Return settings with which all that a graph has to hold moves."""
    average = Average(decay=0.9, players=list(under_test.model().players()))
    return {"optimizers": rated(under_test), "clip_norm": 0.5, "average": average}


def trainer_of(under_test, folder, device, switches=EAGER, **changes):
    """Return a trainer in a folder that is made."""
    folder.mkdir(exist_ok=True, parents=True)
    training = under_test.training.model_copy(update=changes)
    return Trainer(training, under_test.data, folder, device, "", switches)


def assert_same(device, expected, found):
    """Compare all that iterations change: bit by bit on a GPU.

    On a CPU eager mode has its rates as numbers in Python, which are more precise.
    """
    exact = {"rtol": 0, "atol": 0} if device.type == "cuda" else {"rtol": 1e-4, "atol": 1e-5}
    for a, b in zip(expected._tensors(), found._tensors(), strict=True):
        torch.testing.assert_close(b, a, **exact)
