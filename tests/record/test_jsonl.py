import json

import pytest

from bench.errors import BenchError
from bench.record.jsonl import JsonlWriter, read_jsonl, truncate, write_jsonl


def test_rows_are_written_with_sorted_keys_and_without_spaces(tmp_path):
    with JsonlWriter(tmp_path / "run" / "rows.jsonl") as rows:
        rows.write(value=0.1, step=3, metric="main/kl")
    text = (tmp_path / "run" / "rows.jsonl").read_text()
    assert text == '{"metric":"main/kl","step":3,"value":0.1}\n'


def test_rows_come_back_as_they_were_written(tmp_path):
    path = tmp_path / "rows.jsonl"
    with JsonlWriter(path) as rows:
        for step in range(5):
            rows.write(step=step, value=1 / 3, reason="für nichts")
    assert read_jsonl(path) == [
        {"step": step, "value": 1 / 3, "reason": "für nichts"} for step in range(5)
    ]


def test_a_file_that_is_not_there_has_no_rows(tmp_path):
    assert read_jsonl(tmp_path / "rows.jsonl") == []


@pytest.mark.parametrize(
    "value", [float("nan"), float("inf"), object()], ids=["nan", "inf", "object"]
)
def test_what_is_not_json_is_refused_with_the_row_and_the_file(tmp_path, value):
    path = tmp_path / "rows.jsonl"
    with JsonlWriter(path) as rows:
        with pytest.raises(BenchError, match=r"rows\.jsonl: cannot write the row .*main/kl"):
            rows.write(metric="main/kl", value=value)
        rows.write(metric="main/kl", value=1.0)
    assert read_jsonl(path) == [{"metric": "main/kl", "value": 1.0}]


def test_flushed_rows_are_readable_while_the_writer_is_open(tmp_path):
    path = tmp_path / "rows.jsonl"
    with JsonlWriter(path) as rows:
        rows.write(step=1)
        rows.flush()
        assert read_jsonl(path) == [{"step": 1}]


def test_a_file_cut_at_any_byte_loses_at_most_its_last_row(tmp_path):
    path = tmp_path / "rows.jsonl"
    with JsonlWriter(path) as rows:
        for step in range(3):
            rows.write(step=step, text="ä")
    whole = path.read_bytes()
    ends = [place for place, byte in enumerate(whole) if byte == ord("\n")]
    for size in range(len(whole) + 1):
        path.write_bytes(whole[:size])
        assert len(read_jsonl(path)) == sum(end <= size for end in ends)


def test_a_new_writer_removes_a_torn_row_and_continues(tmp_path):
    path = tmp_path / "rows.jsonl"
    path.write_text('{"step":0}\n{"step":1}\n{"st')
    with JsonlWriter(path) as rows:
        assert rows.offset == len('{"step":0}\n{"step":1}\n')
        rows.write(step=2)
    assert read_jsonl(path) == [{"step": 0}, {"step": 1}, {"step": 2}]


def test_a_new_writer_completes_a_row_that_lacks_only_its_line_end(tmp_path):
    path = tmp_path / "rows.jsonl"
    path.write_text('{"step":0}\n{"step":1}')
    with JsonlWriter(path) as rows:
        rows.write(step=2)
    assert read_jsonl(path) == [{"step": 0}, {"step": 1}, {"step": 2}]


@pytest.mark.parametrize("bad", ['{"st', "[1]", "", '{"value":NaN}', "\x00\x00"])
def test_damage_elsewhere_is_named_by_file_and_line(tmp_path, bad):
    path = tmp_path / "rows.jsonl"
    path.write_text('{"step":0}\n' + bad + '\n{"step":2}\n')
    with pytest.raises(BenchError, match=r"rows\.jsonl:2: not a row"):
        read_jsonl(path)


def test_truncating_to_an_offset_gives_the_rows_of_that_moment(tmp_path):
    path = tmp_path / "rows.jsonl"
    with JsonlWriter(path) as rows:
        rows.write(step=0)
        offset = rows.offset
        rows.write(step=1)
    truncate(path, offset)
    assert read_jsonl(path) == [{"step": 0}]
    with JsonlWriter(path) as rows:
        assert rows.offset == offset


def test_truncating_a_file_that_lost_rows_is_an_error(tmp_path):
    path = tmp_path / "rows.jsonl"
    truncate(path, 0)
    path.write_text('{"step":0}\n')
    with pytest.raises(BenchError, match="holds 11 bytes where the checkpoint knows of 500"):
        truncate(path, 500)


def test_replacing_rows_leaves_the_old_file_where_it_fails(tmp_path):
    path = tmp_path / "evaluation.jsonl"
    write_jsonl(path, [{"value": 1.0}])
    with pytest.raises(BenchError, match="cannot write the row"):
        write_jsonl(path, [{"value": 2.0}, {"value": float("nan")}])
    assert [json.loads(line) for line in path.read_text().splitlines()] == [{"value": 1.0}]
    assert list(tmp_path.iterdir()) == [path]
