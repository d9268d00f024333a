"""Images that another program made, read as a sample set: nothing is resized, cropped or guessed.

Where fewer are asked for than there are, which ones are used follows from their content alone.
"""

from collections.abc import Sequence
from functools import partial
from pathlib import Path
from typing import Any, NamedTuple

import numpy as np
import torch

from bench.data.base import DataSpec, Split, fingerprint
from bench.data.files.arrays import (
    check_integers,
    flatten_labels,
    image_shape,
    refuse_zeros_and_ones,
)
from bench.data.files.image_files import in_threads, open_image
from bench.data.files.image_tree import (
    SUFFIXES,
    LeftOut,
    class_folders,
    left_out_text,
    list_beside,
    list_images,
)
from bench.data.files.npz_files import array_names, read_arrays
from bench.errors import BenchError, DataMissing, describe_unknown, first_few
from bench.metrics.base import SampleSet
from bench.metrics.images_by_class import by_class

Array = np.ndarray[Any, Any]

NAMED = 8  # classes that a message lists
LOSSY = (".jpg", ".jpeg")


class ExternalImages(NamedTuple):
    """Images to measure, with a hash of them and their labels.

    `counts` says how many there were of each class; `notices` are for the user.
    """

    samples: SampleSet
    counts: tuple[int, ...]
    sha256: str
    notices: tuple[str, ...]


def read_images(path: Path, spec: DataSpec, per_class: int | None = None) -> ExternalImages:
    """Read images that imitate a data set: `per_class` of each class, or all that there are."""
    x, y, notices = (_read_folder if path.is_dir() else _read_npz)(path, spec)
    if y is None:
        return _unlabeled(path, x, spec, per_class)
    counts = tuple(torch.bincount(y, minlength=spec.classes).tolist())
    if lacking := [name for name, n in zip(spec.class_names, counts, strict=True) if not n]:
        raise BenchError(
            f"{path}: no images of {_listed(lacking)}; every one of the {spec.classes} classes of "
            f"{spec.name} is needed"
        )
    smallest = spec.class_names[counts.index(min(counts))]
    if per_class and per_class > min(counts):
        raise BenchError(
            f"{path}: class {smallest!r} has {min(counts)} images, --samples-per-class asks for "
            f"{per_class}"
        )
    if per_class and per_class < max(counts):
        notices.append(
            f"{path}: {per_class * spec.classes} of {sum(counts)} images are used, {per_class} of "
            f"each of {spec.classes} classes (as asked); which ones follows from their content"
        )
    elif min(counts) < max(counts):
        notices.append(
            f"{path}: classes have {min(counts)} ({smallest}) to {max(counts)} images, and all are "
            f"measured; --samples-per-class {min(counts)} takes equally many of each"
        )
    turns = by_class(x, y, range(spec.classes), equal=False).first(per_class or max(counts))
    used = torch.cat([turns.indices[members] for members in turns.members])
    samples = SampleSet(x[used], y[used], spec)
    return ExternalImages(samples, counts, fingerprint(Split(samples.x, samples.y)), tuple(notices))


def _unlabeled(
    path: Path, x: torch.Tensor, spec: DataSpec, per_class: int | None
) -> ExternalImages:
    """Return all images of a sample batch without labels."""
    if per_class:
        raise BenchError(f"{path}: has no labels (arr_1), --samples-per-class asks for some")
    y = torch.zeros(len(x), dtype=torch.int64)
    notice = f"{path}: has no labels (arr_1), so only metrics that need none are measured"
    samples = SampleSet(x, y, spec, labeled=False)
    return ExternalImages(samples, (len(x),), fingerprint(Split(x, y)), (notice,))


def _read_folder(root: Path, spec: DataSpec) -> tuple[torch.Tensor, torch.Tensor, list[str]]:
    if not spec.is_image:
        raise BenchError(f"{root}: {spec.name} are not images; points come in an .npz with x and y")
    left_out = LeftOut()
    labeled = [
        (path, label)
        for name, label in _class_labels(root, spec).items()
        for path in list_images(root, root / name, left_out)
    ]
    list_beside(root, [root], left_out)
    if not labeled:
        raise DataMissing(f"{root}: its folders hold no images (PNG or JPEG)")
    paths, labels = zip(*labeled, strict=True)
    notices = left_out_text(root, left_out)
    if any(path.suffix.lower() in LOSSY for path in paths):
        notices.append(f"{root}: JPEG files differ from what the generator made; prefer PNG")

    decoded = in_threads(partial(_decode, spec=spec), paths)
    return torch.from_numpy(np.stack(decoded)), torch.tensor(labels), notices


def _class_labels(root: Path, spec: DataSpec) -> dict[str, int]:
    """Return the label of each class folder, which is named by the class or by its label."""
    names, known = class_folders(root), spec.class_names
    if not names:
        loose = any(path.suffix.lower() in SUFFIXES for path in root.iterdir())
        raise DataMissing(
            f"{root} holds {'images, but' if loose else ''} no folder of images for each class; "
            f"expected {root}/CLASS/*.png, CLASS being a class of {spec.name}: {_listed(known)}"
        )
    if all(name in known for name in names):
        return {name: known.index(name) for name in names}
    if all(name.isdecimal() and int(name) < spec.classes for name in names):
        labels = {name: int(name) for name in names}
        if len(set(labels.values())) < len(names):
            raise BenchError(f"{root}: two folders have the same label: {_listed(names)}")
        return labels
    wrong = min(set(names) - set(known), key=lambda name: (name.isdecimal(), name))
    raise BenchError(
        f"{root / wrong}: {describe_unknown('class', wrong, known)}; folders are named by class, "
        f"or all of them by label, 0 to {spec.classes - 1}"
    )


def _decode(path: Path, spec: DataSpec) -> Array:
    """Return an image file as `uint8` `[C, H, W]`, exactly as it is."""
    channels, height, width = spec.shape
    image = open_image(path)
    if image.size != (width, height):
        raise BenchError(
            f"{path}: is {image.size[0]}x{image.size[1]} pixels, images of {spec.name} are "
            f"{width}x{height}; nothing is resized here, since that would change the measurements"
        )
    colors = np.asarray(image.convert("RGB"))
    if channels == 1:
        if (colors != colors[..., :1]).any():
            raise BenchError(f"{path}: has colors, images of {spec.name} are gray")
        colors = colors[..., :1]
    return np.ascontiguousarray(colors.transpose(2, 0, 1))


def _read_npz(path: Path, spec: DataSpec) -> tuple[torch.Tensor, torch.Tensor | None, list[str]]:
    names = array_names(path, "x", "y")
    if {"x", "arr_0"} <= {*names}:
        raise BenchError(f"{path}: holds two arrays of samples, x and arr_0; leave one of them out")
    is_batch = "arr_0" in names  # as the evaluator of guided-diffusion reads them
    x_name, y_name = ("arr_0", "arr_1") if is_batch else ("x", "y")
    labels = None
    if is_batch and y_name not in names:
        [x] = map(np.atleast_1d, read_arrays(path, x_name))
    else:
        x, y = map(np.atleast_1d, read_arrays(path, x_name, y_name))
        labels = _checked_labels(path, y_name, y, len(x), spec)
    if not len(x):
        raise BenchError(f"{path}: is empty")
    if not spec.is_image:
        if x.shape[1:] != spec.shape or x.dtype not in (np.float32, np.float64):
            raise BenchError(
                f"{path}: {x_name} must be floats [N, {spec.shape[0]}], got {x.dtype} "
                f"{list(x.shape)}"
            )
        with np.errstate(over="ignore"):  # which is told as not finite
            return torch.from_numpy(x.astype(np.float32)), labels, []
    shape = image_shape(path, x_name, x)
    if is_batch and spec.shape[0] == 1 and shape[0] == 3 and (x == x[..., :1]).all():
        x, shape = x[..., :1], (1, *shape[1:])  # such files hold gray images as color ones
    if shape != spec.shape:
        raise BenchError(
            f"{path}: {x_name} holds {_size(shape)}, those of {spec.name} are {_size(spec.shape)}; "
            "nothing is resized here, since that would change the measurements"
        )
    refuse_zeros_and_ones(path, x_name, x)
    x = x[:, None] if x.ndim == 3 else x.transpose(0, 3, 1, 2)
    return torch.from_numpy(np.ascontiguousarray(x)), labels, []


def _checked_labels(path: Path, name: str, y: Array, examples: int, spec: DataSpec) -> torch.Tensor:
    y = flatten_labels(y)
    check_integers(path, name, y)
    if examples != len(y):
        x_name = "x" if name == "y" else "arr_0"
        raise BenchError(f"{path}: {x_name} has {examples} examples, {name} has {len(y)} labels")
    if len(y) and (y.min() < 0 or y.max() >= spec.classes):
        raise BenchError(
            f"{path}: {name} holds labels from {y.min()} to {y.max()}; those of {spec.name} are 0 "
            f"to {spec.classes - 1}: {_listed(spec.class_names)}"
        )
    return torch.from_numpy(y.astype(np.int64))


def _size(shape: Sequence[int]) -> str:
    channels, height, width = shape
    return f"{width}x{height} {'gray' if channels == 1 else 'color'} images"


def _listed(names: Sequence[str]) -> str:
    return first_few([*map(repr, names)], NAMED)
