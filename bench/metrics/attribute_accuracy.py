"""Attribute accuracy: whether samples show the attributes that were asked for, one by one."""

from dataclasses import dataclass

from bench.metrics.base import Context, Measurement, Metric, Quantity, SampleSet
from bench.metrics.extractors.domain_classifier import domain_classifier


@dataclass(frozen=True, kw_only=True)
class AttributeAccuracy(Metric):
    """Share of the attributes that a classifier of real images sees as they were asked for.

    A sample with one wrong attribute of three counts two thirds here, and nothing in
    `class_accuracy`. The attributes that are seen are those of the most probable combination. The
    first measurement is the mean over the attributes; the others are of the attribute that the
    protocol names.

    Attributes:
        extractor_seed: Seed of the domain classifier.
    """

    name = "attribute_accuracy"
    quantities = {"attribute_accuracy": Quantity("Attribute accuracy (%)", "higher", 1)}

    extractor_seed: int = 0

    def measure(self, samples: SampleSet, context: Context) -> list[Measurement]:
        """Measure the mean over the attributes, then each of them."""
        spec = samples.spec
        context.require_attributes()
        classifier = domain_classifier(context, self.extractor_seed)
        seen = spec.attributes_of(classifier.logits(samples.x).argmax(dim=1))
        shares = 100 * (seen == spec.attributes_of(samples.y)).double().mean(dim=0)
        which = ["", *(f"of={attribute}," for attribute in spec.attributes)]
        how = f"extractor={classifier.name},n={len(samples.y)}"
        return [
            Measurement(self.name, f"accuracy[{of}{how}]", share.item())
            for of, share in zip(which, [shares.mean(), *shares], strict=True)
        ]
