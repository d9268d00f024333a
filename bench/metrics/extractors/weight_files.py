"""Files of weights: read safely, and named by their content."""

import hashlib
from collections.abc import Mapping
from pathlib import Path
from typing import Any

import torch
from torch import Tensor

from bench.errors import NotApplicable, one_line


def weights_hash(weights: Mapping[str, Tensor]) -> str:
    """Return the SHA-256 of parameters and buffers by name, 64 hexadecimal digits."""
    digest = hashlib.sha256()
    for name, value in sorted(weights.items()):
        digest.update(name.encode())
        digest.update(value.cpu().contiguous().numpy().tobytes())
    return digest.hexdigest()


def read_weights(path: Path, network: str, remedy: str) -> dict[str, Any]:
    """Return the tensors of a file of torch or safetensors by name; no code in it is run.

    `NotApplicable` if the file is damaged, or missing; then its text ends with the remedy.
    """
    try:
        if path.suffix == ".safetensors":
            from safetensors.torch import load_file

            weights: Any = load_file(path)
        else:
            weights = torch.load(path, map_location="cpu", weights_only=True)
    except FileNotFoundError:
        raise NotApplicable(f"there is no file {path} of {network} weights; {remedy}") from None
    except Exception as error:  # a damaged file may raise anything
        reason = f"{path} is not a file of weights, or damaged: {one_line(error)}"
        raise NotApplicable(reason) from error
    if not isinstance(weights, dict):
        raise NotApplicable(f"{path} holds no table of weights")
    return weights
