"""Files that hold no network, networks that return something else, and options that are wrong."""

import pytest
import torch

from bench.errors import BenchError
from bench.metrics.base import SampleSet
from bench.metrics.class_accuracy import ClassAccuracy
from bench.metrics.extractors.network_file import Network, network_features, network_logits
from bench.metrics.fid import FrechetDistance
from bench.metrics.inception_score import InceptionScore
from bench.spec import run_config
from bench.spec.validation import KeyProblem
from tests.metrics.networks import Logits, Maps, Misnamed, Normed, One, Pair, Three, Whole, save


@pytest.fixture
def saved(tmp_path):
    """Save a network as TorchScript and return its path."""

    def make(network, name="net.pt"):
        return save(network, tmp_path / name)

    return make


def rows(context, n=9):
    data = context.data
    return SampleSet(data.test.x[:n], data.test.y[:n], data.spec)


def test_an_exported_program_of_one_batch_size_is_refused(contexts, tmp_path):
    program = torch.export.export(Pair().eval(), (torch.zeros(2, 1, 8, 8),))
    torch.export.save(program, tmp_path / "net.pt2")
    with pytest.raises(BenchError, match=r"net\.pt2 cannot judge images \[1, 1, 8, 8\]"):
        network_logits(contexts(), Network(path=str(tmp_path / "net.pt2")))


@pytest.mark.parametrize(
    ("network", "message"),
    [
        (Maps, r"must return logits \[B, K\]; for 2 images it returned \[2, 1, 8, 8\]"),
        (Whole, r"must return logits \[B, K\]; for 2 images it returned \[1, 64\]"),
        (One, "returned one logit an image; at least 2 classes are needed"),
        (Three, r"a pair \(logits, features\), or a dict with these names; it returned tuple"),
        (Misnamed, "it returned dict of embedding"),
        (Normed, r"otherwise beside another one than alone.*net\.eval\(\)"),
    ],
)
def test_what_a_network_returns_is_checked(saved, contexts, network, message):
    with pytest.raises(BenchError, match=message):
        network_logits(contexts(), Network(path=saved(network())))


def test_features_of_the_wrong_shape_are_named(saved, contexts):
    option = Network(path=saved(Maps()), gives="features")
    with pytest.raises(BenchError, match=r"must return features \[B, D\]; for 2 images"):
        network_features(contexts(), option)


def test_what_is_needed_and_not_there_is_said(saved, contexts):
    context, path = contexts(), saved(Logits())
    with pytest.raises(BenchError, match=r"net\.pt gives logits alone, and features .* needed"):
        FrechetDistance(extractor=Network(path=path)).measure(rows(context), context)
    option = Network(path=path, gives="features")
    with pytest.raises(BenchError, match=r"gives features alone, and logits .* needed"):
        InceptionScore(extractor=option).measure(rows(context), context)


def test_class_accuracy_needs_a_logit_for_each_class(saved, contexts):
    context, option = contexts(), Network(path=saved(Pair(4)))
    with pytest.raises(BenchError, match=r"tells 4 classes apart and tiny has 3"):
        ClassAccuracy(extractor=option).measure(rows(context), context)


@pytest.mark.parametrize("suffix", [".pt", ".pt2"])
@pytest.mark.parametrize("content", ["text", "weights", None])
def test_a_file_without_a_network_is_an_error(contexts, tmp_path, suffix, content):
    path = tmp_path / f"net{suffix}"
    if content == "text":
        path.write_text("no network")
    elif content == "weights":
        torch.save({"weight": torch.zeros(1)}, path)
    kind = "torch.export" if suffix == ".pt2" else "TorchScript"
    message = f"is no {kind} network, or damaged" if content else "there is no file .*net"
    with pytest.raises(BenchError, match=message):
        network_logits(contexts(), Network(path=str(path)))


RUN = {"model": {"name": "cvae"}, "data": {"name": "blobs"}, "seed": 0, "iterations": 2}


def test_a_sweep_names_the_file_and_its_options():
    option = {"path": "net.pt2", "size": 160, "range": [0, 1]}
    run = run_config.complete_settings({**RUN, "metrics": [{"name": "fid", "extractor": option}]})
    (metric,) = run.metrics()
    assert metric.extractor == Network(path="net.pt2", size=160, range=(0.0, 1.0))


@pytest.mark.parametrize(
    ("option", "message"),
    [
        ({"path": "a", "sise": 3}, r"extractor\.sise: unknown key 'sise' \(did you mean 'size'"),
        ({"size": 3}, r"extractor\.path: is required; known keys: color, gives, path, range"),
        ({"path": "a", "size": 0}, r"extractor\.size: must be > 0, got 0"),
        ("incepton", r"extractor: expected one of 'domain' or 'inception', got \"incepton\""),
    ],
)
def test_a_wrong_option_is_named(option, message):
    with pytest.raises(KeyProblem, match=message):
        run_config.complete_settings({**RUN, "metrics": [{"name": "fid", "extractor": option}]})
