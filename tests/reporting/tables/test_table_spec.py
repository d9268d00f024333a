from pathlib import Path

import pytest

from bench import registry
from bench.errors import SpecError, UnknownName
from bench.record.quantities import COST, TIMINGS, registered_metrics
from bench.reporting.tables.table_spec import load_tables, pick_table

SHIPPED = Path(__file__).parents[3] / "sweeps" / "tables.yaml"
OF_ANY_IMAGES = ("folder", "npz", "huggingface", "webdataset")
"""Data sets that are called by the names of their files."""


def test_the_shipped_tables_hold_the_published_values_and_no_others():
    tables = load_tables(SHIPPED)
    assert list(tables) == [
        *("1", "2", "5", "6", "ablation", "calibration", "disentanglement"),
        *("switching", "toy", "swiss_roll", "summary", "cost"),
    ]
    assert tables["1"].published == tables["5"].published == {}
    assert any("could not be recovered" in note for note in tables["1"].notes)
    assert tables["2"].published == {
        "cvae_gan": {"facescrub": 0.0141, "cifar10": 0.0136},
        "lr_livae": {"facescrub": 0.0157, "cifar10": 0.0149},
    }
    assert tables["6"].published == {
        "cvae_gan": {"cub": 0.0195, "cifar100": 0.0179},
        "lr_livae": {"cub": 0.0192, "cifar100": 0.0190},
    }


def test_every_name_in_a_shipped_table_has_a_name_for_people():
    for spec in load_tables(SHIPPED).values():
        assert set(spec.models) <= set(spec.names.models)
        assert set(spec.published) <= set(spec.models)
        assert set(spec.data) <= set(spec.names.data)
        assert all(set(values) <= set(spec.data) for values in spec.published.values())


def test_every_metric_in_a_shipped_table_is_a_quantity():
    measured = {name for metric in registered_metrics().values() for name in metric.quantities}
    for spec in load_tables(SHIPPED).values():
        assert set(spec.metrics) <= {*measured, *COST, *TIMINGS}


def test_overrides_are_what_the_file_says_and_nothing_else(tmp_path):
    path = tmp_path / "tables.yaml"
    path.write_text("metrics: {fit: {title: Fit}, new: {decimals: 0}}\ntables: {1: {title: T}}")
    names = load_tables(path)["1"].names
    assert names.quantities == {"fit": {"title": "Fit"}, "new": {"decimals": 0}}


def test_a_table_may_have_a_reference_of_its_own(tmp_path):
    path = tmp_path / "tables.yaml"
    path.write_text("reference: mine\ntables: {1: {title: T}, 2: {title: U, reference: theirs}}")
    tables = load_tables(path)
    assert (tables["1"].reference, tables["2"].reference) == ("mine", "theirs")
    assert tables["summary"].reference == "mine"


def test_a_wrong_table_gets_the_names_that_exist():
    with pytest.raises(UnknownName, match=r"unknown table '3'.*known: 1, 2, 5, 6, ablation"):
        pick_table(load_tables(SHIPPED), "3")


@pytest.mark.parametrize(
    ("text", "message"),
    [
        ("tables: {1: {titel: T}}", r"tables\.yaml:1: tables\.1\.titel: unknown key .*'title'"),
        ("tables: {1: {title: T, rows: 3}}", r"tables\.1\.rows: unknown key 'rows'"),
        ("table: {}", r"table: unknown key 'table' \(did you mean 'tables'"),
        ("tables: [", r"tables\.yaml:1: is not valid YAML"),
        (
            "metrics: {a: {title: A, record: rows}}\ntables: {}",
            r"yaml:1: metrics\.a\.record: unk",
        ),
        ("metrics: {a: {title: A, scale: 0}}\ntables: {}", r"metrics\.a\.scale: must be > 0"),
        ("tables: {a/../../runs: {title: T}}", r"yaml:1: .*name of a table has letters, digits"),
        (
            "metrics: {a: {title: A, direction: up}}\ntables: {}",
            r"metrics\.a\.direction: expected",
        ),
        ("tables: {1: {title: T, published: {a: {b: 1}}}}", r"tables\.1\.published: .*exactly one"),
        (
            "tables: {1: {title: T, metrics: [m], published: {a: {b: x}}}}",
            r"published\.a\.b: exp",
        ),
    ],
)
def test_what_is_no_table_is_named_by_file_and_key(tmp_path, text, message):
    path = tmp_path / "tables.yaml"
    path.write_text(text)
    with pytest.raises(SpecError, match=message):
        load_tables(path)


def test_tables_here_are_laid_over_those_that_are_shipped(tmp_path, monkeypatch):
    monkeypatch.chdir(tmp_path)
    shipped = load_tables()
    (tmp_path / "sweeps").mkdir()
    own = "models: {mine: My model, cvae: CVAE}\ntables: {new: {title: N}, 2: {title: Second}}"
    (tmp_path / "sweeps" / "tables.yaml").write_text(own)
    tables = load_tables()
    assert [*tables] == ["new", "2", *(name for name in shipped if name != "2")]
    second = tables["2"]
    assert (second.title, second.metrics, second.published) == ("Second", (), {})
    assert tables["1"].metrics == shipped["1"].metrics
    titles = shipped["1"].names.models | {"mine": "My model", "cvae": "CVAE"}
    assert all(spec.names.models == titles for spec in tables.values())
    assert tables["new"].names.data == shipped["1"].names.data


@pytest.mark.parametrize("text", ["", "# none yet", "metrics: {fid: {decimals: 1}}"])
def test_a_file_here_need_not_have_tables(tmp_path, text):
    path = tmp_path / "tables.yaml"
    path.write_text(text)
    assert [*load_tables(path)] == [*load_tables(SHIPPED)]


def test_every_model_has_a_title():
    names = load_tables(SHIPPED)["summary"].names
    assert set(registry.BUILT_IN["model"]) <= set(names.models)
    assert set(registry.BUILT_IN["dataset"]) - {*OF_ANY_IMAGES} <= set(names.data)
