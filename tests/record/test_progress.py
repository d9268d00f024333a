import time

import pytest

from bench.record import progress
from bench.record.progress import NAME, ProgressFile, read_progress
from bench.record.run_folder import RunFolder


@pytest.fixture(autouse=True)
def at_work(tmp_path):
    with RunFolder(tmp_path).locked():
        yield


@pytest.fixture
def unlimited(monkeypatch):
    """Write at every update."""
    monkeypatch.setattr(progress, "EVERY_S", 0.0)


def test_what_is_written_is_read(tmp_path, unlimited):
    file = ProgressFile(tmp_path, iterations=10)
    file.images = 96
    file.update(3)
    time.sleep(0.01)
    file.update(4, {"main/kl": 0.5})
    found = read_progress(tmp_path)
    assert (found.phase, found.step, found.share, found.losses) == ("training", 4, 0.4, {"kl": 0.5})
    assert 0 < found.images_per_second <= 96 / 0.01


def test_the_rate_counts_from_where_a_run_was_resumed(tmp_path, unlimited):
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


def test_without_a_holder_of_the_lock_there_is_no_progress(tmp_path):
    with RunFolder(tmp_path / "run").locked():
        ProgressFile(tmp_path / "run", iterations=10).measuring()
        assert read_progress(tmp_path / "run") is not None
    assert read_progress(tmp_path / "run") is None


def test_an_absent_or_damaged_file_is_no_progress(tmp_path):
    file = ProgressFile(tmp_path, iterations=10)
    for content in ("{", "{}"):
        (tmp_path / NAME).write_text(content)
        assert read_progress(tmp_path) is None
    file.close()
    file.close()
    assert not (tmp_path / NAME).exists()


def test_a_folder_that_cannot_be_written_does_not_end_the_run(tmp_path):
    file = ProgressFile(tmp_path / "gone", iterations=10)
    file.update(1)
    assert read_progress(tmp_path / "gone") is None
