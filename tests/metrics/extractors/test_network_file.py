"""A network from a file; all are tiny, and most are TorchScript, which is quick to write."""

import shutil

import pytest
import torch
import torch.nn.functional as F

from bench.data.base import to_float
from bench.errors import BenchError, NotApplicable
from bench.metrics.base import SampleSet
from bench.metrics.class_accuracy import ClassAccuracy
from bench.metrics.extractors import network_file
from bench.metrics.extractors.feature_cache import features, sample_logits
from bench.metrics.extractors.network_file import Network, network_features, network_logits
from bench.metrics.features.cmmd import ClipDistance
from bench.metrics.features.density_coverage import DensityCoverage
from bench.metrics.features.fid import FrechetDistance
from bench.metrics.features.kid import KernelDistance
from bench.metrics.features.precision_recall import PrecisionRecall
from bench.metrics.images_by_class import ImageSet
from bench.metrics.inception_score import InceptionScore, inception_score
from bench.spec import run_config
from bench.spec.validation import KeyProblem
from tests.metrics.networks import (
    Logits,
    Maps,
    Misnamed,
    Named,
    Normed,
    One,
    Pair,
    Pixels,
    Three,
    Whole,
)


def some(context, n=9):
    data = context.data
    return SampleSet(data.test.x[:n], data.test.y[:n], data.spec)


def test_logits_and_features_are_those_of_the_network(saved, contexts):
    context, network = contexts(), Pair()
    option = Network(path=saved(network))
    x = context.data.test.x
    logits, fields = network(to_float(x))
    torch.testing.assert_close(network_logits(context, option).logits(x), logits.detach())
    extractor = network_features(context, option)
    rows = torch.arange(24)
    found = features(context, extractor, ImageSet(x, rows, rows, 0 * rows, 1, []), is_real=False)
    torch.testing.assert_close(found, fields.detach())
    assert (extractor.width, extractor.is_slow) == (4, True)


@pytest.mark.parametrize("form", [Named, Pair])
def test_a_dict_and_a_pair_say_the_same(saved, contexts, form):
    context, path = contexts(), saved(form())
    found = network_logits(context, Network(path=path)).logits(context.data.test.x)
    torch.testing.assert_close(found, Logits()(to_float(context.data.test.x)).detach())
    assert network_features(context, Network(path=path)).width == 4


def test_an_exported_program_gives_what_the_network_gives(contexts, tmp_path):
    context, network, path = contexts(), Pair().eval(), tmp_path / "net.pt2"
    batch = torch.export.Dim("batch")
    example = (torch.zeros(2, 1, 8, 8),)
    program = torch.export.export(network, example, dynamic_shapes=({0: batch},))
    torch.export.save(program, path)
    x = context.data.test.x
    found = network_logits(context, Network(path=str(path))).logits(x)
    torch.testing.assert_close(found, network(to_float(x))[0].detach())


METRICS = {
    "inception_score": InceptionScore,
    "class_accuracy": ClassAccuracy,
    "kid": KernelDistance,
    "cmmd": ClipDistance,
    "precision_recall": PrecisionRecall,
    "density_coverage": DensityCoverage,
    "fid": FrechetDistance,
}


@pytest.mark.parametrize("metric", METRICS.values(), ids=METRICS)
def test_every_metric_with_the_option_takes_it(metric, saved, contexts):
    context, option = contexts(), Network(path=saved(Pair()))
    name = network_logits(context, option).name
    for found in metric(extractor=option).measure(some(context, 24), context):
        assert f"extractor={name}," in found.protocol
        assert found.value is not None
    assert not (context.cache / "extractors").exists(), "no classifier was trained"


def test_scores_are_those_of_its_logits(saved, contexts):
    context, option = contexts(), Network(path=saved(Logits()))
    logits = Logits()(to_float(context.data.test.x)).detach()
    (score,) = InceptionScore(extractor=option).measure(some(context, 24), context)
    assert score.value == pytest.approx(inception_score(logits), rel=1e-5)
    (share,) = ClassAccuracy(extractor=option).measure(some(context, 24), context)
    right = (logits.argmax(1) == context.data.test.y).double().mean().item()
    assert share.value == pytest.approx(100 * right)


def test_the_name_follows_from_content_and_options_and_not_from_the_path(saved, contexts):
    context, path = contexts(), saved(Pair())
    copy = shutil.copy(path, path.replace("net.pt", "copy.pt"))
    other = saved(Pair(4), "other.pt")
    names = [
        network_logits(context, Network(**options)).name
        for options in (
            {"path": path},
            {"path": copy},
            {"path": other},
            {"path": path, "size": 16},
            {"path": path, "range": (0, 1)},
        )
    ]
    assert names[0] == names[1]
    assert len(set(names)) == 4
    assert names[0].startswith("network@")
    assert names[0].endswith(";range=-1..1")
    assert names[3].endswith(";range=-1..1;size=16")


def seen(context, x, path, **options):
    """Return what a network that repeats its input was given."""
    return network_logits(context, Network(path=path, **options)).logits(x)


def test_the_range_is_what_0_and_255_become(saved, contexts):
    context, path = contexts(), saved(Pixels())
    x = torch.tensor([0, 51, 255], dtype=torch.uint8).repeat(64, 1).T.reshape(3, 1, 8, 8)
    for low, high in ((-1, 1), (0, 1), (-0.99609375, 0.99609375), (0, 255)):
        found = seen(context, x, path, range=(low, high))
        expected = torch.tensor([low, low + 0.2 * (high - low), high])
        torch.testing.assert_close(found[:, 0], expected, rtol=1e-5, atol=1e-6)


@pytest.mark.parametrize("size", [4, 20])
def test_images_are_resized_bilinearly(saved, contexts, size):
    context = contexts()
    x = context.data.test.x
    found = seen(context, x, saved(Pixels()), size=size)
    shrinks = size < 8
    expected = F.interpolate(x.float(), (size, size), mode="bilinear", antialias=shrinks)
    torch.testing.assert_close(found, (expected / 127.5 - 1).flatten(1), rtol=1e-4, atol=1e-5)


def test_gray_images_are_repeated_for_networks_of_color(saved, contexts):
    context, path = contexts(), saved(Pair(channels=3))
    with pytest.raises(BenchError, match=r"cannot process images \[2, 1, 8, 8\]"):
        seen(context, context.data.test.x, path)
    found = seen(context, context.data.test.x, path, color=True)
    expected = Pair(channels=3)(to_float(context.data.test.x).repeat(1, 3, 1, 1))[0]
    torch.testing.assert_close(found, expected.detach())


def test_it_is_opened_once_and_leaves_the_random_state_alone(saved, contexts):
    context, option, before = contexts(), Network(path=saved(Pair())), torch.get_rng_state()
    network_logits(context, option)
    count = len(context.memory)
    network_features(context, Network(path=option.path))
    assert len(context.memory) == count
    assert torch.equal(torch.get_rng_state(), before)


def test_all_metrics_of_one_evaluation_share_a_pass(saved, contexts, monkeypatch):
    context, option, seen = contexts(), Network(path=saved(Pair())), []
    run = network_file._run

    def counting(program, x, network):
        seen.append(len(x))
        return run(program, x, network)

    monkeypatch.setattr(network_file, "_run", counting)
    samples = SampleSet(255 - context.data.test.x, context.data.test.y, context.data.spec)
    for metric in METRICS.values():
        metric(extractor=option).measure(samples, context)
    assert sum(seen) == (2 + 1) + 24 + 24, "two trials, the samples, the training images"


def test_logits_are_in_the_order_of_the_samples(saved, contexts):
    context, option = contexts(), Network(path=saved(Pair()))
    classifier = network_logits(context, option)
    found = sample_logits(context, classifier, some(context, 24))
    torch.testing.assert_close(found, classifier.logits(context.data.test.x))
    assert found.shape == (24, 3)
    uneven = some(context, 23)
    torch.testing.assert_close(sample_logits(context, classifier, uneven), found[:23])


def test_points_are_not_applicable(contexts, moons):
    with pytest.raises(NotApplicable, match="moons are not images"):
        network_logits(contexts(moons), Network(path="net.pt"))


def test_an_exported_program_of_one_batch_size_is_refused(contexts, tmp_path):
    program = torch.export.export(Pair().eval(), (torch.zeros(2, 1, 8, 8),))
    torch.export.save(program, tmp_path / "net.pt2")
    with pytest.raises(BenchError, match=r"net\.pt2 cannot process images \[1, 1, 8, 8\]"):
        network_logits(contexts(), Network(path=str(tmp_path / "net.pt2")))


@pytest.mark.parametrize(
    ("network", "message"),
    [
        (Maps, r"must return logits \[B, K\]; for 2 images it returned \[2, 1, 8, 8\]"),
        (Whole, r"must return logits \[B, K\]; for 2 images it returned \[1, 64\]"),
        (One, "returned one logit an image; at least 2 classes are needed"),
        (Three, r"a pair \(logits, features\), or a dict with these names; it returned tuple"),
        (Misnamed, "it returned dict of embedding"),
        (Normed, r"other outputs for an image in a batch than alone.*net\.eval\(\)"),
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
    with pytest.raises(BenchError, match=r"net\.pt gives only logits, and features .* needed"):
        FrechetDistance(extractor=Network(path=path)).measure(some(context), context)
    option = Network(path=path, gives="features")
    with pytest.raises(BenchError, match=r"gives only features, and logits .* needed"):
        InceptionScore(extractor=option).measure(some(context), context)


def test_class_accuracy_needs_a_logit_for_each_class(saved, contexts):
    context, option = contexts(), Network(path=saved(Pair(4)))
    with pytest.raises(BenchError, match=r"predicts 4 classes, and tiny has 3"):
        ClassAccuracy(extractor=option).measure(some(context), context)


@pytest.mark.parametrize("suffix", [".pt", ".pt2"])
@pytest.mark.parametrize("content", ["text", "weights", None])
def test_a_file_without_a_network_is_an_error(contexts, tmp_path, suffix, content):
    path = tmp_path / f"net{suffix}"
    if content == "text":
        path.write_text("no network")
    elif content == "weights":
        torch.save({"weight": torch.zeros(1)}, path)
    kind = "torch.export" if suffix == ".pt2" else "TorchScript"
    message = f"is not a {kind} network, or damaged" if content else "there is no file .*net"
    with pytest.raises(BenchError, match=message):
        network_logits(contexts(), Network(path=str(path)))


RUN = {"model": {"name": "cvae"}, "data": {"name": "blobs"}, "seed": 0, "iterations": 2}


def test_a_sweep_names_the_file_and_its_options(here):
    (here / "net.pt2").touch()
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
        (
            "incepton",
            r"expected one of 'domain', .*, got \"incepton\" \(did you mean 'inception'\?",
        ),
        ("DINOv3", r"extractor: expected .* got \"DINOv3\" \(did you mean 'dinov2'\?\)$"),
        ("zebra", r"'clip' or 'pixels', got \"zebra\"$"),
    ],
)
def test_a_wrong_option_is_named(option, message):
    with pytest.raises(KeyProblem, match=message):
        run_config.complete_settings({**RUN, "metrics": [{"name": "fid", "extractor": option}]})
