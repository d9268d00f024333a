"""Sheets of images: the same pixels where they fit, fewer where they do not."""

import base64
import io

import numpy as np
import pytest
from PIL import Image

from bench.reporting.page.sheets import ImageSheet, fit_budget

DRAW = np.random.default_rng(0)


def noise(*shape):
    return DRAW.integers(0, 256, shape, dtype=np.uint8)


def pixels(sheet):
    with Image.open(io.BytesIO(base64.b64decode(sheet.png()))) as page:
        assert page.info.keys() <= {"transparency"}
        return np.asarray(page.convert("RGB"))


def size(sheets):
    return sum(len(sheet.png()) for sheet in sheets)


@pytest.mark.parametrize("channels", [1, 3])
def test_pixels_are_exact_where_they_fit(channels):
    images = noise(2, 3, 8, 8, channels)
    [sheet] = fit_budget([ImageSheet(images, cut=True)])
    page = pixels(sheet)
    assert not sheet.reduced
    assert page.shape == (16, 24, 3)
    assert (page[8:16, 16:24] == images[1, 2]).all()


def test_colors_are_reduced_before_anything_is_left_out():
    sheets = [ImageSheet(noise(4, 10, 16, 16, 3), cut=True) for _ in range(4)]
    whole = size(sheets)
    fitted = fit_budget(sheets, budget=whole // 2)
    assert all(sheet.reduced for sheet in fitted)
    assert [sheet.images.shape for sheet in fitted] == [(4, 10, 16, 16, 3)] * 4
    assert size(fitted) < whole / 2


def test_examples_are_left_out_where_colors_do_not_suffice():
    sheets = [ImageSheet(noise(4, 10, 16, 16, 1), cut=True) for _ in range(20)]
    whole = size(sheets)
    fitted = fit_budget(sheets, budget=whole // 3)
    assert {sheet.images.shape[:2] for sheet in fitted} == {(4, 3)}
    assert size(fitted) <= 1.1 * whole / 3
    assert (pixels(fitted[3])[:16, :16, :1] == sheets[3].images[0, 0]).all()


def test_a_series_loses_rows_and_never_steps():
    sheets = [ImageSheet(noise(9, 5, 16, 16, 1)) for _ in range(20)]
    fitted = fit_budget(sheets, budget=size(sheets) // 3)
    assert {sheet.images.shape[:2] for sheet in fitted} == {(2, 5)}


def test_one_image_is_always_left():
    [sheet] = fit_budget([ImageSheet(noise(2, 2, 8, 8, 1), cut=True)], budget=1)
    assert sheet.images.shape[:2] == (1, 1)
