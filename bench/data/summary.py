"""What a data set holds: counts, its range, images that occur more than once or nearly so."""

import hashlib
from collections import Counter
from dataclasses import asdict, dataclass
from itertools import combinations
from typing import Any

import torch
import torch.nn.functional as F
from torch import Tensor

from bench.data.base import DIM, DataSet, Split

NEAR = 0.1
"""A near copy differs from its original by this share of its contrast at most."""

UNBALANCED = 10
"""The largest class has so many times the training examples of the smallest, or more."""

SIDE = 8  # to which images are shrunk to find the candidates
PART = 500  # images that are looked at together


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


def count_near_copies(data: DataSet) -> dict[str, int]:
    """Count the images, by split, that nearly equal a training image or its mirror image.

    Such are files that were encoded again, cropped by a pixel, or changed in brightness a little.
    For each image the nearest training image at 8x8 gray pixels is compared at full size: by the
    root mean square of the difference over the standard deviation of the pixels. Exact copies are
    counted by `find_repeats` instead.
    """
    if not data.spec.is_image:
        return {}
    train = _shrunk(data.train.x)
    squares = train.square().sum(dim=1)
    counts = {}
    for name, split in (("validation", data.validation), ("test", data.test)):
        counts[name] = 0
        for x in torch.split(split.x, PART) if len(split) else ():
            is_near, is_equal = torch.zeros(2, len(x), dtype=torch.bool)
            for seen in (x, x.flip(3)):
                which = torch.addmm(squares, _shrunk(seen), train.T, alpha=-2).argmin(dim=1)
                pixels = seen.flatten(1).float()
                difference = pixels - data.train.x[which].flatten(1)
                far = difference.square().mean(dim=1).sqrt()
                is_near |= far <= NEAR * pixels.std(dim=1, correction=0)
                is_equal |= (far == 0) & (seen == x).flatten(1).all(dim=1)
            counts[name] += int((is_near & ~is_equal).sum())
    return counts


def _shrunk(x: Tensor) -> Tensor:
    """Return images `uint8` `[N, C, H, W]` as at most 8x8 gray pixels, `[N, D]`."""
    size = min(SIDE, x.shape[2]), min(SIDE, x.shape[3])
    parts = [F.adaptive_avg_pool2d(part.float().mean(dim=1), size) for part in torch.split(x, PART)]
    return torch.cat(parts).flatten(1)


def data_notices(data: DataSet, samples_per_class: int) -> list[str]:
    """Return what the user of a data set should know before anything is trained, in lines.

    `samples_per_class` are to be drawn of each class, and compared with the test examples.
    """
    repeats = find_repeats(data)
    found = [f"{count} examples of {where}" for where, count in repeats.across.items() if count]
    if repeats.classes:
        found.append(f"{repeats.classes} in several classes")
    line = f"{data.spec.name} holds equal examples: {', '.join(found)}; `bench data` shows more"
    return [
        *data.notices,
        *_notices_of_content(data),
        *([line] if found else []),
        *_notices_of_test_size(data, samples_per_class),
    ]


def _notices_of_test_size(data: DataSet, samples_per_class: int) -> list[str]:
    found = []
    if len(data.test) > len(data.train):
        found.append(
            f"{data.spec.name} has {len(data.train)} training examples and {len(data.test)} test "
            "examples; where they are held out of one set, `test_per_class` says how many"
        )
    smallest, name = _smallest_class(data, data.test)
    if samples_per_class <= smallest:
        return found
    return [
        *found,
        f"{samples_per_class} samples per class are drawn, but {data.spec.name} has {smallest} "
        f"test examples of {name!r}. What is measured with different numbers is in different "
        f"columns, so models stand apart from the real examples; samples_per_class: {smallest} "
        "puts them together",
    ]


def _smallest_class(data: DataSet, split: Split) -> tuple[int, str]:
    counts = torch.bincount(split.y, minlength=data.spec.classes)
    return int(counts.min()), data.spec.class_names[int(counts.argmin())]


def _notices_of_content(data: DataSet) -> list[str]:
    return [*_notices_of_range(data), *_notices_of_balance(data)]


def _notices_of_balance(data: DataSet) -> list[str]:
    smallest, name = _smallest_class(data, data.train)
    largest = int(torch.bincount(data.train.y).max())
    if smallest * UNBALANCED > largest:
        return []
    return [
        f"{data.spec.name} has {smallest} training examples of {name!r}, and {largest} of the "
        "largest class. Metrics of features take equally many of each class, so very few; their "
        "option `class_sizes: all` takes all"
    ]


def _notices_of_range(data: DataSet) -> list[str]:
    brightest = data.train.x.max().item()
    if not data.spec.is_image or brightest >= DIM:
        return []
    return [
        f"no pixel of the training images of {data.spec.name} is above {brightest}: images of "
        "another range must be scaled to 0 to 255 first"
    ]


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
        "near_copies": count_near_copies(data),
        "notices": [*data.notices, *_notices_of_content(data)],
        "fingerprint": data.fingerprint,
    }


def content_hashes(x: Tensor) -> list[bytes]:
    """Return a hash of the bytes of each example `[N, ...]`."""
    # Not Python's own hash, which changes from process to process.
    return [hashlib.blake2b(one.tobytes(), digest_size=16).digest() for one in x.numpy()]
