"""What tensors of a data set must be, and what is said of one that is something else."""

from collections.abc import Sequence

import torch
from torch import Tensor

from bench.errors import BenchError


def checked_tensor(
    value: object, dtype: torch.dtype, axes: Sequence[int | str], what: str
) -> Tensor:
    """Return a tensor, which has a type and a shape; the first axis may be free: `N`."""
    shape = tuple(getattr(value, "shape", ()))
    free = isinstance(axes[0], str)
    fits = len(shape) == len(axes) and shape[free:] == tuple(axes[free:])
    if isinstance(value, Tensor) and value.dtype == dtype and fits:
        return value
    wanted, remedy = ", ".join(map(str, axes)), _remedy(value, dtype, axes)
    raise BenchError(f"{what} must be {dtype} [{wanted}], got {describe_value(value)}{remedy}")


def _remedy(value: object, dtype: torch.dtype, axes: Sequence[int | str]) -> str:
    """Return how a value becomes what was probably meant, for the end of a message."""
    if not isinstance(value, Tensor):
        return "; torch.as_tensor makes a tensor of an array" if hasattr(value, "shape") else ""
    shape, images = tuple(value.shape), len(axes) == 4
    if images and axes[1] == 1 and shape[1:] == tuple(axes[2:]):
        return "; x[:, None] adds the axis of channels"
    if images and len(shape) == 4 and shape[1:] == (*axes[2:], axes[1]) != tuple(axes[1:]):
        return "; x.permute(0, 3, 1, 2) puts the channels first"
    if len(axes) == 1 and shape == (axes[0], 1):
        return "; y.flatten() leaves out the second axis"
    if images and value.is_floating_point():
        scaled = "(255 * x).round().to(torch.uint8) maps [0, 1] there, to_bytes(x) [-1, 1]"
        return f"; levels are 0 to 255: {scaled}"
    return f"; .to({dtype}) changes the type" if value.dtype != dtype else ""


def describe_value(value: object) -> str:
    """Return the type of a value in words, for tensors and arrays with type and shape of these."""
    if not hasattr(value, "shape"):
        return "None" if value is None else type(value).__name__
    kind = "" if isinstance(value, Tensor) else f"{type(value).__name__} of "
    return f"{kind}{getattr(value, 'dtype', '')} {[*value.shape]}"
