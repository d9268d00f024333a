"""Mirrors of the record of a sweep for other programs: CSV files, sample grids and MLflow."""

from pathlib import Path

from bench.console import say
from bench.errors import BenchError
from bench.record.data_names import in_file_name
from bench.record.pictures import RecordedSamples, read_samples, samples_alike
from bench.record.records import Records, load_records
from bench.reporting.figures.grids import save_image_grid
from bench.trackers.csv_files import write_csv


def write_mirrors(
    folder: Path, *, to_mlflow: bool = True, uri: str | None = None, pictures: bool = True
) -> bool:
    """Write all mirrors of the sweep in `folder` again; return False if MLflow failed."""
    records = load_records(folder.parent, [folder.name])
    write_csv(records, folder)
    if pictures:
        _draw_samples(records, folder)
    if not to_mlflow:
        return True
    from bench.trackers.mlflow import update_mlflow

    try:
        say(update_mlflow(folder, uri))
    except BenchError as error:
        say(f"warning: {error}")
        return False
    return True


def _draw_samples(records: Records, folder: Path) -> None:
    """Draw samples of each variant's first seed side by side for each data set, controls first."""
    done = [run for run in records.runs if run.state == "done"]
    for data in dict.fromkeys(run.data for run in done):
        shown: dict[str, RecordedSamples] = {}
        for run in done:
            if run.data == data and run.variant not in shown:
                samples = read_samples(run.path)
                shown |= {run.variant: samples} if samples and samples.are_images else {}
        shown = samples_alike(shown)
        if len(shown) > 1:
            first = [variant for variant in records.untrained if variant in shown]
            order = dict.fromkeys([*first, *shown])
            panels = {variant: shown[variant].x for variant in order}
            names = next(iter(shown.values())).names
            save_image_grid(panels, names, folder / f"samples-{in_file_name(data)}.png")
