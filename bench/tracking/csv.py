"""The record as CSV files, for a spreadsheet or another program.

The same record gives the same bytes, whenever and wherever it is written: columns and rows stand
in a fixed order, floats are exact. All that is measured by a clock stands in `timings.csv` alone.
"""

import csv
import io
import math
from collections.abc import Iterable, Sequence
from pathlib import Path

import pandas as pd

from bench.reporting.plan import REAL
from bench.reporting.records import AXES, COST, CURVES, FIGURES, TIMINGS, Records
from bench.tracking.rows import write_atomically

RUN_COLUMNS = (*AXES, "state", "iterations", "batch_size", "failure", "command")


def write_csv(records: Records, folder: Path, *, curves: bool = True) -> list[Path]:
    """Write `figures.csv`, `runs.csv`, `curves.csv`, `cost.csv` and `timings.csv`.

    `runs.csv` has one line for each expected run, finished or not, and a column `metric[protocol]`
    for each figure of the last evaluation; the others have one line a figure.

    Args:
        records: What to write.
        folder: Where; files there are replaced, each at once.
        curves: Whether to write `curves.csv`, by far the longest.

    Returns:
        The files.
    """
    frames = {
        "figures.csv": records.figures[list(FIGURES)],
        "runs.csv": _wide(records),
        **({"curves.csv": records.curves[list(CURVES)]} if curves else {}),
        "cost.csv": records.cost[list(COST)],
        "timings.csv": records.timings[list(TIMINGS)],
    }
    for name, frame in frames.items():
        content = to_csv(list(frame.columns), frame.itertuples(index=False, name=None))
        write_atomically(folder / name, content.encode())
    return [folder / name for name in frames]


def to_csv(header: Sequence[str], rows: Iterable[Sequence[object]]) -> str:
    r"""Return CSV text: lines end in a line feed, floats are exact, nothing is an empty field.

    Args:
        header: Names of the columns.
        rows: The values.

    Returns:
        The text.

    Example:
        >>> to_csv(["n", "value"], [(1, 0.1), (None, float("nan"))])
        'n,value\n1,0.1\n,\n'
    """
    buffer = io.StringIO()
    writer = csv.writer(buffer, lineterminator="\n")
    writer.writerow(header)
    writer.writerows([_field(value) for value in row] for row in rows)
    return buffer.getvalue()


def _field(value: object) -> str:
    """Return a value as it stands in a file."""
    if isinstance(value, float):
        return "" if math.isnan(value) else repr(float(value))
    return "" if value is None or value is pd.NA else str(value)


def _wide(records: Records) -> pd.DataFrame:
    """Return one row a run, with the figures of its last evaluation as columns."""
    final = records.final
    names = final["metric"] + "[" + final["protocol"] + "]"
    names = names.where(final["split"].isin(["", "samples", REAL]), names + " on " + final["split"])
    columns = sorted(set(names))
    keys = zip(final["sweep"], final["run"], final["variant"], names, strict=True)
    values = dict(zip(keys, final["value"], strict=True))
    wide = records.runs[list(RUN_COLUMNS)].copy()
    wide.loc[wide["state"] == "done", "command"] = ""  # there is nothing to finish
    runs = list(zip(wide["sweep"], wide["run"], wide["variant"], strict=True))
    figures = {name: [values.get((*run, name)) for run in runs] for name in columns}
    return pd.concat([wide, pd.DataFrame(figures, index=wide.index, dtype="float64")], axis=1)
