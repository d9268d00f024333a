"""A file that is an option is a part of the configuration: another file is another setting."""

import json
import shutil

import pytest

from bench.record.quantities import registered_metrics
from bench.spec import option_files
from bench.spec.run_config import complete_settings
from bench.spec.validation import KeyProblem

SWEEP = """\
name: filed
base:
  data: blobs
  model: {name: filed, width: 0.25, latent: 4, weights: files/weights.txt, notes: [files/note.txt]}
  iterations: 2
  batch_size: 4
  samples_per_class: 2
  controls: []
  metrics: [{name: written, tables: files/tables}]
seeds: [0]
variants: {cvae: {}}
"""
CODE = """\
from dataclasses import dataclass
from pathlib import Path
from baselines.cvae import CVAE
from bench.metrics.base import Measurement, Metric, Quantity


class Filed(CVAE):
    def __init__(self, spec, *, weights: Path, notes: list[str], width: float = 1, latent: int = 4):
        super().__init__(spec, width=width, latent=latent)
        self.scale = float(weights.read_text())


@dataclass(frozen=True)
class Written(Metric):
    tables: Path
    name = "written"
    quantities = {"written": Quantity("Written", "higher", 2)}

    def measure(self, samples, context):
        return [Measurement("written", "written", float((self.tables / "one.txt").read_text()))]
"""
RUN = ("run", "filed.yaml", "--no-mlflow", "--device", "cpu")


@pytest.fixture
def filed(here, install):
    """A sweep whose model and metric read files."""
    points = {
        "bench.models": {"filed": "filed:Filed"},
        "bench.metrics": {"written": "filed:Written"},
    }
    install("filed", {"filed.py": CODE}, points)
    (here / "filed.yaml").write_text(SWEEP)
    files = here / "files"
    (files / "tables").mkdir(parents=True)
    for name in ("weights.txt", "note.txt", "tables/one.txt"):
        (files / name).write_text("1.0")
    registered_metrics.cache_clear()
    yield files
    registered_metrics.cache_clear()


def runs(here, sweep="filed"):
    return {
        path.parent.name: path.stat().st_mtime_ns
        for path in here.glob(f"results/{sweep}/*/model.pt")
    }


def test_another_file_of_a_model_is_another_run(bench, here, filed):
    assert bench(*RUN)[0] == 0
    assert "nothing to do" in bench(*RUN)[2]
    first = runs(here)
    assert "copied from results/filed/" in bench(*RUN, "name=again")[2]
    for number, name in enumerate(("weights.txt", "note.txt"), start=2):
        (filed / name).write_text("2.0")
        status, _, err = bench(*RUN, "name=again")
        assert status == 0, err
        assert "1 finished" in err
        assert "copied" not in err
        assert len(runs(here, "again")) == number
    assert first == runs(here)
    assert "Runs: 1 of 1 done" in bench("report", "again")[1]


def test_another_file_of_a_metric_is_measured_again(bench, here, filed):
    assert bench(*RUN)[0] == 0
    before = runs(here)
    assert " 1.00 " in bench("report", "filed")[1]
    (filed / "tables" / "one.txt").write_text("2.0")
    status, _, err = bench(*RUN)
    assert status == 0, err
    assert "1 finished" in err
    assert runs(here) == before, "nothing was trained"
    assert " 2.00 " in bench("report", "filed")[1]


def test_a_missing_file_costs_no_finished_run(bench, here, filed):
    assert bench(*RUN)[0] == 0
    shutil.rmtree(filed / "tables")
    status, _, err = bench(*RUN)
    assert status == 2
    assert "filed.yaml:9: metrics.0.tables: there is no file or folder files/tables" in err
    assert "Runs: 1 of 1 done" in bench("report", "filed")[1]


def test_a_run_is_done_again_or_measured_by_the_very_same_files(bench, here, filed):
    assert bench(*RUN)[0] == 0
    [run] = here.glob("results/filed/*/")
    metric = ("--metric", "{name: written, tables: files/tables}", "--device", "cpu")
    (filed / "tables" / "one.txt").write_text("2.0")
    status, _, err = bench("verify", "filed")
    assert status == 0, err
    status, _, err = bench("evaluate", str(run), *metric, "--record")
    assert status == 0, err
    entries = map(json.loads, (run / "evaluation.jsonl").read_text().splitlines())
    assert sorted((e["protocol"][:15], e["value"]) for e in entries) == [
        ("written[tables@", 1.0),
        ("written[tables@", 2.0),
    ]
    (filed / "tables" / "one.txt").write_text("1.0")
    (filed / "weights.txt").write_text("2.0")
    for words in (["verify", "filed"], ["rerun", "filed"], ["evaluate", str(run), *metric]):
        status, _, err = bench(*words)
        assert status == 2
        assert "files/weights.txt, the option weights of filed, " in err


def test_runs_by_other_files_are_not_imported_into_one_row(bench, here, filed):
    assert bench(*RUN)[0] == 0
    assert bench("export", "filed")[0] == 0
    shutil.rmtree(here / "results")
    (filed / "weights.txt").write_text("2.0")
    assert bench(*RUN, "seeds=[1]")[0] == 0
    status, _, err = bench("import", "filed.tar.gz")
    assert status == 2
    assert "has other configurations of rows that are in results/filed" in err


def test_trials_by_other_files_are_not_compared(bench, here, filed):
    space = "{cvae: {optimizers.default.rate: {low: 1e-4, high: 1e-2}}}"
    head = f"name: tune\ntrials: 1\nobjectives: [written]\nspace: {space}\n"
    tune = SWEEP.replace("name: filed\nbase", f"{head}base").replace("  controls: []\n", "")
    (here / "tune.yaml").write_text(tune)
    words = ("tune", "tune.yaml", "--no-mlflow", "--device", "cpu")
    status, _, err = bench(*words)
    assert status == 0, err
    (filed / "tables" / "one.txt").write_text("2.0")
    status, _, err = bench(*words, "trials=2")
    assert status == 2
    assert "was begun with other settings, files" in err


def test_files_are_read_once_and_only_strings_that_are_paths_count(here, filed, monkeypatch):
    read, digest = [], option_files.hashlib.file_digest
    monkeypatch.setattr(
        option_files.hashlib,
        "file_digest",
        lambda file, kind: (read.append(file.name), digest(file, kind))[1],
    )
    (here / "gelu").write_text("not an option")
    raw = {"model": {"name": "filed", "weights": "files/weights.txt", "notes": ["gelu", "gone/x"]}}
    raw |= {"data": {"name": "blobs"}, "seed": 0, "iterations": 2}
    hashes = complete_settings(raw).training.model[option_files.FILE_HASHES]
    assert list(hashes) == ["weights"]
    assert len(read) == 1
    complete_settings(raw)
    assert len(read) == 1
    raw["model"]["weights"] = "gone.txt"
    with pytest.raises(KeyProblem, match=r"model\.weights: there is no file or folder gone\.txt"):
        complete_settings(raw)
