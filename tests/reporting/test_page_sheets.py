"""Sheets of images: the same pixels where they fit, fewer where they do not."""

import base64
import io

import numpy as np
import pytest
from PIL import Image

from bench.reporting.page.sheets import Sheet, pack

DRAW = np.random.default_rng(0)


def noise(*shape):
    return DRAW.integers(0, 256, shape, dtype=np.uint8)


def pixels(file):
    with Image.open(io.BytesIO(base64.b64decode(file))) as page:
        assert page.info.keys() <= {"transparency"}
        return np.asarray(page.convert("RGB"))


def size(packed):
    return sum(map(len, packed.files))


@pytest.mark.parametrize("channels", [1, 3])
def test_pixels_are_exact_where_they_fit(channels):
    images = noise(2, 3, 8, 8, channels)
    packed = pack([Sheet(images, cut=True)])
    page = pixels(packed.files[0])
    assert not packed.colors
    assert page.shape == (16, 24, 3)
    assert (page[8:16, 16:24] == images[1, 2]).all()


def test_colors_are_reduced_before_anything_is_left_out():
    sheets = [Sheet(noise(4, 10, 32, 32, 3), cut=True) for _ in range(4)]
    whole = size(pack(sheets))
    packed = pack(sheets, budget=whole // 2)
    assert packed.colors
    assert packed.sheets == tuple(sheets)
    assert size(packed) < whole / 2


def test_examples_are_left_out_where_colors_do_not_suffice():
    sheets = [Sheet(noise(4, 10, 16, 16, 1), cut=True) for _ in range(20)]
    whole = size(pack(sheets))
    packed = pack(sheets, budget=whole // 3)
    assert {sheet.images.shape[:2] for sheet in packed.sheets} == {(4, 3)}
    assert size(packed) <= 1.1 * whole / 3
    assert (pixels(packed.files[3])[:16, :16, :1] == sheets[3].images[0, 0]).all()


def test_a_series_loses_rows_and_never_steps():
    sheets = [Sheet(noise(9, 5, 16, 16, 1)) for _ in range(20)]
    packed = pack(sheets, budget=size(pack(sheets)) // 3)
    assert {sheet.images.shape[1] for sheet in packed.sheets} == {5}
    assert {sheet.images.shape[0] for sheet in packed.sheets} == {2}


def test_one_image_is_always_left():
    packed = pack([Sheet(noise(2, 2, 8, 8, 1), cut=True)], budget=1)
    assert packed.sheets[0].images.shape[:2] == (1, 1)


@pytest.mark.parametrize(
    "images", [np.zeros((2, 8, 8, 1), np.uint8), np.zeros((1, 2, 8, 8, 1), np.float32)]
)
def test_what_is_no_sheet_is_refused(images):
    with pytest.raises(ValueError, match=r"must be uint8 \[rows, columns, H, W, C\]"):
        Sheet(images)
