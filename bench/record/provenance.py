"""Where a run came from: code, versions, device, flags, command.

Only `collect` imports torch, so that reports, which read what it wrote, need none.
"""

import hashlib
import importlib.metadata
import os
import platform
import subprocess
from collections.abc import Iterable, Mapping
from datetime import UTC, datetime
from functools import cache
from pathlib import Path
from typing import TYPE_CHECKING, Any

import bench
from bench.record.files import read_json, write_json

if TYPE_CHECKING:
    import torch

NAME = "provenance.json"
PACKAGES = (
    "torch",
    "torchvision",
    "numpy",
    "scipy",
    "pillow",
    "torch-fidelity",
    "pytorch-msssim",
    "lpips",
    "scikit-learn",
)
VARIABLES = ("OMP_NUM_THREADS", "MKL_NUM_THREADS", "CUBLAS_WORKSPACE_CONFIG")
"""What changes last digits from outside."""

PASSING = ("command", "started", "sources", "continued")
"""What does not belong to the place where a run is done."""

Origin = dict[str, Any]

Sources = dict[str, str]
"""File, as it lies in its package -> twelve hexadecimal digits of what stands in it."""


def collect(
    device: "torch.device",
    command: str,
    fingerprint: str,
    threads: int,
    sources: Mapping[str, Sources] | None = None,
) -> Origin:
    """Return what someone needs to know to run a run again.

    Args:
        device: Where it runs.
        command: The command line that started it.
        fingerprint: Fingerprint of the data.
        threads: CPU threads that train.
        sources: `training` and `evaluation` -> the source files that it follows from; only of what
            is done here.

    Returns:
        Plain data.
    """
    import torch

    on_gpu = device.type == "cuda"
    return {
        "bench": bench.__version__,
        **_code_version(),
        "sources": dict(sources or {}),
        "command": command,
        "data_fingerprint": fingerprint,
        "device": str(device),
        "device_name": _device_name(device),
        "platform": f"{platform.system()} {platform.machine()}",
        "python": platform.python_version(),
        "started": datetime.now(UTC).isoformat(timespec="seconds"),
        "threads": threads,
        "cores": os.cpu_count(),
        "tf32": torch.backends.cuda.matmul.allow_tf32,
        "flags": _flags(),
        "variables": {name: os.environ[name] for name in VARIABLES if name in os.environ},
        "versions": {package: _version(package) for package in PACKAGES},
        "cuda": torch.version.cuda if on_gpu else None,
        "cudnn": torch.backends.cudnn.version() if on_gpu else None,  # type: ignore[no-untyped-call]
    }


def keep(folder: Path, origin: Origin, *, anew: bool) -> None:
    """Write where a run comes from, or add where it is continued if that is another place.

    What is added stands in the list `continued`, in the order of time.

    Args:
        folder: Folder of the run.
        origin: What `collect` returned.
        anew: Whether nothing of what was done before is used.
    """
    path = folder / NAME
    if anew or not path.exists():
        write_json(path, origin)
        return
    recorded = read_json(path)
    if _place(origin, origin["sources"]) != _place(stages_of(recorded)[-1], origin["sources"]):
        recorded.setdefault("continued", []).append(origin)
        write_json(path, recorded)


def stages_of(origin: Mapping[str, Any]) -> list[Mapping[str, Any]]:
    """Return where a run was begun, and all places where it was continued, in the order of time.

    Args:
        origin: What is recorded of where a run was done.

    Returns:
        The places, each as it was recorded.
    """
    return [origin, *origin.get("continued", [])]


def code_text(origin: Mapping[str, Any]) -> str:
    """Return the version of the code for people.

    Args:
        origin: What is recorded of where a run, or a part of it, was done.

    Returns:
        A commit, or the version of the package where there is no git.
    """
    if not origin.get("commit"):
        return f"bench {origin['bench']}" if origin.get("bench") else "code that was not recorded"
    changed = f" with changes {origin.get('diff') or ''}".rstrip() if origin.get("dirty") else ""
    return f"commit {origin['commit'][:10]}{changed}"


def _place(origin: Mapping[str, Any], parts: Iterable[str]) -> Origin:
    """Return what matters of a place for some parts of the sources."""
    held = {key: value for key, value in origin.items() if key not in PASSING}
    return held | {part: origin.get("sources", {}).get(part) for part in parts}


def _device_name(device: "torch.device") -> str:
    import torch

    if device.type == "cuda":
        return torch.cuda.get_device_name(device)
    return _processor() or platform.processor() or platform.machine()


@cache
def _processor() -> str:
    """Return the name of the processor where Linux tells it, else an empty text."""
    try:
        lines = Path("/proc/cpuinfo").read_text(errors="replace").splitlines()
    except OSError:
        return ""
    names = (line.partition(":")[2].strip() for line in lines if line.startswith("model name"))
    return next(names, "")


def _flags() -> dict[str, Any]:
    """Return the settings of torch, and of the processor, that change last digits."""
    import torch

    cudnn = torch.backends.cudnn
    return {
        "cpu_capability": torch.backends.cpu.get_cpu_capability(),
        "cudnn_benchmark": cudnn.benchmark,
        "cudnn_deterministic": cudnn.deterministic,
        "cudnn_tf32": cudnn.allow_tf32,
        "deterministic": torch.are_deterministic_algorithms_enabled(),
        "matmul_precision": torch.get_float32_matmul_precision(),
    }


@cache
def _version(package: str) -> str:
    try:
        return importlib.metadata.version(package)
    except importlib.metadata.PackageNotFoundError:
        return "absent"


@cache
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
