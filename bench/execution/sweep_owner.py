"""Which sweep file the results in a folder belong to."""

import os
from pathlib import Path

from bench.errors import BenchError, SpecError, first_few
from bench.record.publication_files import PUBLISHED
from bench.record.sweep_folder import read_plan
from bench.spec.sweep_file import Sweep


def refuse_publication(folder: Path) -> None:
    """Refuse to run anything in the folder of a publication, which reports would go on showing."""
    if (folder / PUBLISHED).exists():
        raise BenchError(
            f"{folder} is a publication of `bench publish`, whose files reports would go on "
            "showing; name another folder with --results"
        )


def file_of(spec: str, folder: Path) -> Path:
    """Return the file that a plan in the folder of a sweep names, which may be gone.

    It may be relative to where `bench` ran, which is beside the results as a rule.
    """
    beside = folder.parent.parent / spec
    return beside if beside.exists() and not Path(spec).exists() else Path(spec)


def refuse_other_sweep(sweep: Sweep, folder: Path) -> None:
    """Refuse to take the results folder of another sweep file, whose runs no report would show.

    A file that was moved, or has the same variants with the same settings and seeds, and more, is
    not another one.
    """
    refuse_publication(folder)
    try:
        recorded, runs = read_plan(folder)
        other = file_of(recorded.spec, folder)
        if os.path.samefile(other, sweep.path):
            return
    except (BenchError, OSError):  # no plan yet, one that is written again, or a file that is gone
        return
    planned: dict[tuple[str, int | None], str] = {
        (run.variant, run.config.training.seed): run.config.id for run in sweep.runs
    }
    trained = [run for run in runs if run.is_trained]
    hidden = {run.variant for run in trained} - {variant for variant, _ in planned}
    changed = {
        run.variant
        for run in trained
        if run.path.exists() and planned.get((run.variant, run.seed), run.id) != run.id
    }
    seeds = {
        run.variant
        for run in trained
        if run.path.exists() and (run.variant, run.seed) not in planned
    }
    for variants, what in (
        (hidden, "other variants"),
        (changed, "other settings of variants"),
        (seeds, "other seeds of variants"),
    ):
        if variants:
            raise SpecError(
                f"{folder} holds the runs of {other}, which has {what} "
                f"({first_few(sorted(variants), 5)}); give one of both files another name, as in "
                f"name={sweep.name}-2",
                where=str(sweep.path),
                key="name",
            )
