"""Statistics that a few collapsed seeds do not move far, after Agarwal et al. (NeurIPS 2021)."""

import math
import warnings
from collections.abc import Sequence
from statistics import fmean

import numpy as np

from bench.reporting.statistics import LEVEL

RESAMPLES = 2000


def interquartile_mean(values: Sequence[float]) -> float:
    """Return the mean without the lowest and the highest quarter of the values.

    After Agarwal et al., "Deep Reinforcement Learning at the Edge of the Statistical Precipice".

    Args:
        values: At least one. Of `n` values `n // 4` are left out at either end, so that up to
            three keep them all.

    Returns:
        The mean of the rest.

    Examples:
        >>> interquartile_mean([1.0, 2.0, 3.0, 100.0])
        2.5
    """
    cut = len(values) // 4
    return fmean(sorted(values)[cut : len(values) - cut])


def bootstrap_interval(values: Sequence[float]) -> tuple[float, float] | None:
    """Return the 95 % BCa bootstrap interval of the interquartile mean (Efron, 1987).

    The resamples are the same ones every time. The order of the values does not matter.

    Args:
        values: One value a seed.

    Returns:
        Its ends, which cover less with few seeds; None for fewer than three values, or where
        leaving out any changes nothing.
    """
    if len(values) < 3:
        return None
    ordered = np.sort(np.asarray(values, dtype=np.float64))
    if ordered[0] == ordered[-1]:
        return float(ordered[0]), float(ordered[-1])
    from scipy.stats import bootstrap, trim_mean  # slow to import, and rarely wanted

    with warnings.catch_warnings():
        warnings.simplefilter("ignore")  # where no value left out changes the mean, it is nan
        interval = bootstrap(
            (ordered,),
            lambda sample, axis=-1: trim_mean(sample, 0.25, axis=axis),
            n_resamples=RESAMPLES,
            confidence_level=1 - LEVEL,
            rng=np.random.default_rng(0),
        ).confidence_interval
    if not (math.isfinite(interval.low) and math.isfinite(interval.high)):
        return None
    return float(interval.low), float(interval.high)


def probability_of_improvement(ours: Sequence[float], theirs: Sequence[float]) -> float:
    """Return how often a run of one row lies above a run of another, over all pairs of runs.

    Args:
        ours: At least one value.
        theirs: At least one value.

    Returns:
        Between 0 and 1; ties count half.

    Examples:
        >>> probability_of_improvement([2.0, 3.0], [1.0, 2.0])  # three of four pairs, and a tie
        0.875
    """
    return float(np.heaviside(np.subtract.outer(ours, theirs), 0.5).mean())
