"""Images of another program, and how they are measured in a second."""

import json

from PIL import Image

from bench.data.blobs import Blobs

CLASSES = 3
SPEC = Blobs().spec
COLOR = Blobs(channels=3).spec
QUICK = ("--metric", "class_accuracy", "--device", "cpu")
ONE = ("--data", "blobs", *QUICK)


def images(per_class=4, seed=0, channels=1):
    """Return real-looking images and labels, as another program would make them."""
    data = Blobs(split_seed=seed, test_per_class=per_class, channels=channels).load()
    return data.test.x.permute(0, 2, 3, 1).numpy(), data.test.y.numpy()


def save(image, path, mode=None):
    path.parent.mkdir(parents=True, exist_ok=True)
    picture = Image.fromarray(image[..., 0] if image.shape[-1] == 1 else image)
    (picture.convert(mode) if mode else picture).save(path)


def values(text):
    entries = json.loads(text)["measurements"]
    return {(entry["metric"], entry["protocol"]): entry["value"] for entry in entries}


def arrays(**changes):
    x, y = images()
    return {"x": x[..., 0], "y": y} | changes
