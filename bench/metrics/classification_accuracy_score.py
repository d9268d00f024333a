"""Whether samples can stand in for the training images: a classifier learns from them alone."""

import itertools
import time
from collections.abc import Sized
from typing import ClassVar

import torch
from torch import Tensor

from bench.console import say
from bench.data.base import Split, fingerprint, to_float
from bench.errors import NotApplicable
from bench.metrics.base import Context, Direction, Measurement, Metric, SampleSet
from bench.metrics.comparison import Side, balanced, chosen, real_side
from bench.metrics.extractors.classifier import RECIPE, steps_for, train_classifier
from bench.metrics.extractors.domain import Extractor


class ClassificationAccuracyScore(Metric):
    """Accuracy on real test images of a classifier that was trained on samples alone.

    Classification accuracy score (CAS), Ravuri & Vinyals (2019). It needs samples that show their
    class and vary as real images do, so it falls where `class_accuracy` does, and also where a
    model draws the same few images of each class. `class_accuracy` is the reverse: trained on real
    images, tested on samples. The paper trains ResNet-50 on as many samples as there are training
    images; here it is the network of the domain classifier, trained for a moment, so no figure of
    ours may be set beside the paper's.

    The row of the real images would be dishonest if the classifier were trained on the test images
    that it is tested on. Where all images are test images, training images of the same classes take
    their place, with the labels that were given; the protocol names the set that they are from.
    That row is what samples as good as real images would score.

    Args:
        per_class: Images of each class that it is trained on, at most; a random choice.
        steps: Batches of 128 images that it sees, at most as many as the domain classifier would.
        seed: Seed of the classifier.
    """

    name: ClassVar[str] = "classification_accuracy_score"
    direction: ClassVar[Direction] = "higher"
    unit: ClassVar[str] = "%"

    def __init__(self, *, per_class: int = 500, steps: int = 200, seed: int = 0) -> None:
        for option, value in (("per_class", per_class), ("steps", steps)):
            if value < 1:
                raise ValueError(f"{option} must be at least 1, got {value}")
        self.per_class = per_class
        self.steps = steps
        self.seed = seed

    def measure(self, samples: SampleSet, context: Context) -> list[Measurement]:
        """Return one figure in percent.

        Args:
            samples: Generated or real images.
            context: The data and the device.

        Returns:
            The share of all real test images that are classified correctly.

        Raises:
            NotApplicable: If the data are no images.
        """
        if not samples.spec.is_image:
            raise NotApplicable(f"{samples.spec.name} are no images")
        count = min(self.per_class, samples.per_class)
        made = balanced(samples.x, samples.y, samples.spec.classes)
        train = real_side(context, "train").first(count)
        is_real = made.is_part_of(real_side(context, "test"))
        learned = made.first(min(count, train.per_class) if is_real else count)
        test = context.data.test
        protocol = (
            f"cas[n={len(learned)},test={len(test)}@{fingerprint(chosen(test))[:8]},"
            f"steps={self._steps(learned)},recipe={RECIPE},"
            f"seed={self.seed},real=train:{len(train)}@{train.name}]"
        )
        if not len(learned):
            return [Measurement(self.name, protocol, None, "a class has no training images")]
        labels = torch.arange(learned.classes).repeat(learned.per_class)
        images = _stand_ins(learned, train, context) if is_real else learned.x[learned.rows]
        value = 100 * self._accuracy(Split(images, labels), context)
        return [Measurement(self.name, protocol, value)]

    def _steps(self, learned: Sized) -> int:
        return min(self.steps, steps_for(len(learned))) if len(learned) else 0

    def _accuracy(self, learned: Split, context: Context) -> float:
        """Train on one set, and return the share of the test images that are recognized."""
        data, began = context.data, time.monotonic()
        network = train_classifier(
            data.spec,
            learned,
            seed=self.seed,
            flip=data.flip,
            device=context.device,
            steps=self._steps(learned),
        )

        def logits_of(x: Tensor) -> Tensor:
            found: Tensor = network(to_float(x))
            return found

        judge = Extractor("a classifier of the samples", logits_of, context.device)
        right = judge.logits(data.test.x).argmax(dim=1) == data.test.y
        say(f"  trained a classifier on {len(learned)} images in {time.monotonic() - began:.0f} s")
        return right.double().mean().item()


def _stand_ins(made: Side, train: Side, context: Context) -> Tensor:
    """Return for each test image a training image of the same class, whatever its label says."""
    known = real_side(context, "test").digests
    truth = dict(zip(known, context.data.test.y.tolist(), strict=True))
    rows = train.rows.tolist()
    turns = [itertools.cycle(rows[label :: train.classes]) for label in range(train.classes)]
    return train.x[[next(turns[truth[made.digests[row]]]) for row in made.rows.tolist()]]
