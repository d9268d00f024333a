import json
import subprocess
import sys

import pytest
import recorded

from bench.errors import BenchError, UnknownName
from bench.record.jsonl import write_jsonl
from bench.record.records import load_records


def test_every_expected_run_appears_with_its_state(tmp_path):
    states = {("cvae", 1): "failed", ("cvae", 2): "missing", ("lr_livae", 0): "unfinished"}
    recorded.write_sweep(tmp_path, states=states)
    runs = load_records(tmp_path).runs
    assert list(zip(runs["variant"], runs["state"], strict=True)) == [
        *(("cvae", "done"), ("cvae", "failed"), ("cvae", "missing")),
        *(("lr_livae", "unfinished"), ("lr_livae", "done"), ("lr_livae", "done")),
        ("real", "done"),
    ]
    assert runs["failure"][1] == "bench.errors.RunFailed: main/reconstruct is nan at step 40"
    assert runs["command"][2] == "bench run sweeps/quickstart.yaml"
    assert runs["command"][1] == "bench run sweeps/quickstart.yaml --retry-failed"
    assert list(runs["iterations"].fillna(-1)) == [800, 800, -1, 800, 800, 800, -1]


def test_only_what_knows_the_option_is_told_to_retry(tmp_path):
    recorded.write_sweep(tmp_path, states={("cvae", 1): "failed"})
    plan = next(tmp_path.glob("*/sweep.json"))
    plan.write_text(plan.read_text().replace("bench run sweeps/quick", "bench tune sweeps/quick"))
    assert load_records(tmp_path).runs["command"][1] == "bench tune sweeps/quickstart.yaml"


def test_real_images_have_no_seed(tmp_path):
    recorded.write_sweep(tmp_path)
    last = load_records(tmp_path).runs.iloc[-1]
    assert (last["variant"], last["model"], last["data"]) == ("real", "real", "digits")
    assert last.isna()["seed"]


def test_figures_curves_and_timings_carry_the_axes(tmp_path):
    recorded.write_sweep(tmp_path)
    records = load_records(tmp_path)
    figure = records.figures.iloc[0]
    assert (figure["variant"], figure["seed"], figure["step"]) == ("cvae", 0, 800)
    assert (figure["metric"], figure["protocol"]) == ("inception_score", recorded.IS)
    assert list(records.curves["step"][:3]) == [0, 100, 200]
    assert set(records.timings["value"]) == {12.5}
    counted = records.cost.iloc[0]
    assert (counted["variant"], counted["metric"], counted["value"]) == (
        "cvae",
        "parameters",
        367552.0,
    )


def test_a_run_in_two_variants_is_counted_in_both(tmp_path):
    folder = recorded.write_sweep(tmp_path)
    plan = json.loads((folder / "sweep.json").read_text())
    plan["runs"].append(plan["runs"][0] | {"variant": "the same again"})
    (folder / "sweep.json").write_text(json.dumps(plan))
    final = load_records(tmp_path).final
    values = final[final["metric"] == "inception_score"].groupby("variant")["value"].apply(list)
    assert values["the same again"] == [7.25]
    assert values["cvae"] == [7.25, 7.5, 7.75]


def test_final_figures_are_of_the_last_step_of_finished_runs(tmp_path):
    folder = recorded.write_sweep(tmp_path, states={("cvae", 1): "failed"})
    for path in folder.glob("*/evaluation.jsonl"):
        old = {"step": 400, "split": "samples", "metric": "inception_score"}
        text = path.read_text()
        rows = [old | {"protocol": recorded.IS, "value": 99.0, "reason": ""}]
        write_jsonl(path, rows)
        if not path.parent.name.startswith("real"):
            path.write_text(path.read_text() + text)
    failed = next(path.parent for path in folder.glob("*/failed"))
    write_jsonl(failed / "evaluation.jsonl", rows)
    final = load_records(tmp_path).final
    scores = final[(final["metric"] == "inception_score") & (final["variant"] != "real")]
    assert list(scores["value"]) == [7.25, 7.75, 8.5, 9.0, 8.75]


def test_a_folder_of_images_is_called_by_its_own_name(tmp_path):
    folder = recorded.write_sweep(tmp_path, data="folder", states={("cvae", 1): "missing"})
    for path in folder.glob("*/config.json"):
        content = json.loads(path.read_text())
        content["config"]["data"]["path"] = "/data/FaceScrub"
        path.write_text(json.dumps(content))
    records = load_records(tmp_path)
    assert set(records.runs["data"]) == set(records.figures["data"]) == {"facescrub"}


def test_a_torn_last_row_is_ignored(tmp_path):
    folder = recorded.write_sweep(tmp_path)
    path = next(iter(sorted(folder.glob("00*/rows.jsonl"))))
    path.write_text(path.read_text() + '{"step":300,"met')
    records = load_records(tmp_path)
    assert len(records.curves[records.curves["run"] == path.parent.name]) == 3


def test_sweeps_come_in_the_order_asked_for(tmp_path):
    for name in ("b", "a"):
        recorded.write_sweep(tmp_path, name)
    assert [sweep.name for sweep in load_records(tmp_path).sweeps] == ["a", "b"]
    records = load_records(tmp_path, ["b", "a", "b"])
    assert list(dict.fromkeys(records.figures["sweep"])) == ["b", "a"]


def test_nothing_is_an_empty_record(tmp_path):
    records = load_records(tmp_path / "results")
    assert records.sweeps == ()
    assert [len(records.runs), len(records.figures), len(records.curves)] == [0, 0, 0]
    assert len(records.final) == 0


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
    before = load_records(tmp_path)
    path = next(run for run in sorted(folder.glob("00*")) if (run / "done").exists()) / name
    path.write_bytes(content)
    records = load_records(tmp_path)
    run = records.runs.set_index("run").loc[path.parent.name]
    assert run["state"] == "failed"
    assert str(path) in run["failure"]
    assert "--retry-failed" in run["command"]
    assert path.parent.name not in set(records.final["run"])
    assert len(set(records.final["run"])) == len(set(before.final["run"])) - 1


def test_a_plan_without_its_runs_is_refused(tmp_path):
    folder = recorded.write_sweep(tmp_path)
    (folder / "sweep.json").write_text("{}")
    with pytest.raises(BenchError, match=r"sweep\.json is not the plan of a sweep \('title'"):
        load_records(tmp_path)


@pytest.mark.parametrize("row", [{"value": 1.0}, {"metric": "a"}, {"metric": "a", "value": "b"}])
def test_a_row_that_is_no_figure_is_named(tmp_path, row):
    folder = recorded.write_sweep(tmp_path)
    write_jsonl(next(iter(folder.glob("00*"))) / "evaluation.jsonl", [row])
    with pytest.raises(BenchError, match=r"evaluation\.jsonl:1: a row needs a metric, and a value"):
        load_records(tmp_path)


def test_reports_need_neither_torch_nor_mlflow():
    code = (
        "import sys; import bench.reporting.render.forms, bench.reporting.tables.build; "
        "import bench.trackers.csv_files, bench.reporting.status, bench.trackers.mlflow; "
        "print(*{'torch', 'mlflow', 'models', 'baselines', 'bench.training'} & set(sys.modules))"
    )
    found = subprocess.run([sys.executable, "-c", code], capture_output=True, text=True, check=True)
    assert found.stdout.strip() == ""
