"""CAS: whether samples can replace the training images of a classifier."""

import itertools
import time
from dataclasses import dataclass

import torch
from torch import Tensor

from bench.console import say
from bench.data.base import Split, fingerprint, to_float
from bench.metrics.base import (
    AtLeastOne,
    Context,
    Measurement,
    Metric,
    Quantity,
    SampleSet,
    micro_and_macro,
)
from bench.metrics.extractors.base import Classifier
from bench.metrics.extractors.small_classifier import RECIPE, steps_for, train_classifier
from bench.metrics.images_by_class import (
    ImageSet,
    ordered_by_content,
    real_images,
    sampled,
)


@dataclass(frozen=True, kw_only=True)
class ClassificationAccuracyScore(Metric):
    """Accuracy on the real test images of a classifier that was trained on samples alone.

    Classification accuracy score, Ravuri & Vinyals (2019). It falls where samples do not show their
    class, as `class_accuracy` does, and also where a model draws the same few images of each class.
    The paper trains ResNet-50 on as many samples as there are training images; here the network of
    the domain classifier is trained briefly, so the paper's numbers cannot be compared.

    If the samples are real test images, training images of the same classes replace them, with the
    labels that were given: the classifier must not be trained on its test images. The row of the
    real images then shows what samples as good as real images would score.

    Classes of unequal size are taken as they are. Then the share of all test images (micro) and the
    mean over their classes (macro, `/macro`) are both measured.

    Attributes:
        per_class: Images of each class that it is trained on, at most: the first ones in the order
            of their content hashes.
        steps: Batches of 128 images that it sees, but not more than the domain classifier would.
        seed: Seed of the classifier.
    """

    name = "classification_accuracy_score"
    quantities = {
        "classification_accuracy_score": Quantity("Classification accuracy score (%)", "higher", 1)
    }

    per_class: AtLeastOne = 500
    steps: AtLeastOne = 200
    seed: int = 0

    def measure(self, samples: SampleSet, context: Context) -> list[Measurement]:
        """Measure the share of all real test images that are classified correctly."""
        context.require_images()
        equal = samples.is_balanced
        generated = sampled(samples)
        count = min(self.per_class, generated.per_class) if equal else self.per_class
        every = range(context.data.spec.classes)
        real = real_images(context, "train", every, equal=equal).first(count)
        test_images = real_images(context, "test", every, equal=False)
        is_real = generated.occurs_in(test_images)
        used = generated.first(min(count, real.per_class) if is_real and equal else count)
        steps = min(self.steps, steps_for(len(used))) if len(used) else 0
        test = context.data.test
        protocol = (
            f"cas[n={len(used)},test={len(test)}@{fingerprint(ordered_by_content(test))[:8]},"
            f"steps={steps},recipe={RECIPE},"
            f"seed={self.seed},real=train:{len(real)}@{real.name}]"
        )
        if not len(used) or (is_real and not real.per_class):
            return [Measurement(self.name, protocol, None, "a class has no training images")]
        images = _replaced(used, real, test_images, test.y) if is_real else used.x[used.indices]
        labels = torch.tensor(samples.labels)[used.places]
        right = self._right(Split(images, labels), steps, context)
        micro = 100 * right.mean().item()
        if equal:
            return [Measurement(self.name, protocol, micro)]
        classes = [right[test.y == label].mean().item() for label in torch.unique(test.y)]
        return micro_and_macro(self.name, protocol, micro, 100 * sum(classes) / len(classes))

    def _right(self, used: Split, steps: int, context: Context) -> Tensor:
        """Train on some images, and return which test images are recognized, `[N]`, 0 or 1."""
        data, device, began = context.data, context.device, time.monotonic()
        network = train_classifier(
            data.spec, used, seed=self.seed, flip=data.flip, device=device, steps=steps
        )
        classifier = Classifier(
            "a classifier of the samples", lambda x: network(to_float(x)), device
        )
        right = classifier.logits(data.test.x).argmax(dim=1) == data.test.y
        say(f"  trained a classifier on {len(used)} images in {time.monotonic() - began:.0f} s")
        return right.double()


def _replaced(used: ImageSet, train: ImageSet, test: ImageSet, y: Tensor) -> Tensor:
    """Return for each test image used a training image of its true class, whatever its label says.

    `test` are all test images and `y` their labels.
    """
    true_class = dict(zip(test.hashes, y.tolist(), strict=True))
    by_class = [itertools.cycle(train.indices[members].tolist()) for members in train.members]
    true_classes = [true_class[used.hashes[i]] for i in used.indices.tolist()]
    return train.x[[next(by_class[label]) for label in true_classes]]
