import pytest
import torch

from bench.data.base import DataSpec
from bench.metrics import within_class_variance as module
from bench.metrics.base import Context, SampleSet
from bench.metrics.extractors.base import FeatureClassifier, FeatureExtractor
from bench.metrics.within_class_variance import WithinClassVariance

CPU = torch.device("cpu")
SPEC = DataSpec("bars", (1, 8, 8), ("a", "b"))


def images(n, seed=0):
    generator = torch.Generator().manual_seed(seed)
    return torch.randint(256, (n, 1, 8, 8), generator=generator, dtype=torch.uint8)


@pytest.fixture
def squares(tiny, tmp_path):
    """A context whose classifier has the squares of the pixels as features."""
    extractor = FeatureExtractor("squares@0", lambda x: (x / 255).square().flatten(1), 64, CPU)
    stub = FeatureClassifier("squares@0", lambda x: x.float(), CPU, extractor)
    return Context(tiny(), CPU, tmp_path, memory={"domain 0": stub})


def measured(samples, context):
    pixels, features = WithinClassVariance().measure(samples, context)
    return pixels.value, features.value


def test_pixels_are_those_of_the_formula(squares, monkeypatch):
    x, y = images(23), torch.zeros(23, dtype=torch.int64)
    expected = (x.double() / 255).var(dim=0).mean().item()
    assert measured(SampleSet(x, y, SPEC), squares)[0] == pytest.approx(expected, rel=1e-12)
    monkeypatch.setattr(module, "BLOCK", 5)
    in_blocks = measured(SampleSet(x, y, SPEC), squares)
    assert in_blocks[0] == pytest.approx(expected, rel=1e-12)
    assert measured(SampleSet(x.flip(0), y, SPEC), squares) == in_blocks


def test_both_are_means_over_the_classes(squares):
    x, y = images(14), torch.arange(14) % 2
    x[y == 1] = 99
    pixels, features = measured(SampleSet(x, y, SPEC), squares)
    other = x[y == 0].double() / 255
    assert pixels == pytest.approx(other.var(dim=0).mean().item() / 2, rel=1e-12)
    assert features == pytest.approx(other.square().var(dim=0).mean().item() / 2, rel=1e-6)


def test_what_differs_between_the_classes_alone_does_not_count(squares):
    y = torch.arange(10) % 2
    x = (200 * y.to(torch.uint8))[:, None, None, None].expand(-1, 1, 8, 8).contiguous()
    assert measured(SampleSet(x, y, SPEC), squares) == (0, 0)


def test_the_protocol_names_the_network_and_the_number(squares):
    pixels, features = WithinClassVariance().measure(
        SampleSet(images(6), torch.arange(6) % 2, SPEC), squares
    )
    assert (pixels.metric, features.metric) == (
        "within_class_variance/pixels",
        "within_class_variance/features",
    )
    assert pixels.protocol == "variance[pixels in 0..1,per_class=3]"
    assert features.protocol == "variance[features,extractor=squares@0,per_class=3]"


def test_real_digits_vary(real, context):
    pixels, features = measured(real, context)
    assert 0.01 < pixels < 0.1
    assert features > 0
