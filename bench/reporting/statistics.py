"""Means over seeds with honest intervals, and differences between rows that share their seeds.

With few seeds the percentile bootstrap and the standard error promise too much: a "95 %"
bootstrap interval over 3 seeds covers the truth in 75 % of cases, the t interval in 95 %. Runs of
equal seed share the order of the data and the streams of their initialization, so rows are
compared seed by seed; what is shared drops out of the difference.

Sums are exact (`math.fsum`), so the order of the values does not change a bit of any result.
"""

import math
import warnings
from collections.abc import Iterable, Mapping, Sequence
from dataclasses import dataclass
from statistics import fmean

import numpy as np
from scipy.special import nctdtrinc, stdtr, stdtrit

FEWEST_FOR_CLAIMS = 6
"""Below this a two-sided paired sign-flip test cannot reach p < 0.05, so any smaller p value would
rest on the normal distribution alone."""

LEVEL = 0.05
"""A difference is significant where its corrected p value is below."""

POWER = 0.8
"""The detectable effect is one that would come out significant with this probability."""

RESAMPLES = 2000


@dataclass(frozen=True)
class Interval:
    """The mean of `n` runs, and half the width of its interval, None for a single run."""

    mean: float
    half_width: float | None
    n: int


@dataclass(frozen=True)
class PairedDifference:
    """The mean difference of two rows over their common seeds.

    Attributes:
        interval: The mean difference with its t interval.
        spread: Standard deviation of the differences, 0 where it is but rounding, None for a single
            seed.
        p: Two-sided p value of the paired t test, None for fewer than two seeds.
    """

    interval: Interval
    spread: float | None
    p: float | None


def t_interval(values: Iterable[float], confidence: float = 0.95) -> Interval:
    r"""Student's t interval for the mean of independent values.

    .. math:: \bar v \pm t_{(1+c)/2,\,n-1} \; s / \sqrt n

    Args:
        values: One value a seed, finite.
        confidence: Probability `c` with which such an interval covers the true mean, if the
            values are normally distributed.

    Returns:
        The interval; one value has a mean but no half width.

    Raises:
        ValueError: If there are no values, or one is not finite.

    Examples:
        >>> three = t_interval([1.0, 2.0, 3.0])
        >>> three.mean, round(three.half_width, 6)  # 4.302653 * 1 / sqrt(3)
        (2.0, 2.484138)
        >>> t_interval([5.0])
        Interval(mean=5.0, half_width=None, n=1)
    """
    mean, variance, n = _moments(values)
    if variance is None:
        return Interval(mean, None, 1)
    quantile = float(stdtrit(n - 1, 0.5 + confidence / 2))
    return Interval(mean, quantile * math.sqrt(variance / n), n)


def standard_deviation(values: Iterable[float]) -> float | None:
    """Return the standard deviation of a sample.

    Args:
        values: One value a seed, finite.

    Returns:
        The root of the sum of squares over `n - 1`; None for a single value.

    Examples:
        >>> standard_deviation([1.0, 2.0, 3.0])
        1.0
    """
    _, variance, _ = _moments(values)
    return None if variance is None else math.sqrt(variance)


def paired_difference(
    ours: Mapping[int, float], theirs: Mapping[int, float]
) -> PairedDifference | None:
    r"""Compare two rows over their common seeds by the paired t test.

    .. math:: t = \bar d \sqrt n / s_d

    Where all differences are the same up to rounding, the p value is not that of an infinite t but
    the smallest one of the sign-flip test, `2 ** (1 - n)`, or 1 where they are all 0.

    Args:
        ours: Seed -> value of a row.
        theirs: Seed -> value of the row that it is compared with.

    Returns:
        `ours` minus `theirs`; None without a common seed.

    Examples:
        >>> found = paired_difference({0: 3.0, 1: 5.0, 2: 4.0}, {0: 2.0, 1: 3.0, 2: 1.0, 9: 0.0})
        >>> found.interval.mean, found.interval.n, round(found.p, 4)  # t = 2 sqrt(3)
        (2.0, 3, 0.0742)
    """
    differences = [ours[seed] - theirs[seed] for seed in ours if seed in theirs]
    if not differences:
        return None
    interval, n = t_interval(differences), len(differences)
    spread = standard_deviation(differences)
    if spread is None:
        return PairedDifference(interval, None, None)
    largest = max(abs(value) for values in (ours, theirs) for value in values.values())
    if spread <= 1e-12 * largest:  # what is left is rounding
        p = 1.0 if abs(interval.mean) <= spread else 2.0 ** (1 - n)
        return PairedDifference(interval, 0.0, p)
    t = abs(interval.mean) * math.sqrt(n) / spread
    return PairedDifference(interval, spread, min(1.0, 2.0 * float(stdtr(n - 1, -t))))


def holm(p_values: Sequence[float]) -> list[float]:
    r"""Correct p values for their number, whatever depends on what (Holm, 1979).

    .. math:: \tilde p_{(i)} = \min\left(1, \max_{j \le i} (m - j + 1)\, p_{(j)}\right)

    Calling significant what stays below a level keeps the probability of even one false claim
    among all `m` below that level.

    Args:
        p_values: In any order.

    Returns:
        The corrected ones, in the same order.

    Examples:
        >>> holm([0.01, 0.04, 0.03])
        [0.03, 0.06, 0.06]
    """
    p = np.array(p_values, dtype=np.float64)
    order = p.argsort(kind="stable")
    p[order] = np.maximum.accumulate(np.arange(len(p), 0, -1) * p[order]).clip(max=1)
    return [float(value) for value in p]


def detectable_effect(n: int, level: float = LEVEL, power: float = POWER) -> float | None:
    r"""Return the true difference that a paired t test over `n` seeds would find.

    In standard deviations of the paired differences: the `\delta` for which a noncentral t
    variable of noncentrality `\delta \sqrt n` exceeds the critical value with the given power.

    Args:
        n: Common seeds.
        level: Two-sided level of the test.
        power: Probability with which the difference is to be found.

    Returns:
        The effect, None for fewer than two seeds.

    Examples:
        >>> [round(detectable_effect(n), 2) for n in (3, 5, 10)]
        [3.26, 1.68, 1.0]
    """
    if n < 2:
        return None
    critical = stdtrit(n - 1, 1 - level / 2)
    return float(nctdtrinc(n - 1, 1 - power, critical)) / math.sqrt(n)


def interquartile_mean(values: Sequence[float]) -> float:
    """Return the mean without the lowest and the highest quarter of the values.

    After Agarwal et al., "Deep Reinforcement Learning at the Edge of the Statistical Precipice"
    (NeurIPS 2021), as are the two functions below.

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


def bootstrap_interval(
    values: Sequence[float], confidence: float = 0.95
) -> tuple[float, float] | None:
    """Return the BCa bootstrap interval of the interquartile mean (Efron, 1987).

    The resamples are the same ones every time. The order of the values does not matter.

    Args:
        values: One value a seed.
        confidence: Its nominal coverage; with few seeds it covers less.

    Returns:
        Its ends; None for fewer than three values, or where leaving out any changes nothing.
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
            confidence_level=confidence,
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


def _moments(values: Iterable[float]) -> tuple[float, float | None, int]:
    """Return mean, variance and number; the variance is None for a single value."""
    numbers = [float(value) for value in values]
    n = len(numbers)
    if n == 0 or not all(map(math.isfinite, numbers)):
        raise ValueError(f"an interval needs at least one value, all of them finite; got {numbers}")
    mean = math.fsum(numbers) / n
    return mean, math.fsum((v - mean) ** 2 for v in numbers) / (n - 1) if n > 1 else None, n
