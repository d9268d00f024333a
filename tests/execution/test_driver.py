"""What the driver does around the loop."""

from pathlib import Path

from bench.execution import driver


def test_another_driver_may_remove_the_probe_first(here, monkeypatch):
    touch = Path.touch
    monkeypatch.setattr(Path, "touch", lambda path: [touch(path), path.unlink()])
    driver._refuse_unwritable(here / "results")
