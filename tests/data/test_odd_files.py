"""Folders as people have them: what is used, what is left out and told, what is refused."""

import os

import numpy as np
import pytest
from PIL import Image

from bench.data.files.image_files import decode_image
from bench.data.folders import Folder
from bench.errors import BenchError
from bench.spec.components import complete_component

RED, BLUE = (200, 0, 0), (0, 0, 200)


def draw(path, color=RED, mode="RGB", size=(8, 8), **options):
    path.parent.mkdir(parents=True, exist_ok=True)
    Image.new(mode, size, color).save(path, **options)


def fill(root, *classes, count=4):
    """Draw images for each class; the red of an image is its number, the blue its class."""
    for label, name in enumerate(classes):
        for index in range(count):
            draw(root / name / f"{index}.png", (index, 0, 20 * label))
    return root


@pytest.fixture
def root(tmp_path):
    return fill(tmp_path / "pets", "cats", "dogs")


def source(root, **options):
    return Folder(path=str(root), **{"image_size": 8, "test_per_class": 1, **options})


def counted(root, **options):
    data = source(root, **options).load()
    return sum(map(len, (data.train, data.validation, data.test)))


def test_numbers_are_classes_in_their_order(tmp_path):
    data = source(fill(tmp_path / "n", *map(str, range(12)))).load()
    assert data.spec.class_names == tuple(map(str, range(12)))
    assert data.train.x[:, 2, 0, 0].equal((20 * data.train.y).byte())


@pytest.mark.parametrize(
    ("names", "expected"),
    [
        (["10", "9", "02"], ["02", "9", "10"]),
        (["10", "9", "b2"], ["10", "9", "b2"]),
        (["class10", "class9"], ["class10", "class9"]),
    ],
)
def test_other_names_are_in_the_order_of_texts(tmp_path, names, expected):
    assert source(fill(tmp_path / "n", *names)).spec.class_names == tuple(expected)


def bits(array):
    return lambda path: Image.fromarray(array).save(path)


def color_16(path):
    """Write an RGB PNG of 16 bits a channel, which Pillow reads but does not write."""
    import struct
    import zlib

    def chunk(kind, content):
        body = kind + content
        return struct.pack(">I", len(content)) + body + struct.pack(">I", zlib.crc32(body))

    rows = b"".join(b"\0" + b"\1\2" * 24 for _ in range(8))
    head = struct.pack(">IIBBBBB", 8, 8, 16, 2, 0, 0, 0)
    parts = chunk(b"IHDR", head) + chunk(b"IDAT", zlib.compress(rows)) + chunk(b"IEND", b"")
    path.write_bytes(b"\x89PNG\r\n\x1a\n" + parts)


def animated(path):
    frames = [Image.new("RGB", (8, 8), color) for color in (RED, BLUE)]
    frames[0].save(path, save_all=True, append_images=frames[1:])


def with_a_transparent_color(path):
    image = Image.new("P", (8, 8), 1)
    image.putpalette([0, 0, 0, 9, 9, 9])
    image.save(path, transparency=1)


def truncated(path):
    Image.effect_noise((64, 64), 99).save(path)
    path.write_bytes(path.read_bytes()[:1500])


REFUSED = {
    "16 bits": ("b.png", bits(np.full((8, 8), 900, np.uint16)), "of mode I;16, 8-bit gray or RGB"),
    "16 bits a color": ("b.png", color_16, "of mode RGB with 16 bits"),
    "cmyk": ("b.jpg", lambda path: draw(path, 0, "CMYK"), "of mode CMYK"),
    "transparent": ("b.png", lambda path: draw(path, (9, 9, 9, 3), "RGBA"), "is transparent in pl"),
    "half gray": ("b.png", lambda path: draw(path, (9, 0), "LA"), "is transparent in places"),
    "palette": ("b.png", with_a_transparent_color, "is transparent in places"),
    "animated": ("b.webp", animated, "has 2 frames"),
    "animated png": ("b.png", animated, "has 2 frames"),
    "empty": ("b.png", lambda path: path.touch(), "not a readable image"),
    "truncated": ("b.png", truncated, "not a readable image"),
    "text": ("b.jpg", lambda path: path.write_text("<html>"), "not a readable image"),
    "pipe": ("b.png", os.mkfifo, "is not a regular file"),
    "dangling": ("b.png", lambda path: path.symlink_to("nothing"), "is a link to nothing"),
    "loop": ("b.png", lambda path: path.symlink_to(path.name), "is a link to nothing"),
}


@pytest.mark.parametrize("case", REFUSED)
def test_files_that_would_be_altered_or_cannot_be_read_are_named(root, data_folder, case):
    name, make, message = REFUSED[case]
    make(root / "cats" / name)
    with pytest.raises(BenchError, match=message) as caught:
        source(root).load()
    assert str(caught.value).startswith(str(root / "cats" / name))
    assert not list(data_folder.glob("*"))


def test_several_bad_files_are_named_at_once(root):
    for index in range(7):
        (root / "cats" / f"bad{index}.png").touch()
    with pytest.raises(BenchError) as caught:
        source(root).load()
    lines = str(caught.value).splitlines()
    assert [line.split(":")[0][-8:] for line in lines[:5]] == [f"bad{i}.png" for i in range(5)]
    assert lines[5:] == ["and 2 more files"]


def turned(path):
    image = Image.new("RGB", (8, 4), RED)
    exif = image.getexif()
    exif[0x0112] = 6  # a quarter turn
    image.paste(BLUE, (0, 0, 4, 4))
    image.save(path, exif=exif)


@pytest.mark.parametrize(
    ("name", "make"),
    [
        ("b.PNG", draw),
        ("b.JPEG", draw),
        ("b.png", lambda path: draw(path, 7, "L")),
        ("b.png", lambda path: draw(path, 1, "1")),
        ("b.png", lambda path: draw(path, 1, "P")),
        ("b.png", lambda path: draw(path, (9, 9, 9, 255), "RGBA")),
        ("b.png", lambda path: path.symlink_to("0.png")),
        ("b.png", lambda path: draw(path, size=(3, 90))),
    ],
)
def test_files_of_every_common_kind_are_read(root, name, make):
    make(root / "cats" / name)
    data = source(root)
    assert counted(root) == 9
    assert data.load().notices == ()
    assert data.describe_files()["files"] == 9


def test_photographs_are_turned_upright(tmp_path):
    turned(tmp_path / "a.png")
    image = decode_image(tmp_path / "a.png", 8, 3, "none")
    assert image[0].tolist() == [list(BLUE)] * 8
    assert image[-1].tolist() == [list(RED)] * 8


def test_transparent_images_are_laid_on_the_color_that_is_asked_for(root):
    draw(root / "cats" / "b.png", (0, 0, 0, 0), "RGBA")
    for color, level in (("white", 255), ("#102010", 16)):
        data = source(root, background=color, validation_fraction=0).load()
        red = [data.train.x[:, 0], data.test.x[:, 0]]
        assert max(int(part.max()) for part in red) == level


def test_options_that_came_later_leave_ids_as_they_were(root):
    given = {"name": "folder", "path": str(root)}
    assert not {"background", "nested"} & complete_component("dataset", given, ()).keys()
    named = complete_component("dataset", {**given, "background": "white"}, ())
    assert named["background"] == "white"


def in_folders(root):
    fill(root / "cats", "more")


LEFT_OUT = {
    "formats": (
        lambda root: [(root / "cats" / f"{i}.TIF").touch() for i in range(4)],
        "4 .tif files: cats/0.TIF, cats/1.TIF, cats/2.TIF and 1 more",
    ),
    "no suffix": (lambda root: (root / "cats" / "a").touch(), "1 nameless files: cats/a"),
    "in folders": (in_folders, "1 folders in classes (nested: true reads them): cats/more"),
    "folder like a file": (
        lambda root: (root / "cats" / "x.png").mkdir(),
        "1 folders in classes (nested: true reads them): cats/x.png",
    ),
    "class that is a link": (
        lambda root: (root / "birds").symlink_to("nothing"),
        "1 links to nothing: birds",
    ),
    "beside": (lambda root: draw(root / "a.png"), "1 images in no folder of a class: a.png"),
}


@pytest.mark.parametrize("case", LEFT_OUT)
def test_what_is_left_out_is_told(root, case):
    spoil, text = LEFT_OUT[case]
    spoil(root)
    [notice] = source(root).load().notices
    assert notice == f"{root}: left out {text}"
    assert counted(root) == 8


def test_what_systems_leave_is_no_notice(root):
    for name in (".DS_Store", "Thumbs.db", "desktop.ini", "._0.png"):
        (root / "cats" / name).touch()
    for name in (".git", "__MACOSX"):
        (root / name).mkdir()
    assert source(root).load().notices == ()


def test_nested_folders_are_read_if_asked_for(root):
    in_folders(root)
    assert counted(root, nested=True) == 12


def test_a_class_of_folders_alone_says_how_to_read_them(tmp_path):
    fill(tmp_path / "faces" / "anna", "face")
    fill(tmp_path / "faces", "berta")
    with pytest.raises(BenchError, match=r"anna holds no image .*nested: true reads them"):
        source(tmp_path / "faces").load()


@pytest.mark.parametrize("name", [b"caf\xe9", b"a\nb"], ids=["not utf-8", "new line"])
def test_class_names_that_cannot_be_printed_are_refused(root, name):
    os.mkdir(os.fsencode(root) + b"/" + name)
    with pytest.raises(BenchError, match="has no printable name; rename it"):
        _ = source(root).spec


@pytest.mark.parametrize(
    "names",
    [
        ("train", "test"),
        ("Train", "Test"),
        ("training", "testing"),
        ("training_set", "test_set"),
        ("seg_train", "seg_test"),
    ],
    ids="+".join,
)
def test_splits_are_found_by_their_names(tmp_path, names):
    for name, count in zip(names, (4, 2), strict=True):
        fill(tmp_path / "set" / name, "cats", "dogs", count=count)
    data = source(tmp_path / "set").load()
    assert data.spec.class_names == ("cats", "dogs")
    assert (len(data.train) + len(data.validation), len(data.test)) == (8, 4)


@pytest.mark.parametrize(
    ("names", "message"),
    [
        (("train", "val"), "holds the folders train, val, which are splits and not classes, but "),
        (("test", "Valid"), "no folder of train images; rename one to train"),
        (("train", "Train", "test"), "more than one folder of train images"),
    ],
    ids=lambda names: "+".join(names) if isinstance(names, tuple) else "",
)
def test_splits_that_do_not_fit_are_no_classes(tmp_path, names, message):
    for name in names:
        fill(tmp_path / "set" / name, "cats", "dogs")
    with pytest.raises(BenchError, match=message):
        _ = source(tmp_path / "set").spec


def test_a_class_may_be_called_train(tmp_path):
    assert source(fill(tmp_path / "v", "bus", "train")).spec.class_names == ("bus", "train")
    names = ("freight_train", "passenger_train")
    assert source(fill(tmp_path / "w", *names)).spec.class_names == names


def test_a_validation_folder_beside_the_others_is_told(tmp_path):
    for name in ("train", "test", "val"):
        fill(tmp_path / "set" / name, "cats", "dogs")
    [notice] = source(tmp_path / "set").load().notices
    assert notice.endswith("left out 1 folders beside those of the splits: val")


def test_one_folder_too_high_is_answered(tmp_path):
    fill(tmp_path / "archive" / "images", "cats", "dogs")
    with pytest.raises(BenchError, match=r"is it the folder .*archive/images that you mean\?"):
        _ = source(tmp_path / "archive").spec


def test_images_that_do_not_fit_into_memory_are_refused(root):
    with pytest.raises(BenchError, match=r"an array of \[8, 9000000, 9000000, 3\] takes .* GiB"):
        source(root, image_size=9_000_000).load()
