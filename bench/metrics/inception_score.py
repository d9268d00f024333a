"""The Inception Score: confident about each image, spread over the classes."""

from typing import ClassVar

import numpy as np
import torch
from torch import Tensor

from bench.errors import BenchError
from bench.metrics.base import Context, Direction, Measurement, Metric, SampleSet
from bench.metrics.comparison import judged_logits
from bench.metrics.extractors.choice import ExtractorChoice, logits_judge

SHUFFLE_SEED = 0  # part of the definition where there are several splits
LOWEST = -200.0


class InceptionScore(Metric):
    r"""Inception Score (Salimans et al. 2016), computed by torch-fidelity from our logits.

    .. math:: \exp\left(\mathbb E_x\, D_{KL}(p(y \mid x) \,\|\, p(y))\right)

    Between 1 and the number of classes that the network knows. The paper's protocol is one split
    of 500 samples a class; the customary one is 50 000 samples in ten, that is `splits: 10`,
    `extractor: inception` and, for ten classes, `samples_per_class: 5000`. Samples are always
    shuffled: ordered by class, as conditional generators give them, splits would hold one class
    each and score 1.

    Args:
        extractor: `domain`, the classifier of the data set, `inception`, or a file; see
            `bench.metrics.extractors.network_file`.
        splits: Number of parts whose scores are averaged.
        extractor_seed: Which domain classifier.
    """

    name: ClassVar[str] = "inception_score"
    direction: ClassVar[Direction] = "higher"

    def __init__(
        self,
        *,
        extractor: ExtractorChoice = "domain",
        splits: int = 1,
        extractor_seed: int = 0,
    ) -> None:
        if splits < 1:
            raise ValueError(f"splits must be at least 1, got {splits}")
        self.extractor = extractor
        self.splits = splits
        self.extractor_seed = extractor_seed

    def measure(self, samples: SampleSet, context: Context) -> list[Measurement]:
        """Return one figure.

        Args:
            samples: Generated or real images.
            context: The data, the device, the caches and the file of the Inception weights.

        Returns:
            The score, the mean over the splits.

        Raises:
            NotApplicable: Where there is no network to judge.
        """
        judge = logits_judge(context, self.extractor, self.extractor_seed)
        count = len(samples.y)
        protocol = f"is[extractor={judge.name},n={count},splits={self.splits}]"
        if count < self.splits:
            reason = f"{count} samples are too few for {self.splits} splits"
            return [Measurement(self.name, protocol, None, reason)]
        score = inception_score(judged_logits(context, judge, samples), self.splits)
        return [Measurement(self.name, protocol, score)]


def inception_score(logits: Tensor, splits: int = 1) -> float:
    """Return the Inception Score of logits.

    Logits more than 200 below the largest of their row are raised to that: a probability of
    1e-87 instead of 0, without which a class that never occurs gives 0 times minus infinity.

    Args:
        logits: `[N, K]`.
        splits: Parts whose scores are averaged, at most N.

    Returns:
        The score, in `[1, K]`.

    Raises:
        BenchError: If logits are not finite.

    Example:
        >>> round(inception_score(1e6 * torch.eye(4).repeat(5, 1)), 6)
        4.0
        >>> inception_score(torch.zeros(8, 3))
        1.0
    """
    from torch_fidelity.metric_isc import isc_features_to_metric

    if not torch.isfinite(logits).all():
        raise BenchError("the network that judges gave logits that are not finite")
    # torch-fidelity's own shuffle and splits; one at a time, since it holds four float64 copies.
    order = torch.from_numpy(np.random.RandomState(SHUFFLE_SEED).permutation(len(logits)))
    scores = []
    for rows in torch.tensor_split(order, _bounds(len(logits), splits)):
        part = logits[rows].double()
        part = (part - part.amax(dim=1, keepdim=True)).clamp_min(LOWEST)
        found = isc_features_to_metric(part, splits=1, shuffle=False)
        scores.append(found["inception_score_mean"])
    return float(np.mean(scores))


def _bounds(count: int, splits: int) -> list[int]:
    """Return where each split but the first begins, as torch-fidelity cuts them."""
    return [index * count // splits for index in range(1, splits)]
