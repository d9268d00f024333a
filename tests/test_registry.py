"""Name tables, and what happens when they are wrong."""

import pickle

import pytest

from bench import registry
from bench.errors import BenchError, UnknownName
from bench.record.quantities import registered_metrics
from bench.spec.components import SUPPLIED, options_schema


@pytest.fixture
def entry_point(monkeypatch):
    """Register one name in a group of entry points, as another package would."""

    def register(group, name):
        class Point:
            value, dist = "other:Thing", None

        Point.name = name
        groups = {group: [Point()]}
        monkeypatch.setattr(registry, "entry_points", lambda group: groups.get(group, []))
        registry.registered.cache_clear()

    yield register
    monkeypatch.undo()
    registry.registered.cache_clear()


@pytest.mark.parametrize("kind", list(registry.BUILT_IN))
def test_every_name_leads_to_a_class_with_annotated_options(kind):
    for name in registry.BUILT_IN[kind]:
        options_schema(registry.load(kind, name), SUPPLIED.get(kind, 0))


@pytest.mark.parametrize("name", list(registry.BUILT_IN["model"]))
def test_capabilities_are_those_that_the_class_declares(name):
    assert registry.model_capabilities()[name] == registry.load("model", name).capabilities


def test_an_unknown_capability_is_refused(monkeypatch):
    monkeypatch.setattr(registry.load("model", "cvae"), "capabilities", ("semisupervised",))
    with pytest.raises(
        BenchError, match=r"cvae: unknown capability 'semisupervised' \(did you mean 'semi-"
    ):
        registry.capabilities_of("cvae")
    assert "cvae" not in registry.model_capabilities()


def test_an_unknown_name_suggests_a_near_one():
    with pytest.raises(UnknownName, match=r"unknown model 'lrlivae' \(did you mean 'lr_livae'"):
        registry.load("model", "lrlivae")


def test_an_unknown_name_keeps_its_message_between_processes():
    error = UnknownName("model", "cvea", ["cvae"])
    assert str(pickle.loads(pickle.dumps(error))) == str(error)


@pytest.mark.parametrize(
    ("target", "message"),
    [
        ("no_such_module:Thing", "cannot be imported: No module named 'no_such_module'"),
        ("bench.registry:Thing", "cannot be imported: module 'bench.registry' has no attribute"),
        ("bench.registry:load", "is registered as bench.registry:load, which is not a subclass"),
        ("bench.metrics.base:Metric", "not a subclass of bench.training.interface.Condit"),
    ],
)
def test_a_broken_registration_is_named_and_costs_no_other_model(monkeypatch, target, message):
    table = {**registry.BUILT_IN["model"], "gone": registry.Registration(target, "")}
    monkeypatch.setattr(registry, "registered", lambda kind: table)
    with pytest.raises(BenchError, match=message):
        registry.load("model", "gone")
    assert registry.model_capabilities().keys() == registry.BUILT_IN["model"].keys()


def test_a_metric_is_registered_by_its_own_name(monkeypatch):
    kid = registry.BUILT_IN["metric"]["kid"]
    monkeypatch.setattr(registry, "registered", lambda kind: {"mine": kid})
    message = "the metric 'mine' is registered as .*KernelDistance, whose attribute `name` is 'kid'"
    with pytest.raises(BenchError, match=message):
        registry.load("metric", "mine")


def test_a_metric_that_cannot_be_imported_costs_no_report(monkeypatch):
    kid = registry.BUILT_IN["metric"]["kid"]
    table = {"bad": registry.Registration("bench.no_such_module:Bad", ""), "kid": kid}
    monkeypatch.setattr(registry, "registered", lambda kind: table)
    registered_metrics.cache_clear()
    assert registered_metrics().keys() == {"kid"}
    registered_metrics.cache_clear()


def test_a_name_that_is_taken_is_unusable_and_costs_no_other(entry_point):
    entry_point("bench.models", "cvae")
    with pytest.raises(BenchError, match="that name belongs to"):
        registry.load("model", "cvae")
    others = registry.BUILT_IN["model"].keys() - {"cvae"}
    assert registry.model_capabilities().keys() == others


FAULTY = {
    "raises": "raise RuntimeError('no license')",
    "leaves": "import sys; sys.exit(3)",
    "capable": (
        "from bench.training.interface import ConditionalGenerator\n"
        "class Thing(ConditionalGenerator):\n    capabilities = None\n"
    ),
}


def test_faulty_plug_ins_cost_only_their_own_names(bench, install):
    files = {f"faulty_{name}.py": text for name, text in FAULTY.items()}
    targets = {name: f"faulty_{name}:Thing" for name in FAULTY}
    install("faulty", files, {"bench.models": targets | {"odd": "faulty_raises"}})
    status, out, _ = bench("list", "models")
    assert status == 0
    told = dict(line.split(maxsplit=1) for line in out.splitlines())
    assert "semi-supervised" in told["lr_livae"]
    assert all(told[name].startswith("(not usable: ") for name in (*FAULTY, "odd"))
    assert "RuntimeError: no license" in told["raises"]
    for words in (("run", "tiny.yaml", "--dry-run"), ("check", "raises")):
        status, _, err = bench(*words)
        assert status == (2 if words[0] == "check" else 0), err
    assert "'raises' is registered as faulty_raises:Thing, which cannot be imported" in err


def test_options_without_annotation_are_refused():
    class Loose:
        def __init__(self, spec, width=1):
            pass

    with pytest.raises(BenchError, match="'width' needs a type annotation"):
        options_schema(Loose, 1)


def test_an_extra_that_is_absent_is_named_by_its_package():
    with pytest.raises(BenchError) as caught:
        registry.import_extra("not_there.part", "things", "the data set 'things'")
    needed = "the data set 'things' needs not_there: pip install 'bench-generators[things]'"
    assert str(caught.value) == needed
