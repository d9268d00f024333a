"""Images keep their pixels, and titles their panels."""

import numpy as np
import pytest

from bench.reporting.drawing.images import enlarge, tile
from bench.reporting.drawing.panels import Panel, fit, lay_out, wrap
from bench.reporting.drawing.style import DOUBLE, LARGE, SINGLE, SMALL, TALLEST, text_inches

LONG = "lr_livae, variances at 1e-2, likelihood 0.02"


def test_pixels_are_enlarged_by_a_whole_number():
    images = np.random.default_rng(0).integers(0, 256, (1, 2, 8, 8, 3), dtype=np.uint8)
    page = tile(enlarge(images, 96), 8)
    assert (page[:96, :96] == images[0, 0].repeat(12, axis=0).repeat(12, axis=1)).all()
    assert (page[:, 96:104] == 255).all()


@pytest.mark.parametrize(
    ("images", "got"),
    [
        (np.zeros((2, 3, 8, 8, 1), dtype=np.float32), "float32"),
        (np.zeros((2, 3, 1, 8, 8), dtype=np.uint8), r"uint8 \[2, 3, 1, 8, 8"),
        (np.zeros((2, 8, 8, 1), dtype=np.uint8), r"uint8 \[2, 8, 8, 1"),
    ],
)
def test_an_array_that_is_no_table_of_images_is_refused(images, got):
    with pytest.raises(ValueError, match=rf"must be uint8 \[rows, columns, H, W, C\] .*{got}"):
        tile(images)


def test_a_title_that_fits_stays_as_it_is():
    assert fit("cVAE", 1.2) == ("cVAE", LARGE)


@pytest.mark.parametrize("wide", [0.8, 1.2, 2.0, 4.0])
def test_a_title_never_reaches_into_the_next_panel(wide):
    title, size = fit(LONG, wide)
    assert text_inches(title, size) <= wide
    assert size in (LARGE, SMALL)
    head, cut, tail = title.partition("…")
    assert LONG.startswith(head)
    assert not cut or (LONG.endswith(tail) and tail)


@pytest.mark.parametrize(("count", "width"), [(1, SINGLE), (2, DOUBLE), (6, DOUBLE), (40, DOUBLE)])
def test_any_number_of_panels_fills_the_figure_and_stays_on_a_page(count, width):
    panel = Panel(np.zeros((7, 7, 8, 8, 1), dtype=np.uint8), "title", tuple("abcdefg"))
    figure = lay_out(wrap([panel] * count, 3))
    assert figure.get_figwidth() == width
    assert figure.get_figheight() <= TALLEST
    boxes = [axes.get_position() for axes in figure.axes]
    assert 0 < min(box.x0 for box in boxes) < max(box.x1 for box in boxes) < 1
    is_full = max(box.x1 for box in boxes) > 0.9
    assert is_full or figure.get_figheight() > 0.99 * TALLEST or count == 2
