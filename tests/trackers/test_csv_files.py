import csv

from bench.record.jsonl import read_jsonl, write_jsonl
from bench.record.records import load_records
from bench.trackers.csv_files import write_csv
from tests.data_recorded import recorded

STATES = {("cvae", 1): "failed", ("cvae", 2): "missing", ("lr_livae", 2): "unfinished"}


def read(path):
    with path.open(newline="") as file:
        return list(csv.DictReader(file))


def test_the_same_record_gives_the_same_bytes(tmp_path):
    recorded.write_sweep(tmp_path / "results", states=STATES)
    first, second = (
        [
            path.read_bytes()
            for path in write_csv(load_records(tmp_path / "results"), tmp_path / place)
        ]
        for place in ("a", "b")
    )
    assert first == second
    assert not any(b"\r" in content for content in first)


def test_figures_are_exact(tmp_path):
    third = {"cvae": {0: {"inception_score": (recorded.IS, 1 / 3)}}}
    recorded.write_sweep(tmp_path, variants=third, real=None)
    write_csv(load_records(tmp_path), tmp_path / "csv")
    [row] = read(tmp_path / "csv" / "measurements.csv")
    assert float(row["value"]) == 1 / 3
    assert row["protocol"] == recorded.IS
    assert row["step"] == "800"


def test_errors_stand_beside_their_figures_and_old_rows_have_none(tmp_path):
    folder = recorded.write_sweep(tmp_path, real=None)
    path = next(folder.glob("00*/evaluation.jsonl"))
    rows = read_jsonl(path)
    write_jsonl(path, [rows[0] | {"error": 1 / 7}, rows[1] | {"error": None}])
    write_csv(load_records(tmp_path), tmp_path / "csv")
    errors = [row["error"] for row in read(tmp_path / "csv" / "measurements.csv")]
    assert errors[:2] == [repr(1 / 7), ""]
    assert set(errors[2:]) == {""}
    write_jsonl(path, [rows[0] | {"error": "small"}])
    run = load_records(tmp_path).runs[0]
    assert "evaluation.jsonl:1: an entry needs a metric" in run.reason


def test_runs_have_a_line_each_whether_finished_or_not(tmp_path):
    recorded.write_sweep(tmp_path, states=STATES)
    write_csv(load_records(tmp_path), tmp_path / "csv")
    rows = read(tmp_path / "csv" / "runs.csv")
    states = ["done", "failed", "missing", "done", "done", "unfinished", "done"]
    assert [row["state"] for row in rows] == states
    column = f"inception_score[{recorded.IS}]"
    assert [row[column] for row in rows] == ["7.25", "", "", "8.5", "9.0", "", "9.625"]
    assert rows[1]["failure"].endswith("main/reconstruct is nan at step 40")


def test_a_figure_without_a_value_keeps_its_reason(tmp_path):
    none = {"cvae": {0: {"leakage": ("leakage[]", None)}}}
    recorded.write_sweep(tmp_path, variants=none, real=None)
    write_csv(load_records(tmp_path), tmp_path / "csv")
    [row] = read(tmp_path / "csv" / "measurements.csv")
    assert (row["value"], row["reason"]) == ("", recorded.REASON)


def test_what_was_counted_stands_apart_from_what_was_timed(tmp_path):
    folder = recorded.write_sweep(tmp_path, real=None)
    recorded.write_cost(next(folder.glob("00*")), relevant_code="it cannot encode")
    next(folder.glob("01*/cost.jsonl")).unlink()  # a run of an older version
    write_csv(load_records(tmp_path), tmp_path / "csv")
    rows = read(tmp_path / "csv" / "cost.csv")
    assert len(rows) == 5 * len(recorded.COST)
    held = {row["metric"]: (row["value"], row["reason"]) for row in rows if row["run"][:2] == "00"}
    assert held["parameters"] == ("367552.0", "")
    assert held["relevant_code"] == ("", "it cannot encode")


def test_only_the_timings_depend_on_the_clock(tmp_path):
    for place, seconds in (("a", 1.0), ("b", 2.0)):
        folder = recorded.write_sweep(tmp_path / place)
        for path in folder.glob("*/timings.jsonl"):
            path.write_text(path.read_text().replace("12.5", str(seconds)))
        write_csv(load_records(tmp_path / place), tmp_path / place / "csv")
    for name in ("measurements.csv", "runs.csv", "curves.csv", "cost.csv"):
        first, second = ((tmp_path / place / "csv" / name).read_bytes() for place in "ab")
        assert first == second
    assert read(tmp_path / "a" / "csv" / "timings.csv")[0]["value"] == "1.0"
