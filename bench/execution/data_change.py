"""Refuse to go on from results of other data: no mean over both would be that of one data set."""

from collections.abc import Iterable, Iterator, Mapping, Sequence
from contextlib import suppress
from pathlib import Path
from typing import Any

from bench.data.base import DataSet
from bench.errors import BenchError, first_few, short_hash
from bench.execution.task import RunTask
from bench.process.worker import Worker
from bench.record.provenance import recorded_fingerprint
from bench.record.run_folder import RunFolder
from bench.spec.components import construct, data_text
from bench.spec.run_config import canonical_json

MOST_RUNS = 4  # that a message names of one version

Component = Mapping[str, Any]


def data_here(component: Component, worker: Worker) -> DataSet | None:
    """Return data that are here without a download; None where they are not, or damaged."""
    with suppress(BenchError, OSError):  # reported when a run loads these data
        if construct("dataset", component).missing() is None:
            return worker.context_of(component).data
    return None


class KnownData:
    """The fingerprint of each data set of a sweep, as far as it is known without a download."""

    def __init__(self, worker: Worker) -> None:
        self._worker = worker
        self._recorded: dict[str, str] = {}

    def present(self, component: Component) -> str:
        """Return the fingerprint of data that are here; empty where they are not, or damaged."""
        data = data_here(component, self._worker)
        return data.fingerprint if data else ""

    def accept(self, folder: Path, task: RunTask) -> str:
        """Accept the data of the run in `folder` as those of a task, or return why not."""
        made = list(_recorded(folder, task))
        for component, found in made:
            known = self._recorded.get(canonical_json(component)) or self.present(component)
            if known and known != found:
                return (
                    f"it was made from data {data_text(component)} with fingerprint "
                    f"{short_hash(found)}, here they have {short_hash(known)}"
                )
        self._recorded |= {canonical_json(component): found for component, found in made}
        return ""


def check_data(tasks: Iterable[RunTask], worker: Worker) -> KnownData:
    """Raise unless all results of some tasks are from the same data, those that are here now.

    Failed runs are checked only with --retry-failed. Data that would be downloaded are not here.
    """
    known = KnownData(worker)
    made: dict[str, dict[str, list[RunTask]]] = {}
    components: dict[str, Component] = {}
    for task in tasks:
        is_left = (task.path / "failed").exists() and not worker.options.retry_failed
        if is_left or not _has_results(task.folder):
            continue
        for component, found in _recorded(task.path, task):
            key = canonical_json(component)
            components[key] = component
            made.setdefault(key, {}).setdefault(found, []).append(task)
    problems = []
    for key, versions in made.items():
        present = known.present(components[key])
        if len({*versions, present} - {""}) > 1:
            problems += [f"  data {data_text(components[key])}", *_lines(versions, present)]
    if problems:
        folder = next(iter(next(iter(made.values())).values()))[0].path.parent
        raise BenchError(
            f"{folder} holds results from other data; mixing them would invalidate the averages:\n"
            + "\n".join(problems)
            + "\nto keep both, set name=ANOTHER or keep the new data at another path; to replace "
            "these results, delete their folders"
        )
    for [tasks_of_one] in map(dict.values, made.values()):
        known.accept(tasks_of_one[0].path, tasks_of_one[0])
    return known


def _has_results(folder: RunFolder) -> bool:
    return folder.has_learned or (folder.path / "done").exists()


def _recorded(folder: Path, task: RunTask) -> Iterator[tuple[Component, str]]:
    """Yield the data sets of a run or control with their fingerprints on record, if they are."""
    training = task.config.training
    components = [training.data, *filter(None, [task.is_run and training.unlabeled])]
    found = filter(None, recorded_fingerprint(folder).split("+"))
    yield from zip(components, found, strict=False)


def _lines(versions: Mapping[str, Sequence[RunTask]], present: str) -> Iterator[str]:
    """Yield a line for each version of a data set: its fingerprint, and who has it."""
    for found, tasks in versions.items():
        runs = first_few([f"{task.label} ({task.path})" for task in tasks], MOST_RUNS)
        where = ", which is here now" if found == present else ""
        yield f"    fingerprint {short_hash(found)}{where}: {runs}"
    if present and present not in versions:
        yield f"    fingerprint {short_hash(present)}: what is here now"
