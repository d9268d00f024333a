"""Points of a grid are joined, named once, and counted as one against the room for names."""

import math
from pathlib import Path
from types import SimpleNamespace

import pytest
from matplotlib.backends.backend_agg import FigureCanvasAgg

from bench.record.records import load_records
from bench.reporting.drawing import style
from bench.reporting.figures.figure_data import FigureData, FigureVariant
from bench.reporting.figures.scatter import ScatterAxis, metric_axis, scatter
from bench.reporting.statistics import estimate

PUBLISHED = Path(__file__).parents[3] / "results" / "published"


def data_of(*names, chosen=()):
    """Return variants of these names, as far as a scatter needs them."""
    every = [FigureVariant(name, name, index, (), None) for index, name in enumerate(names)]
    return SimpleNamespace(
        all_variants=every,
        variants=[v for v in every if not chosen or v.name in chosen],
        limit_variants=lambda shown, most: (shown, []),
    )


def diagonal(title="x"):
    return ScatterAxis(title, lambda v: estimate([v.index]))


def drawn(*names, chosen=()):
    """Return the figure of variants on a diagonal, or of those chosen."""
    return scatter(data_of(*names, chosen=chosen), diagonal(), diagonal())[:2]


def boxes(figure):
    """Return the boxes of all names, markers and intervals, in pixels, from the renderer."""
    renderer = FigureCanvasAgg(figure).get_renderer()
    figure.draw(renderer)
    (axes,) = figure.axes
    names = {text.get_text(): text.get_window_extent(renderer) for text in axes.texts}
    markers = [container.lines[0].get_window_extent(renderer) for container in axes.containers]
    bars = [
        path.transformed(axes.transData).get_extents()
        for container in axes.containers
        for collection in container.lines[2]
        for path in collection.get_paths()
    ]
    return names, markers, bars


def overlap(a, b):
    return a.x0 < b.x1 and b.x0 < a.x1 and a.y0 < b.y1 and b.y0 < a.y1


@pytest.mark.parametrize(
    ("sweep", "metrics", "count"),
    [
        ("digits", ("intra_class_diversity", "inception_score"), 25),
        ("price", ("rate", "reconstruction_mse"), 4),
    ],
)
def test_no_name_lies_on_a_marker_an_interval_or_another_name(sweep, metrics, count):
    data = FigureData(load_records(PUBLISHED, [sweep]), "digits")
    with style.styled():
        figure, notes, _ = scatter(data, *(metric_axis(data, metric) for metric in metrics))
        names, markers, bars = boxes(figure)
    assert [name for name in names if name.endswith("[b]")] == ["ccvae [b]"] * (sweep == "price")
    assert len(names) == count
    assert not any("without a place" in note for note in notes)
    placed = list(names.items())
    for index, (name, box) in enumerate(placed):
        assert figure.bbox.fully_containsx(box.x0), name
        assert figure.bbox.fully_containsx(box.x1), name
        for other in [*(b for _, b in placed[:index]), *markers, *bars]:
            assert not overlap(box, other), name


def test_names_stand_near_their_markers():
    data = FigureData(load_records(PUBLISHED, ["longer"]), "digits")
    with style.styled():
        x, y = (metric_axis(data, name) for name in ("intra_class_diversity", "inception_score"))
        figure = scatter(data, x, y).figure
        names, markers, _ = boxes(figure)
    for (name, box), marker in zip(names.items(), markers, strict=True):
        beside = max(box.x0 - marker.x1, marker.x0 - box.x1, 0)
        above = max(box.y0 - marker.y1, marker.y0 - box.y1, 0)
        assert math.hypot(beside, above) < 0.4 * figure.dpi, name  # inches; most have 0.1


def test_names_that_find_no_place_are_in_the_caption():
    same = ScatterAxis("x", lambda v: estimate([0.0]))
    names = [f"one of many at one point, {index}" for index in range(30)]
    figure, notes, _ = scatter(data_of(*names), same, same)
    placed = names_in(figure)
    without = [name for name in names if name not in placed]
    assert placed
    assert notes[0] == f"Names without a place: {', '.join(without)}; --variant NAME chooses."


@pytest.mark.slow
def test_long_names_keep_their_ends_and_leave_room_for_the_others():
    figure, notes = drawn("a", "b", "wider than a page " * 12 + "kl=3")
    *others, long = names_in(figure)
    assert others == ["a", "b"]
    assert long.startswith("wider than a page")
    assert long.endswith("kl=3")
    assert "…" in long
    assert notes == []


def test_a_row_has_one_look_whatever_was_chosen():
    rows = ("a, p=1", "a, p=2", "b", "c")
    looks = [
        {c.lines[0].get_color() for c in drawn(*rows, chosen=chosen)[0].axes[0].containers}
        for chosen in ((), rows[:2], ("a, p=2",), ("c",))
    ]
    assert looks == [set(style.COLORS[:3]), {style.COLORS[0]}, {style.COLORS[0]}, {style.COLORS[2]}]


def test_a_figure_is_called_by_what_it_shows():
    x, y = diagonal("Rate (nats an image)"), diagonal("Accuracy, center (%) (≈ real)")
    assert scatter(data_of("a"), x, y).title == "Accuracy, center against Rate"


def joined(figure):
    """Return what the lines between points join."""
    lines = figure.axes[0].lines
    paths = [line.get_xdata() for line in lines if line.get_linestyle() == "-"]
    return [list(path) for path in paths if len(path) > 1]


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
