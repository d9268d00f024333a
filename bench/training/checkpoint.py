"""Checkpoints: written whole or not at all, with a digest, and the one before is kept."""

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
    """Write nested dicts and lists of tensors, numbers and strings; keep the file before it."""
    buffer = io.BytesIO()
    torch.save({"version": VERSION, **state}, buffer)
    payload = buffer.getbuffer()
    temporary = _temporary(path)
    try:
        with add_path_to_errors(path), temporary.open("wb") as file:
            file.write(_MAGIC + hashlib.sha256(payload).digest())
            file.write(payload)
            file.flush()
            os.fsync(file.fileno())
    except OSError:  # such as a full disk
        temporary.unlink(missing_ok=True)
        raise
    if path.exists():
        os.replace(path, previous(path))
    os.replace(temporary, path)


def load_checkpoint(path: Path, device: torch.device) -> dict[str, Any] | None:
    """Return the newest good state, or None if there is none.

    Damaged files are reported as warnings; a format of another version is a `CheckpointError`.
    """
    for candidate in (path, previous(path)):
        if not candidate.exists():
            continue
        raw = candidate.read_bytes()
        payload = raw[len(_MAGIC) + 32 :]
        if not raw.startswith(_MAGIC + hashlib.sha256(payload).digest()):
            warn(f"{candidate} is damaged; going on from what was saved before it, if anything was")
            continue
        state: dict[str, Any] = torch.load(
            io.BytesIO(payload), map_location=device, weights_only=True
        )
        if (version := state.pop("version", None)) != VERSION:
            raise CheckpointError(
                f"{candidate} has format {version}, this program writes format {VERSION}; "
                "delete the run's folder to train it again"
            )
        return state
    return None


def remove_checkpoints(path: Path) -> None:
    """Delete a checkpoint, the one before it and a half-written one."""
    for candidate in (path, previous(path), _temporary(path)):
        candidate.unlink(missing_ok=True)


def previous(path: Path) -> Path:
    """Return the path of the checkpoint before the newest."""
    return path.with_name(path.name + ".previous")


def _temporary(path: Path) -> Path:
    return path.with_name(path.name + ".partial")
