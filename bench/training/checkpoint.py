"""Checkpoints: whole or not at all.

A checkpoint is written to a temporary name and renamed, the one before it is kept, and a digest
in front of the payload tells a damaged file from a good one.
"""

import hashlib
import io
import os
from pathlib import Path
from typing import Any

import torch

from bench.console import warn
from bench.errors import CheckpointError, add_path_to_errors

VERSION = 1
_MAGIC = b"bench checkpoint\n"


def save_checkpoint(path: Path, state: dict[str, Any]) -> None:
    """Write a checkpoint; the previous one stays beside it as `*.previous`.

    Args:
        path: Where it is to stand.
        state: Nested dicts and lists of tensors, numbers and strings.
    """
    buffer = io.BytesIO()
    torch.save({"version": VERSION, **state}, buffer)
    payload = buffer.getbuffer()
    temporary = path.with_name(path.name + ".partial")
    try:
        with add_path_to_errors(path), temporary.open("wb") as file:
            file.write(_MAGIC + hashlib.sha256(payload).digest())
            file.write(payload)
            file.flush()
            os.fsync(file.fileno())
    except OSError:  # a full disk may need the room for better things
        temporary.unlink(missing_ok=True)
        raise
    if path.exists():
        os.replace(path, previous(path))
    os.replace(temporary, path)


def previous(path: Path) -> Path:
    """Return where the checkpoint before the newest stands."""
    return path.with_name(path.name + ".previous")


def load_checkpoint(path: Path, device: torch.device) -> dict[str, Any] | None:
    """Read the newest good checkpoint.

    Args:
        path: Where the newest one should stand.
        device: Where its tensors go.

    Returns:
        The state that was saved, or None if there is no good checkpoint; a damaged file is
        reported as a warning.

    Raises:
        CheckpointError: If a good file was written by another version of this format.
    """
    for candidate in (path, previous(path)):
        if not candidate.exists():
            continue
        state = _read(candidate, device)
        if state is None:
            warn(f"{candidate} is damaged; going on from what was saved before it, if anything was")
            continue
        if (version := state.pop("version", None)) != VERSION:
            raise CheckpointError(
                f"{candidate} has format {version}, this program writes format {VERSION}; "
                "delete the run's folder to train it again"
            )
        return state
    return None


def remove_checkpoints(path: Path) -> None:
    """Delete a checkpoint, the one before it and a half-written one."""
    for candidate in (path, previous(path), path.with_name(path.name + ".partial")):
        candidate.unlink(missing_ok=True)


def _read(path: Path, device: torch.device) -> dict[str, Any] | None:
    raw = path.read_bytes()
    head = len(_MAGIC) + 32
    payload = raw[head:]
    if raw[: len(_MAGIC)] != _MAGIC or hashlib.sha256(payload).digest() != raw[len(_MAGIC) : head]:
        return None
    state: dict[str, Any] = torch.load(io.BytesIO(payload), map_location=device, weights_only=True)
    return state
