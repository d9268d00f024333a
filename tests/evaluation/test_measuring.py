"""What a model returns is what is scored; entries where a metric does not apply."""

import math

import pytest
import torch

from bench import registry
from bench.data.base import to_bytes
from bench.data.blobs import Blobs
from bench.errors import BenchError, NotApplicable
from bench.evaluation.measuring import inapplicable, measure
from bench.evaluation.sampling import draw_samples, remark_on_range
from bench.metrics.base import Measurement, Metric, SampleSet
from bench.metrics.features.precision_recall import PrecisionRecall
from bench.record.quantities import Quantity
from tests.small import GRAY


class Anything(Metric):
    """A metric of another package."""

    name = "anything"
    quantities = {"anything": Quantity("Anything", "lower")}

    def measure(self, samples, context):
        raise NotApplicable("never")


METRICS = [PrecisionRecall(), Anything()]


class Returning(Metric):
    """A metric that returns what it is given."""

    name = "returning"
    quantities = {"returning": Quantity("Returning", "lower")}

    def __init__(self, found):
        self.found = found

    def measure(self, samples, context):
        return self.found


def entries(step, split, **reasons):
    return [
        {"step": step, "split": split, "metric": name, "protocol": "", "value": None}
        | {"reason": reason, "error": None}
        for name, reason in reasons.items()
    ]


def test_each_quantity_of_a_metric_that_does_not_apply_has_the_reason(
    moons, moons_samples, contexts
):
    found = measure(METRICS, moons_samples, contexts(moons), step=7, split="samples")
    points = "moons are not images"
    assert found == entries(7, "samples", precision=points, recall=points, anything="never")


def one(**changed):
    return [Measurement(**{"metric": "returning", "protocol": "mean", "value": 1.0} | changed)]


@pytest.mark.parametrize(
    ("found", "message"),
    [
        (None, "must return a list of Measurement, got None"),
        (0.5, "must return a list of Measurement, got float"),
        (one()[0], "must return a list of Measurement, got Measurement"),
        ([], "must return a list of Measurement, got an empty one"),
        ([*one(), 0.5], "must return a list of Measurement, got a list with float"),
        (one(metric="other"), "'other', which is not among its quantities: returning"),
        (one(metric=7), "7, which is not among its quantities: returning"),
        (one(protocol=""), "'returning', without a protocol, so it would fit any column"),
        (one() + one(value=2.0), "2 measurements 'returning' of one protocol, mean; the protocol"),
        (one(error=-0.5), "'returning', whose error is -0.5; a standard error is at least 0"),
        (one(protocol=None), "'returning', whose protocol is not text but None"),
        (one(value=torch.tensor(1.0)), r"whose value is not a float but torch.float32 \[\]; .item"),
        (one(value=True), "whose value is not a float but bool"),
        (one(value="1"), "whose value is not a float but str"),
        (one(value=math.nan), "whose value is nan; what cannot be computed is None"),
        (one(error=torch.tensor(1.0)), "whose error is not a float but torch.float32"),
        (one(error=math.inf), "whose error is inf"),
        (one(value=None), "without a value and without a reason"),
        (one(value=None, reason=7), "whose reason is not text but int"),
    ],
)
def test_what_is_no_measurement_is_refused_by_the_name_of_the_metric(
    contexts, moons, moons_samples, found, message
):
    with pytest.raises(BenchError, match=f"^the metric 'returning' .*{message}"):
        measure([Returning(found)], moons_samples, contexts(moons), step=0, split="samples")


@pytest.mark.parametrize(
    "found", [one(), one(value=1), one(error=0.1), one(value=None, protocol="", reason="never")]
)
def test_numbers_with_a_protocol_and_reasons_are_measurements(
    contexts, moons, moons_samples, found
):
    metric = Returning(found)
    [entry] = measure([metric], moons_samples, contexts(moons), step=0, split="samples")
    assert entry["value"] == found[0].value


def test_each_quantity_of_a_control_that_does_not_exist_has_the_reason():
    found = inapplicable(METRICS, NotApplicable("no such"), split="real")
    none = "no such"
    assert found == entries(0, "real", precision=none, recall=none, anything=none)


class Returns:
    """A model whose samples are what a function of their number gives."""

    capabilities = ()

    def __init__(self, make):
        self.make = make

    def sample(self, y, generator):
        return self.make(len(y))


@pytest.mark.parametrize(
    ("make", "message"),
    [
        (lambda n: torch.full((n, 1, 8, 8), 200.0), "range from 200 to 200, not in"),
        (lambda n: torch.full((n, 1, 8, 8), -1.5), "range from -1.5 to -1.5, not in"),
        (lambda n: torch.zeros(n, 1, 8, 8) / 0, "samples contain values that are not finite"),
        (lambda n: torch.zeros(n, 8, 8), r"returned torch.float32 \[6, 8, 8\], not float \[6, 1"),
        (lambda n: torch.zeros(n, 1, 8, 8, dtype=torch.uint8), "returned torch.uint8"),
    ],
    ids=["0 to 255", "below", "nan", "shape", "integers"],
)
def test_samples_that_are_not_of_the_range_and_shape_are_refused(make, message):
    with pytest.raises(BenchError, match=message):
        draw_samples(Returns(make), GRAY, 2, 0, torch.device("cpu"))


@pytest.mark.parametrize(
    ("values", "remarked"),
    [
        (lambda x: x.sigmoid(), "if they were made for [0, 1], x * 2 - 1 maps"),
        (lambda x: x.sigmoid() / 8 - 1, "samples of another range must be scaled to 0 to 255"),
        (lambda x: (9 * x).tanh(), ""),
        (lambda x: x.abs() * 0 + 1, ""),
        (lambda x: x * 0 - 1, ""),
    ],
    ids=["0 to 1", "0 to 16", "tanh", "white", "black"],
)
def test_samples_of_another_range_are_remarked(values, remarked):
    torch.manual_seed(0)
    data = Blobs().load()
    x = to_bytes(values(torch.randn(6, 1, 8, 8)))
    remark = remark_on_range(SampleSet(x, torch.arange(6) % 3, data.spec), data)
    assert (remark is not None) == bool(remarked)
    assert remarked in (remark or "")


def test_a_run_tells_of_bad_samples_before_its_training(bench, here, monkeypatch):
    cvae = registry.load("model", "cvae")
    sample = cvae.sample
    monkeypatch.setattr(cvae, "sample", lambda *a: 127.5 * sample(*a) + 127.5)
    status, _, err = bench(
        *("run", "tiny.yaml", "base.model=cvae", "base.iterations=2", "base.controls=[]"),
        *("base.metrics=[]", "seeds=[0]", "--no-mlflow", "--allow-code-change"),
    )
    assert status == 1
    text = "x / 127.5 - 1 maps [0, 255] there); then measuring may fail, too"
    assert "WARNING: cvae, seed 0: before its training, sampling fails" in err
    assert text in err
    assert err.index(text) < err.index("failed")


def test_a_metric_asked_for_twice_has_a_reason_for_each(contexts):
    context = contexts()
    metrics = [registry.load("metric", "fid")(extractor=name) for name in ("dinov2", "clip")]
    samples = SampleSet(context.data.test.x, context.data.test.y, context.data.spec)
    found = measure(metrics, samples, context, step=0, split="test")
    assert [entry["protocol"] for entry in found] == [
        "fid[extractor=dinov2]",
        "fid[extractor=clip]",
    ]
    assert ["DINOv2" in entry["reason"] for entry in found] == [True, False]
    [alone] = measure(metrics[:1], samples, context, step=0, split="test")
    assert alone["protocol"] == ""
