"""Trackers beside MLflow, read back by their own libraries, and what any tracker may do."""

import contextlib
import json
import os
import shutil
import struct
import subprocess
import time
from pathlib import Path

import pytest
from PIL import Image

from bench import registry
from bench.errors import BenchError
from bench.record.jsonl import read_jsonl, write_jsonl
from bench.record.records import load_records
from bench.trackers import wandb as wandb_tracker
from bench.trackers.mirrored_runs import child_runs
from bench.trackers.tensorboard import TensorBoard
from bench.trackers.wandb import WeightsAndBiases
from tests.data_recorded import recorded
from tests.made_once import copy_mlflow_database, update

FEW = {
    "cvae": {seed: recorded.QUICKSTART["cvae"][seed] for seed in (0, 1)},
    "kl=0/1": {0: recorded.QUICKSTART["lr_livae"][0]},
}


@pytest.fixture(autouse=True)
def offline(monkeypatch, tmp_path):
    monkeypatch.setenv("WANDB_MODE", "offline")
    monkeypatch.setenv("HOME", str(tmp_path / "home"))


@pytest.fixture
def sweep(tmp_path):
    """A sweep of four runs and controls, one of which failed, with pictures."""
    folder = recorded.write_sweep(
        tmp_path / "results", variants=FEW, states={("cvae", 1): "failed"}
    )
    for path in folder.glob("*/samples.png"):
        Image.new("L", (8, 6), 7).save(path)
    return folder


def accumulated(folder):
    """Return what TensorBoard's own reader finds in the folder of one run."""
    from tensorboard.backend.event_processing.event_accumulator import EventAccumulator

    found = EventAccumulator(str(folder), size_guidance={"tensors": 0, "scalars": 0, "images": 0})
    return found.Reload()


def wandb_records(path):
    """Return the records of a file of W&B: protocol buffers of wandb in LevelDB's log format."""
    from wandb.proto.wandb_internal_pb2 import Record

    content, place, parts, records = path.read_bytes(), 7, [], []
    while place + 7 <= len(content):
        if (left := 32768 - place % 32768) < 7:
            place += left
            continue
        _, length, kind = struct.unpack("<IHB", content[place : place + 7])
        parts.append(content[place + 7 : place + 7 + length])
        place += 7 + length
        if kind in (1, 4):  # whole, or the last part
            records.append(Record.FromString(b"".join(parts)))
            parts = []
    return records


def wandb_runs(sweep):
    """Return what each offline run holds: its name -> run, configuration, history, exit code."""
    runs = {}
    for path in sweep.glob("wandb/offline-run-*/*.wandb"):
        records = wandb_records(path)
        [run] = [record.run for record in records if record.HasField("run")][:1]
        config = {item.key: json.loads(item.value_json) for item in run.config.update}
        history = {}
        for record in records:
            if record.HasField("history"):
                items = record.history.item
                of_step = {i.key or "/".join(i.nested_key): json.loads(i.value_json) for i in items}
                history[record.history.step.num] = of_step
        [code] = [record.exit.exit_code for record in records if record.HasField("exit")]
        assert run.display_name not in runs
        runs[run.display_name] = (run, config, history, code)
    return runs


def test_tensorboard_reads_numbers_settings_tags_and_pictures(sweep):
    from tensorboard.plugins.hparams.plugin_data_pb2 import HParamsPluginData

    assert update(sweep, TensorBoard).startswith("TensorBoard: 4 runs written, 0 were up to date")
    places = sorted(path.name for path in (sweep / "tensorboard").iterdir())
    [first] = [place for place in places if place.startswith("cvae-seed0-")]
    assert sum(place.startswith("kl_0_1-") for place in places) == 1
    found = accumulated(sweep / "tensorboard" / first)
    losses = [(event.step, event.value) for event in found.Scalars("train/main/reconstruct")]
    assert losses == [(step, pytest.approx(1 / (step + 1))) for step in (0, 100, 200)]
    assert [(e.step, e.value) for e in found.Scalars("inception_score")] == [(800, 7.25)]
    assert found.Scalars("inception_score")[0].wall_time == 1767323045.0
    [picture] = found.Images("samples")
    assert (picture.width, picture.height) == (8, 6)
    text = found.Tensors("tags")[0].tensor_proto.string_val[0].decode()
    assert "| commit | c0ffee |" in text
    assert f"| protocol.inception_score | {recorded.IS} |" in text
    plugin = found.SummaryMetadata("_hparams_/session_start_info").plugin_data
    settings = HParamsPluginData.FromString(plugin.content).session_start_info.hparams
    assert settings["model.name"].string_value == "cvae"
    assert settings["objective.encoder_u.kl"].number_value == 1.0


def test_the_same_record_gives_the_same_event_files(sweep, tmp_path):
    shutil.copytree(sweep, tmp_path / "elsewhere" / sweep.name)
    files = []
    for folder in (sweep, tmp_path / "elsewhere" / sweep.name):
        update(folder, TensorBoard)
        root = folder / "tensorboard"
        files.append({p.relative_to(root): p.read_bytes() for p in root.glob("*/*")})
    assert files[0] == files[1]
    assert len(files[0]) == 4


def sessions():
    """Return the session of every process."""
    found = set()
    for path in Path("/proc").glob("[0-9]*/stat"):
        with contextlib.suppress(OSError):
            found.add(int(path.read_text().rpartition(")")[2].split()[3]))
    return found


@pytest.fixture
def started(monkeypatch):
    """The ids of the processes that are started, which lead sessions of their own."""
    started = []

    class Popen(subprocess.Popen):
        def __init__(self, *words, **options):
            super().__init__(*words, **options)
            started.append(self.pid)

    monkeypatch.setattr(subprocess, "Popen", Popen)
    return started


def test_wandb_reads_numbers_settings_tags_and_pictures(sweep, started):
    text = update(sweep, WeightsAndBiases, project="mine")
    assert text.startswith("Weights & Biases: 4 runs written, 0 were up to date, offline; to send")
    assert len(started) == 1
    assert not set(started) & sessions(), "no process of wandb survives"
    runs = wandb_runs(sweep)
    names = ["cvae, seed 0", "cvae, seed 1", "kl=0/1, seed 0", "real test images"]
    assert sorted(runs) == names
    assert [runs[name][3] for name in names] == [0, 1, 0, 0]
    run, config, history, _ = runs[names[0]]
    assert (run.project, run.run_group, run.job_type) == ("mine", "quickstart", "cvae")
    assert list(run.tags) == ["quickstart", "cvae", "done", "c0ffee", "seed 0"]
    assert config["objective.encoder_u.kl"] == 1.0
    assert config["bench.protocol.inception_score"] == recorded.IS
    losses = {step: held.get("train/main/reconstruct") for step, held in history.items()}
    assert losses == {0: 1.0, 100: 1 / 101, 200: 1 / 201, 800: None}
    assert history[800]["inception_score"] == 7.25
    assert (history[800]["samples/width"], history[800]["samples/height"]) == (8, 6)


def measure_again(sweep):
    path = min(sweep.glob("00*/evaluation.jsonl"))
    rows = read_jsonl(path)
    write_jsonl(path, [row | {"value": row["value"] + 1} for row in rows])


def of_tensorboard(sweep):
    [found] = sweep.glob("tensorboard/cvae-seed0-*")
    return [event.value for event in accumulated(found).Scalars("inception_score")]


def of_wandb(sweep):
    return [wandb_runs(sweep)["cvae, seed 0"][2][800]["inception_score"]]


@pytest.mark.parametrize(
    ("tracker", "value_of", "files"),
    [
        (TensorBoard, of_tensorboard, "tensorboard/*"),
        pytest.param(*(WeightsAndBiases, of_wandb, "wandb/offline-run-*"), marks=pytest.mark.slow),
    ],
)
def test_a_mirror_catches_up_without_duplicates(sweep, tracker, value_of, files):
    assert "4 runs written, 0 were" in update(sweep, tracker)
    assert "0 runs written, 4 were" in update(sweep, tracker)
    measure_again(sweep)
    assert "1 runs written, 3 were" in update(sweep, tracker)
    assert value_of(sweep) == [8.25]
    assert len(list(sweep.glob(files))) == 4
    shutil.rmtree(next(iter(sweep.glob(files))))
    assert "1 runs written, 3 were" in update(sweep, tracker)
    only = {"cvae": {0: FEW["cvae"][0]}}
    for path in [*sweep.glob("[0r]*"), sweep / "sweep.json"]:
        shutil.rmtree(path) if path.is_dir() else path.unlink()
    recorded.write_sweep(sweep.parent, "new", only, real=None)
    for path in (sweep.parent / "new").iterdir():
        path.rename(sweep / path.name)
    update(sweep, tracker)
    assert len(list(sweep.glob(files))) == 1


def test_runs_at_wandb_belong_to_their_folder_of_results(sweep):
    [run, *_] = child_runs(load_records(sweep.parent, [sweep.name]))
    assert wandb_tracker._id_of(run, "mine") == wandb_tracker._id_of(run, "mine")
    assert wandb_tracker._id_of(run, "mine") != wandb_tracker._id_of(run, "theirs")


@pytest.mark.slow
def test_a_process_of_wandb_that_takes_too_long_is_killed(sweep, monkeypatch, started):
    monkeypatch.setattr(wandb_tracker, "MOST_SECONDS", 3)
    monkeypatch.setattr(wandb_tracker, "MOST_SECONDS_A_RUN", 0)
    monkeypatch.setenv("WANDB_MODE", "online")  # where nobody answers
    monkeypatch.setenv("WANDB_API_KEY", "0" * 40)
    monkeypatch.setenv("WANDB_BASE_URL", "http://127.0.0.1:9")
    with pytest.raises(BenchError, match="wandb timed out after 3 seconds"):
        update(sweep, WeightsAndBiases)
    end = time.monotonic() + 10  # its service sees that it is alone
    while set(started) & sessions() and time.monotonic() < end:
        time.sleep(0.1)
    assert not set(started) & sessions()
    monkeypatch.undo()
    monkeypatch.setenv("WANDB_MODE", "offline")
    update(sweep, WeightsAndBiases)
    assert sorted(wandb_runs(sweep)) == sorted(set(wandb_runs(sweep)))


@pytest.mark.slow
def test_a_server_of_wandb_that_does_not_answer_costs_one_warning(bench, sweep, here, monkeypatch):
    monkeypatch.setenv("WANDB_MODE", "online")
    words = "mirror", sweep.name, "--results", str(sweep.parent), "--tracker", "wandb"
    for key, reason in (("", "No API key"), ("0" * 40, "imed out")):
        monkeypatch.setenv("WANDB_API_KEY", key)
        monkeypatch.setenv("WANDB_BASE_URL", "http://127.0.0.1:9")
        status, _, err = bench(*words)
        assert status == 1
        assert "warning: wandb is not up to date: " in err.splitlines()[0]
        assert reason in err.splitlines()[0]
        assert len(err.splitlines()) == 2
    monkeypatch.setenv("WANDB_MODE", "offline")
    assert "4 runs written" in bench(*words)[2], "what was begun online does not count"


@pytest.mark.slow
def test_without_a_login_runs_of_wandb_are_kept_offline(sweep, monkeypatch):
    monkeypatch.delenv("WANDB_MODE")
    assert "offline; to send them" in update(sweep, WeightsAndBiases)
    monkeypatch.setenv("WANDB_MODE", "disabled")
    assert "nothing was written" in update(sweep, WeightsAndBiases)


@pytest.mark.parametrize("name", ["tensorboard", "wandb"])
def test_a_tracker_that_is_not_installed_names_its_extra(bench, here, monkeypatch, name):
    monkeypatch.setitem(__import__("sys").modules, name, None)
    status, _, err = bench("run", "tiny.yaml", "--tracker", name, "--device", "cpu")
    assert (status, "Traceback" in err) == (2, False)
    assert f"pip install 'bench-generators[{name}]'" in err
    assert not (here / "results").exists()


PLUG_IN = """\
from pathlib import Path
from bench.trackers.base import MirroredSweep, Tracker

class Raises(Tracker):
    def __init__(self, results: Path) -> None:
        pass

    def update(self, sweep: MirroredSweep) -> str:
        raise ConnectionError("http://me:secret@host is away")

class Leaves(Raises):
    def update(self, sweep: MirroredSweep) -> str:
        raise SystemExit(3)

class Names(Raises):
    def __init__(self, results: Path, *, file: str = "names.txt") -> None:
        self.file = results / file

    def update(self, sweep: MirroredSweep) -> str:
        self.file.write_text("\\n".join(run.name for run in sweep.runs))
        return f"names: {len(sweep.runs)}"
"""


@pytest.fixture
def plug_ins(install, here):
    targets = {name.lower(): f"trackers_of_mine:{name}" for name in ("Raises", "Leaves", "Names")}
    install("trackers-of-mine", {"trackers_of_mine.py": PLUG_IN}, {"bench.trackers": targets})
    recorded.write_sweep(here / "results", variants=FEW)


def test_no_tracker_costs_another_or_the_record(bench, plug_ins, here):
    words = [word for name in ("raises", "leaves", "names") for word in ("--tracker", name)]
    status, _, err = bench("mirror", "quickstart", *words)
    assert status == 1
    assert "warning: raises is not up to date: ConnectionError: http://***@host is away\n" in err
    assert "catch up with: bench mirror quickstart --tracker raises\n" in err
    assert (here / "results" / "quickstart" / "runs.csv").exists()
    assert "warning: leaves is not up to date: SystemExit: 3\n" in err
    assert err.splitlines()[-1] == "names: 4"
    assert "Traceback" not in err
    assert (here / "results" / "quickstart" / "measurements.csv").exists()
    assert (here / "results" / "names.txt").read_text().startswith("cvae, seed 0\n")


def test_a_tracker_of_ones_own_has_options_and_is_listed(bench, plug_ins, here):
    bench("mirror", "quickstart", "--tracker", "{name: names, file: other.txt}")
    assert (here / "results" / "other.txt").exists()
    _, out, _ = bench("list", "trackers")
    assert [line.split()[0] for line in out.splitlines()][:3] == ["mlflow", "tensorboard", "wandb"]
    assert "names" in out
    status, _, err = bench("mirror", "quickstart", "--tracker", "{name: names, fil: x}")
    assert status == 2
    assert "command line, --tracker {name: names, fil: x}: tracker.0.fil: unknown key" in err


@pytest.mark.parametrize(
    ("preference", "words", "expected"),
    [
        ("", [], ["mlflow"]),
        ("", ["--no-mlflow"], []),
        ("", ["--tracker", "none"], []),
        ("", ["--tracker", "tensorboard", "--tracker", "names"], ["tensorboard", "names"]),
        ("", ["--tracker", "mlflow", "--tracker", "names", "--no-mlflow"], ["names"]),
        ("tracker: names", [], ["names"]),
        ("tracker: [mlflow, names]", ["--no-mlflow"], ["names"]),
        ("tracker: none", [], []),
        ("tracker: none", ["--tracker", "names"], ["names"]),
    ],
)
def test_trackers_are_chosen_by_the_command_line_or_else_by_the_file(
    bench, plug_ins, here, monkeypatch, preference, words, expected
):
    monkeypatch.setenv("XDG_CONFIG_HOME", str(here / "config"))
    (here / "config" / "bench").mkdir(parents=True)
    (here / "config" / "bench" / "config.yaml").write_text(preference)
    updated = []
    for name in ("mlflow", "tensorboard", "names"):
        factory = registry.load("tracker", name)
        monkeypatch.setattr(factory, "update", lambda self, sweep, n=name: updated.append(n) or n)
    status, _, err = bench("mirror", "quickstart", *words)
    assert status == 0, err
    assert updated == expected


@pytest.mark.parametrize(
    ("words", "where"),
    [
        (
            ["--tracker", "wandbb"],
            "command line, --tracker wandbb: tracker.0.name: unknown tracker",
        ),
        (["--tracker", "none", "--tracker", "wandb"], "unknown tracker 'none'"),
        (["--tracker", "{name: wandb, mode: x}"], "tracker.0.mode: "),
        (["--tracker", "["], "command line, --tracker ["),
    ],
)
def test_mistakes_are_told_before_anything_is_run(bench, here, words, where):
    status, _, err = bench("run", "tiny.yaml", *words)
    assert status == 2
    assert where in err
    assert not (here / "results").exists()


def test_the_options_of_mlflow_have_short_forms(bench, here, monkeypatch):
    recorded.write_sweep(here / "results", variants=FEW)
    copy_mlflow_database(here / "there")
    uri = f"sqlite:///{here}/there/mlflow.db"
    _, _, err = bench("mirror", "quickstart", "--mlflow-uri", uri)
    assert f"MLflow: 4 runs written, 0 were up to date, at {uri}" in err
    _, _, err = bench("mirror", "quickstart", "--tracker", f"{{name: mlflow, uri: '{uri}'}}")
    assert "MLflow: 0 runs written, 4 were up to date" in err
    monkeypatch.setitem(os.environ, "MLFLOW_TRACKING_URI", uri)
    _, _, err = bench("mirror", "quickstart")
    assert "MLflow: 0 runs written, 4 were up to date" in err
