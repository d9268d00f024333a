"""Titles of panels, however long names are."""

import pytest

from bench.reporting.figures.style import LARGE, SMALL, text_inches
from bench.reporting.figures.tiles import _fitted

LONG = "lr_livae, variances at 1e-2, likelihood 0.02"


def test_a_title_that_fits_stays_as_it_is():
    assert _fitted("cVAE", 1.2) == ("cVAE", LARGE)


@pytest.mark.parametrize("wide", [0.8, 1.2, 2.0, 4.0])
def test_a_title_never_reaches_into_the_next_panel(wide):
    title, size = _fitted(LONG, wide)
    assert text_inches(title, size) <= wide
    assert size in (LARGE, SMALL)
    head, cut, tail = title.partition("…")
    assert LONG.startswith(head)
    assert not cut or (LONG.endswith(tail) and tail)
