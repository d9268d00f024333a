"""Class accuracy: whether samples show the class that was asked for."""

from dataclasses import dataclass
from math import fsum

from bench.errors import BenchError
from bench.metrics.base import Context, Measurement, Quantity, SampleSet, micro_and_macro
from bench.metrics.class_groups import GroupedMetric
from bench.metrics.extractors.extractor_option import ClassifierOption, choose_classifier
from bench.metrics.extractors.feature_cache import sample_logits
from bench.metrics.jackknife import mean_error


@dataclass(frozen=True, kw_only=True)
class ClassAccuracy(GroupedMetric):
    """Share of the samples to which a classifier of real images gives the label asked for.

    The row of the real test images shows the accuracy of the classifier itself. The reverse,
    trained on samples and tested on real images, is `classification_accuracy_score`. Where classes
    differ in size, the share of all samples (micro) and the mean over the classes (macro, `/macro`)
    are both measured.

    Attributes:
        extractor: `domain`, the classifier of the data set; or a file whose network has a logit for
            each class, in the order of the labels, see `bench.metrics.extractors.network_file`.
        extractor_seed: Seed of the domain classifier.
    """

    name = "class_accuracy"
    quantities = {"class_accuracy": Quantity("Class accuracy (%)", "higher", 1)}

    extractor: ClassifierOption = "domain"
    extractor_seed: int = 0

    def measure(self, samples: SampleSet, context: Context) -> list[Measurement]:
        """Measure the share of all samples, and the mean over classes where it differs."""
        classifier = choose_classifier(context, self.extractor, self.extractor_seed)
        logits = sample_logits(context, classifier, samples)
        if logits.shape[1] != samples.spec.classes:
            raise BenchError(
                f"{classifier.name} predicts {logits.shape[1]} classes, and {samples.spec.name} "
                f"has {samples.spec.classes}; class_accuracy needs a logit for each, in their order"
            )
        right = (logits.argmax(dim=1) == samples.y).double()
        protocol = f"accuracy[extractor={classifier.name},n={len(right)}]"
        by_class = [right[samples.y == label] for label in samples.labels]
        micro = 100 * right.mean().item()
        macro = 100 * fsum(m.mean() for m in by_class) / len(by_class)
        found = mean_error(by_class), mean_error(by_class, equally=True)
        errors = [None if error is None else 100 * error for error in found]
        if samples.is_balanced:
            return [Measurement(self.name, protocol, micro, error=errors[0])]
        return micro_and_macro(self.name, protocol, micro, macro, errors)
