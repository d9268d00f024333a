import os

import numpy as np
import pytest
from PIL import Image

from bench.data import folders
from bench.data.files.image_files import decode_image
from bench.data.files.image_tables import read_boxes
from bench.data.folders import Folder
from bench.errors import BenchError, DataMissing, SpecError


def draw(path, color, size=(12, 10)):
    path.parent.mkdir(parents=True, exist_ok=True)
    Image.new("RGB", size, color).save(path)


@pytest.fixture
def root(tmp_path):
    """Two classes of six images: `cats` are red, `dogs` are blue."""
    for index in range(6):
        draw(tmp_path / "pets" / "cats" / f"{index}.png", (200 + index, 0, 0))
        draw(tmp_path / "pets" / "dogs" / f"{index}.png", (0, 0, 200 + index))
    (tmp_path / "pets" / ".hidden").mkdir()
    (tmp_path / "pets" / "notes.txt").write_text("no image")
    (tmp_path / "pets" / "cats" / "notes.txt").write_text("no image")
    return tmp_path / "pets"


def source(root, **options):
    return Folder(path=str(root), **{"image_size": 4, "test_per_class": 2, **options})


def test_spec_reads_names_only(root, monkeypatch):
    monkeypatch.setattr(folders, "decode_images", None)
    spec = source(root).spec
    assert spec.name == "pets"
    assert spec.shape == (3, 4, 4)
    assert spec.class_names == ("cats", "dogs")


def test_images_are_decoded_and_split(root):
    data = source(root).load()
    assert data.train.x.shape == (2 * 3, 3, 4, 4)
    assert [len(s) for s in (data.train, data.validation, data.test)] == [6, 2, 4]
    red, _, blue = data.train.x.float().mean((2, 3)).unbind(1)
    assert (blue > red).long().equal(data.train.y)
    assert data.flip


def test_official_parts_are_kept(root, tmp_path):
    for index, name in enumerate(("cats", "dogs")):
        draw(tmp_path / "parts" / "test" / name / "a.jpg", (0, index * 200, 0))
    root.rename(tmp_path / "parts" / "train")
    data = source(tmp_path / "parts").load()
    assert len(data.train) + len(data.validation) == 12
    assert data.test.y.tolist() == [0, 1]
    assert data.test.x[:, 1].float().mean((1, 2)).tolist() == pytest.approx([0, 200], abs=3)


def test_second_load_reads_the_cache(root, data_folder, monkeypatch):
    first = source(root).load()
    assert len(list(data_folder.glob("folder-pets-*.npz"))) == 1
    monkeypatch.setattr(folders, "decode_images", None)
    assert source(root, split_seed=0).load().fingerprint == first.fingerprint


def test_a_folder_may_have_the_longest_name_that_there_is(root):
    assert source(root.rename(root.with_name("\u00e9" * 127))).load().spec.classes == 2


def test_changed_file_or_option_is_decoded_again(root, data_folder):
    source(root).load()
    os.utime(root / "cats" / "0.png", (1, 1))
    source(root).load()
    source(root, image_size=5).load()
    assert source(root, channels=1).load().train.x.shape[1:] == (1, 4, 4)
    assert len(list(data_folder.glob("*.npz"))) == 4


def test_other_images_of_equal_names_sizes_and_modification_times_are_decoded(root, tmp_path):
    def draw_all(folder, level):
        for name in ("cats", "dogs"):
            for index in range(6):
                path = folder / name / f"{index}.bmp"
                draw(path, (level, index, 0))
                os.utime(path, (1, 1))

    draw_all(tmp_path / "a" / "faces", 1)
    draw_all(tmp_path / "b" / "faces", 2)
    sources = source(tmp_path / "a" / "faces"), source(tmp_path / "b" / "faces")
    first, other = (part.load().fingerprint for part in sources)
    draw_all(tmp_path / "a" / "faces", 3)
    assert len({first, other, sources[0].load().fingerprint}) == 3


def test_corrupt_image_is_named(root, data_folder):
    bad = root / "dogs" / "3.png"
    bad.write_bytes(bad.read_bytes()[:45])
    with pytest.raises(BenchError, match="not a readable image") as caught:
        source(root).load()
    assert str(caught.value).startswith(str(bad))
    assert not list(data_folder.glob("*"))


def with_an_empty_class(root):
    (root / "birds").mkdir()
    return root


def with_a_test_part_of_one_class(root):
    parts = root.parent / "parts"
    draw(parts / "test" / "cats" / "a.png", 0)
    root.rename(parts / "train")
    return parts


@pytest.mark.parametrize(
    ("tree", "error", "message"),
    [
        (lambda root: root / "no", DataMissing, "there is no folder .*images are expected as"),
        (lambda root: root / "cats", DataMissing, "holds 0 class folders, at least 2 are needed"),
        (with_an_empty_class, DataMissing, r"birds holds no image \(.bmp, .jpeg"),
        (with_a_test_part_of_one_class, BenchError, "different classes; only one of them has dogs"),
    ],
    ids=["absent", "no classes", "empty class", "different classes"],
)
def test_trees_that_are_no_data_set_are_reported(root, tree, error, message):
    with pytest.raises(error, match=message):
        source(tree(root)).load()


def test_an_absent_folder_is_named_before_it_is_loaded(tmp_path):
    assert f"there is no folder {tmp_path / 'no'}" in source(tmp_path / "no").missing()


@pytest.mark.parametrize(
    ("options", "message"),
    [
        ({"crop": "boxes"}, "`crop: boxes` requires `boxes: FILE`"),
        ({"boxes": "b.csv"}, "and vice versa"),
    ],
)
def test_boxes_and_crop_go_together(root, options, message):
    with pytest.raises(SpecError, match=message):
        source(root, **options)


def halves(path):
    """A 20x10 image, black on the left and white on the right."""
    pixels = np.zeros((10, 20), np.uint8)
    pixels[:, 10:] = 255
    Image.fromarray(pixels).save(path)
    return path


@pytest.mark.parametrize(
    ("crop", "box", "left", "right"),
    [
        ("center", None, 0, 255),
        ("none", None, 0, 255),
        ("boxes", (0, 0, 10, 10), 0, 0),
        ("boxes", (10, 0, 10, 10), 255, 255),
        ("boxes", (15, -5, 100, 100), 255, 255),
    ],
)
def test_crops(tmp_path, crop, box, left, right):
    image = decode_image(halves(tmp_path / "a.png"), 10, 1, crop, box)
    assert image.shape == (10, 10, 1)
    assert image[:, :3].mean() == left
    assert image[:, -3:].mean() == right


def test_reduction_does_not_alias(tmp_path):
    pixels = np.indices((64, 64)).sum(0) % 2 * 255
    Image.fromarray(pixels.astype(np.uint8)).save(tmp_path / "checkers.png")
    image = decode_image(tmp_path / "checkers.png", 8, 1, "none")
    assert np.abs(image.astype(int) - 127).max() <= 12


def test_box_outside_the_image_is_named(tmp_path):
    with pytest.raises(BenchError, match=r"a.png: box \[30, 0, 5, 5\] is not inside the 20x10"):
        decode_image(halves(tmp_path / "a.png"), 4, 1, "boxes", (30, 0, 5, 5))


def left_halves_as_boxes(root):
    return [f"{p.relative_to(root).as_posix()},0,0,6,10" for p in sorted(root.glob("*/*.png"))]


@pytest.mark.parametrize("header", [["path,x,y,w,h"], []], ids=["header", "bare"])
def test_boxes_come_from_a_csv_file(root, tmp_path, header):
    file = tmp_path / "boxes.csv"
    file.write_text("\n".join([*header, *left_halves_as_boxes(root), ""]))
    data = source(root, crop="boxes", boxes=str(file)).load()
    assert len(data.train) == 6


def test_image_without_a_box_is_named(root, tmp_path):
    file = tmp_path / "boxes.csv"
    file.write_text("\n".join(left_halves_as_boxes(root)[:-1]))
    with pytest.raises(BenchError, match=r"boxes.csv: has no box for dogs/5.png"):
        source(root, crop="boxes", boxes=str(file)).load()


@pytest.mark.parametrize(
    ("line", "message"),
    [("a.png,1,2,3", "boxes.csv:2: expected 5 fields"), ("a.png,1,2,3,x", "must be numbers")],
)
def test_bad_line_of_boxes_is_named(tmp_path, line, message):
    (tmp_path / "boxes.csv").write_text(f"path,x,y,w,h\n{line}\n")
    with pytest.raises(BenchError, match=message):
        read_boxes(tmp_path / "boxes.csv")


def test_absent_boxes_are_reported(root, tmp_path):
    wanted = source(root, crop="boxes", boxes=str(tmp_path / "boxes.csv"))
    assert "there is no file" in wanted.missing()
    with pytest.raises(DataMissing, match="which the boxes are read from"):
        wanted.load()


def test_layout_of_cub_is_understood(tmp_path):
    cub = tmp_path / "CUB_200_2011"
    names = [f"{c}/{i}.jpg" for c in ("001.Albatross", "002.Auklet") for i in range(4)]
    for index, name in enumerate(names):
        path = cub / "images" / name
        path.parent.mkdir(parents=True, exist_ok=True)
        pixels = np.zeros((20, 30, 3), np.uint8)
        pixels[5:15, 5 + index : 15 + index] = 255
        Image.fromarray(pixels).save(path, quality=100, subsampling=0)
    boxes = [f"{i + 1} {6.0 + i} 6.0 8.0 8.0" for i in range(len(names))]
    (cub / "images.txt").write_text("\n".join(f"{i + 1} {n}" for i, n in enumerate(names)))
    (cub / "bounding_boxes.txt").write_text("\n".join(boxes))
    file = str(cub / "bounding_boxes.txt")
    data = source(cub / "images", crop="boxes", boxes=file, test_per_class=1).load()
    assert data.spec.name == "CUB_200_2011"
    assert data.spec.class_names == ("001.Albatross", "002.Auklet")
    assert data.train.x.min() > 240
