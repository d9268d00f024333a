"""Whether samples show what was asked for."""

from typing import ClassVar

from torch import Tensor

from bench.errors import BenchError
from bench.metrics.base import Context, Direction, Measurement, Metric, SampleSet
from bench.metrics.comparison import judged_logits
from bench.metrics.extractors.choice import ClassifierChoice, logits_judge
from bench.metrics.jackknife import combined_error, mean_variance


class ClassAccuracy(Metric):
    """Share of the samples that a classifier of real images gives the label they were drawn for.

    The row of the real test images is the accuracy of the classifier itself. The reverse, trained
    on samples and tested on real images, is `classification_accuracy_score`.

    Args:
        extractor: `domain`, the classifier of the data set, or a file whose network has a logit for
            each class, in the order of the labels; see `bench.metrics.extractors.network_file`.
        extractor_seed: Which domain classifier.
    """

    name: ClassVar[str] = "class_accuracy"
    direction: ClassVar[Direction] = "higher"
    unit: ClassVar[str] = "%"

    def __init__(self, *, extractor: ClassifierChoice = "domain", extractor_seed: int = 0) -> None:
        self.extractor = extractor
        self.extractor_seed = extractor_seed

    def measure(self, samples: SampleSet, context: Context) -> list[Measurement]:
        """Return one figure in percent.

        Args:
            samples: Generated or real images.
            context: The data, the device and the caches.

        Returns:
            The share over all samples, which is the mean over the classes too, with its standard
            error over images where there are two of each class.

        Raises:
            NotApplicable: If the data are no images.
            BenchError: If the network tells other classes apart.
        """
        judge = logits_judge(context, self.extractor, self.extractor_seed)
        logits = judged_logits(context, judge, samples)
        if logits.shape[1] != samples.spec.classes:
            raise BenchError(
                f"{judge.name} tells {logits.shape[1]} classes apart and {samples.spec.name} has "
                f"{samples.spec.classes}; class_accuracy needs a logit for each, in their order"
            )
        right = logits.argmax(dim=1) == samples.y
        protocol = f"accuracy[extractor={judge.name},n={len(samples.y)}]"
        share, error = right.double().mean().item(), _error(right, samples.y)
        return [Measurement(self.name, protocol, 100 * share, error=error and 100 * error)]


def _error(right: Tensor, y: Tensor) -> float | None:
    """Return the standard error of a share; how many images a class has is not left to chance."""
    classes = [right[y == label].double() for label in sorted(set(y.tolist()))]
    if min(map(len, classes)) < 2:
        return None
    weights = [len(members) / len(y) for members in classes]
    return combined_error([mean_variance(members) for members in classes], weights)
