"""Torchvision's own files of an image set: found, downloaded, decoded.

The only file that touches the network.
"""

import contextlib
import http.client
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
        files: Files of torchvision, enough to tell whether its copy is there.
        parts: Arguments of torchvision's class for the training and for the test part.
        flip: Whether training batches are mirrored, which is right only where mirror images
            look like members of the set.
    """

    name: str
    torchvision: str
    shape: tuple[int, int, int]
    class_names: tuple[str, ...]
    files: tuple[str, ...]
    parts: tuple[dict[str, Any], dict[str, Any]] = ({"train": True}, {"train": False})
    flip: bool = False

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
    return all((folder() / file).is_file() for file in known.files)


def is_offline() -> bool:
    """Whether `BENCH_OFFLINE` forbids downloads."""
    return os.environ.get("BENCH_OFFLINE", "0") not in ("", "0")


def decode(known: Known) -> Arrays:
    """Decode torchvision's files, after a download where they are not there.

    Args:
        known: The set.

    Returns:
        The arrays, unchecked.

    Raises:
        DataMissing: If the files are not there and cannot or must not be downloaded.
        BenchError: If the files that are there are damaged.
    """
    from torchvision import datasets

    download = not has_copy(known)
    if download and is_offline():
        raise DataMissing(advice(known, "BENCH_OFFLINE is set, so it was not downloaded"))
    kind = getattr(datasets, known.torchvision)
    try:
        # torchvision prints, and stdout is for data.
        with _short_timeout(), contextlib.redirect_stdout(sys.stderr):
            parts = [kind(folder(), **part, download=download) for part in known.parts]
    except (OSError, RuntimeError, ValueError, http.client.HTTPException) as error:
        reason = " ".join(str(error).split())  # some of torchvision's go over several lines
        if download:
            raise DataMissing(advice(known, f"downloading it failed ({reason})")) from error
        raise BenchError(
            f"{known.name}: torchvision's files in {folder()} are damaged ({reason}); "
            f"delete them to have them downloaded again"
        ) from error
    return Arrays(*(array for part in parts for array in _arrays(part, known)))


def advice(known: Known, why: str) -> str:
    """Return the message for a set that is not there.

    Args:
        known: The set.
        why: Why it was not, or how it would be, downloaded.

    Returns:
        What was looked for and where, and every way to provide it; several lines.
    """
    return (
        f"{known.name} is not on this machine: there is neither {known.npz} nor a copy of "
        f"torchvision's files in {folder()}; {why}. Any of these provides it:\n"
        f"  - put an .npz there with x_train, y_train, x_test, y_test "
        f"(images uint8 [N, {known.layout}], labels integers [N] from 0)\n"
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
