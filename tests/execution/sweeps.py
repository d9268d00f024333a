"""What tests of executors share: sweeps as processes, looked at from outside."""

import re
import time
from datetime import datetime
from pathlib import Path

RUN = ("run", "tiny.yaml", "--device", "cpu", "--checkpoint-seconds", "0.02")


def csv(folder):
    """Return the files that must come out the same however often a sweep is interrupted."""
    return [(folder / name).read_bytes() for name in ("measurements.csv", "runs.csv", "curves.csv")]


def wait_for(condition, seconds=300.0):
    """Return what the condition gives as soon as that is true."""
    end = time.monotonic() + seconds
    while not (found := condition()):
        assert time.monotonic() < end, "gave up waiting"
        time.sleep(0.02)
    return found


def logs(folder):
    """Return the logs of all runs of a sweep."""
    return {path.parent.name: path.read_text() for path in folder.glob("*/log.txt")}


def process_of(log):
    """Return the process that was the last to take up a run."""
    return int(re.findall(r"by process (\d+)", log)[-1])


def spans(log):
    """Return when a run was begun and when it was finished, in seconds."""
    stamps = [
        datetime.strptime(line[:23], "%Y-%m-%d %H:%M:%S,%f").timestamp()
        for line in log.splitlines()
        if "by process" in line or line.endswith("finished")
    ]
    return stamps[0], stamps[-1]


def alive(process):
    try:
        state = Path(f"/proc/{process}/stat").read_text().rsplit(")", 1)[1].split()[0]
    except FileNotFoundError:
        return False
    return state != "Z"
