import numpy as np
import pytest
import torch
from PIL import ExifTags, Image

from bench.data import folders
from bench.data.files.landmarks import COLUMNS
from bench.data.folders import Folder
from bench.data.npz import Npz
from bench.errors import BenchError, SpecError

NAMES = [f"{person}/{index}.png" for person in ("ann", "bob") for index in range(4)]
SIZE = (40, 30)


def points_of(index):
    """Return five points, others in each image, at centers of pixels."""
    x, y = 12 + index, 9 + index % 3
    return [(x, y), (x + 8, y), (x + 4, y + 4), (x + 1, y + 8), (x + 7, y + 8)]


def row(name, points):
    return ",".join([name, *(f"{value + 0.5}" for point in points for value in point)])


@pytest.fixture
def root(tmp_path):
    """Black images of two people, with a white dot at each landmark, and a file of these."""
    for index, name in enumerate(NAMES):
        pixels = np.zeros((SIZE[1], SIZE[0], 3), np.uint8)
        for x, y in points_of(index):
            pixels[y, x] = 255
        path = tmp_path / "faces" / name
        path.parent.mkdir(parents=True, exist_ok=True)
        Image.fromarray(pixels).save(path)
    rows = [row(name, points_of(index)) for index, name in enumerate(NAMES)]
    (tmp_path / "points.csv").write_text("\n".join(["path," + ",".join(COLUMNS), *rows]))
    (tmp_path / "boxes.csv").write_text("\n".join(f"{name},8,6,24,20" for name in NAMES))
    return tmp_path / "faces"


def source(root, **options):
    file = str(root.with_name("points.csv"))
    return Folder(
        path=str(root),
        **{"test_per_class": 1, "image_size": 120, "channels": 1, "landmarks": file, **options},
    )


def brightness_at_landmarks(split):
    x, y = split.landmarks.long().clamp(max=split.x.shape[-1] - 1).unbind(dim=2)
    return split.x[range(len(split)), 0, y.T, x.T]


CROPS = [
    {"crop": "none"},
    {"crop": "center"},
    {"crop": "boxes", "boxes": "boxes.csv"},
    {"crop": "boxes", "boxes": "boxes.csv", "margin": 0.1},
    {"crop": "boxes", "boxes": "boxes.csv", "margin": 2},
]


@pytest.mark.parametrize("crop", CROPS)
def test_landmarks_move_with_the_crop_the_resize_and_the_split(root, crop):
    if "boxes" in crop:
        crop = {**crop, "boxes": str(root.with_name(crop["boxes"]))}
    data = source(root, **crop).load()
    for split in (data.train, data.validation, data.test):
        assert brightness_at_landmarks(split).min() > 150
        assert split.x.float().mean() < 30


def test_a_margin_widens_the_box_and_ends_at_the_edge(root):
    boxes = str(root.with_name("boxes.csv"))
    exact, wide, whole = (
        source(root, crop="boxes", boxes=boxes, margin=margin).load().test.landmarks
        for margin in (0, 0.25, 10)
    )
    scale, offset = 24 / 36, 0.25 * 24 / 36 * 120
    torch.testing.assert_close(wide[..., 0], exact[..., 0] * scale + offset)
    assert whole.equal(source(root, crop="none").load().test.landmarks)


def test_landmarks_are_those_of_the_upright_image(root):
    turned = ExifTags.Base.Orientation
    for name in NAMES:
        image = Image.open(root / name).transpose(Image.Transpose.ROTATE_90)
        exif = Image.Exif()
        exif[turned] = 6  # to be turned by 270 degrees counterclockwise
        image.save(root / name, exif=exif)
    assert brightness_at_landmarks(source(root, crop="none").load().test).min() > 150


def test_they_are_kept_with_the_images_and_are_a_part_of_the_data(root, monkeypatch):
    first = source(root).load()
    plain = source(root, landmarks=None).load()
    assert plain.test.landmarks is None
    assert plain.test.x.equal(first.test.x)
    file = root.with_name("points.csv")
    file.write_text(file.read_text().replace("12.5,9.5", "12.0,9.5"))
    assert len({first.fingerprint, plain.fingerprint, source(root).load().fingerprint}) == 3
    monkeypatch.setattr(folders, "decode_images", None)
    assert source(root).load().train.landmarks.shape == (4, 5, 2)


def test_landmarks_that_the_crop_cuts_off_move_to_its_edge_and_are_told(root):
    boxes = root.with_name("boxes.csv")
    boxes.write_text("\n".join(f"{name},14,6,26,20" for name in NAMES))
    data = source(root, crop="boxes", boxes=str(boxes)).load()
    assert data.notices == (
        f"{root.with_name('points.csv')}: the crop ends at or before a landmark of 2 images",
    )
    assert data.train.landmarks.min() == 0


GOOD = row(NAMES[0], points_of(0))


@pytest.mark.parametrize(
    ("line", "message"),
    [
        (row("ann/9.png", points_of(0)), r"points.csv:9: there is no image .*/faces/ann/9.png"),
        (row("ann\\0.png", points_of(0)), r"points.csv:9: .*did you mean 'ann/0.png'\?"),
        ("", r"points.csv: has no landmarks for ann/0.png"),
        (f"{GOOD}\n{GOOD}", "points.csv:10: ann/0.png is also in line 9"),
        (GOOD.replace("12.5", "nan"), r"points.csv:9: .*must be numbers, not nan or inf; got"),
        (GOOD.replace("12.5", "-inf"), "points.csv:9: .*not nan or inf"),
        (GOOD.replace("12.5", "left"), "points.csv:9: .*must be numbers"),
        (GOOD.replace("12.5", "40.1"), r"9: left_eye \(40.1, 9.5\) is outside of the 40x30 image"),
        (GOOD.replace("17.5", "-1"), r"points.csv:9: mouth_left \(13.5, -1\) is outside"),
        (GOOD + ",1", "points.csv:9: expected 11 fields"),
        ("\0", "points.csv:9: expected 11 fields"),
        (b"\xff", "points.csv: not a table of landmarks in UTF-8"),
    ],
)
def test_files_that_are_wrong_are_reported_before_anything_is_decoded(
    root, line, message, monkeypatch
):
    monkeypatch.setattr(folders, "decode_images", None)
    file = root.with_name("points.csv")
    header, _, *rest = file.read_text().splitlines()
    line = line if isinstance(line, bytes) else line.encode()
    file.write_bytes("\n".join([header, *rest, ""]).encode() + line)
    with pytest.raises(BenchError, match=message) as caught:
        source(root).load()
    assert str(file) in str(caught.value)


def test_many_problems_are_counted(root):
    file = root.with_name("points.csv")
    file.write_text("")
    with pytest.raises(BenchError, match=r"for bob/0.png\nand 3 more lines"):
        source(root).load()


def test_rows_of_images_that_are_not_read_are_passed_over(root):
    (root / "ann" / "old").mkdir()
    (root / "ann" / "0.png").rename(root / "ann" / "old" / "0.png")
    file = root.with_name("points.csv")
    file.write_text(file.read_text().replace("ann/0.png", "ann/old/0.png"))
    data = source(root).load()
    assert len(data.train) + len(data.validation) + len(data.test) == len(NAMES) - 1


def test_columns_in_another_order_are_told(root):
    file = root.with_name("points.csv")
    header, *rest = file.read_text().splitlines()
    file.write_text("\n".join([header.replace("nose_x,nose_y", "nose_y,nose_x"), *rest]))
    with pytest.raises(BenchError, match=r"points.csv:1: columns are path, left_eye_x, .*; got"):
        source(root).load()


def test_a_margin_needs_boxes(root):
    with pytest.raises(SpecError, match="margin requires `crop: boxes`; crop is center"):
        source(root, margin=0.1)


def test_an_absent_file_is_told_before_anything_is_loaded(root):
    assert "which the landmarks are read from" in source(root, landmarks="no.csv").missing()


POINTS = np.full((12, 5, 2), 4.0)


@pytest.mark.parametrize(
    ("changed", "message"),
    [
        ({"landmarks_test": None}, "landmarks are needed for all images"),
        ({"landmarks_train": None}, "landmarks are needed for all images"),
        ({"landmarks_train": POINTS[1:]}, r"landmarks_train must be numbers \[12, 5, 2\]"),
        ({"landmarks_train": POINTS + 5}, r"has left_eye at \[9.0, 9.0\] in image 0, outside of"),
        ({"landmarks_train": POINTS * np.nan}, r"left_eye at \[nan, nan\] in image 0"),
        ({"landmarks_train": POINTS.astype(str)}, "must be numbers"),
        ({"landmarks_tset": POINTS, "landmarks_test": None}, "needed for all|is landmarks_test"),
    ],
)
def test_landmarks_in_an_npz_file_are_checked(tmp_path, arrays, changed, message):
    parts = arrays((8, 8), classes=2)._asdict()
    del parts["attributes"]
    parts |= {"landmarks_train": POINTS, "landmarks_test": POINTS[:4]}
    np.savez(tmp_path / "good.npz", **parts)
    data = Npz(path=str(tmp_path / "good.npz")).load()
    assert data.test.landmarks.shape == (4, 5, 2)
    bad = {name: value for name, value in (parts | changed).items() if value is not None}
    np.savez(tmp_path / "bad.npz", **bad)
    with pytest.raises(BenchError, match=message):
        Npz(path=str(tmp_path / "bad.npz")).load()
