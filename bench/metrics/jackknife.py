r"""Standard errors over images: how much a value would vary with other images of one generator.

.. math:: \widehat{\mathrm{Var}}(\hat\theta) = \frac{n-1}{n} \sum_i
          \big(\hat\theta_{(i)} - \overline{\hat\theta_{(\cdot)}}\big)^2

The jackknife of Efron & Stein (1981), with the estimate without image `i`. Pairs share images, so
the scatter of pairs over the root of their number would be far too small. Images are left out
within their class, and the variances of the classes add up. The result is exact for means, and for
pairs too large by a factor of about `1 + 1/n`.
"""

from collections.abc import Sequence
from math import fsum, sqrt

import torch
from torch import Tensor


def jackknife_variance(without: Tensor) -> float:
    """Return the jackknife variance of an estimate, of its values `[n]` without each of n images.

    >>> jackknife_variance(torch.tensor([3.0, 0.0, 0.0]))
    4.0
    """
    n = len(without)
    values = without.double().sort().values  # in any order of the images the same bits
    return float((n - 1) / n * (values - values.mean()).square().sum())


def variances_without(squares: Tensor) -> Tensor:
    """Return the sample variance without each of at least 3 images, `[n]`.

    `squares` `[n]` are the squared distances of all images from their mean.

    >>> variances_without(torch.tensor([1.0, 0.0, 1.0]))  # of 1, 2, 3
    tensor([0.5000, 2.0000, 0.5000], dtype=torch.float64)
    """
    n, squares = len(squares), squares.double()
    if n < 3:
        raise ValueError(f"a jackknife of a variance needs at least 3 images, got {n}")
    return (squares.sort().values.sum() - n / (n - 1) * squares) / (n - 2)


def pair_variance(pairs: Tensor, n: int) -> float:
    """Return the jackknife variance of the mean over all pairs of at least 3 images.

    The pairs `[n (n - 1) / 2]` are in the order of `torch.triu_indices(n, n, 1)`.

    >>> pair_variance(torch.tensor([0.0, 0.0, 3.0]), 3)  # without one image: 3, 0 or 0
    4.0
    """
    if n < 3 or pairs.shape != (n * (n - 1) // 2,):
        raise ValueError(f"a jackknife over pairs of {n} images, got {list(pairs.shape)} values")
    values = pairs.double().cpu()
    first, second = torch.triu_indices(n, n, 1)
    of_image = torch.zeros(n, dtype=torch.float64)
    of_image.index_add_(0, first, values).index_add_(0, second, values)
    return jackknife_variance((values.sum() - of_image) / ((n - 1) * (n - 2) / 2))


def mean_variance(values: Tensor) -> float:
    """Return the jackknife variance of the mean of at least 2 values `[n]`: the usual `s^2 / n`.

    For a share this is the binomial variance with `n - 1` in the place of `n`; it is 0 where all
    images are right, or all are wrong.

    >>> mean_variance(torch.tensor([1.0, 0.0, 1.0, 0.0]))  # 0.25 / 3
    0.08333333333333333
    """
    if len(values) < 2:
        raise ValueError(f"a jackknife needs at least 2 values, got {len(values)}")
    return float(values.double().var() / len(values))


def combined_error(variances: Sequence[float], weights: Sequence[float] | None = None) -> float:
    """Return the standard error of the weighted mean of independent estimates, one for each class.

    The weights have the sum 1; they are equal where None.

    >>> combined_error([4.0, 4.0, 4.0, 4.0])
    1.0
    """
    weights = weights or [1 / len(variances)] * len(variances)
    return sqrt(fsum(w * w * v for w, v in zip(weights, variances, strict=True)))


def mean_error(classes: Sequence[Tensor], *, equally: bool = False) -> float | None:
    """Return the standard error over images of a mean over images that are drawn class by class.

    None if a class has fewer than two images. `classes` has the values `[n]` of each class; all
    images count alike, or `equally` all classes.

    >>> mean_error([torch.tensor([1.0, 0.0, 1.0, 0.0])]) ** 2  # 0.25 / 3
    0.08333333333333333
    """
    if min(map(len, classes)) < 2:
        return None
    count = sum(map(len, classes))
    shares = None if equally else [len(values) / count for values in classes]
    return combined_error([mean_variance(values) for values in classes], shares)
