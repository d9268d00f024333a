"""What the driver does around the loop."""

import os

from bench.execution import run_sweep


def test_the_probe_tells_the_time_and_leaves_nothing(here):
    began = run_sweep._refuse_unwritable(here / "results")
    (here / "later").touch()
    assert began <= os.stat(here / "later").st_mtime
    assert list((here / "results").iterdir()) == []
