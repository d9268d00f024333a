"""Whether samples show what was asked for."""

from typing import ClassVar

from bench.metrics.base import Context, Direction, Measurement, Metric, SampleSet
from bench.metrics.extractors import domain_classifier


class ClassAccuracy(Metric):
    """Share of the samples that a classifier of real images gives the label they were drawn for.

    The row of the real test images is the accuracy of the classifier itself.

    Args:
        extractor_seed: Which domain classifier.
    """

    name: ClassVar[str] = "class_accuracy"
    direction: ClassVar[Direction] = "higher"
    unit: ClassVar[str] = "%"

    def __init__(self, *, extractor_seed: int = 0) -> None:
        self.extractor_seed = extractor_seed

    def measure(self, samples: SampleSet, context: Context) -> list[Measurement]:
        """Return one figure in percent.

        Args:
            samples: Generated or real images.
            context: The data, the device and the caches.

        Returns:
            The share over all samples, which is the mean over the classes too.

        Raises:
            NotApplicable: If the data are no images.
        """
        judge = domain_classifier(context, self.extractor_seed)
        right = judge.logits(samples.x).argmax(dim=1) == samples.y
        protocol = f"accuracy[extractor={judge.name},n={len(samples.y)}]"
        return [Measurement(self.name, protocol, 100 * right.double().mean().item())]
