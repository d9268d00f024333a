"""What was made before is used again only where the code is still the same, or if that is allowed.

The code of a run are the files that can change what it learns, and those that can change what is
measured of it (`bench.execution.source_files`). Weights are bound to the former; a figure to both.
"""

import shutil
from collections.abc import Iterable, Sequence
from dataclasses import dataclass
from pathlib import Path

from bench.console import say
from bench.errors import BenchError
from bench.execution.source_files import SOURCES_OF, changed_files
from bench.execution.task import RunTask
from bench.process.worker import Worker
from bench.record import provenance
from bench.record.files import read_json
from bench.record.provenance import code_text, stages_of
from bench.record.run_folder import RunFolder, arriving
from bench.reporting.notes.wording import first_few

MOST_FILES = 4
"""A message names no more files than this."""


@dataclass(frozen=True)
class Change:
    """How the code that made a run differs from the code that is here.

    Attributes:
        version: What made it, for people; empty if its sources were not recorded.
        trained: Files that could change what it learned.
        measured: Files that could change its figures.
    """

    version: str
    trained: tuple[str, ...] = ()
    measured: tuple[str, ...] = ()


def code_change(task: RunTask) -> Change | None:
    """Return how the code of a run has changed since, as far as its results would be used.

    Args:
        task: The run; what it leaves may be there, in part or in full.

    Returns:
        The change; None where nothing would be used, or where the code is the same.

    """
    folder = task.folder
    is_done = folder.status(task.config.evaluation_id).state == "done"
    if not (is_done or folder.has_learned):
        return None
    path = folder.path / provenance.NAME
    try:
        stages = stages_of(read_json(path)) if path.exists() else []
    except BenchError:  # it fails as soon as it is taken up, and alone
        return None
    used = ["evaluation"] * is_done + ["controls" if task.control else "training"]
    changed: dict[str, set[str]] = {"training": set(), "evaluation": set()}
    by: dict[str, None] = {}
    for part in used:
        recorded = [stage for stage in stages if part in stage.get("sources", {})]
        if not recorded and part == "controls":  # which was not always recorded
            continue
        if not recorded:
            return Change("")
        now = SOURCES_OF[part](task.config)
        for stage in recorded if part == "training" else recorded[-1:]:
            if files := changed_files(stage["sources"][part], now):
                changed["training" if part == "training" else "evaluation"].update(files)
                by[code_text(stage)] = None
    if not by:
        return None
    trained, measured = (tuple(sorted(files)) for files in changed.values())
    return Change(" and ".join(by), trained, measured)


def check_code(tasks: Iterable[RunTask], worker: Worker) -> None:
    """Refuse to use results of other code than this, before anything starts.

    Args:
        tasks: Runs of one sweep. Those that failed are left alone, unless they are tried again.
        worker: Says whether it is allowed.

    Raises:
        BenchError: If some were made by other code; says how many, by which, and what to do.
    """
    groups: dict[Change, list[RunTask]] = {}
    for task in tasks:
        failed = (task.path / "failed").exists() and not worker.retry_failed
        if not failed and (change := code_change(task)):
            groups.setdefault(change, []).append(task)
    for change, held in groups.items():
        if not change.version:
            say(
                f"note: {_counted(held)} kept, whose code was not recorded; whether it was this "
                "code is not known"
            )
    told = {change: held for change, held in groups.items() if change.version}
    if not told:
        return
    lines = [line for change, held in told.items() for line in _lines(change, held)]
    if worker.allow_code_change:
        say("\n".join(["note: used although the code has changed since:", *lines]))
        return
    folder = next(iter(told.values()))[0].path.parent
    anew = {
        "delete the folders of these runs, or say name=ANOTHER to keep both": any(
            change.trained for change in told
        ),
        "delete `done` in their folders to measure them again": any(
            not change.trained for change in told
        ),
    }
    raise BenchError(
        f"{folder} holds results of other code than this, which would stand beside new ones as "
        "if they were alike:\n" + "\n".join(lines) + "\n"
        "--allow-code-change uses them as they are, and tables say so; to have them anew, "
        + "; ".join(remedy for remedy, applies in anew.items() if applies)
    )


def adopt(results: Path, task: RunTask, worker: Worker) -> None:
    """Copy a run that another sweep has trained already: equal ids are equal runs.

    Unless that is allowed, what other code has trained is not copied, and what other code has
    measured is measured again. A run at which another process is at work is left to it.

    Args:
        results: Root of all results.
        task: The run; nothing is done where its folder exists.
        worker: Says whether other code is allowed.
    """
    if task.path.exists():
        return
    for other in sorted(results.glob(f"*/{task.path.name}")):
        try:
            with RunFolder(other).locked():
                if not (RunFolder(other).model.exists() and (other / "done").exists()):
                    continue
                change = code_change(RunTask(other, task.label, task.config)) or Change("")
                if change.trained and not worker.allow_code_change:
                    say(f"  not copied from {other}: changed since: {_files(change.trained)}")
                    continue
                again = change.measured and not worker.allow_code_change
                left = shutil.ignore_patterns("lock", *(["done"] if again else []))
                with arriving(task.path) as partial:
                    shutil.copytree(other, partial, ignore=left, dirs_exist_ok=True)
        except (OSError, BenchError):  # another process is at it, or was faster; or it is damaged
            continue
        say(f"  copied from {other}: the same run")
        return


def _lines(change: Change, held: Sequence[RunTask]) -> list[str]:
    """Return what is said of runs whose code has changed in the same way."""
    lines = [f"  {_counted(held)} by {change.version}"]
    if change.trained:
        lines.append(f"    changed since, of what they learned by: {_files(change.trained)}")
    if change.measured:
        lines.append(f"    changed since, of what measured them: {_files(change.measured)}")
    return lines


def _counted(held: Sequence[RunTask]) -> str:
    """Return how many runs and controls there are, and the first of them."""
    first = f"{held[0].path}" + (", ..." if len(held) > 1 else "")
    return f"{len(held)} run{'' if len(held) == 1 else 's'} ({first})"


def _files(names: Sequence[str]) -> str:
    return first_few(names, MOST_FILES)
