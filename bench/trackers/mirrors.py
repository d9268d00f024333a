"""Mirrors of the record of a sweep for other programs: CSV files, sample grids and trackers."""

from collections.abc import Sequence
from pathlib import Path
from typing import NamedTuple

from bench.console import say, suggest_command
from bench.errors import BenchError, describe_error, mask_passwords
from bench.record.data_names import in_file_name
from bench.record.locks import hold
from bench.record.pictures import RecordedSamples, read_samples, samples_alike
from bench.record.records import Records, load_records
from bench.reporting.drawing.grids import save_image_grid
from bench.trackers.base import MirroredSweep, Tracker
from bench.trackers.csv_files import write_csv
from bench.trackers.mirrored_runs import mirrored_sweep

LONGEST_REASON = 320


class ChosenTracker(NamedTuple):
    """A tracker, and the word after `--tracker` that chooses it."""

    word: str
    tracker: Tracker


def write_mirrors(
    folder: Path, trackers: Sequence[ChosenTracker] = (), *, pictures: bool = True
) -> bool:
    """Write all mirrors of the sweep in `folder` again; return False if a tracker failed."""
    records = load_records(folder.parent, [folder.name])
    write_csv(records, folder)
    if pictures:
        _draw_samples(records, folder)
    if not trackers:
        return True
    sweep = mirrored_sweep(records)
    return all([_update(chosen, sweep) for chosen in trackers])  # a list: each has its turn


def _update(chosen: ChosenTracker, sweep: MirroredSweep) -> bool:
    """Bring a tracker up to date; return False after a warning if it raises anything."""
    try:
        with hold(sweep.folder / ".mirror.lock", wait=True):  # one process writes at a time
            text = chosen.tracker.update(sweep)
    except (Exception, SystemExit) as error:  # whatever another program or package may raise
        reason = str(error) if isinstance(error, BenchError) else describe_error(error)
        reason = mask_passwords(reason)
        if len(reason) > LONGEST_REASON:  # the cause is at the end of nested messages
            reason = f"{reason[: LONGEST_REASON // 3]} ... {reason[-LONGEST_REASON * 2 // 3 :]}"
        words = "mirror", sweep.name, "--tracker", chosen.word
        say(
            f"warning: {chosen.word} is not up to date: {reason}\n"
            f"nothing is lost, all results are in {sweep.folder}; catch up with: "
            + suggest_command(sweep.folder.parent, *words)
        )
        return False
    say(text)
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
