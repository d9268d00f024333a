import json

import pytest

from bench.errors import BenchError
from bench.record.jsonl import JsonlWriter, read_jsonl, truncate, write_jsonl


@pytest.fixture
def path(tmp_path):
    return tmp_path / "run" / "rows.jsonl"


def write(path, text):
    path.parent.mkdir()
    path.write_text(text)


def test_entries_are_written_with_sorted_keys_and_without_spaces(path):
    with JsonlWriter(path) as writer:
        writer.write(value=0.1, step=3, metric="main/kl")
    assert path.read_text() == '{"metric":"main/kl","step":3,"value":0.1}\n'


def test_entries_come_back_as_they_were_written(path):
    entries = [{"step": step, "value": 1 / 3, "reason": "für nichts"} for step in range(5)]
    with JsonlWriter(path) as writer:
        for entry in entries:
            writer.write(**entry)
    assert read_jsonl(path) == entries


def test_a_file_that_is_not_there_has_no_entries(path):
    assert read_jsonl(path) == []


@pytest.mark.parametrize(
    "value", [float("nan"), float("inf"), object()], ids=["nan", "inf", "object"]
)
def test_what_is_not_json_is_refused_with_the_entry_and_the_file(path, value):
    with JsonlWriter(path) as writer:
        with pytest.raises(BenchError, match=r"rows\.jsonl: cannot write the entry .*main/kl"):
            writer.write(metric="main/kl", value=value)
        writer.write(metric="main/kl", value=1.0)
    assert read_jsonl(path) == [{"metric": "main/kl", "value": 1.0}]


def test_flushed_entries_are_readable_while_the_writer_is_open(path):
    with JsonlWriter(path) as writer:
        writer.write(step=1)
        writer.flush()
        assert read_jsonl(path) == [{"step": 1}]


def test_a_file_cut_at_any_byte_loses_at_most_its_last_entry(path):
    with JsonlWriter(path) as writer:
        for step in range(3):
            writer.write(step=step, text="ä")
    whole = path.read_bytes()
    ends = [place for place, byte in enumerate(whole) if byte == ord("\n")]
    for size in range(len(whole) + 1):
        path.write_bytes(whole[:size])
        assert len(read_jsonl(path)) == sum(end <= size for end in ends)


@pytest.mark.parametrize("tail", ["", "\n", '\n{"st'], ids=["no line end", "whole", "torn"])
def test_a_new_writer_mends_the_end_and_continues(path, tail):
    write(path, '{"step":0}\n{"step":1}' + tail)
    with JsonlWriter(path) as writer:
        assert writer.offset == len('{"step":0}\n{"step":1}\n')
        writer.write(step=2)
    assert read_jsonl(path) == [{"step": 0}, {"step": 1}, {"step": 2}]


@pytest.mark.parametrize("bad", ['{"st', "[1]", "", '{"value":NaN}', "\x00\x00"])
def test_damage_elsewhere_is_named_by_file_and_line(path, bad):
    write(path, '{"step":0}\n' + bad + '\n{"step":2}\n')
    with pytest.raises(BenchError, match=r"rows\.jsonl:2: not an entry"):
        read_jsonl(path)


def test_a_torn_end_is_damage_where_the_file_was_written_at_once(path):
    write(path, '{"step":0}\n{"st')
    assert read_jsonl(path) == [{"step": 0}]
    with pytest.raises(BenchError, match=r"rows\.jsonl:2: not an entry"):
        read_jsonl(path, whole=True)


def test_truncating_to_an_offset_gives_the_entries_of_that_moment(path):
    with JsonlWriter(path) as writer:
        writer.write(step=0)
        offset = writer.offset
        writer.write(step=1)
    truncate(path, offset)
    assert read_jsonl(path) == [{"step": 0}]
    with JsonlWriter(path) as writer:
        assert writer.offset == offset


def test_truncating_a_file_that_lost_entries_is_an_error(path):
    truncate(path, 0)
    write(path, '{"step":0}\n')
    with pytest.raises(BenchError, match="holds 11 bytes where the checkpoint knows of 500"):
        truncate(path, 500)


def test_a_failed_replacement_leaves_the_old_file(path):
    write_jsonl(path, [{"value": 1.0}])
    with pytest.raises(BenchError, match="cannot write the entry"):
        write_jsonl(path, [{"value": 2.0}, {"value": float("nan")}])
    assert [json.loads(line) for line in path.read_text().splitlines()] == [{"value": 1.0}]
    assert list(path.parent.iterdir()) == [path]
