"""Which sweep file the results in a folder belong to."""

import os
from pathlib import Path

from bench.errors import BenchError, SpecError, first_few
from bench.record.sweep_folder import read_plan
from bench.spec.sweep_file import Sweep


def refuse_other_sweep(sweep: Sweep, folder: Path) -> None:
    """Refuse to take the results folder of another sweep file, whose runs no report would show.

    A file that was moved, or has the same variants and more, is not another one.
    """
    try:
        recorded, runs = read_plan(folder)
        other = Path(recorded.spec)
        if os.path.samefile(other, sweep.path):
            return
    except (BenchError, OSError):  # no plan yet, one that is written again, or a file that is gone
        return
    planned = {run.variant for run in sweep.runs}
    hidden = {run.variant for run in runs if run.is_trained} - planned
    if hidden:
        raise SpecError(
            f"{folder} holds the runs of {other}, which has other variants "
            f"({first_few(sorted(hidden), 5)}); give one of both files another name, as in "
            f"name={sweep.name}-2",
            where=str(sweep.path),
            key="name",
        )
