"""Locks between processes."""

import errno
import os
import signal
import socket
import subprocess
import sys
import threading

import pytest

from bench.record import locks
from bench.record.locks import Busy, has_locks, hold, is_held
from bench.record.run_folder import RunFolder, arriving, remove_partial

HOLD = """
import sys, time
from pathlib import Path
from bench.record.locks import hold
with hold(Path(sys.argv[1])):
    print("held", flush=True)
    time.sleep(60)
"""


@pytest.fixture(params=[None, errno.ENOLCK, errno.ENOTSUP, errno.ENOSYS], ids=str)
def disk(request, monkeypatch, tmp_path):
    """A folder on a disk with locks, or on one without."""
    fcntl = pytest.importorskip("fcntl")
    if request.param:

        def refuse(*_):
            raise OSError(request.param, "no locks here")

        monkeypatch.setattr(fcntl, "flock", refuse)
        monkeypatch.setattr(locks, "_told", set())
    return tmp_path


def test_one_holder_at_a_time(disk, capsys):
    lock = disk / "lock"
    assert not is_held(lock)
    for _ in range(2):
        with hold(lock):
            assert is_held(lock)
            with pytest.raises(Busy, match="locked by another process"), hold(lock):
                pass
        assert not is_held(lock)


def test_a_disk_tells_whether_it_has_locks(disk, request):
    assert has_locks(disk) == ("None" in request.node.name)


def test_a_disk_without_locks_is_said_once(disk, capsys):
    for name in ("a", "b"):
        with RunFolder(disk / name).locked():
            pass
    shown = capsys.readouterr().err
    assert shown.count("has no locks") == shown.count("no locks here") <= 1


def test_a_lock_vanishes_with_its_holder(tmp_path):
    lock = tmp_path / "lock"
    command = [sys.executable, "-c", HOLD, str(lock)]
    with subprocess.Popen(command, stdout=subprocess.PIPE, text=True) as process:
        assert process.stdout.readline() == "held\n"
        assert is_held(lock)
        with pytest.raises(Busy), hold(lock):
            pass
        process.send_signal(signal.SIGKILL)
    assert not is_held(lock)
    with hold(lock):
        pass


def test_without_locks_a_dead_process_of_this_machine_gives_way(disk):
    lock, owner = disk / "lock", disk / "lock.owner"
    with subprocess.Popen([sys.executable, "-c", ""]) as process:
        pass
    owner.write_text(f"{process.pid}\n{socket.gethostname()}\n")
    os.utime(owner, (0, 0))
    assert not is_held(lock)
    with hold(lock):
        pass


def test_the_owner_on_another_machine_is_believed(disk):
    (disk / "lock.owner").write_text("1\nanother-machine\n")
    assert is_held(disk / "lock")
    with pytest.raises(Busy), hold(disk / "lock"):
        pass


def test_looking_never_takes_a_lock(tmp_path):
    lock, over = tmp_path / "lock", threading.Event()

    def look():
        while not over.is_set():
            is_held(lock)

    with hold(lock):
        pass
    lookers = [threading.Thread(target=look) for _ in range(4)]
    for looker in lookers:
        looker.start()
    try:
        for _ in range(100):
            with hold(lock):
                pass
    finally:
        over.set()
        for looker in lookers:
            looker.join()


def test_a_folder_under_way_is_not_removed_and_one_left_behind_is(tmp_path):
    with arriving(tmp_path / "run") as partial:
        (partial / "file").touch()
        remove_partial(tmp_path)
        assert partial.exists()
    assert [path.name for path in tmp_path.iterdir()] == ["run"]
    (tmp_path / ".run.0.partial").mkdir()
    remove_partial(tmp_path)
    assert [path.name for path in tmp_path.iterdir()] == ["run"]


def test_who_only_reads_needs_no_lock_where_nobody_can_write(tmp_path, monkeypatch):
    def refuse(lock, *, wait):
        raise OSError(errno.EROFS, "Read-only file system")

    monkeypatch.setattr("bench.record.run_folder.hold", refuse)
    with RunFolder(tmp_path).locked(to_write=False):
        pass
    with pytest.raises(OSError, match="Read-only"), RunFolder(tmp_path).locked():
        pass
