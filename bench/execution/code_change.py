"""Results that other code has made: refused, or noted where only the harness has changed."""

import shutil
from collections.abc import Iterable, Sequence
from contextlib import suppress
from dataclasses import dataclass
from pathlib import Path

from bench.console import say
from bench.errors import BenchError, DamagedRecord, first_few
from bench.evaluation.trained_weights import trained_settings
from bench.execution.data_change import KnownData
from bench.execution.source_files import MOST_NAMED, files_of_metric, sources_of
from bench.execution.task import RunTask
from bench.metrics.base import Metric
from bench.process.worker import RunOptions
from bench.record import provenance
from bench.record.jsonl import read_asked, write_jsonl
from bench.record.provenance import HARNESS, changed_files, version_text
from bench.record.run_folder import LOCK, RunFolder, arriving
from bench.spec.run_config import RunConfig
from bench.spec.run_settings import Evaluation

MOST_RUNS = 20  # likewise; their folders are to be deleted
MEASURED = {"metrics", "controls"}  # parts of the code that weights do not depend on


@dataclass(frozen=True)
class CodeChange:
    """Files that have changed since a run was made, and the version of the code that made it."""

    version: str  # empty where its sources are not known
    learned: tuple[str, ...] = ()  # of the model and data sets that it was trained with
    measured: tuple[str, ...] = ()  # of its metrics, the model that drew, the control that it is
    harness: tuple[str, ...] = ()  # all others


def code_change(task: RunTask) -> CodeChange | None:
    """Return how the code of a run has changed, and that of its sampling rows; see `_change_in`.

    Rows of a run that is to be measured again are measured again with it.
    """
    is_done = task.folder.status(task.config.evaluation_id).state == "done"
    return _change_in(task.folders if is_done else [task.folder], task.config)


def _change_in(folders: Iterable[RunFolder], config: RunConfig) -> CodeChange | None:
    """Return how the code of folders has changed, as far as their results depend on it; or None.

    Weights depend on every session that trained, measurements on the last one that measured: on its
    metrics, and on the model that drew from the weights. Only a session that trains names its data.
    """
    learned, measured, harness = set[str](), set[str](), set[str]()
    versions: dict[str, None] = {}
    is_known = True
    for folder in folders:
        is_done = folder.status(config.evaluation_id).state == "done"
        if not (is_done or folder.has_learned):
            continue
        try:
            sessions = provenance.lasting_sessions(provenance.read_provenance(folder.path))
        except DamagedRecord:  # the run fails as soon as it is taken up, and alone
            continue
        now = sources_of(config)
        for session in sessions:
            sources = session.get("sources", {})
            is_known &= bool(sources)
            for part, files in changed_files(sources, now).items():
                is_learned = "data" in sources and part not in MEASURED
                if files and (is_learned or (is_done and session is sessions[-1])):
                    of_part = harness if part == HARNESS else learned if is_learned else measured
                    of_part |= files
                    versions[version_text(session)] = None
    if versions:
        groups = learned, measured, harness - learned - measured
        return CodeChange(" and ".join(versions), *(tuple(sorted(files)) for files in groups))
    return None if is_known else CodeChange("")


def changed_since_training(path: Path) -> str:
    """Return what is to be said of a run whose model or data have other code now; empty if none.

    What its weights draw now may be other samples than those that were measured.
    """
    config = RunConfig(trained_settings(path), Evaluation())
    change = code_change(RunTask(path, path.name, config))
    if not change or not change.learned:
        return ""
    names = first_few(change.learned, MOST_NAMED)
    return (
        f"the code of {path} has changed since it was trained ({names}), so its weights may draw "
        "other samples than those that were measured"
    )


def refuse_changed_metrics(path: Path, metrics: Iterable[Metric]) -> None:
    """Refuse metrics that a run was measured by, where their code is another now.

    Their values would take the place of those that the sweep asked for, beside runs of old code.
    """
    sessions = provenance.sessions_of(provenance.read_provenance(path))
    measured = [s["sources"] for s in sessions if "metrics" in s.get("sources", {})]
    if not measured:
        return
    known = {content for files in measured[-1].values() for content in files.values()}
    names = [entry["metric"] for entry in read_asked(RunFolder(path).evaluation)]
    asked = {*names, *(name.partition("/")[0] for name in names)}
    for metric in metrics:
        if asked.isdisjoint(metric.quantities):
            continue
        files = files_of_metric(metric.name)
        if changed := [file for file, content in files.items() if content not in known]:
            raise BenchError(
                f"the code of the metric {metric.name!r} has changed since {path} was measured "
                f"({first_few(changed, MOST_NAMED)}), and its values may stand for those that "
                "the sweep asked for; --name in place of --record keeps them as a row"
            )


def check_code(tasks: Iterable[RunTask], options: RunOptions, remedy: str = "") -> None:
    """Raise unless recorded and present code agree on model, data set and metrics.

    Failed runs are checked only with --retry-failed. The message says the `remedy`, if there is
    another one than for the runs of a sweep.
    """
    changes: dict[RunTask, CodeChange] = {}
    refused: dict[CodeChange, list[RunTask]] = {}
    for task in tasks:
        is_left = (task.path / "failed").exists() and not options.retry_failed
        if not is_left and (change := code_change(task)):
            changes[task] = change
            if change.learned or change.measured:
                refused.setdefault(change, []).append(task)
    if unknown := [task for task, change in changes.items() if not change.version]:
        say(f"note: {_counted(unknown)} kept; it is not known whether the code is the same")
    lines = "\n".join(_line(change, group, remedy) for change, group in refused.items())
    if refused and not options.allow_code_change:
        folder = next(iter(refused.values()))[0].path.parent
        raise BenchError(
            f"{folder} holds results made by other code of a model, data set or metric; mixing "
            f"them with new ones would invalidate the averages:\n{lines}\n"
            "--allow-code-change uses them as they are, and tables say so"
        )
    if refused:
        say(f"note: used although the code has changed since:\n{lines}")
    if others := [task for task, change in changes.items() if change.harness]:
        files = sorted({file for change in changes.values() for file in change.harness})
        named = first_few(files, MOST_NAMED)
        say(f"note: {_counted(others)} kept; the harness has changed since: {named}")


def copy_equal_run(results: Path, task: RunTask, options: RunOptions, data: KnownData) -> None:
    """Copy a run that is done in another sweep, unless it has a folder here: equal ids, equal runs.

    A run on other `data` is not copied. Unless that is allowed, a run of other code of a model or
    data set is not copied either, one that other metrics have measured is measured again, and
    sampling rows that other code has drawn or measured are left out.
    """
    if task.path.exists():
        return
    for other in sorted(results.glob(f"*/{task.path.name}")):
        # Errors: another process is at work on it or was faster, or files are damaged.
        with suppress(OSError, BenchError), RunFolder(other).locked():
            if not (RunFolder(other).model.exists() and RunFolder(other).status().is_measured):
                continue
            change = _change_in([RunFolder(other)], task.config) or CodeChange("")
            if change.learned and not options.allow_code_change:
                files = first_few(change.learned, MOST_NAMED)
                say(f"  not copied from {other}: changed since: {files}")
                continue
            if why := data.accept(other, task):
                say(f"  not copied from {other}: {why}")
                continue
            again = change.measured and not options.allow_code_change
            rows = [] if options.allow_code_change else _rows_of_other_code(other, task.config)
            left = shutil.ignore_patterns(f"{LOCK}*", *(["done"] if again else []))
            with arriving(task.path) as partial:
                shutil.copytree(other, partial, ignore=left, dirs_exist_ok=True)
                copy = RunFolder(partial)
                for row in rows:
                    shutil.rmtree(copy.sampling_row(row).path)
                write_jsonl(copy.evaluation, read_asked(copy.evaluation))
            harness = ", by another version of the harness" if change.harness else ""
            without = f", without rows of other code: {first_few(rows, MOST_NAMED)}" if rows else ""
            say(f"  copied from {other}: the same run{harness}{without}")
            return


def _rows_of_other_code(folder: Path, config: RunConfig) -> list[str]:
    """Return the sampling rows of a run that other code has drawn or measured."""
    rows = RunFolder(folder).sampling_rows()
    changes = {row.path.name: _change_in([row], config) for row in rows}
    return [name for name, change in changes.items() if change and change.measured]


def _line(change: CodeChange, group: Sequence[RunTask], remedy: str) -> str:
    """Say how the code of some runs has changed, and how to do them again."""
    if change.learned:
        remedy = remedy or "to keep both, set name=ANOTHER; to replace them, delete their folders"
    remedy = remedy or "to evaluate them again, delete `done` in their folders"
    files = first_few(sorted({*change.learned, *change.measured}), MOST_NAMED)
    return f"  {_counted(group)} by {change.version}; changed since: {files}; {remedy}"


def _counted(group: Sequence[RunTask]) -> str:
    """Return how many runs and controls there are, and which."""
    folders = first_few([str(task.path) for task in group], MOST_RUNS)
    return f"{len(group)} run{'' if len(group) == 1 else 's'} ({folders})"
