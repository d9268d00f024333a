"""A network from a file; all are tiny, and most are TorchScript, which is quick to write."""

import shutil

import pytest
import torch
import torch.nn.functional as F

from bench.data.base import to_float
from bench.errors import BenchError, NotApplicable
from bench.metrics.base import SampleSet
from bench.metrics.class_accuracy import ClassAccuracy
from bench.metrics.comparison import judged_logits
from bench.metrics.density_coverage import DensityCoverage
from bench.metrics.extractors import network_file
from bench.metrics.extractors.feature_cache import features
from bench.metrics.extractors.network_file import Network, network_features, network_logits
from bench.metrics.fid import FrechetDistance
from bench.metrics.inception_score import InceptionScore, inception_score
from bench.metrics.kid import KernelDistance
from bench.metrics.precision_recall import PrecisionRecall
from tests.metrics.networks import Logits, Named, Pair, Pixels, save


@pytest.fixture
def saved(tmp_path):
    """Save a network as TorchScript and return its path."""

    def make(network, name="net.pt"):
        return save(network, tmp_path / name)

    return make


def rows(context, n=9):
    data = context.data
    return SampleSet(data.test.x[:n], data.test.y[:n], data.spec)


def test_logits_and_features_are_those_of_the_network(saved, contexts):
    context, network = contexts(), Pair()
    option = Network(path=saved(network))
    x = context.data.test.x
    logits, fields = network(to_float(x))
    torch.testing.assert_close(network_logits(context, option).logits(x), logits.detach())
    extractor = network_features(context, option)
    found = features(context, extractor, x, torch.arange(24), is_real=False)
    torch.testing.assert_close(found.all().float(), fields.detach())
    assert (extractor.width, extractor.is_slow) == (4, True)


@pytest.mark.parametrize("form", [Named, Pair])
def test_a_dict_and_a_pair_say_the_same(saved, contexts, form):
    context, path = contexts(), saved(form())
    found = network_logits(context, Network(path=path)).logits(context.data.test.x)
    torch.testing.assert_close(found, Logits()(to_float(context.data.test.x)).detach())
    assert network_features(context, Network(path=path)).width == 4


def test_an_exported_program_judges_as_the_network_does(contexts, tmp_path):
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
    "precision_recall": PrecisionRecall,
    "density_coverage": DensityCoverage,
    "fid": FrechetDistance,
}


@pytest.mark.parametrize("metric", METRICS.values(), ids=METRICS)
def test_every_judging_metric_takes_it(metric, saved, contexts):
    context, option = contexts(), Network(path=saved(Pair()))
    name = network_logits(context, option).name
    for found in metric(extractor=option).measure(rows(context, 24), context):
        assert f"extractor={name}," in found.protocol
        assert found.value is not None
    assert not (context.cache / "extractors").exists(), "no classifier was trained"


def test_scores_are_those_of_its_logits(saved, contexts):
    context, option = contexts(), Network(path=saved(Logits()))
    logits = Logits()(to_float(context.data.test.x)).detach()
    (score,) = InceptionScore(extractor=option).measure(rows(context, 24), context)
    assert score.value == pytest.approx(inception_score(logits), rel=1e-5)
    (share,) = ClassAccuracy(extractor=option).measure(rows(context, 24), context)
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
    with pytest.raises(BenchError, match=r"cannot judge images \[2, 1, 8, 8\]"):
        seen(context, context.data.test.x, path)
    found = seen(context, context.data.test.x, path, color=True)
    expected = Pair(channels=3)(to_float(context.data.test.x).repeat(1, 3, 1, 1))[0]
    torch.testing.assert_close(found, expected.detach())


def test_it_is_opened_once_and_leaves_the_random_state_alone(saved, contexts):
    context, option, before = contexts(), Network(path=saved(Pair())), torch.get_rng_state()
    network_logits(context, option)
    held = len(context.extractors)
    network_features(context, Network(path=option.path))
    assert len(context.extractors) == held
    assert torch.equal(torch.get_rng_state(), before)


def test_all_metrics_of_one_evaluation_share_a_pass(saved, contexts, monkeypatch):
    context, option, seen = contexts(), Network(path=saved(Pair())), []
    prepared = network_file._prepared

    def counting(x, network):
        seen.append(len(x))
        return prepared(x, network)

    monkeypatch.setattr(network_file, "_prepared", counting)
    samples = SampleSet(255 - context.data.test.x, context.data.test.y, context.data.spec)
    for metric in METRICS.values():
        metric(extractor=option).measure(samples, context)
    assert sum(seen) == (2 + 1) + 24 + 24, "two trials, the samples, the training images"


def test_logits_are_in_the_order_of_the_samples(saved, contexts):
    context, option = contexts(), Network(path=saved(Pair()))
    judge = network_logits(context, option)
    found = judged_logits(context, judge, rows(context, 24))
    torch.testing.assert_close(found, judge.logits(context.data.test.x))
    assert found.shape == (24, 3)
    uneven = rows(context, 23)
    torch.testing.assert_close(judged_logits(context, judge, uneven), found[:23])


def test_points_are_not_applicable(contexts, moons):
    with pytest.raises(NotApplicable, match="moons are no images"):
        network_logits(contexts(moons), Network(path="net.pt"))
