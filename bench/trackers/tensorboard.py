"""A sweep in TensorBoard: an event file for each run, in `tensorboard` in the folder of the sweep.

The name of the file ends with the digest of what it holds, so a run that changed is written again
in its place. The same record gives the same bytes: the times in it are those of the record.
"""

import hashlib
import json
import re
from collections.abc import Iterator
from contextlib import suppress
from io import BytesIO
from pathlib import Path
from typing import Any

from PIL import Image

from bench.record.files import write_atomically
from bench.registry import require_extra
from bench.trackers.base import MirroredRun, MirroredSweep, Tracker

EVENTS = "events.out.tfevents.0."
LONGEST_NAME = 100


class TensorBoard(Tracker):
    """Mirror in event files of TensorBoard: `tensorboard --logdir results` shows all sweeps.

    Args:
        results: The folder of all results.

    Raises:
        BenchError: If TensorBoard is not installed.
    """

    def __init__(self, results: Path) -> None:
        require_extra("tensorboard", "tensorboard", "the tracker 'tensorboard'")

    def update(self, sweep: MirroredSweep) -> str:
        """Write the event files of runs that changed, and remove those of runs that are gone."""
        root = sweep.folder / "tensorboard"
        wanted = {root / _place(run) / f"{EVENTS}{run.digest}": run for run in sweep.runs}
        found = set(root.glob(f"*/{EVENTS}*"))
        for path, run in wanted.items():
            if path not in found:
                write_atomically(path, _event_file(run))
        for path in found - wanted.keys():
            path.unlink()
            if not any(path.parent.iterdir()):
                path.parent.rmdir()
        written = len(wanted.keys() - found)
        kept = len(wanted) - written
        return f"TensorBoard: {written} runs written, {kept} were up to date, in {root}"


def _place(run: MirroredRun) -> str:
    """Return the name of a run's folder, which is what TensorBoard calls the run."""
    variant = run.tags["variant"]
    safe = re.sub(r"[^\w.\- ]", "_", variant)[:LONGEST_NAME]
    mark = "" if safe == variant else f"-{hashlib.sha256(variant.encode()).hexdigest()[:6]}"
    seed = f"-seed{run.tags['seed']}" if run.tags["seed"] else ""
    return f"{safe}{mark}{seed}-{run.id}"


def _event_file(run: MirroredRun) -> bytes:
    from tensorboard.compat.proto.event_pb2 import Event
    from tensorboard.summary.writer.record_writer import RecordWriter

    buffer = BytesIO()
    writer = RecordWriter(buffer)
    seconds = run.started / 1000
    writer.write(Event(wall_time=seconds, file_version="brain.Event:2").SerializeToString())
    for step, summary in _summaries(run):
        event = Event(wall_time=seconds, step=step, summary=summary)
        writer.write(event.SerializeToString(deterministic=True))
    return buffer.getvalue()


def _summaries(run: MirroredRun) -> Iterator[tuple[int, Any]]:
    """Yield the configuration, the tags, all numbers by step, and the pictures of a run."""
    from tensorboard.compat.proto.summary_pb2 import Summary
    from tensorboard.plugins.hparams.summary_v2 import hparams_pb
    from tensorboard.plugins.text.summary_v2 import text_pb

    config = {key: _plain(value) for key, value in run.config.items()}
    yield 0, hparams_pb(config, run.id, run.started / 1000)
    lines = [f"| {key} | {value} |".replace("\n", " ") for key, value in run.tags.items()]
    yield 0, text_pb("tags", "\n".join(["| tag | value |", "| --- | --- |", *lines]))
    for key, value, step in sorted(run.metrics, key=lambda metric: metric[2]):
        yield step, Summary(value=[Summary.Value(tag=key, simple_value=value)])
    last = max((step for _, _, step in run.metrics), default=0)
    for path in run.files:
        if path.suffix == ".png":
            with suppress(OSError):  # a damaged picture
                yield last, Summary(value=[Summary.Value(tag=path.stem, image=_picture(path))])


def _plain(value: Any) -> bool | float | str:
    return value if isinstance(value, bool | int | float | str) else json.dumps(value)


def _picture(path: Path) -> Any:
    from tensorboard.compat.proto.summary_pb2 import Summary

    content = path.read_bytes()
    with Image.open(BytesIO(content)) as image:
        width, height = image.size
    return Summary.Image(width=width, height=height, colorspace=3, encoded_image_string=content)
