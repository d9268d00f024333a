"""Switches: ways to execute a training faster that compute the same, so no id depends on them.

torch is not imported here, since preferences and the command line read the names.
"""

from dataclasses import dataclass, fields

from bench.errors import BenchError, describe_unknown

CUDA_ONLY = ("graphs", "autotune")


@dataclass(frozen=True)
class SwitchSet:
    """The switches that are on; eager mode has none."""

    graphs: bool = False  # capture an iteration as a CUDA graph and replay it
    autotune: bool = False  # let cuDNN time its algorithms, also those that vary in last digits
    channels_last: bool = False  # of images, and of weights of convolutions
    compile: bool = False  # terms and gradients of each stage, by `torch.compile`

    @classmethod
    def of(cls, names: list[str]) -> "SwitchSet":
        """Return the switches with those names on."""
        return cls(**dict.fromkeys(names, True))

    @property
    def names(self) -> list[str]:
        """Names of the switches that are on."""
        return [field.name for field in fields(self) if getattr(self, field.name)]

    def __str__(self) -> str:
        return ", ".join(self.names) or "eager"

    def check_device(self, device: str) -> None:
        """Raise a `BenchError` if a type of device, such as `cpu`, lacks one of them."""
        for name in CUDA_ONLY:
            if getattr(self, name) and device != "cuda":
                raise BenchError(f"the switch {name} needs a CUDA device, not {device}")


EAGER = SwitchSet()


def parse_speed(text: str) -> SwitchSet | None:
    """Return the switches of `eager` or of names with commas in between; None of `auto`.

    >>> parse_speed("compile,channels_last").names
    ['channels_last', 'compile']
    """
    names = [name.strip() for name in text.split(",") if name.strip()]
    if names == ["auto"]:
        return None
    known = [field.name for field in fields(SwitchSet)]
    for name in names:
        if name not in known and names != ["eager"]:
            raise BenchError(describe_unknown("switch", name, ["auto", "eager", *known]))
    return EAGER if names == ["eager"] else SwitchSet.of(names)
