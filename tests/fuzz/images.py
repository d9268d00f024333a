"""Generators of cases: folders of images and `.npz` files, as `bench data` reads them."""

import io
import json
import os
import struct
import zlib

import numpy as np
from PIL import Image

from tests.data.encoded import png, write_shard
from tests.fuzz.damage import DAMAGES
from tests.fuzz.harness import Case

MODES = ("1", "L", "LA", "P", "RGB", "RGBA", "CMYK", "YCbCr", "LAB", "HSV", "I", "I;16", "F")
SIZES = ((8, 8), (8, 8), (8, 8), (1, 1), (9, 5), (1, 300), (300, 2))
FORMATS = ("PNG", "PNG", "PNG", "JPEG", "GIF", "BMP", "TIFF", "WEBP", "ICO")
NAMES = (
    *("a", "b", "0", "1", "11", "-1", "1.5", "train", "test", "val", "Train", "valid", "images"),
    *(".hidden", " ", "a b", "ä", "a\u0308", "\u202eb", "\x1b[31m", "a\nb", "A", "a" * 200, "=1+1"),
    *(b"\xff".decode("utf-8", "surrogateescape"), "__MACOSX", "real", "None", "x.png", "😀"),
)
FILES = (
    "0.png",
    "1.PNG",
    "2.jpeg",
    "3.gif",
    "4.tif",
    "5",
    "6.png.txt",
    ".7.png",
    "Thumbs.db",
    "8.npz",
)
OPTIONS = {
    "image_size": (1, 0, -1, 10**9, 1e9, None, "x", [8]),
    "channels": (1, 2, 0, None, "gray"),
    "background": ("white", "#ff0000", "#12", 7, [1, 2, 3], ""),
    "nested": (True, True, "yes", None),
    "test_per_class": (0, 2, -1, 10**20, "half"),
    "validation_fraction": (0.5, 1, -1, "x"),
    "crop": ("center", "boxes", 3),
}


def picture(random):
    """Return the bytes of an image of any kind, sometimes with a claim that is not true."""
    mode, size = random.choice(MODES), random.choice(SIZES)
    image = Image.new("L", size, random.randrange(256))
    buffer = io.BytesIO()
    try:
        image.convert(mode).save(buffer, random.choice(FORMATS))
    except (OSError, ValueError, KeyError):  # a format without that mode
        image.save(buffer, "PNG")
    content = buffer.getvalue()
    kind = random.randrange(12)
    if kind == 0:
        return content[: random.randrange(len(content))]
    if kind == 1:  # a header that claims 10 gigapixels
        head = struct.pack(">IIBBBBB", 100_000, 100_000, 8, 0, 0, 0, 0)
        chunk = b"IHDR" + head
        return content[:8] + struct.pack(">I", 13) + chunk + struct.pack(">I", zlib.crc32(chunk))
    if kind == 2:
        index = random.randrange(len(content))
        return content[:index] + random.randbytes(4) + content[index + 4 :]
    return content


def data(random, usual, share):
    """Return the command for a data component, in JSON, with a share of the options made odd."""
    odd = {key: random.choice(OPTIONS[key]) for key in OPTIONS if random.random() < share}
    return Case(("data", json.dumps(usual | odd)))


def image_folder(random, folder):
    """A folder of images by class, with whatever lies around on disks."""
    root = folder / "x"
    usual = ["a", "b"] if random.random() < 0.7 else random.sample(NAMES, 3)
    for top in ("train", "test") if random.random() < 0.3 else (".",):
        for name in usual:
            (root / top / name).mkdir(parents=True, exist_ok=True)
            for number in range(3):
                content = io.BytesIO()
                Image.new("L", (8, 8), random.randrange(256)).save(content, "PNG")
                (root / top / name / f"{number}.png").write_bytes(content.getvalue())
    for _ in range(random.randrange(4)):
        folders = [path for path, _, _ in os.walk(root)]
        path = os.path.join(random.choice(folders), random.choice((*FILES, *NAMES)))
        add(random, path)
    usual = {"name": "folder", "path": "x", "image_size": 8, "channels": 3}
    return data(random, usual | {"test_per_class": 1, "validation_fraction": 0}, 0.05)


def add(random, path):
    """Put something at a path."""
    if os.path.lexists(path):
        return
    kind = random.randrange(8)
    if kind == 0:
        os.mkdir(path)
    elif kind == 1:
        os.mkfifo(path)
    elif kind == 2:
        os.symlink(random.choice(("nowhere", ".", "..", path)), path)
    elif kind == 3:
        with open(path, "wb") as file:
            file.write(random.randbytes(random.randrange(100)))
    else:
        with open(path, "wb") as file:
            file.write(picture(random))


ARRAYS = {
    "x_train": np.zeros((8, 8, 8), np.uint8),
    "y_train": np.arange(8) % 2,
    "x_test": np.ones((4, 8, 8), np.uint8),
    "y_test": np.arange(4) % 2,
}
ODD = (
    *(np.zeros((8, 8, 8)), np.full((8, 8, 8), 255.0), np.full((8, 8, 8), np.nan), np.zeros(8)),
    *(np.zeros((8, 3, 8, 8), np.uint8), np.zeros((8, 8, 8, 3), np.uint8), np.zeros((0, 8, 8))),
    *(np.zeros((8, 8, 8), ">u2"), np.zeros((8, 8, 8), np.float16), np.zeros((8, 8, 8), complex)),
    *(
        np.array("text"),
        np.array(["a", "b"] * 4),
        np.eye(8),
        np.arange(8) - 1,
        np.arange(8) * 10**9,
    ),
    *(np.arange(8) + 0.5, np.zeros((8, 1), int), np.zeros((), int), np.array([True, False] * 4)),
    *(np.asfortranarray(np.zeros((8, 8, 8), np.uint8)), np.zeros((2, 2, 2, 2, 2), np.uint8)),
)


LABELS = (
    0,
    1,
    -1,
    1.5,
    "a",
    "ä",
    "",
    " ",
    "a\nb",
    "\x1b[31m",
    "9" * 5000,
    "a" * 5000,
    None,
    [1],
    {},
)
KEYS = ("0", "1", "2", "a/0", "./3", "a.b", ".hidden", "__x__", "ä", "a b", "\x1b", "a" * 90)


def shards(random, folder):
    """A shard of WebDataset, with samples as other programs write them, or damaged."""
    path, files = folder / "x.tar", []
    kind = random.choice(("cls", "json"))
    for number in range(random.choice((0, 4, 8))):
        is_odd = random.random() < 0.15
        key = random.choice(KEYS) if is_odd else f"{number:03}"
        label = random.choice(LABELS) if is_odd else number % 2
        content = json.dumps({"label": label}) if kind == "json" else label
        content = '{"label":' * 9999 if is_odd and random.random() < 0.1 else content
        image = (f"{key}.{random.choice(('png', 'PNG', 'jpg', 'tif'))}", picture(random))
        sample = [image if is_odd else (f"{key}.png", png(number)), (f"{key}.{kind}", content)]
        files += random.sample(sample, random.randint(1, 2)) if is_odd else sample
    write_shard(path, files)
    if random.random() < 0.3:
        DAMAGES[random.choice(sorted(DAMAGES))](path, random)
    usual = {"name": "webdataset", "path": random.choice(("x.tar", "*.tar", "{x,x}.tar", "."))}
    usual |= {"attributes": ["label"]} if random.random() < 0.1 else {}
    return data(random, usual | {"image_size": 8, "test_per_class": 1}, 0.01)


def npz_file(random, folder):
    """An `.npz` file, with arrays as other programs write them, or damaged."""
    path, arrays = folder / "x.npz", dict(ARRAYS)
    for _ in range(random.randrange(3)):
        name = random.choice((*ARRAYS, "x", "X_train", "labels", "attributes", "class_names"))
        if random.random() < 0.3:
            arrays.pop(name, None)
        else:
            arrays[name] = random.choice(ODD)
    np.savez(path, **arrays)
    if random.random() < 0.4:
        DAMAGES[random.choice(sorted(DAMAGES))](path, random)
    return data(random, {"name": "npz", "path": "x.npz"}, 0.01)
