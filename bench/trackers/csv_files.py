"""The record as CSV files: the same record gives the same bytes, but for `timings.csv`."""

from pathlib import Path

from bench.record.files import to_csv, write_text
from bench.record.records import COLUMNS, FrameName, RecordEntry, Records
from bench.spec.reserved_names import REAL

FILES: dict[str, FrameName] = {
    "measurements.csv": "measurements",
    "curves.csv": "curves",
    "cost.csv": "cost",
    "timings.csv": "timings",
}


def write_csv(records: Records, folder: Path, *, curves: bool = True) -> list[Path]:
    """Write all CSV files, `curves.csv` only if asked to, and return their paths.

    `runs.csv` has one line for each expected run, whatever its state, and a column
    `metric[protocol]` for each final measurement; the others have one line for each number.
    """
    texts = {"runs.csv": _runs(records)} | {
        file: to_csv(list(COLUMNS[name]), records.rows(name))
        for file, name in FILES.items()
        if curves or name != "curves"
    }
    for file, text in texts.items():
        write_text(folder / file, text)
    return [folder / file for file in texts]


def _runs(records: Records) -> str:
    values = {(entry.run, _name(entry)): entry.value for entry in records.final}
    names = sorted({name for _, name in values})
    columns = [name for name in COLUMNS["runs"] if name != "path"]
    index = list(COLUMNS["runs"]).index("path")
    rows = []
    for run, row in zip(records.runs, records.rows("runs"), strict=True):
        command = "" if run.state == "done" else run.command
        rows.append([*row[:index], command, *(values.get((run, name)) for name in names)])
    return to_csv([*columns, *names], rows)


def _name(entry: RecordEntry) -> str:
    split = "" if entry.split in ("", "samples", REAL) else f" on {entry.split}"
    return f"{entry.metric}[{entry.protocol}]{split}"
