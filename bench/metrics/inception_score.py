"""The Inception Score: confident about each image, spread over the classes."""

from dataclasses import dataclass

import numpy as np
import torch
from torch import Tensor

from bench.data.summary import content_hashes
from bench.errors import BenchError
from bench.metrics.base import AtLeastOne, Context, Measurement, Metric, Quantity, SampleSet
from bench.metrics.extractors.extractor_option import LogitsOption, choose_classifier
from bench.metrics.extractors.feature_cache import sample_logits

SHUFFLE_SEED = 0  # part of the definition where there are several splits
LOWEST = -200.0


@dataclass(frozen=True, kw_only=True)
class InceptionScore(Metric):
    r"""Inception Score (Salimans et al. 2016), computed by torch-fidelity from our logits.

    .. math:: \exp\left(\mathbb E_x\, D_{KL}(p(y \mid x) \,\|\, p(y))\right)

    Between 1 and the number of classes that the network knows. The paper's protocol is one split of
    500 samples of each class; the customary one is 50 000 samples in ten splits: `splits: 10`,
    `extractor: inception` and, for ten classes, `samples_per_class: 5000`. Samples are shuffled,
    since they come ordered by class, and splits of one class each would score 1.

    Attributes:
        extractor: `domain`, the classifier of the data set; `inception`; or a file, see
            `bench.metrics.extractors.network_file`.
        splits: Number of parts whose scores are averaged.
        extractor_seed: Seed of the domain classifier.
    """

    name = "inception_score"
    quantities = {"inception_score": Quantity("Inception Score", "higher", 2)}
    needs_labels = False

    extractor: LogitsOption = "domain"
    splits: AtLeastOne = 1
    extractor_seed: int = 0

    def measure(self, samples: SampleSet, context: Context) -> list[Measurement]:
        """Measure the mean score of the splits."""
        classifier = choose_classifier(context, self.extractor, self.extractor_seed)
        count = len(samples.y)
        protocol = f"is[extractor={classifier.name},n={count},splits={self.splits}]"
        if count < self.splits:
            reason = f"{count} samples are too few for {self.splits} splits"
            return [Measurement(self.name, protocol, None, reason)]
        logits = sample_logits(context, classifier, samples).to(context.device)
        if self.splits > 1:  # content decides which images a part has, not the order of the samples
            hashes = content_hashes(samples.x)
            order = sorted(range(count), key=hashes.__getitem__)
            logits = logits[torch.tensor(order, device=logits.device)]
        return [Measurement(self.name, protocol, inception_score(logits, self.splits))]


def inception_score(logits: Tensor, splits: int = 1) -> float:
    """Return the Inception Score of finite logits `[N, K]`, in `[1, K]`: a mean over splits.

    Logits more than 200 below the largest of their image are raised to that: a probability of
    1e-87 instead of 0, since a class that never occurs would give 0 times minus infinity.

    >>> round(inception_score(1e6 * torch.eye(4).repeat(5, 1)), 6)
    4.0
    >>> inception_score(torch.zeros(8, 3))
    1.0
    """
    from torch_fidelity.metric_isc import isc_features_to_metric

    if not torch.isfinite(logits).all():
        raise BenchError("the classifier gave logits that are not finite")
    # torch-fidelity's own shuffle and splits; one at a time, since it holds four float64 copies.
    order = torch.from_numpy(np.random.RandomState(SHUFFLE_SEED).permutation(len(logits)))
    order = order.to(logits.device)
    bounds = [index * len(logits) // splits for index in range(1, splits)]
    scores = []
    for indices in torch.tensor_split(order, bounds):
        part = logits[indices].double()
        part = (part - part.amax(dim=1, keepdim=True)).clamp_min(LOWEST)
        statistics = isc_features_to_metric(part, splits=1, shuffle=False)
        scores.append(statistics["inception_score_mean"])
    return float(np.mean(scores))
