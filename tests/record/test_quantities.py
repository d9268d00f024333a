from dataclasses import asdict

import pytest

from bench.errors import BenchError
from bench.record import quantities
from bench.record.quantities import Quantities, Quantity, kind_of
from tests.data_recorded import recorded

FIT = Quantity("Fit", "lower", 2)


@pytest.fixture(autouse=True)
def no_metric_is_asked(monkeypatch):
    monkeypatch.setattr(quantities, "registered_metrics", dict)


def test_a_part_is_named_after_the_whole():
    known = Quantities({"fit": FIT})
    assert known["fit/left_arc"] == Quantity("Fit, left arc", "lower", 2)
    assert known["fitness"] == Quantity("fitness")
    assert Quantities({"fit": FIT, "fit/left": Quantity("Left")})["fit/left"].title == "Left"


def test_overrides_change_what_they_name_and_its_parts():
    known = Quantities({"fit": FIT}, {"fit": {"title": "FIT"}, "new": {"direction": "one"}})
    assert known["fit"] == Quantity("FIT", "lower", 2)
    assert known["fit/left"].title == "FIT, left"
    assert known["new"] == Quantity("new", "one")


def test_what_is_counted_and_timed_needs_no_description():
    assert Quantities()["parameters"].title == "Parameters (M)"
    assert [kind_of(name) for name in ("parameters", "train_seconds", "fid")] == [
        *("counted", "timed", "measured"),
    ]


def test_registered_metrics_are_asked_where_no_sweep_describes_a_name(monkeypatch):
    monkeypatch.setattr(quantities, "registered_metrics", recorded.registered_metrics)
    assert Quantities()["fid/within"].title == "Fréchet distance, within"
    assert Quantities({"fid": FIT})["fid"] == FIT
    assert Quantities()["prior_fit"] == Quantity("Prior fit")


def test_an_unknown_direction_is_refused():
    with pytest.raises(BenchError, match="unknown direction 'smaller' of 'Size'; known: higher, l"):
        Quantity("Size", "smaller")


def test_descriptions_of_later_versions_are_read():
    assert Quantity.of(asdict(FIT) | {"color": "red"}) == FIT


@pytest.mark.parametrize(
    ("quantity", "value", "expected"),
    [
        (Quantity("a", decimals=2), 0.125, "0.12"),
        (Quantity("a", decimals=1), -0.001, "0.0"),
        (Quantity("a"), 12345.6, "1.235e+04"),
        (Quantity("a", decimals=1, scale=100), 0.1234, "12.3"),
    ],
)
def test_values_are_printed_in_the_unit_of_the_title(quantity, value, expected):
    assert quantity.text(value) == expected
    assert quantity.text(abs(value), sign="+").startswith("+")
