"""Classification accuracy: how well a model's own classifier labels real images."""

from dataclasses import dataclass

import torch
import torch.nn.functional as F
from torch import Tensor

from bench.data.base import DataSpec, to_float
from bench.errors import BenchError, NotApplicable
from bench.metrics.base import Context, Measurement, Metric, Quantity, SampleSet
from bench.metrics.encoder_decoder import BATCH
from bench.metrics.jackknife import mean_variance
from bench.training.interface import Classifies


@dataclass(frozen=True, kw_only=True)
class ClassificationAccuracy(Metric):
    """Share of the real test images to which the model itself gives the right label.

    The label is the one with the largest of the model's `class_logits`, which know the image alone.
    It is what semi-supervised models are compared by (Joy et al., ICLR 2021): how much of the label
    the model has learned from few labels. The samples are not used, and no other network is:
    `class_accuracy` judges samples by a classifier of real images.

    On data with attributes the first measurement is the mean over the attributes; the others are of
    the attribute that the protocol names. An attribute is taken for 1 where the classes that have
    it are more probable together than the others. `chance` in the protocol is the share of the most
    frequent label, for attributes the mean of these shares. All test images count once, whatever
    their class; the standard error is that of a mean over images.
    """

    name = "classification_accuracy"
    quantities = {
        "classification_accuracy": Quantity("Accuracy of the model's classifier (%)", "higher", 1)
    }

    def measure(self, samples: SampleSet, context: Context) -> list[Measurement]:
        """Measure the share of all test images, for attributes their mean and each of them."""
        logits = self._logits(context)
        spec, y, count = context.data.spec, context.data.test.y, f"n={len(logits)}"
        if not spec.attributes:
            chance = torch.bincount(y).max().item() / len(y)
            return [self._share("", logits.argmax(dim=1) == y, chance, count)]
        wanted = spec.attributes_of(y)
        right = (shown_attributes(logits, spec) == wanted).double()
        share = wanted.double().mean(dim=0)
        chances = torch.maximum(share, 1 - share).tolist()
        return [
            self._share("", right.mean(dim=1), sum(chances) / len(chances), count),
            *(
                self._share(f"of={name},", of_one, chance, count)
                for name, of_one, chance in zip(spec.attributes, right.T, chances, strict=True)
            ),
        ]

    def _share(self, of: str, right: Tensor, chance: float, count: str) -> Measurement:
        """Return the mean over images of how right each is, `[N]` in `[0, 1]`, in percent."""
        right = right.double().sort().values  # in any order of the images the same bits
        error = 100 * mean_variance(right) ** 0.5 if len(right) > 1 else None
        protocol = f"accuracy[{of}chance={100 * chance:.1f},{count}]"
        return Measurement(self.name, protocol, 100 * right.mean().item(), error=error)

    def _logits(self, context: Context) -> Tensor:
        """Return the model's logits `[N, K]` of the test images, on the CPU."""
        model, spec = context.model, context.data.spec
        if model is None:
            raise NotApplicable("only a model has a classifier of its own")
        if not isinstance(model, Classifies):
            raise NotApplicable("the model has no classifier")
        with torch.inference_mode():
            parts = [
                model.class_logits(to_float(x).to(context.device)).double().cpu()
                for x in torch.split(context.data.test.x, BATCH)
            ]
        logits = torch.cat(parts)
        expected = (len(context.data.test), spec.classes)
        if tuple(logits.shape) != expected:
            raise BenchError(
                f"class_logits() returned {list(logits.shape)} for all test images, not "
                f"{list(expected)}: a logit for each class of {spec.name}"
            )
        if not bool(torch.isfinite(logits).all()):
            raise BenchError(
                "the model's class logits of real images contain values that are not finite"
            )
        return logits


def shown_attributes(logits: Tensor, spec: DataSpec) -> Tensor:
    """Return the more probable value of each attribute, `int64` `[N, A]`, for logits `[N, K]`.

    >>> spec = DataSpec("set", (2,), ("0", "a", "b"), ("a", "b"), ((0, 0), (1, 0), (0, 1)))
    >>> shown_attributes(torch.tensor([[0.2, 0.45, 0.35], [0.3, 0.6, 0.1]]).log(), spec).tolist()
    [[0, 0], [1, 0]]
    """
    values = torch.tensor(spec.combinations, dtype=logits.dtype)
    return (F.softmax(logits, dim=1) @ values > 0.5).long()
