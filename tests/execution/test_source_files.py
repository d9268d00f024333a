"""Which files a result follows from."""

import json
import sys

import pytest

from bench import registry
from bench.execution import run_sweep, source_files
from bench.execution.source_files import SOURCES_OF, changed_files, essence
from bench.spec.run_config import complete_settings


def run(**settings):
    return complete_settings(
        {"model": "cvae", "data": "blobs", "seed": 0, "iterations": 1, **settings}
    )


@pytest.mark.parametrize(
    "same",
    [
        '"""Another docstring."""\nx = 1\n\ndef f():\n    return x\n',
        'x = 1  # one\n\n\ndef f():\n    """Say x."""\n    # now\n    return x\n',
        "x = 1\ndef f():\n    '''Two\n    lines.'''\n    return x",
    ],
    ids=["module", "comments", "several lines"],
)
def test_what_only_people_read_does_not_count(same):
    assert essence(same) == "x = 1\ndef f():\n    return x"


@pytest.mark.parametrize(
    "other",
    [
        "x = 2\ndef f():\n    return x",
        "x = '# 1'\ndef f():\n    return x",
        "x = 1\ndef f(): 'Doc.'; return -x",
        "x = (\n 'a'\n)\ndef f():\n    return x",
    ],
)
def test_all_else_counts(other):
    assert essence(other) != "x = 1\ndef f():\n    return x"
    assert essence("x = '''\n  a # b\n\n'''") != essence("x = '''\n  a\n\n'''")


def test_a_run_follows_from_its_own_model_and_data_and_from_no_picture():
    files = set(SOURCES_OF["training"](run()))
    assert {"baselines/cvae.py", "models/blocks.py", "bench/data/blobs.py"} <= files
    assert {
        "bench/training/passes.py",
        "bench/seeding.py",
    } <= files
    assert not {file for file in files if "reporting" in file or "metrics" in file}
    assert "baselines/cgan.py" not in files
    assert "bench/data/celeba.py" not in files
    other = set(SOURCES_OF["training"](run(model="cgan", data="digits")))
    assert {"baselines/cgan.py", "bench/data/digits.py"} <= other


def test_figures_follow_from_their_metrics():
    few = set(SOURCES_OF["evaluation"](run()))
    assert few == {"bench/evaluation/measuring.py"} | {f for f in few if "metrics/" in f}
    assert "bench/metrics/ms_ssim.py" not in few
    more = SOURCES_OF["evaluation"](run(metrics=["intra_class_diversity"]))
    assert "bench/metrics/ms_ssim.py" in more


def test_a_model_of_the_users_is_followed_through_its_package(tmp_path, monkeypatch):
    package = tmp_path / "theirs"
    (package / "parts").mkdir(parents=True)
    (package / "__init__.py").write_text("")
    (package / "parts" / "__init__.py").write_text("from .layers import WIDTH\n")
    (package / "parts" / "layers.py").write_text("WIDTH = 3\n")
    (package / "unused.py").write_text("")
    (package / "model.py").write_text("import torch\nfrom theirs import parts\n")
    monkeypatch.syspath_prepend(tmp_path)
    entry = registry.Registration("theirs.model:Model", "theirs")
    monkeypatch.setattr(registry, "registered", lambda kind: {"theirs": entry})
    monkeypatch.setattr(source_files, "_owners", lambda: frozenset({"theirs"}))
    found = source_files._reached([source_files._module("model", {"name": "theirs"})], ())
    assert list(found) == [
        "theirs/__init__.py",
        "theirs/model.py",
        "theirs/parts/__init__.py",
        "theirs/parts/layers.py",
    ]
    assert "theirs" not in sys.modules, "nothing is imported"


def test_changed_files_are_named():
    assert changed_files({"a": "1", "b": "2"}, {"a": "1", "b": "3", "c": "4"}) == ["b", "c"]


def test_what_is_edited_while_a_sweep_is_at_work_is_recorded_as_it_is_executed(
    bench, here, monkeypatch
):
    model = here / "edited_meanwhile.py"
    model.write_text("from baselines.cvae import CVAE as Theirs\n")
    monkeypatch.syspath_prepend(here)
    entry = registry.Registration("edited_meanwhile:Theirs", "theirs")
    monkeypatch.setitem(registry.TABLES["model"], "theirs", entry)
    monkeypatch.setattr(registry, "registered", lambda kind: registry.TABLES[kind])
    monkeypatch.setattr(
        source_files, "_owners", lambda: frozenset({"edited_meanwhile", "baselines"})
    )
    begin = run_sweep.settle

    def edit_and_begin(*arguments):
        model.write_text("from baselines.cgan import CGAN as Theirs\n")
        return begin(*arguments)

    monkeypatch.setattr(run_sweep, "settle", edit_and_begin)
    base = "{model: theirs, data: blobs, iterations: 2, batch_size: 8, metrics: []}"
    (here / "one.yaml").write_text(f"name: one\nbase: {base}\nseeds: [0]\n")
    bench("run", "one.yaml", "--no-mlflow")
    [origin] = here.glob("results/one/*/provenance.json")
    assert "baselines/cgan.py" not in json.loads(origin.read_text())["sources"]["training"]
