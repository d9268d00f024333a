"""Whether people with and without full color vision can tell the variants apart."""

import itertools

import numpy as np
import pytest
from matplotlib.colors import to_rgb

from bench.reporting.drawing.style import (
    COLORS,
    MARKERS,
    PALE,
    color,
    dashes,
    distinct_places,
    legend_below,
    marker,
)

# Machado, Oliveira & Fernandes (2009), severity 1, for linear RGB
SIGHT = {
    "full": np.eye(3),
    "protanopia": np.array(
        [
            [0.152286, 1.052583, -0.204868],
            [0.114503, 0.786281, 0.099216],
            [-0.003882, -0.048116, 1.051998],
        ]
    ),
    "deuteranopia": np.array(
        [
            [0.367322, 0.860646, -0.227968],
            [0.280085, 0.672501, 0.047413],
            [-0.011820, 0.042940, 0.968881],
        ]
    ),
}
TO_XYZ = np.array([[0.4124, 0.3576, 0.1805], [0.2126, 0.7152, 0.0722], [0.0193, 0.1192, 0.9505]])


def linear(name):
    rgb = np.array(to_rgb(name))
    return np.where(rgb <= 0.04045, rgb / 12.92, ((rgb + 0.055) / 1.055) ** 2.4)


def lab(rgb):
    xyz = TO_XYZ @ np.clip(rgb, 0, 1) / np.array([0.9505, 1.0, 1.089])
    f = np.where(xyz > 0.008856, np.cbrt(xyz), 7.787 * xyz + 16 / 116)
    return np.array([116 * f[1] - 16, 500 * (f[0] - f[1]), 200 * (f[1] - f[2])])


@pytest.mark.parametrize("sight", SIGHT)
def test_colors_differ_for_everyone(sight):
    seen = [lab(SIGHT[sight] @ linear(name)) for name in (*COLORS, PALE)]
    nearest = min(np.linalg.norm(a - b) for a, b in itertools.combinations(seen, 2))
    assert nearest > 10


@pytest.mark.parametrize("name", COLORS)
def test_colors_stand_out_from_white(name):
    luminance = (TO_XYZ @ linear(name))[1]
    assert 1.05 / (luminance + 0.05) > 2


def test_no_two_of_many_variants_look_alike():
    looks = [(color(place), marker(place)) for place in range(len(COLORS) * len(MARKERS))]
    assert len(set(looks)) == len(looks)
    lines = [(color(place), str(dashes(place))) for place in range(20)]
    assert len(set(lines)) == 20


@pytest.mark.parametrize("indices", [[3, 1, 0], [0, 1, 2, 4, 5, 6, 11], [11, 4, 18], [9, 2]])
def test_variants_drawn_together_share_no_color_while_there_are_others(indices):
    places = distinct_places(indices)
    assert len({color(place) for place in places}) == len(indices)
    kept = [index for index, place in zip(indices, places, strict=True) if index == place]
    assert {*kept} >= {index for index in indices if index < len(COLORS)}


def test_of_more_variants_than_colors_no_two_look_alike():
    places = distinct_places([0, 7, 8, *range(14, 28)])
    assert {color(place) for place in places} == {*COLORS}
    assert len({(color(place), marker(place), str(dashes(place))) for place in places}) == 17


def test_a_legend_is_as_wide_as_its_figure():
    assert legend_below(["cVAE"] * 8, 6)[0] == 4
    assert legend_below(["lr_livae, variances at 1e-2, likelihood 0.02"] * 8, 6)[0] == 2
    assert legend_below(["lr_livae, variances at 1e-2, likelihood 0.02"] * 8, 1)[0] == 1
    assert legend_below(["a"] * 10, 2, 10)[0] == 10
