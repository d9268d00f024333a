"""A record with samples and pictures whose every image is known, as figures need it."""

import numpy as np

from bench.record.records import load_records
from bench.reporting.figures.figure_data import FigureData
from tests.data_recorded import recorded

SIDE, CLASSES, STEPS = 8, 3, 7
NAMES = np.array(["zero", "one", "two"])
ABLE = ("csvae", "lr_livae")


def marked(*shape, first=0):
    """Images whose pixels all have one value, another one for each."""
    count = int(np.prod(shape))
    values = ((first + np.arange(count) * 7) % 256).astype(np.uint8)
    return np.broadcast_to(values.reshape(*shape, 1, 1, 1), (*shape, SIDE, SIDE, 1)).copy()


ARRAYS = {
    "originals": marked(CLASSES),
    "names": NAMES,
    "label_given": np.array(False),
    "reconstruction": marked(CLASSES, first=3),
    "swaps": marked(CLASSES, CLASSES, first=1),
    "regions": np.array(["right_half", "bottom_half", "center"]),
    "corrupted": marked(3, CLASSES, first=2),
    "inpainting": marked(3, CLASSES, first=4),
    "traverse_relevant": marked(CLASSES, STEPS),
    "traverse_classes": marked(CLASSES, STEPS, first=1),
    "traverse_irrelevant": marked(CLASSES, STEPS, first=2),
    "dimensions": marked(4, STEPS),
    "dimensions_index": np.array([5, 2, 0, 1]),
    "dimensions_spread": np.array([0.9, 0.5, 0.1, 0.0]),
    "dimensions_values": np.linspace(-3, 3, STEPS),
    "walks": marked(3, STEPS, first=5),
    "walk_names": np.array(["odd", "large", "loop"]),
    "walk_planes": marked(2, STEPS, STEPS, first=6),
    "walk_pairs": np.array([["odd", "large"], ["large", "loop"]]),
    "walk_beyond": np.array(5.0),
    "neighbors": marked(3, 5, first=9),
    "neighbors_ratio": np.linspace(0, 2, 5),
    "subspaces": marked(3, STEPS, STEPS, first=8),
    "subspace_names": np.array(["odd", "large", "loop"]),
    "subspace_margin": np.array(2.0),
}


def write(results, variants=(*ABLE, "cgan"), *, points=False, seeds=3, dimensions=2):
    """Write a finished sweep of these variants, some seeds each; cGAN cannot encode."""
    measured = dict(list(recorded.QUICKSTART["cvae"].items())[:seeds])
    models = {name: name if name in (*ABLE, "cgan") else "lr_livae" for name in variants}
    data = "moons" if points else "digits"
    folder = recorded.write_sweep(
        results, "fig", dict.fromkeys(variants, measured), models=models, data=data
    )
    cloud = np.random.default_rng(0).normal(size=(CLASSES, 40, dimensions)).astype(np.float32)
    for run in load_records(results).runs:
        np.savez(run.path / "samples.npz", x=cloud if points else marked(CLASSES, 10), names=NAMES)
        if not run.is_control and not points:
            save_pictures(run.path, ARRAYS)
    if not points:
        cannot(results, "cgan", list(ARRAYS), "the model has no encoder")
    return folder


def save_pictures(folder, arrays, missing=()):
    table = np.array(list(missing), dtype=str).reshape(-1, 2)
    np.savez(folder / "pictures.npz", missing=table, **arrays)


def cannot(results, variant, names, reason):
    """Take arrays away from all runs of a variant."""
    for run in load_records(results).runs:
        if run.variant == variant:
            arrays = {name: array for name, array in ARRAYS.items() if name not in names}
            save_pictures(run.path, arrays, [(name, reason) for name in names])


def data_of(results, *variants, seed=None, metrics=()):
    records = load_records(results)
    return FigureData(records, records.runs[0].data, variants, seed, tuple(metrics))
