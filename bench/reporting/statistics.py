"""Means over seeds with honest intervals, and differences between rows that share their seeds.

With few seeds the percentile bootstrap and the standard error promise too much: a "95 %"
bootstrap interval over 3 seeds covers the truth in 75 % of cases, the t interval in 95 %. Runs of
equal seed share the order of the data and the streams of their initialization, so rows are
compared seed by seed; what is shared drops out of the difference.

Sums are exact (`math.fsum`), so the order of the values does not change a bit of any result.
"""

import math
from collections.abc import Iterable, Mapping, Sequence
from dataclasses import dataclass

import numpy as np
from scipy.special import nctdtrinc, ndtri, stdtr, stdtrit

LEVEL = 0.05
"""A difference is significant where its corrected p value is below."""

POWER = 0.8
"""The detectable effect is one that would come out significant with this probability."""


def fewest_for_signs(comparisons: int) -> int:
    """Return the number of seeds from which a test without normality can make a first claim.

    The smallest p value of a two-sided paired sign-flip test of n seeds is 2^(1-n). Holm's
    correction multiplies it by the number of comparisons.
    """
    return 2 + math.floor(math.log2(comparisons / LEVEL))


FEWEST_FOR_CLAIMS = fewest_for_signs(1)
"""Six seeds: below, any claim would rest on the normal distribution alone."""


@dataclass(frozen=True)
class Estimate:
    """A mean over seeds, with what its t interval and its t test rest on.

    Attributes:
        mean: What is compared with 0.
        variance: That of one seed; 0 where it is but rounding, None for a single seed.
        error: Standard error of what all values have in common, such as a target.
        n: Number of seeds.
    """

    mean: float
    variance: float | None
    error: float
    n: int

    @property
    def spread(self) -> float | None:
        """Standard deviation over seeds, as if `error` came from them, too; None for one seed."""
        return None if self.variance is None else math.sqrt(self.variance + self.n * self.error**2)

    @property
    def p(self) -> float | None:
        """Two-sided p value, the level at which the interval ends at 0; None for a single seed.

        Where all values are the same up to rounding, and nothing else is uncertain, it is not that
        of an infinite t but the smallest one of the sign-flip test, `2 ** (1 - n)`, or 1 where they
        are all 0.
        """
        if self.variance is None:
            return None
        if not self.variance and not self.error:
            return 1.0 if self.mean == 0 else 2.0 ** (1 - self.n)
        if not self.error:
            t = abs(self.mean) * math.sqrt(self.n) / math.sqrt(self.variance)
            return min(1.0, 2.0 * float(stdtr(self.n - 1, -t)))
        low, high = -36.0, 0.0  # of its logarithm; less is as good as nothing
        for _ in range(60):
            middle = (low + high) / 2
            is_outside = (self.half_width(math.exp(middle)) or 0.0) < abs(self.mean)
            low, high = (low, middle) if is_outside else (middle, high)
        return math.exp(high)

    def half_width(self, level: float = LEVEL) -> float | None:
        """Return half the width of the interval that leaves out the truth with this chance.

        That of the seeds, by Student's t, and that of `error`, by the normal distribution, are
        added as squares, so it is never narrower than either.
        """
        if self.variance is None:
            return None
        upper = 1 - level / 2
        half_width = float(stdtrit(self.n - 1, upper)) * math.sqrt(self.variance / self.n)
        return math.hypot(half_width, ndtri(upper) * self.error) if self.error else half_width


@dataclass(frozen=True)
class PairedDifference:
    """A row minus another over their common seeds: of their values, or of how far they are off.

    Attributes:
        parts: What has to differ from 0 for a claim: of values their difference; of distances to
            a target also twice the way from the target to the middle between both rows.
    """

    parts: tuple[Estimate, ...]

    @property
    def nearest(self) -> Estimate:
        """The part that is nearest to 0."""
        return min(self.parts, key=lambda part: abs(part.mean))

    @property
    def mean(self) -> float:
        """The difference."""
        return math.copysign(self.nearest.mean, math.prod(part.mean for part in self.parts))

    @property
    def n(self) -> int:
        """Number of common seeds."""
        return self.parts[0].n

    @property
    def spread(self) -> float | None:
        """Standard deviation over seeds, None for a single seed."""
        return self.nearest.spread

    @property
    def p(self) -> float | None:
        """Two-sided p value, the largest of all parts; None for a single seed."""
        return max(p for part in self.parts if (p := part.p) is not None) if self.n > 1 else None

    def half_width(self, level: float = LEVEL) -> float | None:
        """Return half the width of an interval that leaves out 0 just where `p` is below `level`.

        None for a single seed.
        """
        if self.n < 2:
            return None
        return max(
            (part.half_width(level) or 0.0) - (abs(part.mean) - abs(self.nearest.mean))
            for part in self.parts
        )


def estimate(values: Iterable[float], error: float = 0.0, *, rounding: float = 0.0) -> Estimate:
    r"""Return the mean of values of which each is off by the same unknown amount.

    Its interval is

    .. math:: \bar v \pm \sqrt{t_{1-\alpha/2,\,n-1}^2 \, s^2 / n + z_{1-\alpha/2}^2 \, e^2}

    which covers the truth at least as often as it says for few seeds, too, as intervals with the
    degrees of freedom of Welch and Satterthwaite do not. Without `e` it is Student's t interval.

    Args:
        values: One value a seed, finite.
        error: Standard error `e` of what all values have in common, such as a target.
        rounding: Standard deviations up to this are none.

    Returns:
        The mean with what is uncertain of it.

    Raises:
        ValueError: If there are no values, or one is not finite.

    Examples:
        >>> three = estimate([1.0, 2.0, 3.0])
        >>> three.mean, round(three.half_width(), 6)  # 4.302653 * 1 / sqrt(3)
        (2.0, 2.484138)
        >>> gap = estimate([1.0, 2.0, 3.0], error=0.5)  # (4.3027 ** 2 / 3 + 1.96 ** 2 / 4) ** 0.5
        >>> gap.mean, round(gap.half_width(), 3)
        (2.0, 2.67)
        >>> estimate([5.0])
        Estimate(mean=5.0, variance=None, error=0.0, n=1)
    """
    numbers = [float(value) for value in values]
    n = len(numbers)
    if n == 0 or not all(map(math.isfinite, numbers)):
        raise ValueError(f"a mean needs at least one value, all of them finite; got {numbers}")
    mean = math.fsum(numbers) / n
    if n == 1:
        return Estimate(mean, None, error, 1)
    variance = math.fsum((v - mean) ** 2 for v in numbers) / (n - 1)
    if math.sqrt(variance) <= rounding:
        variance = 0.0
        mean = 0.0 if abs(mean) <= rounding else mean
    return Estimate(mean, variance, error, n)


def paired_difference(
    ours: Mapping[int, float],
    theirs: Mapping[int, float],
    target: float | None = None,
    target_error: float = 0.0,
) -> PairedDifference | None:
    r"""Compare two rows over their common seeds by paired t tests.

    .. math:: t = \bar d \sqrt n / s_d

    With a target, the distances of the means from it are compared. One row is nearer if the rows
    differ and the middle between them lies on the other one's side of the target,

    .. math:: |a - T| < |b - T| \iff (a - b)\,(a + b - 2T) < 0,

    so both factors are tested, and the larger p value counts (an intersection-union test; Berger,
    1982). The target's error is in the second factor alone: the first one does not know the target.

    Args:
        ours: Seed -> value of a row.
        theirs: Seed -> value of the row that it is compared with.
        target: The value that is best; None where values themselves are compared.
        target_error: Standard error of the target.

    Returns:
        `ours` minus `theirs`, or the difference of the distances; None without a common seed.

    Examples:
        >>> found = paired_difference({0: 3.0, 1: 5.0, 2: 4.0}, {0: 2.0, 1: 3.0, 2: 1.0, 9: 0.0})
        >>> found.mean, found.n, round(found.p, 4)  # t = 2 sqrt(3)
        (2.0, 3, 0.0742)
        >>> near, far = {0: 3.0, 1: 3.5}, {0: 8.0, 1: 8.5}
        >>> paired_difference(near, far, target=5.0).mean  # 1.75 from it, and 3.25
        -1.5
    """
    common = [seed for seed in ours if seed in theirs]
    if not common:
        return None
    rounding = 1e-12 * max(abs(value) for of in (ours, theirs) for value in of.values())
    parts = [estimate([ours[seed] - theirs[seed] for seed in common], rounding=rounding)]
    if target is not None:
        sums = [ours[seed] + theirs[seed] - 2 * target for seed in common]
        parts.append(estimate(sums, 2 * target_error, rounding=rounding))
    return PairedDifference(tuple(parts))


def holm(p_values: Sequence[float], level: float = LEVEL) -> tuple[list[float], list[float]]:
    r"""Correct p values for their number, whatever depends on what (Holm, 1979).

    .. math:: \tilde p_{(i)} = \min\left(1, \max_{j \le i} (m - j + 1)\, p_{(j)}\right)

    Calling significant what stays below a level keeps the probability of even one false claim
    among all `m` below that level. An interval leaves out 0 where the corrected p value is below
    `level` if its own level is `level` over the factor of the correction, before it is cut at 1.

    Args:
        p_values: In any order.
        level: Below it a corrected p value is significant.

    Returns:
        The corrected p values and the levels for intervals, in the same order.

    Examples:
        >>> corrected, levels = holm([0.01, 0.04, 0.03])
        >>> corrected, [round(level, 4) for level in levels]
        ([0.03, 0.06, 0.06], [0.0167, 0.0333, 0.025])
    """
    p = np.array(p_values, dtype=np.float64)
    order = p.argsort(kind="stable")
    factors = np.arange(len(p), 0, -1, dtype=np.float64)
    ascending = p[order]
    corrected = np.maximum.accumulate(factors * ascending)
    np.divide(corrected, ascending, out=factors, where=ascending > 0)
    back = order.argsort()
    return corrected.clip(max=1)[back].tolist(), (level / factors)[back].tolist()


def detectable_effect(n: int) -> float | None:
    r"""Return the true difference that a paired t test over `n` seeds would find.

    In standard deviations of the paired differences: the `\delta` for which a noncentral t
    variable of noncentrality `\delta \sqrt n` exceeds the critical value of the two-sided test at
    `LEVEL` with probability `POWER`.

    Args:
        n: Common seeds.

    Returns:
        The effect, None for fewer than two seeds.

    Examples:
        >>> [round(detectable_effect(n), 2) for n in (3, 5, 10)]
        [3.26, 1.68, 1.0]
    """
    if n < 2:
        return None
    critical = stdtrit(n - 1, 1 - LEVEL / 2)
    return float(nctdtrinc(n - 1, 1 - POWER, critical)) / math.sqrt(n)
