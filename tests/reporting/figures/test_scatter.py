"""Points of a grid are joined, named once, and counted as one against the room for names."""

from types import SimpleNamespace

import pytest

from bench.reporting.figures.figure_data import FigureVariant
from bench.reporting.figures.scatter import scatter
from bench.reporting.statistics import Interval


def drawn(*names):
    variants = [FigureVariant(name, name, index, (), None) for index, name in enumerate(names)]
    data = SimpleNamespace(variants=variants, limit_variants=lambda shown, most: (shown, []))
    at = {name: Interval(float(index), None, 1) for index, name in enumerate(names)}
    return scatter(data, lambda v: at[v.name], lambda v: at[v.name], ("x", "y"))


def joined(figure):
    """Return what the lines between points join."""
    lines = figure.axes[0].lines
    return [list(line.get_xdata()) for line in lines if len(line.get_xdata()) > 1]


def names_in(figure):
    return [text.get_text() for text in figure.axes[0].texts]


def test_the_values_of_a_grid_are_joined_and_the_last_one_is_named():
    rows = ("a, p=0.1", "a, p=1", "a, p=0.1, moments", "a, p=1, moments", "b, p=0.1", "b, p=1", "c")
    figure, notes = drawn(*rows)
    assert joined(figure) == [[0, 1], [2, 3], [4, 5]]
    assert names_in(figure) == ["a", "a, moments", "b", "c"]
    assert notes == ["Lines join the values of p: 0.1, 1, the last one named."]
    colors = [container.lines[0].get_color() for container in figure.axes[0].containers]
    assert colors[0] == colors[1] != colors[2] == colors[3]


@pytest.mark.parametrize("rows", [("a, p=1", "b, p=2"), ("a, first", "a, second")])
def test_rows_that_are_no_grid_are_not_joined(rows):
    figure, notes = drawn(*rows)
    assert joined(figure) == notes == []
    assert names_in(figure) == list(rows)


def test_of_two_keys_the_last_one_makes_the_line():
    figure, _ = drawn("a, k=1, p=1", "a, k=1, p=2", "a, k=2, p=1", "a, k=2, p=2")
    assert joined(figure) == [[0, 1], [2, 3]]
    assert names_in(figure) == ["a, k=1", "a, k=2"]
