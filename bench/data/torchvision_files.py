"""Torchvision's own files of an image set: found, downloaded, decoded.

The only file that touches the network.
"""

import contextlib
import os
import socket
import sys
from collections.abc import Iterator
from pathlib import Path
from typing import Any, NamedTuple

import numpy as np

from bench.data.arrays import Array, Arrays
from bench.data.base import data_root
from bench.errors import BenchError, DataMissing

TIMEOUT_S = 10
"""Seconds without an answer after which a download is given up."""


class Known(NamedTuple):
    """What there is to know about one set.

    Attributes:
        name: Name in the registry and of the `.npz`.
        torchvision: Name of torchvision's class.
        shape: Native `(C, H, W)`.
        class_names: In the order of the labels.
        files: Files and folders of torchvision, enough to tell whether its copy is there.
        parts: Arguments of torchvision's class for each part, training and test for most.
        flip: Whether training batches are mirrored, which is right only where mirror images
            look like members of the set.
        labels: What the labels in the `.npz` are, for messages.
        by_hand: How to provide torchvision's files by hand in `{folder}`, where that is likely to
            be needed.
    """

    name: str
    torchvision: str
    shape: tuple[int, int, int]
    class_names: tuple[str, ...]
    files: tuple[str, ...]
    parts: tuple[dict[str, Any], ...] = ({"train": True}, {"train": False})
    flip: bool = False
    labels: str = "integers [N] from 0"
    by_hand: str = ""

    @property
    def npz(self) -> Path:
        """Where the decoded set lies."""
        return data_root() / f"{self.name}.npz"

    @property
    def layout(self) -> str:
        """The shape of one image in the `.npz`, for messages."""
        channels, height, width = self.shape
        return f"{height}, {width}" if channels == 1 else f"{height}, {width}, {channels}"


def folder() -> Path:
    """Return where torchvision keeps its files."""
    return data_root() / "torchvision"


def has_copy(known: Known) -> bool:
    """Whether torchvision's files are there, judged by their names alone."""
    return all((folder() / file).exists() for file in known.files)


def is_offline() -> bool:
    """Whether `BENCH_OFFLINE` forbids downloads."""
    return os.environ.get("BENCH_OFFLINE", "0") not in ("", "0")


def decode(known: Known) -> Arrays:
    """Decode torchvision's files of a set that it keeps in memory; arguments as for `opened`.

    Args:
        known: The set, in a training and a test part.

    Returns:
        The arrays, unchecked.
    """
    return Arrays(*(array for part in opened(known) for array in _arrays(part, known)))


def opened(known: Known) -> list[Any]:
    """Open torchvision's files, after a download where they are not there.

    Args:
        known: The set.

    Returns:
        An object of torchvision's class for each part.

    Raises:
        DataMissing: If the files are not there and cannot or must not be downloaded.
        BenchError: If the files that are there are damaged.
    """
    from torchvision import datasets

    download = not has_copy(known)
    if download and is_offline():
        raise DataMissing(advice(known, "BENCH_OFFLINE is set, so it was not downloaded"))
    kind = getattr(datasets, known.torchvision)
    # What gdown raises, which fetches from Google Drive, has no other base in common.
    failures = Exception if download else (OSError, RuntimeError, ValueError)
    try:
        # torchvision prints, and stdout is for data.
        with _short_timeout(), contextlib.redirect_stdout(sys.stderr):
            return [kind(folder(), **part, download=download) for part in known.parts]
    except failures as error:
        reason = " ".join(str(error).split())  # some of torchvision's go over several lines
        if download:
            raise DataMissing(advice(known, f"downloading it failed ({reason})")) from error
        raise BenchError(
            f"{known.name}: torchvision's files in {folder()} are damaged ({reason}); "
            f"delete them to have them downloaded again"
        ) from error


def advice(known: Known, why: str) -> str:
    """Return the message for a set that is not there.

    Args:
        known: The set.
        why: Why it was not, or how it would be, downloaded.

    Returns:
        What was looked for and where, and every way to provide it; several lines.
    """
    by_hand = f"  - {known.by_hand.format(folder=folder())}\n" if known.by_hand else ""
    return (
        f"{known.name} is not on this machine: there is neither {known.npz} nor a copy of "
        f"torchvision's files in {folder()}; {why}. Any of these provides it:\n{by_hand}"
        f"  - put an .npz there with x_train, y_train, x_test, y_test "
        f"(images uint8 [N, {known.layout}], labels {known.labels})\n"
        f"  - load it once where there is a network, and copy {known.name}.npz to {data_root()}\n"
        f"  - set BENCH_DATA to the folder that holds {known.name}.npz"
    )


def _arrays(part: Any, known: Known) -> tuple[Array, Array]:
    x = np.asarray(part.data)
    if x.shape[1:] == known.shape:  # SVHN comes channels first, the others channels last
        x = x.transpose(0, 2, 3, 1)
    return x, np.asarray(part.targets if hasattr(part, "targets") else part.labels)


@contextlib.contextmanager
def _short_timeout() -> Iterator[None]:
    # torchvision passes no timeout of its own, and the default is to wait for ever.
    before = socket.getdefaulttimeout()
    socket.setdefaulttimeout(TIMEOUT_S)
    try:
        yield
    finally:
        socket.setdefaulttimeout(before)
