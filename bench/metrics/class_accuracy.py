"""Class accuracy: whether samples show the class that was asked for."""

from dataclasses import dataclass

from bench.errors import BenchError
from bench.metrics.base import Context, Measurement, Metric, Quantity, SampleSet
from bench.metrics.extractors.extractor_option import ClassifierOption, choose_classifier
from bench.metrics.extractors.feature_cache import sample_logits
from bench.metrics.jackknife import combined_error, mean_variance


@dataclass(frozen=True, kw_only=True)
class ClassAccuracy(Metric):
    """Share of the samples to which a classifier of real images gives the label asked for.

    The row of the real test images shows the accuracy of the classifier itself. The reverse,
    trained on samples and tested on real images, is `classification_accuracy_score`.

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
        """Measure the share of all samples, which is the mean over the classes too."""
        classifier = choose_classifier(context, self.extractor, self.extractor_seed)
        logits = sample_logits(context, classifier, samples)
        if logits.shape[1] != samples.spec.classes:
            raise BenchError(
                f"{classifier.name} tells {logits.shape[1]} classes apart and {samples.spec.name} "
                f"has {samples.spec.classes}; class_accuracy needs a logit for each, in their order"
            )
        right = (logits.argmax(dim=1) == samples.y).double()
        protocol = f"accuracy[extractor={classifier.name},n={len(right)}]"
        by_class, error = [right[samples.y == label] for label in set(samples.y.tolist())], None
        if min(map(len, by_class)) >= 2:
            weights = [len(members) / len(right) for members in by_class]
            error = 100 * combined_error([mean_variance(members) for members in by_class], weights)
        return [Measurement(self.name, protocol, 100 * right.mean().item(), error=error)]
