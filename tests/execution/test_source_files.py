"""Source files that a run follows from, and what counts in them."""

import json
import sys

import pytest

from bench import registry
from bench.execution import run_sweep, source_files
from bench.execution.source_files import essence, sources_of
from bench.record.provenance import changed_files, differing_files
from bench.spec.run_config import complete_settings

CODE = """\
import torch
def f(x):
    say(f"step {x}")
    if x < 0:
        raise ValueError(f"x is {x}")
    return [x, "a"]
"""


def sources(**settings):
    defaults = {"model": "cvae", "data": "blobs", "seed": 0, "iterations": 1}
    return sources_of(complete_settings(defaults | settings))


def edited(*changes):
    code = CODE
    for old, new in changes:
        assert old in code
        code = code.replace(old, new)
    return code


@pytest.mark.parametrize(
    "same",
    [
        '"""A docstring."""\n\n' + CODE,
        edited(("return", '"""Another\n    one."""\n    # why\n\n    return')),
        edited(
            ("import torch", "from typing import TYPE_CHECKING\nif TYPE_CHECKING:\n    import io")
        ),
        edited(('return [x, "a"]', "return [\n        x,\n        'a',\n    ]")),
        edited(("(x):", "(x: int) -> list[object]:")),
        edited(('f"x is {x}"', '"another text"')),
        edited(('f"step {x}"', '"a text"')),
    ],
    ids=["docstring", "comments", "imports", "formatting", "annotations", "error", "message"],
)
def test_what_cannot_change_a_result_does_not_count(same):
    assert essence(same) == essence(CODE)


@pytest.mark.parametrize(
    "change",
    [
        ('"a"', '"b"'),
        ("< 0", "< 1"),
        ("ValueError", "TypeError"),
        ("say", "send"),
        ("if x", "if -x"),
    ],
)
def test_all_else_counts(change):
    assert essence(edited(change)) != essence(CODE)


def test_titles_and_decimals_of_quantities_do_not_count():
    before, after = (f'quantities = {{"fid": Quantity("{title}", "lower", 2)}}' for title in "ab")
    assert essence(before) == essence(after)
    assert essence(before) != essence(before.replace("fid", "kid"))


def test_a_file_that_is_no_python_counts_as_it_is():
    assert essence("x = (") == "x = ("


def test_each_part_has_the_files_that_it_is_made_of():
    found = sources(metrics=["intra_class_diversity"], controls=["real"])
    assert {"baselines/cvae.py", "models/blocks.py"} <= found["model"].keys()
    assert {"bench/data/blobs.py", "bench/data/base.py"} <= found["data"].keys()
    assert {"bench/metrics/ms_ssim.py", "bench/metrics/base.py"} <= found["metrics"].keys()
    assert found["controls"].keys() == {"bench/evaluation/controls.py"}
    assert {
        "bench/training/passes.py",
        "bench/data/stream.py",
        "bench/evaluation/measuring.py",
        "bench/process/worker.py",
        "bench/seeding.py",
    } <= found["harness"].keys()
    for part, folder in {
        "model": "bench",
        "data": "bench/training",
        "metrics": "bench/data",
    }.items():
        assert not [file for file in found[part] if file.startswith(folder)]
    other = sources(model="cgan", data="digits", metrics=["class_accuracy"])
    for part, file in {
        "model": "baselines/cgan.py",
        "data": "bench/data/digits.py",
        "metrics": "bench/metrics/class_accuracy.py",
    }.items():
        assert (file in found[part], file in other[part]) == (False, True)
    assert found["harness"] == other["harness"], "which is the same for all runs"


def test_an_unlabeled_data_set_counts_as_data():
    found = sources(model="ccvae", data="digits", unlabeled={"name": "blobs"})
    assert {"bench/data/blobs.py", "bench/data/digits.py"} <= found["data"].keys()


def test_a_model_of_the_users_is_followed_through_its_package(tmp_path, monkeypatch):
    package = tmp_path / "theirs"
    (package / "parts").mkdir(parents=True)
    (package / "__init__.py").write_text("WIDTH = 3\n")
    (package / "parts" / "__init__.py").write_text("from .layers import WIDTH\nDEPTH = 2\n")
    (package / "parts" / "layers.py").write_text("WIDTH = 3\n")
    (package / "unused.py").write_text("x = 1")
    (package / "empty.py").write_text('"""Nothing."""')
    (package / "model.py").write_text(
        "import torch, json, installed, this\nfrom theirs import empty, parts\n"
        "import helpers.layers\nfrom models import blocks\nX = 1\n"
    )
    (tmp_path / "helpers").mkdir()  # a package of theirs that registers nothing
    (tmp_path / "helpers" / "layers.py").write_text(
        "import shared\ntry:\n    from ...far import x\nexcept ImportError:\n    x = 3\n"
    )
    (tmp_path / "shared.py").write_text("UNIT = 1\n")
    (tmp_path / "this.py").write_text("UNIT = 2\n")  # called like a module of Python
    (tmp_path / "elsewhere" / "installed-1.0.dist-info").mkdir(parents=True)
    (tmp_path / "elsewhere" / "installed.py").write_text("X = 1\n")
    monkeypatch.syspath_prepend(tmp_path / "elsewhere")
    monkeypatch.syspath_prepend(tmp_path)
    source_files._file.cache_clear()
    entries = {
        **registry.registered("model"),
        "theirs": registry.Registration("theirs.model:Model", ""),
    }
    monkeypatch.setattr(registry, "registered", lambda kind: entries)
    monkeypatch.setattr(registry, "load", lambda kind, name: None)
    assert list(source_files._files_of("model", ["theirs"])) == [
        "helpers/layers.py",
        "models/blocks.py",
        "shared.py",
        "theirs/__init__.py",
        "theirs/model.py",
        "theirs/parts/__init__.py",
        "theirs/parts/layers.py",
        "this.py",
    ]
    assert "theirs" not in sys.modules, "nothing is imported to see that"


def test_a_file_that_was_only_moved_has_not_changed():
    then = {"model": {"a.py": "1", "b.py": "2"}, "harness": {"c.py": "3", "d.py": "4"}}
    moved = {"model": {"a.py": "1", "new.py": "2"}, "harness": {"d.py": "4", "e.py": "3"}}
    assert changed_files(then, moved) == {"model": set(), "harness": set()}
    across = {"model": {"a.py": "1"}, "harness": {"b.py": "2", "c.py": "3", "d.py": "4"}}
    assert changed_files(then, across) == {"model": set(), "harness": set()}
    edited = {
        "model": {"a.py": "5", "b.py": "2", "f.py": "6"},
        "harness": {"c.py": "3"},
        "data": {},
    }
    assert changed_files(then, edited) == {"model": {"a.py", "f.py"}, "harness": {"d.py"}}


def test_files_that_differ_between_runs_are_known_only_where_all_were_digested():
    one = {"sources": {"model": {"a.py": "1"}, "harness": {"b.py": "2"}}}
    other = {"sources": {"model": {"x.py": "1"}, "harness": {"b.py": "3"}}}
    assert differing_files([one, other]) == ["b.py"]
    assert differing_files([one, one | {"continued": [other]}]) == ["b.py"]
    assert differing_files([one, {}]) is None


def test_what_is_edited_while_a_sweep_is_at_work_is_recorded_as_it_is_executed(
    bench, here, monkeypatch
):
    model = here / "edited_meanwhile.py"
    model.write_text("from baselines.cvae import CVAE\n\n\nclass Theirs(CVAE):\n    pass\n")
    monkeypatch.syspath_prepend(here)
    entry = registry.Registration("edited_meanwhile:Theirs", "theirs")
    monkeypatch.setitem(registry.BUILT_IN["model"], "theirs", entry)
    monkeypatch.setattr(registry, "registered", lambda kind: registry.BUILT_IN[kind])
    begin = run_sweep.schedule

    def edit_and_begin(*arguments):
        model.write_text("from baselines.cgan import CGAN as Theirs\n")
        return begin(*arguments)

    monkeypatch.setattr(run_sweep, "schedule", edit_and_begin)
    base = "{model: theirs, data: blobs, iterations: 2, batch_size: 8, metrics: []}"
    (here / "one.yaml").write_text(f"name: one\nbase: {base}\nseeds: [0]\n")
    bench("run", "one.yaml", "--no-mlflow")
    [origin] = here.glob("results/one/*/provenance.json")
    recorded = json.loads(origin.read_text())["sources"]["model"]
    assert {"edited_meanwhile.py", "baselines/cvae.py"} <= recorded.keys()
    assert "baselines/cgan.py" not in recorded
