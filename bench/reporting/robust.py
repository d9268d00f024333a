"""Statistics that one bad seed does not move far, on request beside the mean and its t interval.

After Agarwal et al., "Deep Reinforcement Learning at the Edge of the Statistical Precipice"
(NeurIPS 2021). Bootstrap intervals over few seeds are too short, which the note beside them says.
"""

import math
import warnings
from collections.abc import Sequence

import numpy as np

RESAMPLES = 2000


def interquartile_mean(values: Sequence[float]) -> float:
    """Return the mean without the lowest and the highest quarter of the values.

    Args:
        values: At least one. Of `n` values `n // 4` are left out at either end, so that up to
            three keep them all.

    Returns:
        The mean of the rest.

    Example:
        >>> interquartile_mean([1.0, 2.0, 3.0, 100.0])
        2.5
    """
    cut = len(values) // 4
    kept = sorted(values)[cut : len(values) - cut]
    return math.fsum(kept) / len(kept)


def bootstrap_interval(
    values: Sequence[float], confidence: float = 0.95
) -> tuple[float, float] | None:
    """Return the BCa bootstrap interval of the interquartile mean (Efron, 1987).

    The resamples are the same ones every time. The order of the values does not matter.

    Args:
        values: One value a seed.
        confidence: What it is called; with few seeds it covers less.

    Returns:
        Its ends, None where there is nothing to be resampled: for fewer than three values, or
        where leaving out any of them changes nothing.
    """
    if len(values) < 3:
        return None
    held = np.sort(np.asarray(values, dtype=np.float64))
    if held[0] == held[-1]:
        return float(held[0]), float(held[-1])
    from scipy.stats import bootstrap, trim_mean  # slow to import, and rarely wanted

    def statistic(sample: np.ndarray, axis: int = -1) -> np.ndarray:
        return np.asarray(trim_mean(sample, 0.25, axis=axis))

    with warnings.catch_warnings():
        warnings.simplefilter("ignore")  # where no value left out changes the mean, it is nan
        found = bootstrap(
            (held,),
            statistic,
            n_resamples=RESAMPLES,
            confidence_level=confidence,
            rng=np.random.default_rng(0),
        ).confidence_interval
    if not (math.isfinite(found.low) and math.isfinite(found.high)):
        return None
    return float(found.low), float(found.high)


def probability_of_improvement(ours: Sequence[float], theirs: Sequence[float]) -> float:
    """Return how often a run of one row lies above a run of another, over all pairs of runs.

    Args:
        ours: At least one value.
        theirs: At least one value.

    Returns:
        Between 0 and 1; ties count half.

    Example:
        >>> probability_of_improvement([2.0, 3.0], [1.0, 2.0])  # three of four pairs, and a tie
        0.875
    """
    wins = sum((a > b) + 0.5 * (a == b) for a in ours for b in theirs)
    return float(wins / (len(ours) * len(theirs)))
