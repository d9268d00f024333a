"""What every diversity within a class by similarities of pairs has in common."""

from abc import abstractmethod
from typing import ClassVar

from torch import Tensor

from bench.errors import NotApplicable
from bench.metrics.base import Context, Direction, Measurement, Metric, SampleSet
from bench.metrics.comparison import balanced
from bench.metrics.jackknife import combined_error, pair_variance


class PairDiversity(Metric):
    """One minus the mean similarity of all pairs within a class, averaged over the classes.

    Args:
        per_class: Images of each class that are compared, all pairs of them. Where there are more,
            which ones follows from their content.
    """

    direction: ClassVar[Direction] = "real"

    def __init__(self, *, per_class: int) -> None:
        if per_class < 2:
            raise ValueError(f"per_class must be at least 2, got {per_class}")
        self.per_class = per_class

    @abstractmethod
    def protocol(self, images: Tensor, count: int) -> str:
        """Return the protocol for images `[N, C, H, W]` of which `count` a class are compared."""

    @abstractmethod
    def similarities(self, images: Tensor) -> Tensor:
        """Return one similarity a pair of `uint8` images `[N, C, H, W]`, in the order of `triu`."""

    def measure(self, samples: SampleSet, context: Context) -> list[Measurement]:
        """Return one figure.

        Args:
            samples: Generated or real images.
            context: The device; nothing else is used.

        Returns:
            The mean over the classes, with its standard error over images where there are three.

        Raises:
            NotApplicable: If the data are no images.
        """
        if not samples.spec.is_image:
            raise NotApplicable(f"{samples.spec.name} are no images")
        count = min(self.per_class, samples.per_class)
        protocol = self.protocol(samples.x, count)
        if count < 2:
            reason = "one image a class makes no pair"
            return [Measurement(self.name, protocol, None, reason)]
        side = balanced(samples.x, samples.y, samples.spec.classes).first(count)
        means, variances = [], []
        for label in range(samples.spec.classes):
            rows = side.rows[side.of_class(label)].sort().values
            images = samples.x[rows].to(context.device)
            pairs = self.similarities(images)
            means.append(pairs.double().mean().item())
            if count > 2:
                variances.append(pair_variance(pairs, count))
        error = combined_error(variances) if variances else None
        return [Measurement(self.name, protocol, 1 - sum(means) / len(means), error=error)]
