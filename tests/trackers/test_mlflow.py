"""MLflow on a database in a temporary folder, copied for each test: making one is slow."""

import errno
import gc
import shutil
import sqlite3
import subprocess
import sys
import time
import warnings

import pytest

from bench.errors import BenchError
from bench.trackers.mlflow import MLflow
from tests.data_recorded import recorded
from tests.made_once import copy_mirrored_sweep, copy_mlflow_database, update


@pytest.fixture
def results(tmp_path):
    copy_mlflow_database(tmp_path / "results")
    return tmp_path / "results"


@pytest.fixture
def mirrored(tmp_path):
    return copy_mirrored_sweep(tmp_path / "results")


def runs_of(results, sweep="quickstart"):
    with warnings.catch_warnings():
        warnings.simplefilter("ignore")
        from mlflow.tracking import MlflowClient

        client = MlflowClient(tracking_uri=MLflow(results).uri)
        experiment = client.get_experiment_by_name(f"bench/{sweep}")
        found = client.search_runs([experiment.experiment_id])
    parents = [run for run in found if run.data.tags["bench.run"] == "sweep"]
    assert len(parents) == 1
    children = {run.info.run_name: run for run in found if run is not parents[0]}
    assert len(children) == len(found) - 1
    return client, parents[0], children


def test_a_sweep_is_a_parent_with_a_child_for_each_run(results):
    folder = recorded.write_sweep(results, states={("cvae", 1): "failed"})
    trained = next(path for path in sorted(folder.glob("02*")))  # but not measured yet
    (trained / "done").unlink()
    (trained / "model.pt").write_bytes(b"")
    text = update(folder)
    assert text.startswith("MLflow: 7 runs written, 0 were up to date, at sqlite:///")
    client, parent, children = runs_of(results)
    assert {run.data.tags["mlflow.parentRunId"] for run in children.values()} == {
        parent.info.run_id
    }
    child = children["cvae, seed 0"]
    assert child.data.metrics["inception_score"] == 7.25
    assert child.data.params["iterations"] == "800"
    assert child.data.tags["bench.variant"] == "cvae"
    assert child.info.status == "FINISHED"
    assert children["cvae, seed 1"].info.status == "FAILED"
    assert children["cvae, seed 2"].info.status == "KILLED"
    assert children["cvae, seed 2"].data.tags["bench.state"] == "trained"
    history = client.get_metric_history(child.info.run_id, "train/main/reconstruct")
    assert [(point.step, point.value) for point in history] == [
        (step, 1 / (step + 1)) for step in (0, 100, 200)
    ]
    artifacts = results / "mlartifacts" / child.info.run_id / "artifacts"
    assert sorted(path.name for path in artifacts.iterdir()) == [
        *("config.json", "provenance.json", "samples.png"),
    ]


def test_the_parent_carries_means_and_the_files_that_are_there(results, bench):
    folder = recorded.write_sweep(results)
    (folder / "figures").mkdir()
    (folder / "figures" / "seeds.pdf").write_bytes(b"%PDF")
    bench("report", "quickstart", "--page", "--table", "summary", "--results", str(results))
    bench("mirror", "quickstart", "--results", str(results))
    _, parent, _ = runs_of(results)
    assert parent.data.metrics["lr_livae/inception_score/mean"] == 8.75
    assert parent.data.metrics["lr_livae/inception_score/n"] == 3
    assert parent.data.metrics["lr_livae/inception_score/half_width"] == pytest.approx(0.6210344)
    artifacts = results / "mlartifacts" / parent.info.run_id / "artifacts"
    assert {"measurements.csv", "runs.csv", "curves.csv", "sweep.json", "tables"} <= {
        path.name for path in artifacts.iterdir()
    }
    assert (artifacts / "tables" / "table-summary.txt").read_text().startswith("All metrics")
    assert "Lr-LiVAE" in (artifacts / "report.html").read_text()
    assert (artifacts / "figures" / "seeds.pdf").read_bytes() == b"%PDF"
    before = parent.info.run_id
    bench("report", "quickstart", "--table", "1", "--results", str(results))
    bench("mirror", "quickstart", "--results", str(results))
    _, parent, _ = runs_of(results)
    assert parent.info.run_id == before
    assert (artifacts / "tables" / "table-1.txt").exists(), "a new file is added"


def test_a_second_call_writes_nothing(mirrored):
    _, parent, children = runs_of(mirrored.parent)
    assert update(mirrored).startswith("MLflow: 0 runs written, 7 were up to date")
    _, parent_again, children_again = runs_of(mirrored.parent)
    assert parent_again.info.run_id == parent.info.run_id
    assert {run.info.run_id for run in children_again.values()} == {
        run.info.run_id for run in children.values()
    }


def test_only_what_changed_is_written_again(results):
    folder = recorded.write_sweep(results, states={("cvae", 2): "unfinished"})
    update(folder)
    _, parent, before = runs_of(results)
    shutil.rmtree(folder)
    recorded.write_sweep(results)
    assert update(folder).startswith("MLflow: 1 runs written, 6 were up to date")
    _, parent_after, after = runs_of(results)
    assert parent_after.info.run_id == parent.info.run_id
    assert parent_after.data.metrics["cvae/inception_score/n"] == 3
    changed = {name for name in after if after[name].info.run_id != before[name].info.run_id}
    assert changed == {"cvae, seed 2"}
    assert after["cvae, seed 2"].info.status == "FINISHED"


def test_an_interrupted_mirror_is_completed(mirrored):
    client, parent, children = runs_of(mirrored.parent)
    client.delete_tag(children["cvae, seed 0"].info.run_id, "bench.digest")
    client.delete_run(children["cvae, seed 1"].info.run_id)
    owner = parent.data.tags["bench.results"]
    gone = {"sweep": "quickstart", "results": owner, "run": "gone", "variant": "cvae"}
    tags = {f"bench.{key}": value for key, value in gone.items()}
    client.create_run(parent.info.experiment_id, tags=tags)
    assert update(mirrored).startswith("MLflow: 2 runs written, 5 were up to date")
    _, _, after = runs_of(mirrored.parent)
    assert sorted(after) == sorted(children)


def test_a_variant_that_is_gone_leaves_no_means_behind(mirrored):
    shutil.rmtree(mirrored)
    only = {"lr_livae": recorded.QUICKSTART["lr_livae"]}
    recorded.write_sweep(mirrored.parent, variants=only)
    update(mirrored)
    _, parent, children = runs_of(mirrored.parent)
    assert not any(key.startswith("cvae") for key in parent.data.metrics)
    assert len(children) == 4
    assert {run.data.tags["mlflow.parentRunId"] for run in children.values()} == {
        parent.info.run_id
    }


def test_other_sweeps_and_other_peoples_runs_are_left_alone(mirrored):
    client, parent, _ = runs_of(mirrored.parent)
    mine = client.create_run(parent.info.experiment_id, tags={"note": "mine"})
    update(mirrored)
    assert client.get_run(mine.info.run_id).info.lifecycle_stage == "active"
    _, _, others = runs_of(mirrored.parent, "other")
    assert sorted(others) == ["cvae, seed 0", "real test images"]


def test_two_folders_of_results_share_a_server(tmp_path):
    from mlflow.tracking import MlflowClient

    mine, theirs = (recorded.write_sweep(tmp_path / name) for name in ("mine", "theirs"))
    uri = f"sqlite:///{tmp_path / 'server.db'}?timeout=60"  # which is no plain file of a folder
    for folder in (mine, theirs):
        assert update(folder, uri=uri).startswith("MLflow: 7 runs written, 0 were up to date")
    for folder in (mine, theirs):
        assert update(folder, uri=uri).startswith("MLflow: 0 runs written, 7 were up to date")
    client = MlflowClient(tracking_uri=uri)
    [experiment] = client.search_experiments(filter_string="name LIKE 'bench/%'")
    assert len(client.search_runs([experiment.experiment_id])) == 16


def test_runs_without_a_mark_in_the_database_of_a_folder_are_its_own(mirrored):
    client, parent, _ = runs_of(mirrored.parent)
    client.delete_tag(parent.info.run_id, "bench.results")  # written before there were marks
    assert update(mirrored).startswith("MLflow: 0 runs written, 7 were up to date")
    _, again, _ = runs_of(mirrored.parent)
    assert again.info.run_id == parent.info.run_id


def test_a_copied_folder_leaves_the_pictures_of_the_original_alone(mirrored, tmp_path):
    results = mirrored.parent

    def pictures():
        found = results.glob("mlartifacts/**/*")
        return {path: path.read_bytes() for path in found if path.is_file()}

    before = pictures()
    copy = shutil.copytree(results, tmp_path / "copy")
    shutil.rmtree(copy / "quickstart")
    recorded.write_sweep(copy, iterations=900)
    assert update(copy / "quickstart").startswith("MLflow: 7 runs written, 0 were up to date")
    assert update(copy / "quickstart").startswith("MLflow: 0 runs written, 7 were up to date")
    assert pictures() == before
    assert len([*copy.glob("mlartifacts/*")]) >= 8


@pytest.mark.parametrize("content", [b"", b"it's", b"\xff\xfe"])
def test_a_damaged_id_is_named(results, content):
    folder = recorded.write_sweep(results)
    (results / "mirror-id").write_bytes(content)
    with pytest.raises(BenchError, match="mirror-id is damaged; delete it"):
        update(folder)


def test_nothing_is_printed_and_nothing_is_left_open(results, capfd):
    update(recorded.write_sweep(results))
    gc.collect()
    assert capfd.readouterr() == ("", "")


def test_a_server_that_does_not_answer_fails_fast(tmp_path):
    folder = recorded.write_sweep(tmp_path / "results")
    began = time.monotonic()
    with pytest.raises(BenchError) as caught:
        update(folder, uri="http://me:secret@127.0.0.1:9")
    assert time.monotonic() - began < 15
    text = str(caught.value)
    assert text.startswith("MLflow at http://***@127.0.0.1:9: ")


ADDRESSES = {
    "postgresql://someone:sec@ret/word@127.0.0.1:9/db": ("someone", "sec@ret/word"),
    "http://127.0.0.1:9/?token=sec-ret": ("sec-ret",),
    "nonsense://me:secret@host": ("me:", "secret"),
}


@pytest.mark.parametrize("uri", ADDRESSES)
def test_no_password_is_printed(tmp_path, uri):
    folder = recorded.write_sweep(tmp_path / "results")
    with pytest.raises(BenchError) as caught:
        update(folder, uri=uri)
    assert not [secret for secret in ADDRESSES[uri] if secret in str(caught.value)]


def _folder(path):
    path.mkdir()


def _text(path):
    path.write_text("no database" * 100)


def _half_made(path):
    with sqlite3.connect(path) as database:
        database.execute("CREATE TABLE datasets (a)")
    database.close()


@pytest.mark.parametrize("make", [_folder, _text, _half_made])
def test_what_is_no_database_is_named_soon(tmp_path, make):
    folder = recorded.write_sweep(tmp_path / "results")
    make(tmp_path / "results" / "mlflow.db")
    began = time.monotonic()
    with pytest.raises(BenchError, match="a damaged database can be moved away"):
        update(folder)
    assert time.monotonic() - began < 30


def test_a_database_that_cannot_be_written_is_named_soon(results, monkeypatch):
    connect = sqlite3.connect

    def read_only(path, **options):
        return connect(f"file:{path}?mode=ro", uri=True, **options)

    monkeypatch.setattr("bench.trackers.mlflow.sqlite3.connect", read_only)
    with pytest.raises(BenchError, match="attempt to write a readonly database"):
        update(recorded.write_sweep(results))


def test_a_database_that_was_not_finished_is_not_there(tmp_path, monkeypatch):
    from mlflow.store.db import utils

    def fill_up(engine):
        raise OSError(errno.ENOSPC, "No space left on device")

    folder = recorded.write_sweep(tmp_path / "results")
    monkeypatch.setattr(utils, "_initialize_tables", fill_up)
    with pytest.raises(BenchError, match="No space left"):
        update(folder)
    assert not list((tmp_path / "results").glob("*mlflow.db*"))


def test_names_may_be_of_any_length(results):
    long = "v" * 400
    held = {"inception_score": ("protocol " * 100, 7.0), "m" * 400: ("p", 1.0)}
    folder = recorded.write_sweep(results, variants={long: {0: held}}, models={long: "cvae"})
    assert "2 runs written" in update(folder)


def test_the_retired_file_store_is_refused(tmp_path):
    folder = recorded.write_sweep(tmp_path / "results")
    with pytest.raises(BenchError, match="file store is retired"):
        update(folder, uri=str(tmp_path / "mlruns"))
    assert not (tmp_path / "mlruns").exists()


@pytest.mark.slow
def test_two_folders_begin_one_database_at_once(tmp_path):
    uri = f"sqlite:///{tmp_path / 'shared.db'}"
    code = (
        "import sys, pathlib; from tests.made_once import update; "
        f"print(update(pathlib.Path(sys.argv[1]), uri={uri!r}))"
    )
    folders = [recorded.write_sweep(tmp_path / name) for name in ("mine", "theirs")]
    commands = [[sys.executable, "-c", code, folder] for folder in folders]
    writers = [subprocess.Popen(command, stdout=subprocess.PIPE, text=True) for command in commands]
    for writer in writers:
        assert writer.communicate()[0].startswith("MLflow: 7 runs written")
    for folder in folders:
        assert update(folder, uri=uri).startswith("MLflow: 0 runs written, 7 were up to date")


@pytest.mark.slow
def test_sixteen_processes_at_a_fresh_database_lose_no_metric_and_make_no_duplicates(tmp_path):
    results = tmp_path / "results"
    names = [f"sweep{number}" for number in range(15)]
    for number, name in enumerate(names):
        one = {"cvae": {seed: {"inception_score": (recorded.IS, number + seed)} for seed in (0, 1)}}
        recorded.write_sweep(results, name, one)
    code = (
        "import sys, pathlib; "
        "from tests.made_once import update; print(update(pathlib.Path(sys.argv[1])))"
    )
    twice = [*names, names[0]]
    commands = [[sys.executable, "-c", code, results / name] for name in twice]
    writers = [subprocess.Popen(command, stdout=subprocess.PIPE, text=True) for command in commands]
    texts = [writer.communicate()[0][:16] for writer in writers]
    assert sorted([texts[0], texts[-1]]) == ["MLflow: 0 runs w", "MLflow: 3 runs w"]
    assert set(texts[1:-1]) == {"MLflow: 3 runs w"}
    for number, name in enumerate(names):
        client, _, children = runs_of(results, name)
        assert sorted(children) == ["cvae, seed 0", "cvae, seed 1", "real test images"]
        for seed in (0, 1):
            child = children[f"cvae, seed {seed}"]
            assert child.data.metrics["inception_score"] == number + seed
            curve = client.get_metric_history(child.info.run_id, "train/main/reconstruct")
            assert [point.step for point in curve] == [0, 100, 200]
