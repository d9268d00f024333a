"""The origin and the execution of a run: code, versions, device, flags, command.

A run is done in one or several sessions, each by one version of the code in one place:
`provenance.json` holds the first, and the others in its list `continued`. `execution.json` holds
settings of execution that are not configuration (`micro_batch`, `switches`); a resumed run keeps
them. Only `collect` imports torch, since reports read these records too.
"""

import hashlib
import importlib.metadata
import os
import platform
import subprocess
from collections import Counter
from collections.abc import Mapping, Sequence
from contextlib import suppress
from datetime import UTC, datetime
from functools import cache
from pathlib import Path
from typing import TYPE_CHECKING, Any

import bench
from bench.errors import DamagedRecord
from bench.record.files import read_json, write_json
from bench.record.shapes import ExecutionFile, ProvenanceFile

if TYPE_CHECKING:
    import torch

NAME = "provenance.json"
EXECUTION = "execution.json"
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
"""Environment variables that change last digits."""

NOT_OF_THE_PLACE = ("command", "started", "ended", "sources", "continued")
HARNESS = "harness"
MOST_FILES = 3
"""Source files that `code_text` names of one session."""

Origin = dict[str, Any]

Sources = dict[str, dict[str, str]]
"""`model`, `data`, `metrics`, `controls` and `harness` -> file -> digest of what it computes."""


def collect(
    device: "torch.device",
    command: str,
    fingerprint: str,
    threads: int,
    sources: Sources | None = None,
) -> Origin:
    """Describe a session: `fingerprint` is that of the data, `threads` are those that train."""
    import torch

    on_gpu, cudnn = device.type == "cuda", torch.backends.cudnn
    return {
        "bench": bench.__version__,
        **_code_version(),
        "sources": sources or {},
        "command": command,
        "data_fingerprint": fingerprint,
        "device": str(device),
        "device_name": torch.cuda.get_device_name(device) if on_gpu else _processor(),
        "platform": f"{platform.system()} {platform.machine()}",
        "python": platform.python_version(),
        "started": datetime.now(UTC).isoformat(timespec="seconds"),
        "threads": threads,
        "cores": os.cpu_count(),
        "tf32": torch.backends.cuda.matmul.allow_tf32,
        "flags": {  # of torch and of the processor, that change last digits
            "cpu_capability": torch.backends.cpu.get_cpu_capability(),
            "cudnn_benchmark": cudnn.benchmark,
            "cudnn_deterministic": cudnn.deterministic,
            "cudnn_tf32": cudnn.allow_tf32,
            "deterministic": torch.are_deterministic_algorithms_enabled(),
            "matmul_precision": torch.get_float32_matmul_precision(),
        },
        "variables": {name: os.environ[name] for name in VARIABLES if name in os.environ},
        "versions": {package: _version(package) for package in PACKAGES},
        "cuda": torch.version.cuda if on_gpu else None,
        "cudnn": cudnn.version() if on_gpu else None,  # type: ignore[no-untyped-call]
    }


def write_session(folder: Path, origin: Origin, *, forget: bool) -> None:
    """Add a session to a run if its place or code are new; `forget` drops the earlier ones."""
    path = folder / NAME
    if forget or not path.exists():
        write_json(path, origin)
        return
    recorded = read_json(path, ProvenanceFile)
    *_, last = sessions_of(recorded)
    used = {part: last.get("sources", {}).get(part) for part in origin["sources"]}
    places = [{k: v for k, v in s.items() if k not in NOT_OF_THE_PLACE} for s in (origin, last)]
    if used != origin["sources"] or places[0] != places[1]:
        recorded.setdefault("continued", []).append(origin)
        write_json(path, recorded)


def write_end(folder: Path) -> None:
    """Note in the last session of a run that it has ended now."""
    recorded = read_json(folder / NAME, ProvenanceFile)
    last: Any = sessions_of(recorded)[-1]
    last["ended"] = datetime.now(UTC).isoformat(timespec="seconds")
    write_json(folder / NAME, recorded)


def read_provenance(folder: Path) -> Origin:
    """Return where a run came from; nothing where that was not recorded."""
    path = folder / NAME
    return read_json(path, ProvenanceFile) if os.path.lexists(path) else {}


def recorded_fingerprint(folder: Path) -> str:
    """Return the fingerprint of the data of a run; empty where none is on record, or is damaged."""
    with suppress(DamagedRecord):
        return read_provenance(folder).get("data_fingerprint") or ""
    return ""


def read_execution(folder: Path) -> dict[str, Any]:
    """Return how a run was executed, key -> plain data; nothing of an absent or damaged file."""
    with suppress(DamagedRecord):
        return read_json(folder / EXECUTION, ExecutionFile)
    return {}


def note_execution(folder: Path, **notes: object) -> None:
    """Add notes on how a run is executed."""
    write_json(folder / EXECUTION, {**read_execution(folder), **notes})


def note_switches(folder: Path, on: Sequence[str], device: str, why: Sequence[str]) -> None:
    """Note which switches a run is executed with, on which type of device, and why."""
    note_execution(folder, switches={"on": [*on], "device": device, "why": [*why]})


def sessions_of(origin: Mapping[str, Any]) -> list[Mapping[str, Any]]:
    """Return the sessions in which a run was done, in the order of time."""
    return [origin, *origin.get("continued", [])]


def lasting_sessions(origin: Mapping[str, Any]) -> list[Mapping[str, Any]]:
    """Return the sessions that trained, and the one that measured last.

    A session that draws from weights measures everything again, so those before it left nothing;
    only one that trains names its data.
    """
    first, *later = sessions_of(origin)
    return [first] + [
        session
        for session in later
        if session is later[-1] or "data" in session.get("sources", {"data": {}})
    ]


def changed_files(then: Sources, now: Sources) -> dict[str, set[str]]:
    """Return the files of each part that differ; one that was only moved or renamed does not."""
    contents_then, contents_now = (
        {content for files in side.values() for content in files.values()} for side in (then, now)
    )
    return {
        part: {file for file, content in then[part].items() if content not in contents_now}
        | {file for file, content in now[part].items() if content not in contents_then}
        for part in then.keys() & now.keys()
    }


def has_mixed_code(origin: Mapping[str, Any]) -> bool:
    """Return whether the weights of a run were trained, or drawn from, by several versions.

    Only versions of its model and data count: of all others, the last one made the numbers alone.
    """
    first, *later = (session.get("sources", {}) for session in lasting_sessions(origin))
    changed = [changed_files(first, sources) for sources in later]
    return any(files.get(part) for files in changed for part in ("model", "data"))


def differing_files(origins: Sequence[Mapping[str, Any]]) -> list[str] | None:
    """Return the source files that are not the same for all runs; None where that is not known."""
    recorded = [s.get("sources", {}) for origin in origins for s in lasting_sessions(origin)]
    if not all(recorded):
        return None
    versions = {item for sources in recorded for item in _contents(sources).items()}
    counts = Counter(file for file, _ in versions)
    return sorted(file for file, count in counts.items() if count > 1)


def code_text(origin: Mapping[str, Any], differing: Sequence[str] = ()) -> str:
    """Say by which code a run was made; of files that differ between runs, name its versions."""
    texts = []
    for session in lasting_sessions(origin):
        contents = _contents(session.get("sources", {}))
        files = [f"{file} {contents[file][:8]}" for file in differing if file in contents]
        more = f" and {len(files) - MOST_FILES} more files" if len(files) > MOST_FILES else ""
        named = f" ({', '.join(files[:MOST_FILES])}{more})" if files else ""
        texts.append(version_text(session) + named)
    return ", continued by ".join(dict.fromkeys(texts))


def version_text(session: Mapping[str, Any]) -> str:
    """Say by which version of the code a session was done: a commit, or that of the package."""
    if not session.get("commit"):
        return f"bench {session['bench']}" if session.get("bench") else "code that was not recorded"
    changed = f" with changes {session.get('diff') or ''}".rstrip() if session.get("dirty") else ""
    return f"commit {session['commit'][:10]}{changed}"


def _contents(sources: Mapping[str, Mapping[str, str]]) -> dict[str, str]:
    return {file: content for files in sources.values() for file, content in files.items()}


@cache
def _processor() -> str:
    """Return the name of the processor, as Linux says it where it does."""
    try:
        lines = Path("/proc/cpuinfo").read_text(errors="replace").splitlines()
    except OSError:
        lines = []
    names = (line.partition(":")[2].strip() for line in lines if line.startswith("model name"))
    return next(names, "") or platform.processor() or platform.machine()


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
