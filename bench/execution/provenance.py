"""Where a run came from: code, versions, device, flags, command."""

import hashlib
import importlib.metadata
import platform
import subprocess
import sys
from datetime import UTC, datetime
from pathlib import Path
from typing import Any

import torch

import bench

PACKAGES = ("torch", "torchvision", "numpy", "torch-fidelity", "pytorch-msssim", "scikit-learn")


def collect(device: torch.device, command: str, fingerprint: str, threads: int) -> dict[str, Any]:
    """Return what someone needs to know to run a run again.

    Args:
        device: Where it runs.
        command: The command line that started it.
        fingerprint: Fingerprint of the data.
        threads: CPU threads that train.

    Returns:
        Plain data.
    """
    name = torch.cuda.get_device_name(device) if device.type == "cuda" else platform.processor()
    return {
        "bench": bench.__version__,
        **_code_version(),
        "command": command,
        "data_fingerprint": fingerprint,
        "device": str(device),
        "device_name": name or platform.machine(),
        "platform": f"{platform.system()} {platform.machine()}",
        "python": platform.python_version(),
        "started": datetime.now(UTC).isoformat(timespec="seconds"),
        "threads": threads,
        "tf32": torch.backends.cuda.matmul.allow_tf32,
        "versions": {package: _version(package) for package in PACKAGES},
        "cuda": torch.version.cuda if device.type == "cuda" else None,
        "argv": sys.argv[1:],
    }


def _version(package: str) -> str:
    try:
        return importlib.metadata.version(package)
    except importlib.metadata.PackageNotFoundError:
        return "absent"


def _code_version() -> dict[str, Any]:
    """Return the commit of the source tree, and a hash of what differs from it."""
    root = Path(bench.__file__).parent.parent

    def git(*arguments: str) -> str:
        return subprocess.run(
            ["git", "-C", str(root), *arguments], capture_output=True, text=True, check=True
        ).stdout

    try:
        if Path(git("rev-parse", "--show-toplevel").strip()) != root:
            raise FileNotFoundError
        commit = git("rev-parse", "HEAD").strip()
        difference = git("diff", "HEAD", "--", "*.py")
    except (OSError, subprocess.CalledProcessError):
        return {"commit": None, "dirty": None, "diff": None}
    diff = hashlib.sha256(difference.encode()).hexdigest()[:12] if difference else None
    return {"commit": commit, "dirty": bool(difference), "diff": diff}
