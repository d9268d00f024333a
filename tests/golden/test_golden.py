"""The first iterations of every model are what they were."""

import json

import pytest

from bench import registry
from tests.golden import rewrite as module
from tests.golden.rewrite import (
    FOLDER,
    TOLERANCE,
    differing_terms,
    first_iterations,
    rewrite,
    stored_iterations,
)


@pytest.mark.parametrize("name", list(registry.BUILT_IN["model"]))
def test_first_iterations_are_what_they_were(name):
    stored = stored_iterations(name)
    assert stored is not None, f"no numbers of {name} are stored; `make golden MODELS={name}`"
    found = first_iterations(name)
    assert found.keys() == stored.keys()
    for term, values in stored.items():
        assert found[term] == pytest.approx(values, **TOLERANCE), term


def test_every_stored_file_is_that_of_a_model():
    assert {path.stem for path in FOLDER.glob("*.json")} <= set(registry.BUILT_IN["model"])


def test_only_files_whose_numbers_have_changed_are_rewritten(tmp_path, monkeypatch):
    now = {"main/kl": [1.0, 2.0], "main/rest": [3.0]}
    monkeypatch.setattr(module, "first_iterations", lambda name: now)
    texts = {
        "same": json.dumps({"main/kl": [1.0 + 1e-8, 2.0], "main/rest": [3.0]}),
        "moved": json.dumps(now | {"main/kl": [1.0, 2.1]}),
        "other": json.dumps({"main/kl": [1.0, 2.0], "gone": [3.0]}),
    }
    for name, text in texts.items():
        (tmp_path / f"{name}.json").write_text(text)
    lines = [*rewrite([*texts, "new"], tmp_path)]
    assert lines == [
        "same.json: unchanged",
        "moved.json: main/kl",
        "other.json: gone, main/rest",
        "new.json: main/kl, main/rest",
    ]
    assert (tmp_path / "same.json").read_text() == texts["same"]
    for name in ("moved", "other", "new"):
        assert stored_iterations(name, tmp_path) == now


def test_terms_that_only_one_side_has_differ():
    assert differing_terms({"a": [1.0], "b": [2.0]}, {"a": [1.0], "c": [3.0]}) == ["c", "b"]
    assert differing_terms({"a": [1.0]}, {"a": [1.0, 2.0]}) == ["a"]
