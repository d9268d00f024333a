"""Whether samples show the attributes that were asked for, one by one."""

from typing import ClassVar

from bench.errors import NotApplicable
from bench.metrics.base import Context, Direction, Measurement, Metric, SampleSet
from bench.metrics.extractors.domain import domain_classifier


class AttributeAccuracy(Metric):
    """Share of the attributes that a classifier of real images finds as they were asked for.

    The classifier tells combinations of attributes apart, and its answer is read attribute by
    attribute: a sample with one wrong attribute of three counts two thirds here, and nothing in
    `class_accuracy`. There is a figure over all attributes, and one for each.

    Args:
        extractor_seed: Which domain classifier.
    """

    name: ClassVar[str] = "attribute_accuracy"
    direction: ClassVar[Direction] = "higher"
    unit: ClassVar[str] = "%"

    def __init__(self, *, extractor_seed: int = 0) -> None:
        self.extractor_seed = extractor_seed

    def measure(self, samples: SampleSet, context: Context) -> list[Measurement]:
        """Return the figures in percent.

        Args:
            samples: Generated or real images.
            context: The data, the device and the caches.

        Returns:
            The mean over the attributes, then each of them, named in its protocol.

        Raises:
            NotApplicable: If the data have no attributes.
        """
        spec = samples.spec
        if not spec.attributes:
            raise NotApplicable(f"images of {spec.name} have one label, no attributes")
        judge = domain_classifier(context, self.extractor_seed)
        found = spec.attributes_of(judge.logits(samples.x).argmax(dim=1))
        right = 100 * (found == spec.attributes_of(samples.y)).double().mean(dim=0)
        means = {"": right.mean(), **dict(zip(spec.attributes, right, strict=True))}
        source = f"extractor={judge.name},n={len(samples.y)}"
        return [
            Measurement(self.name, f"accuracy[{f'of={of},' if of else ''}{source}]", value.item())
            for of, value in means.items()
        ]
