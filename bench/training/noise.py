"""The random numbers of `terms`, drawn outside of it.

Several runs in one program must each draw what they draw alone, from seeds of their own. Shapes are
static, so a stage asks for the same numbers in every pass: its calls are recorded once, then the
numbers of each run are drawn from the run's own generator, and handed out where they are asked for.
"""

from collections.abc import Iterable, Mapping, Sequence
from types import MappingProxyType
from typing import Any, NamedTuple

import torch
from torch import Tensor
from torch.overrides import TorchFunctionMode

from bench.errors import NotApplicable

_FILLS = {
    torch.randn: "normal_",
    torch.randn_like: "normal_",
    torch.rand: "uniform_",
    torch.rand_like: "uniform_",
}
_INTEGERS = (torch.randint, torch.randint_like)
_IN_PLACE = {
    getattr(Tensor, name): name
    for name in ("normal_", "uniform_", "random_", "exponential_", "log_normal_", "cauchy_")
}


class Fill(NamedTuple):
    """An in-place call that fills a tensor with random numbers: method and arguments."""

    method: str
    args: tuple[Any, ...] = ()
    kwargs: Mapping[str, Any] = MappingProxyType({})


class Drawn(NamedTuple):
    """One call for random numbers, told as what fills an empty tensor with the same.

    Attributes:
        shape: Of the result.
        stride: Of the result.
        dtype: Of the result.
        fill: The in-place call.
    """

    shape: torch.Size
    stride: tuple[int, ...]
    dtype: torch.dtype
    fill: Fill

    def draw(self, generators: Sequence[torch.Generator]) -> Tensor:
        """Return numbers from each generator, `[R, ...]`."""
        count, device = len(generators), generators[0].device
        span = 1 + sum((n - 1) * s for n, s in zip(self.shape, self.stride, strict=True))
        size, stride = (count, *self.shape), (span, *self.stride)
        found = torch.empty_strided(size, stride, dtype=self.dtype, device=device)
        method, args, kwargs = self.fill
        for part, generator in zip(found, generators, strict=True):
            getattr(part, method)(*args, **kwargs, generator=generator)
        return found


class Recording(TorchFunctionMode):
    """Notes every call for random numbers that the default generator answers."""

    def __init__(self) -> None:
        super().__init__()
        self.calls: list[Drawn] = []

    def __torch_function__(
        self, func: Any, types: Any, args: tuple[Any, ...] = (), kwargs: Any = None
    ) -> Any:
        """Perform a call."""
        kwargs = kwargs or {}
        found = func(*args, **kwargs)
        if (fill := _fill(func, args, kwargs)) is not None:
            self.calls.append(Drawn(found.shape, found.stride(), found.dtype, fill))
        return found

    def refuse_others(self, seed: int, after: torch.Generator) -> None:
        """Raise `NotApplicable` if anything random happened that was not noted.

        Args:
            seed: What the default generator was seeded with before.
            after: The default generator.
        """
        alone = torch.Generator(after.device).manual_seed(seed)
        for call in self.calls:
            call.draw([alone])
        if not torch.equal(alone.get_state(), after.get_state()):
            raise NotApplicable(
                "its terms draw random numbers in a way that cannot be done from outside; randn, "
                "rand, randint, their *_like and normal_, uniform_, random_ can"
            )


class Handing(TorchFunctionMode):
    """Hands out numbers that are drawn already, in the order in which they are asked for."""

    def __init__(self, noise: Iterable[Tensor]) -> None:
        super().__init__()
        self._noise = iter(noise)

    def __torch_function__(
        self, func: Any, types: Any, args: tuple[Any, ...] = (), kwargs: Any = None
    ) -> Any:
        """Perform a call, or answer it."""
        kwargs = kwargs or {}
        if _fill(func, args, kwargs) is None:
            return func(*args, **kwargs)
        noise = next(self._noise)
        return args[0].copy_(noise) if func in _IN_PLACE else noise


def _fill(func: Any, args: tuple[Any, ...], kwargs: Mapping[str, Any]) -> Fill | None:
    """Return the in-place call that gives the same numbers; None for what is not random."""
    if kwargs.get("generator") is not None:
        return None
    if func in _FILLS:
        return Fill(_FILLS[func])
    if func in _INTEGERS:
        bounds = [value for value in args if isinstance(value, int)]
        bounds += [kwargs[name] for name in ("low", "high") if name in kwargs]
        return Fill("random_", (0, *bounds)[-2:])
    if func in _IN_PLACE:
        named = {name: value for name, value in kwargs.items() if name != "generator"}
        return Fill(_IN_PLACE[func], args[1:], named)
    return None
