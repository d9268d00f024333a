"""Folders of runs: states and locks."""

import pytest

from bench.errors import DamagedRecord
from bench.record.files import write_json
from bench.record.jsonl import write_jsonl
from bench.record.locks import Busy
from bench.record.run_folder import RunFolder
from tests.data_recorded import recorded

ENTRIES = [{"metric": "fid", "value": value} for value in (1.0, 2.0)]


def write_record(folder):
    """Write what a run has before it is done."""
    recorded.write_measured(folder.path, (1.0, 2.0))
    folder.model.touch()


def test_states_of_a_folder(tmp_path):
    folder = RunFolder(tmp_path / "run")
    assert folder.status("e").state == "missing"
    with folder.locked():
        assert folder.status("e").state == "unfinished"
    write_record(folder)
    assert folder.status("e").state == "trained"
    folder.finish("e")
    assert folder.status("e").state == "done"
    assert folder.status().state == "done", "without an id, whatever was measured counts"
    assert folder.status("another").state == "trained"
    folder.fail("why")
    assert folder.status("e").state == "failed"


def test_a_run_is_measured_once_it_was_done(tmp_path):
    folder = RunFolder(tmp_path)
    write_record(folder)
    assert not folder.status("e").is_measured
    folder.finish("e")
    assert folder.status("e").is_measured
    assert folder.status("another") == ("trained", "", True)
    folder.reopen()
    assert folder.status("e") == ("trained", "", False)


def test_damaged_provenance_fails_a_run_that_is_not_done_too(tmp_path):
    (tmp_path / "provenance.json").write_text("{")
    assert RunFolder(tmp_path).status("e").state == "failed"
    assert "delete" in RunFolder(tmp_path).status("e").reason
    assert "--retry-failed" not in RunFolder(tmp_path).status("e").reason


def test_measurements_that_were_lost_are_missed(tmp_path):
    folder = RunFolder(tmp_path)
    write_record(folder)
    folder.finish("e")
    write_jsonl(folder.evaluation, [*ENTRIES, *ENTRIES])
    assert folder.status("e").state == "done", "bench evaluate --record adds some"
    write_jsonl(folder.evaluation, ENTRIES[:1])
    assert "holds 1 measurements of 2" in folder.status("e").reason


@pytest.mark.parametrize("name", ["rows.jsonl", "cost.jsonl", "timings.jsonl"])
def test_records_that_were_lost_are_missed(tmp_path, name):
    folder = RunFolder(tmp_path)
    write_record(folder)
    folder.finish("e")
    assert folder.status("e").state == "done", "a control has none of them"
    write_jsonl(tmp_path / name, ENTRIES)
    folder.finish("e")
    assert folder.status("e").state == "done"
    (tmp_path / name).unlink()
    assert folder.status("e").state == "failed"
    assert f"{tmp_path / name} is lost" in folder.status("e").reason
    with pytest.raises(DamagedRecord, match="is lost"):
        folder.check()
    write_json(tmp_path / "done", {"evaluation": "e", "measurements": 2})
    assert folder.status("e").state == "done", "an older version promised none"


def test_a_run_of_no_metrics_has_no_measurements(tmp_path):
    folder = RunFolder(tmp_path)
    write_record(folder)
    write_jsonl(folder.evaluation, [])
    folder.finish("e")
    assert folder.status("e").state == "done"


def test_a_copy_of_another_run_is_not_taken_for_this_one(tmp_path):
    folder = RunFolder(tmp_path / "this")
    write_record(folder)
    folder.finish("e")
    for id_, state in (("this", "done"), ("other", "failed"), ("\x1b", "failed"), ([1], "failed")):
        write_json(folder.path / "config.json", {"config": {}, "id": id_})
        assert folder.status("e").state == state
    assert folder.status().reason.startswith(f"{folder.path} holds another run, [1]: delete")


@pytest.mark.parametrize(
    "content", [b"", b"{", b"\xff", b"[]", b"3", b'{"other": 1}', b'{"evaluation": "e"}']
)
def test_a_done_that_cannot_be_read_is_damaged(tmp_path, content):
    (tmp_path / "done").write_bytes(content)
    status = RunFolder(tmp_path).status("e")
    assert status.state == "failed"
    assert str(tmp_path / "done") in status.reason


def test_a_broken_link_is_named(tmp_path):
    folder = RunFolder(tmp_path / "run")
    folder.path.symlink_to("/nowhere")
    text = f"{folder.path} is a link to /nowhere, which is not there"
    assert folder.status("e")[:2] == (
        "failed",
        f"{text}; delete {folder.path} to have it made again",
    )
    with pytest.raises(OSError, match=text), folder.locked():
        pass


def test_one_process_locks_a_folder(tmp_path):
    folder = RunFolder(tmp_path / "run")
    assert not folder.is_locked()
    assert not folder.path.exists()
    with folder.locked():
        assert folder.is_locked()
        with pytest.raises(Busy, match="locked by another process"), folder.locked():
            pass
    assert not folder.is_locked()
