"""The same small images as a folder, as WebDataset shards, and in the formats of Hugging Face."""

import io
import json
import tarfile

import numpy as np
from PIL import Image

CLASSES = ("cats", "dogs", "emus")


def png(color, size=(9, 8), mode="RGB"):
    file = io.BytesIO()
    Image.new(mode, size, color).save(file, "PNG")
    return file.getvalue()


def examples(classes=CLASSES, count=6, seed=0):
    """Return names and images by class: noise of unequal sizes, in the order of a folder."""
    rng = np.random.default_rng(seed)
    found = {}
    for name in classes:
        for index in range(count):
            image = Image.fromarray(rng.integers(0, 256, (8 + index, 9, 3), np.uint8))
            file = io.BytesIO()
            image.save(file, "PNG")
            found[f"{name}/{index}.png"] = file.getvalue()
    return found


def write_folder(root, contents):
    for name, content in contents.items():
        (root / name).parent.mkdir(parents=True, exist_ok=True)
        (root / name).write_bytes(content)
    return root


def write_shard(path, files):
    """Write a tar file of names and contents; a mapping becomes JSON, other values text."""
    path.parent.mkdir(parents=True, exist_ok=True)
    with tarfile.open(path, "w", format=tarfile.USTAR_FORMAT) as tar:
        for name, content in files:
            if isinstance(content, dict):
                content = json.dumps(content)
            data = content if isinstance(content, bytes) else str(content).encode()
            member = tarfile.TarInfo(name)
            member.size = len(data)
            tar.addfile(member, io.BytesIO(data))
    return path
