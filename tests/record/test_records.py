import json
import subprocess
import sys

import pytest

from bench.errors import BenchError, UnknownName
from bench.record.jsonl import write_jsonl
from bench.record.records import COLUMNS, load_records
from tests.data_recorded import recorded


def edit_plan(folder, change):
    path = folder / "sweep.json"
    plan = json.loads(path.read_text())
    change(plan)
    path.write_text(json.dumps(plan))


def final_values(results, metric="inception_score"):
    found = {}
    for entry in load_records(results).final:
        if entry.metric == metric:
            found.setdefault(entry.run.variant, []).append(entry.value)
    return found


def test_every_expected_run_appears_with_its_state(tmp_path):
    states = {("cvae", 1): "failed", ("cvae", 2): "missing", ("lr_livae", 0): "unfinished"}
    recorded.write_sweep(tmp_path, states=states | {("lr_livae", 1): "trained"})
    runs = load_records(tmp_path).runs
    assert [(run.variant, run.state) for run in runs] == [
        *(("cvae", "done"), ("cvae", "failed"), ("cvae", "missing")),
        *(("lr_livae", "unfinished"), ("lr_livae", "trained"), ("lr_livae", "done")),
        ("real", "done"),
    ]
    assert runs[1].reason == "bench.errors.RunFailed: main/reconstruct is nan at step 40"
    assert runs[2].command == "bench run sweeps/quickstart.yaml"
    assert runs[1].command == "bench run sweeps/quickstart.yaml --retry-failed"
    assert [run.iterations for run in runs] == [800, 800, None, 800, 800, 800, None]


def test_a_plan_need_not_say_what_is_to_be_measured(tmp_path):
    folder = recorded.write_sweep(tmp_path, states={("cvae", 1): "trained"})

    def forget(plan):
        del plan["quantities"]
        for run in plan["runs"]:
            del run["evaluation"]

    edit_plan(folder, forget)
    records = load_records(tmp_path)
    assert {run.state for run in records.runs} == {"done"}
    assert [run.variant for run in records.runs if run.is_control] == ["real"]


def test_only_what_knows_the_option_is_told_to_retry(tmp_path):
    folder = recorded.write_sweep(tmp_path, states={("cvae", 1): "failed"})
    edit_plan(folder, lambda plan: plan.update(command="bench tune sweeps/quickstart.yaml"))
    assert load_records(tmp_path).runs[1].command == "bench tune sweeps/quickstart.yaml"


def test_real_images_are_a_control_without_seed(tmp_path):
    recorded.write_sweep(tmp_path)
    run = load_records(tmp_path).runs[-1]
    assert (run.variant, run.model, run.data, run.seed) == ("real", "real", "digits", None)
    assert (run.is_control, run.title) == (True, "real test images")


def test_entries_carry_their_run(tmp_path):
    recorded.write_sweep(tmp_path)
    records = load_records(tmp_path)
    entry = records.measurements[0]
    assert (entry.run.variant, entry.run.seed, entry.step) == ("cvae", 0, 800)
    assert (entry.metric, entry.protocol) == ("inception_score", recorded.IS)
    assert [entry.step for entry in records.curves[:3]] == [0, 100, 200]
    assert {entry.value for entry in records.timings} == {12.5}
    counted = records.cost[0]
    assert (counted.run, counted.metric, counted.value) == (entry.run, "parameters", 367552.0)


def test_frames_have_the_columns_of_the_files(tmp_path):
    recorded.write_sweep(tmp_path, states={("cvae", 1): "missing"})
    records = load_records(tmp_path)
    for name, columns in COLUMNS.items():
        frame = records.frame(name)
        assert dict(frame.dtypes.astype(str)) == columns
        assert len(frame) == len(getattr(records, name))
    runs = records.frame("runs")
    assert runs["iterations"].isna().tolist() == [False, True, *[False] * 4, True]
    scores = records.frame("measurements").query("metric == 'inception_score'")
    assert scores.groupby("variant")["value"].mean()["lr_livae"] == 8.75


def test_a_run_in_two_variants_is_counted_in_both(tmp_path):
    folder = recorded.write_sweep(tmp_path)
    edit_plan(folder, lambda p: p["runs"].append(p["runs"][0] | {"variant": "the same again"}))
    values = final_values(tmp_path)
    assert values["the same again"] == [7.25]
    assert values["cvae"] == [7.25, 7.5, 7.75]


def test_final_measurements_are_of_the_last_step_of_runs_that_have_not_failed(tmp_path):
    folder = recorded.write_sweep(tmp_path, states={("cvae", 1): "failed"})
    for path in folder.glob("*/evaluation.jsonl"):
        old = {"step": 400, "split": "samples", "metric": "inception_score"}
        text = path.read_text()
        entries = [old | {"protocol": recorded.IS, "value": 99.0, "reason": ""}]
        write_jsonl(path, entries)
        if not path.parent.name.startswith("real"):
            path.write_text(path.read_text() + text)
    failed = next(path.parent for path in folder.glob("*/failed"))
    write_jsonl(failed / "evaluation.jsonl", entries)
    values = final_values(tmp_path)
    assert values == {"cvae": [7.25, 7.75], "lr_livae": [8.5, 9.0, 8.75], "real": [99.0]}


def test_what_was_measured_before_other_metrics_were_asked_for_still_counts(tmp_path):
    states = {("cvae", 1): "trained", ("lr_livae", 0): "unfinished", "real": "trained"}
    folder = recorded.write_sweep(tmp_path, states=states)
    (folder / "real-0a1b2c3d4e5f" / "model.pt").unlink()  # a control has no weights
    records = load_records(tmp_path)
    measured = {run.key for run in records.measured_runs}
    assert measured == {run.key for run in records.runs if run.state != "unfinished"} | {
        records.runs[-1].key
    }
    assert final_values(tmp_path)["cvae"] == [7.25, 7.5, 7.75]
    assert final_values(tmp_path)["real"] == [9.625]


def test_of_two_entries_for_the_same_the_last_one_counts(tmp_path):
    folder = recorded.write_sweep(tmp_path)
    path = next(iter(sorted(folder.glob("00*/evaluation.jsonl"))))
    path.write_text(path.read_text() + path.read_text().replace("7.25", "7.125"))
    assert final_values(tmp_path)["cvae"] == [7.125, 7.5, 7.75]


def test_a_folder_of_images_is_called_by_its_own_name(tmp_path):
    folder = recorded.write_sweep(tmp_path, data="folder", states={("cvae", 1): "missing"})
    for path in folder.glob("*/config.json"):
        content = json.loads(path.read_text())
        content["config"]["data"]["path"] = "/data/FaceScrub"
        path.write_text(json.dumps(content))
    assert {run.data for run in load_records(tmp_path).runs} == {"facescrub"}


def test_a_torn_last_line_is_ignored(tmp_path):
    folder = recorded.write_sweep(tmp_path)
    path = next(iter(sorted(folder.glob("00*/rows.jsonl"))))
    path.write_text(path.read_text() + '{"step":300,"met')
    curves = load_records(tmp_path).curves
    assert sum(entry.run.path == path.parent for entry in curves) == 3


def test_sweeps_come_in_the_order_asked_for(tmp_path):
    for name in ("b", "a"):
        recorded.write_sweep(tmp_path, name)
    assert [sweep.name for sweep in load_records(tmp_path).sweeps] == ["a", "b"]
    records = load_records(tmp_path, ["b", "a", "b"])
    assert list(dict.fromkeys(entry.run.sweep for entry in records.measurements)) == ["b", "a"]


def test_nothing_is_an_empty_record(tmp_path):
    records = load_records(tmp_path / "results")
    assert (records.sweeps, records.runs, records.measurements) == ((), (), ())
    assert (records.curves, records.final) == ((), ())
    assert len(records.frame("curves")) == 0


def test_a_wrong_sweep_name_gets_a_suggestion(tmp_path):
    recorded.write_sweep(tmp_path)
    with pytest.raises(UnknownName, match=r"unknown sweep 'quikstart' \(did you mean 'quick"):
        load_records(tmp_path, ["quikstart"])


DAMAGED = pytest.mark.parametrize("content", [b"{", b"[]", b"\xff"], ids=["torn", "list", "binary"])


@DAMAGED
def test_a_damaged_plan_is_named(tmp_path, content):
    (recorded.write_sweep(tmp_path) / "sweep.json").write_bytes(content)
    with pytest.raises(BenchError, match=r"cannot read .*sweep\.json: it is damaged"):
        load_records(tmp_path)


@DAMAGED
@pytest.mark.parametrize(
    "name", ["done", "config.json", "provenance.json", "evaluation.jsonl", "timings.jsonl"]
)
def test_a_run_with_a_damaged_file_is_a_failed_one_and_the_others_stay(tmp_path, name, content):
    folder = recorded.write_sweep(tmp_path)
    path = sorted(folder.glob("00*"))[0] / name
    path.write_bytes(content)
    records = load_records(tmp_path)
    [run] = [run for run in records.runs if run.state != "done"]
    assert (run.state, run.path) == ("failed", path.parent)
    assert str(path) in run.reason
    helps = name != "provenance.json"  # otherwise only deleting helps, as the reason says
    assert ("--retry-failed" in run.command) == helps
    assert helps or f"delete {path.parent}" in run.reason
    assert {entry.run for entry in records.final} == set(records.runs) - {run}


@pytest.mark.parametrize("content", ["{}", '{"title": "", "spec": "", "command": "", "runs": 3}'])
def test_a_plan_without_its_runs_is_refused(tmp_path, content):
    folder = recorded.write_sweep(tmp_path)
    (folder / "sweep.json").write_text(content)
    with pytest.raises(BenchError, match=r"sweep\.json: it is damaged \((title|runs): "):
        load_records(tmp_path)


@pytest.mark.parametrize(
    "entry",
    [
        *({"value": 1.0}, {"metric": "a"}, {"metric": "a", "value": "b"}),
        *({"metric": "a", "value": 1.0, "step": step} for step in (2**63, -1, "3", True)),
    ],
)
def test_an_entry_that_is_none_fails_its_run_alone(tmp_path, entry):
    folder = recorded.write_sweep(tmp_path)
    write_jsonl(next(iter(folder.glob("00*"))) / "evaluation.jsonl", [entry])
    first, *others = load_records(tmp_path).runs
    assert "evaluation.jsonl:1: an entry needs a metric, and a va" in first.reason
    assert {run.state for run in others} == {"done"}


@pytest.mark.parametrize("name", ["config.json", "provenance.json", "evaluation.jsonl"])
def test_a_finished_run_that_lost_a_file_is_a_failed_one(tmp_path, name):
    path = next(recorded.write_sweep(tmp_path).glob("00*")) / name
    path.unlink()
    assert str(path) in load_records(tmp_path).runs[0].reason
    path.write_bytes(b"")
    assert str(path) in load_records(tmp_path).runs[0].reason


def test_a_damaged_sweep_is_left_out_unless_it_is_named(tmp_path, capsys):
    for name in ("a", "b"):
        recorded.write_sweep(tmp_path, name)
    (tmp_path / "a" / "sweep.json").write_text("{}")
    assert [sweep.name for sweep in load_records(tmp_path).sweeps] == ["b"]
    assert "left out: cannot read" in capsys.readouterr().err
    with pytest.raises(BenchError, match="running the sweep again"):
        load_records(tmp_path, ["a", "b"])


def test_reports_need_neither_torch_nor_pandas_nor_mlflow(tmp_path):
    recorded.write_sweep(tmp_path)
    code = (
        "import sys, bench.trackers.csv_files, bench.reporting.status, bench.trackers.mlflow\n"
        "from pathlib import Path\n"
        "from bench.record.records import load_records\n"
        "from bench.reporting.tables.build import filled_tables\n"
        "from bench.reporting.tables.table_spec import load_tables\n"
        f"assert filled_tables(load_tables(), load_records(Path({str(tmp_path)!r})))\n"
        "unwanted = {'torch', 'pandas', 'mlflow', 'models', 'baselines', 'bench.training'}\n"
        "print(*unwanted & set(sys.modules))"
    )
    found = subprocess.run([sys.executable, "-c", code], capture_output=True, text=True, check=True)
    assert found.stdout.strip() == ""
