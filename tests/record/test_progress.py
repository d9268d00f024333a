"""The file that tells how far a run is."""

import time

import pytest

from bench.record import progress
from bench.record.lock import locked
from bench.record.progress import NAME, ProgressFile, read_progress


@pytest.fixture(autouse=True)
def at_work(tmp_path):
    with locked(tmp_path):
        yield


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


def test_a_run_is_under_way_before_its_first_iteration(tmp_path):
    ProgressFile(tmp_path, iterations=10)
    found = read_progress(tmp_path)
    assert (found.is_training, found.step, found.iterations) == (True, 0, 10)


def test_a_run_that_measures_has_all_its_iterations(tmp_path):
    ProgressFile(tmp_path, iterations=10).measuring()
    found = read_progress(tmp_path)
    assert (found.phase, found.share, found.is_training) == ("measuring", 1.0, False)


def test_whoever_died_is_not_at_work(tmp_path):
    with locked(tmp_path / "run"):
        ProgressFile(tmp_path / "run", iterations=10).measuring()
        assert read_progress(tmp_path / "run") is not None
    assert read_progress(tmp_path / "run") is None


def test_nobody_is_at_work_where_the_file_is_gone_or_damaged(tmp_path):
    file = ProgressFile(tmp_path, iterations=10)
    path = tmp_path / NAME
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
