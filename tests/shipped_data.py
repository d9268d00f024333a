"""Small data in the layouts that shipped sweeps expect, for whoever loads or runs all of them."""

from pathlib import Path

import numpy as np
import torch
from PIL import Image

from bench.data.files.landmarks import COLUMNS
from tests.metrics.networks import Pair

PER_CLASS = 14
SWEEPS = Path(__file__).parent.parent / "sweeps"
AFTER_PRETRAIN = ("unlabeled alone", "unlabeled and labeled", "labeled alone")


def overrides_for(path: Path) -> list[str]:
    """Return what lets a shipped sweep be read before the sweep that it starts from has run."""
    named = [f"variants.{name}.start_from=null" for name in AFTER_PRETRAIN]
    return named if path.stem == "finetune" else []


def make_shipped_data(folder: Path, classes: int = 3) -> None:
    """Make faces with landmarks, birds with boxes, and the file of a judge, in a folder."""
    rng = np.random.default_rng(0)
    points = ["path," + ",".join(COLUMNS)]
    names = [f"{c:03}/{index}.png" for c in range(classes) for index in range(PER_CLASS)]
    for name in names:
        face = rng.integers(0, 256, (72, 64, 3), np.uint8)
        _save(face, folder / "facescrub" / name)
        _save(face.swapaxes(0, 1), folder / "cub" / "images" / name)
        eyes = "20,30,44,30"
        points.append(f"{name},{eyes},32,{40 + rng.integers(9)},24,54,40,54")
    (folder / "landmarks.csv").write_text("\n".join(points))
    lines = [f"{number} {name}" for number, name in enumerate(names)]
    (folder / "cub" / "images.txt").write_text("\n".join(lines))
    boxes = [f"{number} 8.0 4.0 56.0 60.0" for number in range(len(names))]
    (folder / "cub" / "bounding_boxes.txt").write_text("\n".join(boxes))
    batch = torch.export.Dim("batch", min=1, max=1000)
    judge = torch.export.export(
        Pair(channels=3).eval(), (torch.zeros(2, 3, 160, 160),), dynamic_shapes=({0: batch},)
    )
    torch.export.save(judge, folder / "vggface2.pt2")


def _save(pixels: np.ndarray, path: Path) -> None:
    path.parent.mkdir(parents=True, exist_ok=True)
    Image.fromarray(pixels).save(path)
