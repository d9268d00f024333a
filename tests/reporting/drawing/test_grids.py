import numpy as np
import pytest
from PIL import Image
from sklearn.datasets import load_digits

from bench.reporting.drawing.grids import save_image_grid
from bench.reporting.drawing.points import save_point_cloud

NAMES = [str(label) for label in range(10)]


@pytest.fixture(scope="module")
def digits():
    data = load_digits()
    images = np.round(data.images * 255 / 16).astype(np.uint8)[..., None]
    return np.stack([images[data.target == label][:4] for label in range(10)])


def pixels(path):
    with Image.open(path) as page:
        return np.asarray(page)


def test_pixels_are_enlarged_by_a_whole_number_and_not_smoothed(digits, tmp_path):
    save_image_grid({"": digits[3:4]}, ["three"], tmp_path / "grid.png")
    page = pixels(tmp_path / "grid.png")
    last = page[12 : 12 + 48, -12 - 48 : -12]
    assert (last == digits[3, 3].repeat(6, axis=0).repeat(6, axis=1)).all()


def test_large_color_images_keep_their_size(tmp_path):
    images = np.random.default_rng(0).integers(0, 256, (2, 3, 64, 64, 3), dtype=np.uint8)
    names = ["cat", "a name that does not fit before a row"]
    save_image_grid({"": images}, names, tmp_path / "g.png")
    page = pixels(tmp_path / "g.png")
    right = page[12 : 12 + 64, -12 - 64 : -12]
    assert (right == images[0, 2]).all()


def test_pictures_are_the_same_bytes_without_metadata(digits, tmp_path):
    for place in "ab":
        panels = {"real": digits, "lr_livae": digits[:, :2]}
        save_image_grid(panels, NAMES, tmp_path / f"{place}.png")
    assert (tmp_path / "a.png").read_bytes() == (tmp_path / "b.png").read_bytes()
    with Image.open(tmp_path / "a.png") as page:
        assert page.info == {}


def test_many_panels_continue_below(digits, tmp_path):
    for count in (2, 12):
        panels = {f"variant {number}": digits for number in range(count)}
        save_image_grid(panels, NAMES, tmp_path / f"{count}.png")
    few, many = (pixels(tmp_path / f"{count}.png").shape for count in (2, 12))
    assert many[1] <= 1850
    assert many[0] > few[0]


@pytest.mark.parametrize(
    ("images", "message"),
    [
        (np.zeros((2, 3, 8, 8, 1), dtype=np.float32), "must be uint8 .* got float32"),
        (np.zeros((3, 3, 8, 8, 1), dtype=np.uint8), "2 class names, but images of 3 classes"),
    ],
)
def test_other_arrays_than_images_of_the_classes_are_refused(tmp_path, images, message):
    with pytest.raises(ValueError, match=message):
        save_image_grid({"": images}, ["a", "b"], tmp_path / "grid.png")


@pytest.mark.parametrize("dimensions", [2, 3])
def test_point_clouds_are_the_same_bytes_and_count_what_lies_outside(tmp_path, dimensions):
    draw = np.random.default_rng(0)
    real = draw.normal(size=(90, dimensions)).astype(np.float32)
    labels = np.arange(90) % 3
    for place, shift in (("a", 0), ("b", 0), ("c", 100)):
        save_point_cloud(real * 0.5 + shift, labels, real, tmp_path / f"{place}.png")
    first, second, third = ((tmp_path / f"{place}.png").read_bytes() for place in "abc")
    assert first == second
    assert first != third
    assert pixels(tmp_path / "a.png").ndim == 3
