"""The mirrors of a sweep's rows: CSV files, pictures and MLflow. None of them is the truth."""

from pathlib import Path

import numpy as np

from bench.console import say
from bench.errors import BenchError
from bench.record.records import Records, load_records
from bench.reporting.figures.grids import save_image_grid
from bench.trackers.csv_files import write_csv


def write_mirrors(
    folder: Path, *, to_mlflow: bool = True, uri: str | None = None, pictures: bool = True
) -> bool:
    """Write all mirrors of a sweep again, from its rows.

    Args:
        folder: Folder of the sweep.
        to_mlflow: Whether MLflow is one of them.
        uri: Tracking server or database; a SQLite file beside the results where None.
        pictures: Whether samples of all variants are drawn side by side.

    Returns:
        Whether all went well; a tracking server that fails is a warning, since nothing is lost.
    """
    records = load_records(folder.parent, [folder.name])
    write_csv(records, folder)
    if pictures:
        _compare_samples(records, folder)
    if not to_mlflow:
        return True
    from bench.trackers.mlflow import mirror

    try:
        say(mirror(folder, uri))
    except BenchError as error:
        say(f"warning: {error}")
        return False
    return True


def _compare_samples(records: Records, folder: Path) -> None:
    """Draw samples of all variants side by side for each data set, the controls first."""
    done = [run for run in records.runs if run.state == "done"]
    for data in dict.fromkeys(run.data for run in done):
        panels: dict[str, np.ndarray] = {}
        names: tuple[str, ...] = ()
        for run in done:
            shown = run.path / "samples.npz"
            if run.data != data or run.variant in panels or not shown.exists():
                continue  # the first seed of each variant, whichever it is
            with np.load(shown) as arrays:
                if arrays["x"].ndim == 5:
                    panels[run.variant] = arrays["x"]
                    names = tuple(map(str, arrays["names"]))
        if len(panels) > 1:
            first = records.untrained
            ordered = {name: panels[name] for name in first if name in panels} | panels
            save_image_grid(ordered, names, folder / f"samples-{data}.png")
