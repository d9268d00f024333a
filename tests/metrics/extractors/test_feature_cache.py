"""Features, computed once; no network is trained."""

from collections import OrderedDict
from dataclasses import replace

import numpy as np
import pytest
import torch

from bench.errors import BenchError
from bench.metrics.extractors import base, feature_cache
from bench.metrics.extractors.base import FeatureExtractor
from bench.metrics.extractors.feature_cache import features
from bench.metrics.images_by_class import ImageSet

CPU = torch.device("cpu")


def images(n, seed=0, shape=(1, 8, 8)):
    generator = torch.Generator().manual_seed(seed)
    return torch.randint(256, (n, *shape), generator=generator, dtype=torch.uint8)


@pytest.fixture
def pixels():
    """Make an extractor whose features are the pixels, and which counts what it sees."""

    def make(name="pixels@0", is_slow=False, value=None):
        seen = []

        def features_of(x):
            seen.append(len(x))
            return x.flatten(1).float() if value is None else torch.full((len(x), 64), value)

        extractor = FeatureExtractor(name, features_of, 64, CPU, is_slow)
        return extractor, seen

    return make


@pytest.fixture
def small_parts(monkeypatch):
    monkeypatch.setattr(feature_cache, "PART", 10)
    monkeypatch.setattr(base, "IMAGES_PER_PASS", 5)


def taken(context, extractor, x, rows=None, is_real=False):
    rows = torch.arange(len(x)) if rows is None else rows
    return features(context, extractor, ImageSet(x, rows, rows, 0 * rows, 1, []), is_real=is_real)


def test_all_rows_come_in_order_whatever_the_parts(contexts, pixels, small_parts):
    x = images(23)
    found = taken(contexts(), pixels()[0], x)
    assert torch.equal(found, x.flatten(1).float())


def test_the_same_images_are_seen_once_and_a_longer_set_shares_its_beginning(
    contexts, pixels, small_parts
):
    context, (extractor, seen), x = contexts(), pixels(), images(23)
    taken(context, extractor, x)
    taken(context, extractor, x.clone())
    assert sum(seen) == 23
    taken(context, extractor, torch.cat([x[:20], images(4, seed=1)]))
    assert sum(seen) == 27


def test_other_images_weights_or_shapes_are_never_taken_for_each_other(contexts, pixels):
    context, x = contexts(), images(8)
    for extractor, seen in (pixels("a@0"), pixels("a@1")):
        changed = x.clone()
        changed[7, 0, 7, 7] += 1
        for some in (x, changed, x.reshape(8, 1, 4, 16)):
            found = taken(context, extractor, some)
            assert torch.equal(found, some.flatten(1).float())
        assert sum(seen) == 24


def test_only_real_images_of_slow_networks_are_kept_on_disk(contexts, pixels, small_parts):
    x, kept = images(23), contexts().cache / "features"
    taken(contexts(), pixels(is_slow=False)[0], x, is_real=True)
    taken(contexts(), pixels(is_slow=True)[0], x, is_real=False)
    assert not kept.exists()
    taken(contexts(), pixels(is_slow=True)[0], x, is_real=True)
    assert len(list(kept.iterdir())) == 3
    extractor, seen = pixels(is_slow=True)
    assert torch.equal(taken(contexts(), extractor, x, is_real=True), x.flatten(1).float())
    assert seen == []


@pytest.mark.parametrize("content", [b"", b"nothing of use", "shape", "nan"])
def test_a_damaged_file_is_replaced(contexts, pixels, content):
    x = images(7)
    taken(contexts(), pixels(is_slow=True)[0], x, is_real=True)
    (path,) = (contexts().cache / "features").iterdir()
    if isinstance(content, bytes):
        path.write_bytes(content)
    else:
        wrong = np.full((7, 64), np.nan) if content == "nan" else np.zeros((7, 3))
        np.save(path, wrong.astype(np.float32))
    for expected in (7, 0):
        extractor, seen = pixels(is_slow=True)
        found = taken(contexts(), extractor, x, is_real=True)
        assert torch.equal(found, x.flatten(1).float())
        assert sum(seen) == expected


def test_memory_is_bounded_and_the_oldest_part_goes_first(
    contexts, pixels, small_parts, monkeypatch
):
    monkeypatch.setattr(feature_cache, "KEPT_BYTES", 3 * 10 * 64 * 4)
    context, (extractor, seen) = contexts(), pixels()
    found = taken(context, extractor, images(50))
    kept = context.memory["features"]
    assert isinstance(kept, OrderedDict)
    assert len(kept) == 3
    assert torch.equal(found, images(50).flatten(1).float())
    taken(context, extractor, images(50)[20:])
    assert sum(seen) == 50


@pytest.mark.parametrize("value", [float("nan"), float("inf")])
def test_features_that_are_not_finite_are_an_error(contexts, pixels, value):
    with pytest.raises(BenchError, match=r"pixels@0 gave features that are not finite"):
        taken(contexts(), pixels(value=value)[0], images(3))


def test_floating_point_images_are_refused(contexts, pixels):
    with pytest.raises(BenchError, match=r"taken from uint8 images, got torch\.float32"):
        taken(contexts(), pixels()[0], images(3).float())


def test_a_context_for_another_model_shares_what_is_kept(contexts, pixels):
    context, (extractor, seen) = contexts(), pixels()
    taken(context, extractor, images(6))
    taken(replace(context, model=None), extractor, images(6))
    assert sum(seen) == 6
