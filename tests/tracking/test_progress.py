"""The file that tells how far a run is."""

import os
import time

import pytest

from bench.tracking import progress
from bench.tracking.progress import NAME, STALE_S, ProgressFile, read_progress


@pytest.fixture
def impatient(monkeypatch):
    monkeypatch.setattr(progress, "EVERY_S", 0.0)


def test_what_is_written_is_read(tmp_path, impatient):
    file = ProgressFile(tmp_path, iterations=10)
    file.images = 96
    file.update(3)
    time.sleep(0.01)
    file.update(4, {"main/kl": 0.5})
    found = read_progress(tmp_path)
    assert (found.phase, found.step, found.share, found.losses) == ("training", 4, 0.4, {"kl": 0.5})
    assert 0 < found.images_per_second <= 96 / 0.01


def test_the_pace_counts_from_where_a_run_was_resumed(tmp_path, impatient):
    file = ProgressFile(tmp_path, iterations=1000)
    file.images = 1
    file.update(900)
    assert read_progress(tmp_path).images_per_second == 0


def test_it_is_written_about_once_a_second(tmp_path):
    file = ProgressFile(tmp_path, iterations=10)
    file.update(1)
    file.update(2)
    assert read_progress(tmp_path).step == 1


def test_a_run_that_measures_has_all_its_iterations_and_may_take_longer(tmp_path):
    ProgressFile(tmp_path, iterations=10).measuring()
    os.utime(tmp_path / NAME, (0, time.time() - STALE_S - 5))
    found = read_progress(tmp_path)
    assert (found.phase, found.share, found.is_training) == ("measuring", 1.0, False)


def test_nobody_is_at_work_where_the_file_is_gone_old_or_damaged(tmp_path):
    assert read_progress(tmp_path) is None
    file = ProgressFile(tmp_path, iterations=10)
    file.update(1)
    path = tmp_path / NAME
    os.utime(path, (0, time.time() - STALE_S - 5))
    assert read_progress(tmp_path) is None
    path.write_text("{")
    assert read_progress(tmp_path) is None
    path.write_text("{}")
    assert read_progress(tmp_path) is None
    file.close()
    file.close()
    assert not path.exists()


def test_a_folder_that_cannot_be_written_does_not_end_the_run(tmp_path):
    file = ProgressFile(tmp_path / "gone", iterations=10)
    file.update(1)
    assert read_progress(tmp_path / "gone") is None
