"""Rows of `bench evaluate`: which sample sets may be seeds of one row."""

from collections.abc import Mapping, Sequence
from itertools import chain
from typing import Any, NamedTuple

SAVED = "set-"  # begins the folder name of a row

IMPORTED = "import"
"""How an import marks measurements that the sweep here has not asked for; by which code they were
measured is not known."""
OF_EACH = ("seed", "data", "evaluated", "metrics", "samples_per_class")
"""Settings in which the sample sets of a row may differ, or that are compared by themselves."""


class SampleSetEntry(NamedTuple):
    """A sample set of a row: its model, seed if known, and `config.json`'s settings."""

    model: str
    seed: int | None
    settings: Mapping[str, Any]


def samples_of(settings: Mapping[str, Any]) -> Mapping[str, Any]:
    """Return what the samples are: their hash and counts; not where they are."""
    return {name: v for name, v in settings.get("evaluated", {}).items() if name != "path"}


def all_metrics(*asked: Sequence[Any]) -> list[Any]:
    """Return the metrics of several lists, each once."""
    metrics: list[Any] = []
    for metric in chain(*asked):
        if metric not in metrics:
            metrics.append(metric)
    return metrics


def problem_of_pair(known: SampleSetEntry, new: SampleSetEntry) -> str:
    """Return why a further sample set cannot be one more seed of a row; '' if it can.

    Sample sets on different data are different rows, but of one model.
    """
    if known.model != new.model:
        return f"the row holds samples of {known.model}, and these are of {new.model}"
    if known.settings.get("data") != new.settings.get("data"):
        return ""
    if known.seed is None or new.seed is None:
        if known.seed is None:
            return (
                "the row has samples whose seed is not known, so these would count as one seed more"
            )
        return "the row has samples whose seed is known, and these would count as one seed more"
    ours, theirs = known.settings, new.settings
    names = sorted({*ours, *theirs}.difference(OF_EACH))
    if differing := [name for name in names if ours.get(name) != theirs.get(name)]:
        return f"seed {known.seed} of the row was trained with other settings ({differing[0]})"
    first, second = (settings.get("evaluated", {}) for settings in (ours, theirs))
    if first.get("sampling") != second.get("sampling"):
        return f"seed {known.seed} of the row was drawn with other sampling options"
    if "sha256" in first and first["sha256"] == second.get("sha256"):
        return f"these are the images of seed {known.seed} of that row"
    return ""


def problem_of_merging(
    present: Sequence[tuple[str, SampleSetEntry]], packed: Sequence[tuple[str, SampleSetEntry]]
) -> str:
    """Return why rows cannot be merged by their names, of pairs of a name and a sample set."""
    for name, known in present:
        for other, new in packed:
            is_same = samples_of(known.settings) == samples_of(new.settings)
            if name != other or (is_same and known.seed == new.seed):
                continue
            if known.seed == new.seed and known.settings.get("data") == new.settings.get("data"):
                return f"{name!r} has other samples there"
            if problem := problem_of_pair(known, new):
                return f"{name!r}: {problem}"
    return ""
