"""The digits and the classifier that judges them, trained once for all tests of this folder."""

import pytest
import torch
import torchvision

from bench.data.base import DataSet, DataSpec, Split, fingerprint
from bench.data.digits import Digits
from bench.data.moons import Moons
from bench.metrics.base import Context, SampleSet
from bench.metrics.extractors.domain import domain_classifier

CPU = torch.device("cpu")


@pytest.fixture(scope="session")
def digits():
    return Digits().load()


@pytest.fixture(scope="session")
def context(digits, tmp_path_factory):
    return Context(digits, CPU, tmp_path_factory.mktemp("cache"))


@pytest.fixture(scope="session")
def judge(context):
    return domain_classifier(context)


@pytest.fixture(scope="session")
def real(digits):
    return SampleSet(digits.test.x, digits.test.y, digits.spec)


@pytest.fixture
def tiny():
    """Make a data set of random images whose classifier takes no time to train."""

    def make(seed=0, flip=False, channels=1):
        generator = torch.Generator().manual_seed(seed)
        x = torch.randint(256, (24, channels, 8, 8), generator=generator, dtype=torch.uint8)
        split = Split(x, torch.arange(24) % 3)
        spec = DataSpec("tiny", (channels, 8, 8), ("a", "b", "c"))
        return DataSet(spec, split, split, split, flip, fingerprint(split, split, split))

    return make


@pytest.fixture
def contexts(tiny, tmp_path):
    """Make contexts as a new process would, all with one cache."""

    def make(data=None, **options):
        return Context(data or tiny(), CPU, tmp_path / "cache", **options)

    return make


@pytest.fixture(scope="session")
def moons():
    return Moons(per_class=300, test_per_class=400).load()


@pytest.fixture(scope="session")
def moons_samples(moons):
    return SampleSet(moons.test.x, moons.test.y, moons.spec)


@pytest.fixture(scope="session")
def alexnet(tmp_path_factory):
    """A file like torchvision's, of random weights."""
    path = tmp_path_factory.mktemp("weights") / "alexnet.pth"
    with torch.random.fork_rng(devices=[]):
        torch.manual_seed(0)
        torch.save(torchvision.models.alexnet(weights=None).state_dict(), path)
    return path
