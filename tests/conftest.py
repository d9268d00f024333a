"""Fixtures that several folders of tests share."""

import hashlib
import io
import os
import subprocess
import sys

import pytest
import torch
import torchvision

from bench import registry
from bench.cli import main
from bench.data.base import DataSet, DataSpec, Split, fingerprint
from bench.data.digits import Digits
from bench.data.moons import Moons
from bench.metrics.base import Context, SampleSet
from bench.metrics.extractors import domain_classifier as domain
from bench.metrics.extractors import small_classifier
from bench.metrics.extractors.domain_classifier import domain_classifier
from bench.record.files import write_atomically
from tests.packages import write_package

CPU = torch.device("cpu")

TINY = """\
# A sweep of seconds.
name: tiny
base: {data: blobs, iterations: 12, batch_size: 16, samples_per_class: 3}
seeds: [0, 1]
variants:
  cvae: {model: {name: cvae, width: 0.25, latent: 4}}
  lr_livae: {model: {name: lr_livae, width: 0.25, relevant: 4, irrelevant: 4}}
"""


@pytest.fixture(autouse=True, scope="session")
def one_thread():
    """Small networks run fastest on one thread, and leave the other core to a neighbor."""
    torch.set_num_threads(1)


@pytest.fixture(autouse=True)
def no_network(monkeypatch, tmp_path_factory):
    """No test may download anything, or see the data sets of the person who runs it."""
    monkeypatch.setenv("BENCH_OFFLINE", "1")
    monkeypatch.setenv("BENCH_DATA", str(tmp_path_factory.getbasetemp() / "bench-data"))
    monkeypatch.delenv("MLFLOW_TRACKING_URI", raising=False)
    monkeypatch.setenv("XDG_CONFIG_HOME", str(tmp_path_factory.getbasetemp() / "no-preferences"))


@pytest.fixture(autouse=True, scope="session")
def shared_classifiers(tmp_path_factory):
    """Train each classifier once for all tests of a session, whatever caches they have."""
    folder = tmp_path_factory.getbasetemp()
    folder = (folder.parent if "PYTEST_XDIST_WORKER" in os.environ else folder) / "classifiers"

    def train(spec, split, report=None, **options):
        recipe = small_classifier.STEPS, small_classifier.EPOCHS, sorted(options.items())
        content = f"{spec} {fingerprint(split)} {recipe}"
        path = folder / hashlib.sha256(content.encode()).hexdigest()
        if path.exists():
            network = small_classifier.SmallClassifier(spec)
            network.load_state_dict(torch.load(path))
            return network.eval()
        network = small_classifier.train_classifier(spec, split, **options)
        buffer = io.BytesIO()
        torch.save(network.state_dict(), buffer)
        write_atomically(path, buffer.getvalue())
        return network

    with pytest.MonkeyPatch.context() as patch:
        patch.setattr(domain, "train_classifier", train)
        yield


@pytest.fixture
def here(tmp_path, monkeypatch):
    """An empty working directory with one tiny sweep in it."""
    monkeypatch.chdir(tmp_path)
    (tmp_path / "tiny.yaml").write_text(TINY)
    return tmp_path


@pytest.fixture
def install(tmp_path, monkeypatch):
    """Install packages in this process; the arguments are those of `write_package`."""

    def install(*package):
        write_package(tmp_path / "site", *package)
        monkeypatch.syspath_prepend(tmp_path / "site")
        registry.registered.cache_clear()

    yield install
    registry.registered.cache_clear()
    for name, module in list(sys.modules.items()):  # so that others may call theirs alike
        if str(getattr(module, "__file__", None)).startswith(str(tmp_path)):
            del sys.modules[name]


@pytest.fixture
def bench(here, capsys):
    """Run the command line in this process; return status, stdout and stderr."""

    def run(*words):
        try:
            main(list(words))
        except SystemExit as end:
            status = end.code or 0
        captured = capsys.readouterr()
        return status, captured.out, captured.err

    return run


@pytest.fixture
def bench_process(here):
    """Start the command line as a process of its own, to be killed."""

    started = []

    def start(*words):
        process = subprocess.Popen(
            [sys.executable, "-m", "bench", *words],
            cwd=here,
            env={**os.environ, "OMP_NUM_THREADS": "1"},
            stdout=subprocess.PIPE,
            stderr=subprocess.PIPE,
            text=True,
        )
        started.append(process)
        return process

    yield start
    for process in started:
        with process:  # which closes the pipes
            process.kill()  # if the test failed


@pytest.fixture(scope="session")
def digits():
    return Digits().load()


@pytest.fixture(scope="session")
def context(digits, tmp_path_factory):
    return Context(digits, CPU, tmp_path_factory.mktemp("cache"))


@pytest.fixture(scope="session")
def classifier(context):
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
    """A file like torchvision's, of random weights, without the large layers that nobody needs."""
    path = tmp_path_factory.mktemp("weights") / "alexnet.pth"
    with torch.random.fork_rng(devices=[]):
        torch.manual_seed(0)
        weights = torchvision.models.alexnet(weights=None).state_dict()
    torch.save({name: value for name, value in weights.items() if value.numel() < 2e6}, path)
    return path
