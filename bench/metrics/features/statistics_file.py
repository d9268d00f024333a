"""Files of reference statistics: mean and covariance of features, as programs for FID share them.

pytorch-fid, clean-fid, EDM and the evaluator of guided-diffusion keep them as arrays `mu` `[D]` and
`sigma` `[D, D]` (divided by `N - 1`) of an `.npz`. The latter's files hold `mu_s` and `sigma_s` of
spatial features and images `arr_0` as well, which are not read here. Those written here also say
what they were made of: `extractor`, `count`, `class_counts`, `class_names`, `images` (a hash of the
images), `source` and `bench`.
"""

from collections.abc import Mapping
from functools import partial
from pathlib import Path
from typing import Any, NamedTuple

import numpy as np

from bench.data.files.npz_files import array_names, read_arrays
from bench.errors import BenchError
from bench.record.files import read_once, write_npz

Array = np.ndarray[Any, np.dtype[Any]]

SYMMETRIC = 1e-5
"""How far a covariance in `float32` may be from symmetric, as a share of its largest number."""


class Moments(NamedTuple):
    """Mean `[D]` and covariance `[D, D]` of features, in `float64`."""

    mean: Array
    covariance: Array


class ReferenceStatistics(NamedTuple):
    """The moments of a file, and the extractor that the file names; empty where it names none."""

    moments: Moments
    extractor: str

    @property
    def width(self) -> int:
        """Number of features."""
        return len(self.moments.mean)


def read_statistics(path: Path) -> ReferenceStatistics:
    """Read and check a file of statistics; a `BenchError` says what is wrong with it."""
    path = path.expanduser()
    if not path.is_file():
        raise BenchError(f"there is no file {path} of statistics")
    return _read(path)


@partial(read_once, most=4)
def _read(path: Path) -> ReferenceStatistics:
    names = array_names(path, "mu", "sigma")
    if "arr_0" in names and not {"mu", "sigma"} & {*names}:
        raise BenchError(
            f"{path}: holds images (arr_0), but no mu and sigma; `bench statistics DATA --images "
            f"{path.name}` makes them"
        )
    mean, covariance = read_arrays(path, "mu", "sigma")
    for name, array, axes in (("mu", mean, "[D]"), ("sigma", covariance, "[D, D]")):
        if array.dtype.kind != "f" or array.ndim != len(axes.split(",")) or not array.size:
            raise BenchError(
                f"{path}: {name} must be floats {axes}, got {array.dtype} {list(array.shape)}"
            )
        if not np.isfinite(array).all():
            raise BenchError(f"{path}: {name} holds values that are not finite")
    if covariance.shape != (len(mean), len(mean)):
        raise BenchError(
            f"{path}: mu is of {len(mean)} features, sigma is {list(covariance.shape)}; it must be "
            f"{[len(mean)] * 2}"
        )
    most = np.abs(covariance).max()
    if (
        np.abs(covariance - covariance.T).max() > SYMMETRIC * most
        or covariance.diagonal().min() < 0
    ):
        raise BenchError(
            f"{path}: sigma is no covariance: it is not symmetric, or a variance is negative"
        )
    extractor = str(read_arrays(path, "extractor")[0]) if "extractor" in names else ""
    moments = Moments(mean.astype(np.float64), covariance.astype(np.float64))
    return ReferenceStatistics(moments, extractor)


def write_statistics(path: Path, moments: Moments, about: Mapping[str, Any]) -> None:
    """Write statistics and what they were made of, whole or not at all."""
    arrays = {"mu": moments.mean, "sigma": moments.covariance, **about}
    write_npz(path, arrays, compressed=False)
