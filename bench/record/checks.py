"""A thorough check of what is kept of a run, before it is sent elsewhere or taken from there."""

from pathlib import Path

from bench.errors import DamagedRecord
from bench.record.pictures import check_pictures, check_samples
from bench.record.run_folder import RunFolder


def check_run(folder: Path) -> None:
    """Raise a `DamagedRecord` unless every file that reports read is as it should be."""
    if not folder.is_dir():
        raise DamagedRecord(f"{folder} is not a folder")
    run = RunFolder(folder)
    run.check()
    check_samples(folder)
    check_pictures(folder)
    for row in run.sampling_rows():
        row.check()
        check_samples(row.path)
        if (row.path / "config.json").exists() and row.other_run():
            raise DamagedRecord(row.other_run())
    for snapshot in (folder / "snapshots").glob("*"):
        if not snapshot.name.isdecimal():
            raise DamagedRecord(f"{snapshot} is not the folder of a snapshot")
        run.snapshot(int(snapshot.name)).check()
        check_samples(snapshot)
