"""Entries of the record where a metric does not apply."""

from bench.errors import NotApplicable
from bench.evaluation.measuring import inapplicable, measure
from bench.metrics.base import Metric
from bench.metrics.precision_recall import PrecisionRecall
from bench.record.quantities import Quantity


class Anything(Metric):
    """A metric of another package."""

    name = "anything"
    quantities = {"anything": Quantity("Anything", "lower")}

    def measure(self, samples, context):
        raise NotApplicable("never")


METRICS = [PrecisionRecall(), Anything()]


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


def test_each_quantity_of_a_control_that_does_not_exist_has_the_reason():
    found = inapplicable(METRICS, NotApplicable("no such"), split="real")
    none = "no such"
    assert found == entries(0, "real", precision=none, recall=none, anything=none)
