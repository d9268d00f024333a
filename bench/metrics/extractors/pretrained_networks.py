"""The networks whose weights are published files: where those are kept, and whether a file fits."""

from collections.abc import Callable, Mapping
from dataclasses import dataclass
from functools import partial
from pathlib import Path

from bench.errors import BenchError, NotApplicable
from bench.metrics.extractors import inception, lpips, vision_transformers


@dataclass(frozen=True)
class PretrainedNetwork:
    """A network by its file of weights.

    Attributes:
        kept: Returns the path where a download of the file is kept, if one can be.
        remedy: Returns how to provide the file.
        read: Reads a file into the network; `NotApplicable` if it does not fit.
    """

    kept: Callable[[], Path | None]
    remedy: Callable[[], str]
    read: Callable[[Path], object]


PRETRAINED: Mapping[str, PretrainedNetwork] = {
    "inception": PretrainedNetwork(
        inception.downloaded_path, lambda: inception.REMEDY, inception.read_inception
    ),
    "lpips": PretrainedNetwork(lambda: None, lambda: lpips.REMEDY, lpips.read_lpips),
    **{
        name: PretrainedNetwork(
            partial(vision_transformers.kept_weights, name),
            partial(vision_transformers.remedy_of, name),
            partial(vision_transformers.read_transformer, name),
        )
        for name in vision_transformers.TRANSFORMERS
    },
}
"""By the name in `Context.weights`."""


def refuse_unfit(weights: Mapping[str, Path]) -> None:
    """Raise a `BenchError` if a file does not fit its network, by name."""
    for name, path in weights.items():
        try:
            PRETRAINED[name].read(path)
        except NotApplicable as reason:
            raise BenchError(f"--{name}-weights: {reason}") from reason
