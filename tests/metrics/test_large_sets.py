"""The customary 50 000 samples fit in memory: a metric's memory grows no faster than they do."""

import pytest
import torch
from torch.utils._python_dispatch import TorchDispatchMode

from bench import registry
from bench.data.base import DataSet, DataSpec, Split
from bench.metrics import ms_ssim_native, within_class_variance
from bench.metrics.base import SampleSet
from bench.metrics.extractors import base, feature_cache
from bench.metrics.features import distances
from tests.metrics.bars import context_of

OPTIONS = {
    "inception_score": {"splits": 10},
    "class_accuracy": {},
    "fid": {"per_class": True},
    "kid": {"subset_size": 20},
    "cmmd": {"extractor": "domain"},
    "precision_recall": {},
    "density_coverage": {},
    "memorization": {},
    "intra_class_diversity": {"per_class": 2, "size": 161},
    "intra_class_diversity_native": {"per_class": 3},
    "within_class_variance": {},
    "classification_accuracy_score": {"per_class": 4},
}


class Largest(TorchDispatchMode):
    """Remembers the bytes of the largest tensor that any operation returned."""

    bytes = 0

    def __torch_dispatch__(self, function, types, args=(), kwargs=None):
        found = function(*args, **(kwargs or {}))
        for value in found if isinstance(found, tuple | list) else [found]:
            if isinstance(value, torch.Tensor):
                self.bytes = max(self.bytes, value.untyped_storage().nbytes())
        return found


@pytest.fixture(autouse=True)
def small_parts(monkeypatch, short_training):
    short_training(1)
    for module, name, value in (
        (base, "IMAGES_PER_PASS", 10),
        (feature_cache, "PART", 50),
        (distances, "BLOCK", 2**13),
        (ms_ssim_native, "CHUNK", 2),
        (within_class_variance, "BLOCK", 10),
    ):
        monkeypatch.setattr(module, name, value)


def make(per_class):
    generator = torch.Generator().manual_seed(per_class)
    y = torch.arange(3).repeat_interleave(per_class)
    x = torch.randint(256, (len(y), 1, 8, 8), generator=generator, dtype=torch.uint8)
    return Split(x, y)


def pooled(x):
    return torch.nn.functional.pad(x.float().mean(dim=2)[:, 0] / 255, (0, 1))


def largest(name, per_class, tmp_path):
    """Return the bytes of the largest tensor that a metric makes."""
    spec, test = DataSpec("noise", (1, 8, 8), ("a", "b", "c")), make(5)
    data = DataSet(spec, make(per_class), test, test, False, "0" * 64)
    context = context_of(data, tmp_path, logits=lambda x: pooled(x)[:, :3], features=pooled)
    made = make(per_class + 1)
    samples = SampleSet(made.x, made.y, spec)
    with Largest() as found:
        measured = registry.load("metric", name)(**OPTIONS[name]).measure(samples, context)
    assert all(one.value is not None for one in measured)
    return found.bytes


@pytest.mark.parametrize("name", OPTIONS)
def test_memory_grows_no_faster_than_the_samples(name, tmp_path):
    assert largest(name, 400, tmp_path) <= 4.1 * largest(name, 100, tmp_path)
