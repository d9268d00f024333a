"""What the four metrics that compare features with those of real images have in common."""

from dataclasses import replace

import pytest
import torch

from bench.data.base import DataSet, DataSpec, Split
from bench.metrics.base import Context, SampleSet
from bench.metrics.features.density_coverage import DensityCoverage
from bench.metrics.features.fid import FrechetDistance
from bench.metrics.features.kid import KernelDistance
from bench.metrics.features.precision_recall import PrecisionRecall
from tests.metrics.bars import CPU, first_of_each

METRICS = (FrechetDistance, KernelDistance, PrecisionRecall, DensityCoverage)
each_metric = pytest.mark.parametrize("metric", METRICS, ids=lambda m: m.name)


def make_data(shape=(1, 8, 8), per_class=80, seed=0):
    """Make bars of a class's own brightness with noise that a classifier does not see through."""
    generator = torch.Generator().manual_seed(seed)
    splits = []
    for _ in range(2):
        y = torch.arange(3).repeat_interleave(per_class)
        noise = torch.randint(-60, 60, (len(y), *shape), generator=generator)
        x = (80 + 40 * y[:, None, None, None] + noise).clamp(0, 255).to(torch.uint8)
        splits.append(Split(x, y))
    return DataSet(DataSpec("bars", shape, tuple("abc")), *splits, splits[1], False, "0" * 64)


@pytest.fixture(autouse=True)
def eight_steps(short_training):
    short_training(8)


@pytest.fixture(scope="module")
def cache(tmp_path_factory):
    return tmp_path_factory.mktemp("cache")


def samples_of(data, name="test", x=None):
    split = getattr(data, name)
    return SampleSet(split.x if x is None else x, split.y, data.spec)


@pytest.fixture(scope="module")
def data():
    return make_data()


@pytest.fixture
def context(data, cache):
    return Context(data, CPU, cache)


def values(metric, samples, context):
    return [found.value for found in metric.measure(samples, context)]


@each_metric
def test_the_protocol_names_all_that_changes_the_number(metric, data, context):
    samples = samples_of(data)
    ids = {metric().measure(samples, context)[0].protocol}
    ids.add(metric(against="test").measure(samples, context)[0].protocol)
    ids.add(metric(extractor_seed=1).measure(samples, context)[0].protocol)
    fewer = SampleSet(samples.x[::2], samples.y[::2], samples.spec)
    ids.add(metric().measure(fewer, context)[0].protocol)
    other = replace(data, train=Split(data.train.x.flip(3), data.train.y))
    elsewhere = Context(other, context.device, context.cache)
    elsewhere.memory["domain 0"] = context.memory["domain 0"]
    ids.add(metric().measure(samples, elsewhere)[0].protocol)
    assert len(ids) == 5
    (protocol,) = {found.protocol for found in metric().measure(samples, context)}
    name = context.memory["domain 0"].name
    assert f"[extractor={name},n=240,real=train:240@" in protocol


@each_metric
def test_test_images_are_not_compared_with_themselves(metric, data, context):
    for samples in (samples_of(data), SampleSet(data.test.x[::4], data.test.y[::4], data.spec)):
        for found in metric(against="test").measure(samples, context):
            assert found.value is None
            assert found.reason == "these are test images, and would be compared with themselves"
            assert found.protocol
    assert None not in values(metric(against="test"), samples_of(data, "train"), context)


@each_metric
def test_copies_of_one_test_image_are_samples_like_any_other(metric, data, context):
    copies = data.test.x[:1].expand(len(data.test.y), -1, -1, -1).contiguous()
    found = metric(against="test").measure(samples_of(data, x=copies), context)
    assert all(f.value is not None for f in found)


@each_metric
def test_noise_is_worse_than_real_images(metric, data, context):
    generator = torch.Generator().manual_seed(5)
    noise = torch.randint(256, data.test.x.shape, generator=generator, dtype=torch.uint8)
    real = values(metric(), samples_of(data), context)
    made = values(metric(), samples_of(data, x=noise), context)
    if metric in (FrechetDistance, KernelDistance):
        assert made[0] > 2 * max(real[0], 0)
    else:
        assert all(m < r for m, r in zip(made, real, strict=True))


@pytest.mark.parametrize(("side", "per_class", "width"), [(8, 22, 64), (64, 6, 256)])
def test_small_and_large_color_images(side, per_class, width, cache, short_training):
    short_training(1)
    data = make_data((3, side, side), per_class)
    context = Context(data, CPU, cache)
    for metric in METRICS:
        for found in metric().measure(samples_of(data), context):
            if metric is FrechetDistance and 3 * per_class <= width:
                assert found.reason.startswith("18 samples are too few for 256 features")
            else:
                assert found.value is not None


@each_metric
def test_a_class_without_training_images_is_a_reason(metric, data, context):
    metric().measure(samples_of(data), context)  # the classifier is there
    train = Split(data.train.x[:160], data.train.y[:160])
    context.data = replace(data, train=train)
    del context.memory["real train"]
    for found in metric().measure(samples_of(data), context):
        assert found.value is None
        assert found.reason == "a class has no training images"


def unequal(data, counts):
    """Return test images, so many of each class."""
    rows = torch.cat([(data.test.y == k).nonzero()[:n, 0] for k, n in enumerate(counts)])
    return SampleSet(data.test.x[rows], data.test.y[rows], data.spec)


@each_metric
def test_unequal_classes_are_taken_whole(metric, data, context):
    whole = metric().measure(unequal(data, (80, 70, 30)), context)[0]
    assert "n=180," in whole.protocol
    assert whole.protocol.endswith("average=micro]")
    assert whole.value is not None


@each_metric
def test_real_classes_of_unequal_size_are_cut_or_taken_whole(metric, data, cache, context):
    metric().measure(samples_of(data), context)  # the classifier is there
    train = data.train.take(torch.cat([torch.arange(80), torch.arange(100, 170)]))
    train = Split(train.x, torch.arange(3).repeat_interleave(torch.tensor([70, 30, 50])))
    other = Context(replace(data, train=train), CPU, cache, memory=dict(context.memory))
    for key in [key for key in other.memory if key.startswith(("real", "hashes", "moments"))]:
        del other.memory[key]
    few = first_of_each(samples_of(data), 40)
    assert "real=train:90@" in metric().measure(few, other)[0].protocol
    whole = metric(class_sizes="all", **({"most": 300} if "most" in vars(metric()) else {}))
    assert ("real=train:150@" in whole.measure(few, other)[0].protocol) == hasattr(
        metric, "distance"
    )
    assert "average=micro" in whole.measure(few, other)[0].protocol


@pytest.mark.parametrize("metric", [FrechetDistance, KernelDistance])
def test_within_unequal_classes_the_mean_is_over_classes(metric, data, context):
    samples = unequal(data, (80, 76, 70))
    _, found = metric(per_class=True).measure(samples, context)
    assert found.protocol.endswith("average=macro]")
    alone = [samples.of_classes([label]) for label in range(3)]
    values = [metric().measure(one, context)[0].value for one in alone]
    assert found.value == pytest.approx(sum(values) / 3)


@each_metric
def test_nothing_is_printed(metric, data, context, capsys):
    metric().measure(samples_of(data), context)
    capsys.readouterr()
    metric().measure(samples_of(data, "train"), context)
    assert capsys.readouterr() == ("", "")


def test_a_lost_class_lowers_recall_and_coverage_but_not_precision(data, context):
    lost = data.test.x.clone()
    lost[data.test.y == 2] = make_data(seed=9).test.x[data.test.y == 1]
    whole, part = samples_of(data), samples_of(data, x=lost)
    precision, recall = values(PrecisionRecall(), whole, context)
    precision_less, recall_less = values(PrecisionRecall(), part, context)
    assert precision_less > precision - 0.05
    assert recall_less < recall - 0.2
    _, coverage = values(DensityCoverage(), whole, context)
    _, coverage_less = values(DensityCoverage(), part, context)
    assert coverage_less < coverage - 0.2


def test_training_images_against_themselves_are_perfect(data, context):
    samples = samples_of(data, "train")
    assert values(PrecisionRecall(), samples, context) == [1, 1]
    assert values(FrechetDistance(), samples, context) == pytest.approx([0], abs=1e-6)
    assert values(DensityCoverage(), samples, context)[1] == 1
    (kernel,) = values(KernelDistance(), samples, context)
    assert -0.1 < kernel < 0


def test_neighbors_compare_equally_many_and_at_most_so_many(data, context):
    samples = first_of_each(samples_of(data), 40)
    for metric in (PrecisionRecall, DensityCoverage):
        assert ",n=120,real=train:120@" in metric().measure(samples, context)[0].protocol
        found = metric(most=31).measure(samples, context)[0].protocol
        assert ",n=30,real=train:30@" in found
