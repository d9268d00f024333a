"""What a data set holds: counts, its range, and images that occur more than once."""

import hashlib
from collections import Counter
from dataclasses import asdict, dataclass
from itertools import combinations
from typing import Any

import torch
from torch import Tensor

from bench.data.base import DataSet


@dataclass(frozen=True)
class Repeats:
    """Examples whose bytes occur more than once.

    Attributes:
        within: Split -> examples that repeat one before them in the same split.
        across: Two splits, as in `test in train` -> examples of the former that the latter holds.
        classes: Different examples that occur with several labels.
    """

    within: dict[str, int]
    across: dict[str, int]
    classes: int


def find_repeats(data: DataSet) -> Repeats:
    """Find the examples that occur more than once in a data set."""
    splits = {"train": data.train, "validation": data.validation, "test": data.test}
    hashes = {name: content_hashes(split.x) for name, split in splits.items()}
    labels: dict[bytes, set[int]] = {}
    for name, split in splits.items():
        for one, label in zip(hashes[name], split.y.tolist(), strict=True):
            labels.setdefault(one, set()).add(label)
    if data.unlabeled is not None:
        hashes = {"unlabeled": content_hashes(data.unlabeled), **hashes}
    counted = {name: Counter(of_split) for name, of_split in hashes.items()}
    return Repeats(
        {name: sum(count.values()) - len(count) for name, count in counted.items()},
        {
            f"{later} in {earlier}": sum(
                number for one, number in counted[later].items() if one in counted[earlier]
            )
            for earlier, later in combinations(counted, 2)
        },
        sum(len(of_example) > 1 for of_example in labels.values()),
    )


def data_notices(data: DataSet) -> list[str]:
    """Return what the user of a data set should know before anything is trained, in lines."""
    repeats = find_repeats(data)
    found = [f"{count} examples of {where}" for where, count in repeats.across.items() if count]
    if repeats.classes:
        found.append(f"{repeats.classes} in several classes")
    line = f"{data.spec.name} holds equal examples: {', '.join(found)}; `bench data` shows more"
    return [*data.notices, *([line] if found else [])]


def summarize(data: DataSet) -> dict[str, Any]:
    """Return the counts, range, fingerprint and repeated examples of a data set, as plain data."""
    splits = {"train": data.train, "validation": data.validation, "test": data.test}
    counts = {
        name: torch.bincount(split.y, minlength=data.spec.classes).tolist()
        for name, split in splits.items()
    }
    return {
        "name": data.spec.name,
        "shape": list(data.spec.shape),
        "splits": {name: len(split) for name, split in splits.items()},
        "classes": [
            {"name": name, **{split: counts[split][label] for split in splits}}
            for label, name in enumerate(data.spec.class_names)
        ],
        "range": [data.train.x.min().item(), data.train.x.max().item()],
        "repeated": asdict(find_repeats(data)),
        "notices": list(data.notices),
        "fingerprint": data.fingerprint,
    }


def content_hashes(x: Tensor) -> list[bytes]:
    """Return a hash of the bytes of each example `[N, ...]`."""
    # Not Python's own hash, which changes from process to process.
    return [hashlib.blake2b(one.tobytes(), digest_size=16).digest() for one in x.numpy()]
