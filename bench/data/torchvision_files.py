"""Torchvision's own files of an image set: found, downloaded, decoded."""

import contextlib
import socket
import sys
from collections.abc import Iterator
from pathlib import Path
from typing import Any, NamedTuple

import numpy as np

from bench.data.base import data_root, is_offline
from bench.data.files.arrays import Arrays
from bench.errors import BenchError, DataMissing

TIMEOUT_S = 10  # without an answer


class SetInfo(NamedTuple):
    """The facts about one set of torchvision.

    Attributes:
        torchvision: Name of torchvision's class.
        shape: Native `(C, H, W)`.
        files: Torchvision's files and folders that show whether its copy is there.
        parts: Arguments of torchvision's class for each part, training and test for most.
        flip: Whether training batches are mirrored: only where mirror images look natural.
        labels: What the labels in the `.npz` are, for messages.
        by_hand: How to put torchvision's files into `{folder}` by hand.
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
        """The path of the decoded set."""
        return data_root() / f"{self.name}.npz"

    @property
    def layout(self) -> str:
        """The shape of one image in the `.npz`, for messages."""
        channels, height, width = self.shape
        return f"{height}, {width}" if channels == 1 else f"{height}, {width}, {channels}"


def torchvision_folder() -> Path:
    """Return the folder of torchvision's own files."""
    return data_root() / "torchvision"


def has_copy(info: SetInfo) -> bool:
    """Return whether torchvision's files are there, judged by their names alone."""
    return all((torchvision_folder() / file).exists() for file in info.files)


def decode_parts(info: SetInfo) -> Arrays:
    """Decode a set that torchvision keeps in memory, in a training and a test part; unchecked."""
    arrays = []
    for part in open_parts(info):
        x = np.asarray(part.data)
        if x.shape[1:] == info.shape:  # SVHN comes channels first, the others channels last
            x = x.transpose(0, 2, 3, 1)
        arrays += [x, np.asarray(part.targets if hasattr(part, "targets") else part.labels)]
    return Arrays(*arrays)


def open_parts(info: SetInfo) -> list[Any]:
    """Return an object of torchvision's class for each part; download the files if need be."""
    from torchvision import datasets

    download = not has_copy(info)
    if download and is_offline():
        raise DataMissing(explain_missing(info, "BENCH_OFFLINE is set, so it was not downloaded"))
    factory, folder = getattr(datasets, info.torchvision), torchvision_folder()
    # What gdown raises, which fetches from Google Drive, has no other base in common.
    failures = Exception if download else (OSError, RuntimeError, ValueError)
    try:
        # torchvision prints, and stdout is for data.
        with _short_timeout(), contextlib.redirect_stdout(sys.stderr):
            return [factory(folder, **part, download=download) for part in info.parts]
    except failures as error:
        reason = " ".join(str(error).split())  # some of torchvision's go over several lines
        if download:
            raise DataMissing(explain_missing(info, f"downloading it failed ({reason})")) from error
        raise BenchError(
            f"{info.name}: torchvision's files in {folder} are damaged ({reason}); "
            f"delete them to have them downloaded again"
        ) from error


def explain_missing(info: SetInfo, why: str) -> str:
    """Return the message of a missing set: where it was looked for, and every way to provide it."""
    folder = torchvision_folder()
    by_hand = f"  - {info.by_hand.format(folder=folder)}\n" if info.by_hand else ""
    return (
        f"{info.name} is not on this machine: there is neither {info.npz} nor a copy of "
        f"torchvision's files in {folder}; {why}. Any of these provides it:\n{by_hand}"
        f"  - put an .npz there with x_train, y_train, x_test, y_test "
        f"(images uint8 [N, {info.layout}], labels {info.labels})\n"
        f"  - load it once where there is a network, and copy {info.name}.npz to {data_root()}\n"
        f"  - set BENCH_DATA to the folder that holds {info.name}.npz"
    )


@contextlib.contextmanager
def _short_timeout() -> Iterator[None]:
    """Wait for an answer `TIMEOUT_S` at most; torchvision passes no timeout, so it has none."""
    before = socket.getdefaulttimeout()
    socket.setdefaulttimeout(TIMEOUT_S)
    try:
        yield
    finally:
        socket.setdefaulttimeout(before)
