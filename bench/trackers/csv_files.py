"""The record as CSV files, for a spreadsheet or another program.

The same record gives the same bytes, whenever and wherever it is written: columns and rows stand
in a fixed order, floats are exact. All that is measured by a clock stands in `timings.csv` alone.
"""

from pathlib import Path

import pandas as pd

from bench.record.csv_text import to_csv
from bench.record.files import write_atomically
from bench.record.records import AXES, COST, CURVES, FIGURES, TIMINGS, Records
from bench.spec.reserved_names import REAL

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
