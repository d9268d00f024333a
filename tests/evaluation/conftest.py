"""Images of another program, and a finished run."""

import json

import numpy as np
import pytest

from tests.evaluation.given import images, save
from tests.made_once import copy_tiny_sweep


@pytest.fixture
def theirs(here):
    """A folder with one sub-folder a class, and the same images as `theirs.npz`."""
    x, y = images()
    for number, (image, label) in enumerate(zip(x, y, strict=True)):
        save(image, here / "theirs" / str(label) / f"{number}.png")
    np.savez(here / "theirs.npz", x=x[..., 0], y=y)
    return here / "theirs"


@pytest.fixture
def run(here):
    """The folder of a run of cVAE."""
    sweep = copy_tiny_sweep(here)
    return sweep / json.loads((sweep / "sweep.json").read_text())["runs"][0]["id"]
