"""Name tables, and what happens when they are wrong."""

import pytest

from bench import registry
from bench.errors import BenchError, UnknownName


@pytest.mark.parametrize("kind", ["model", "dataset", "metric"])
def test_every_name_leads_to_a_class_with_annotated_options(kind):
    for name in registry.TABLES[kind]:
        factory = registry.load(kind, name)
        registry.options_schema(factory, 1 if kind == "model" else 0)


@pytest.mark.parametrize("name", list(registry.TABLES["model"]))
def test_the_list_says_what_a_model_can_do(name):
    factory, can = registry.load("model", name), registry.TABLES["model"][name].can
    assert can == factory.capabilities
    assert ("encode" in can) == hasattr(factory, "encode") == hasattr(factory, "decode")
    assert ("classify" in can) == hasattr(factory, "class_logits")


def test_an_unknown_name_suggests_a_near_one():
    with pytest.raises(UnknownName, match=r"unknown model 'lrlivae' \(did you mean 'lr_livae'"):
        registry.load("model", "lrlivae")


def test_a_broken_entry_says_what_cannot_be_imported(monkeypatch):
    table = {"gone": registry.Entry("no_such_module:Thing", "")}
    monkeypatch.setattr(registry, "entries", lambda kind: table)
    with pytest.raises(BenchError, match="no_such_module"):
        registry.load("model", "gone")


def test_a_taken_name_is_refused(monkeypatch):
    class Point:
        name, value, dist = "cvae", "other:Thing", None

    monkeypatch.setattr(registry, "entry_points", lambda group: [Point()])
    registry.entries.cache_clear()
    with pytest.raises(BenchError, match="that name belongs to"):
        registry.entries("model")
    monkeypatch.undo()
    registry.entries.cache_clear()


def test_options_without_annotation_are_refused():
    class Loose:
        def __init__(self, spec, width=1):
            pass

    with pytest.raises(BenchError, match="'width' needs a type annotation"):
        registry.options_schema(Loose, 1)
