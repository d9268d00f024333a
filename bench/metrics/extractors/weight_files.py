"""Files of weights: read safely, and named by their content."""

import hashlib
from collections.abc import Mapping
from pathlib import Path

from torch import Tensor

from bench.errors import BenchError, NotApplicable
from bench.training.pretrained import read_state_dict


def weights_hash(weights: Mapping[str, Tensor]) -> str:
    """Return the SHA-256 of parameters and buffers by name, 64 hexadecimal digits."""
    digest = hashlib.sha256()
    for name, value in sorted(weights.items()):
        digest.update(name.encode())
        digest.update(value.cpu().contiguous().numpy().tobytes())
    return digest.hexdigest()


def read_weights(path: Path, network: str, remedy: str) -> dict[str, Tensor]:
    """Return the tensors of a file of torch or safetensors by name; no code in it is run.

    `NotApplicable` if the file cannot be read as that, or is missing; then its text ends with the
    remedy.
    """
    if not path.exists():
        raise NotApplicable(f"there is no file {path} of {network} weights; {remedy}")
    try:
        return read_state_dict(path)
    except BenchError as error:
        raise NotApplicable(str(error)) from error
