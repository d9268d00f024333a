"""What several tests start from, made once in a session and copied: making it is slow."""

import contextlib
import functools
import io
import os
import shutil
import sqlite3
import tempfile
from pathlib import Path

import numpy as np
import pytest
from PIL import Image

from bench.cli import main
from bench.record.records import load_records
from bench.trackers.mirrored_runs import mirrored_sweep
from bench.trackers.mlflow import MLflow
from tests.conftest import TINY
from tests.data_recorded import recorded

RUN = ("run", "tiny.yaml", "seeds=[0]", "--no-mlflow", "--device", "cpu")
METRICS = "base.metrics=[class_accuracy, inception_score]"


def _folder():
    """Make a folder below that of this session, where the data sets are too."""
    return Path(tempfile.mkdtemp(dir=Path(os.environ["BENCH_DATA"]).parent))


def _run(place, *words):
    with (
        contextlib.chdir(place),
        contextlib.redirect_stdout(io.StringIO()),
        contextlib.redirect_stderr(io.StringIO()),
        pytest.raises(SystemExit, match=r"^0$"),
    ):
        main(list(words))


@functools.cache
def _tiny_sweep():
    place = _folder()
    (place / "tiny.yaml").write_text(TINY)
    _run(place, *RUN, METRICS)
    return place / "results"


def copy_tiny_sweep(to):
    """Copy the results of the tiny sweep with its first seed and two metrics; return its folder."""
    shutil.copytree(_tiny_sweep(), to / "results", dirs_exist_ok=True)
    return to / "results" / "tiny"


def update(folder, tracker=MLflow, **options):
    """Mirror the sweep in a folder to a tracker."""
    sweep = mirrored_sweep(load_records(folder.parent, [folder.name]))
    return tracker(folder.parent, **options).update(sweep)


@functools.cache
def _mlflow_results():
    results = _folder() / "results"
    one = {"cvae": {0: {"inception_score": (recorded.IS, 7.0)}}}
    update(recorded.write_sweep(results, "other", one))
    return results


def copy_mlflow_database(results):
    """Copy a database of MLflow that holds nothing but the sweep `other`, with that sweep."""
    _copy_mirrored(_mlflow_results(), results)


def _copy_mirrored(source, results):
    """Copy results with their database, in which the pictures of the copy are its own."""
    shutil.copytree(source, results, dirs_exist_ok=True)
    with contextlib.closing(sqlite3.connect(results / "mlflow.db")) as database, database:
        for table, column in (("experiments", "artifact_location"), ("runs", "artifact_uri")):
            database.execute(
                f"UPDATE {table} SET {column} = replace({column}, ?, ?)",
                (source.resolve().as_uri(), results.resolve().as_uri()),
            )


@functools.cache
def _mirrored_results():
    results = _folder() / "results"
    copy_mlflow_database(results)
    update(recorded.write_sweep(results))
    return results


def copy_mirrored_sweep(results):
    """Copy a recorded sweep that MLflow is up to date with."""
    _copy_mirrored(_mirrored_results(), results)
    return results / "quickstart"


FACES = """\
name: faces
base:
  data: {name: folder, path: faces, image_size: 8, channels: 1, test_per_class: 2}
  model: {name: cvae, width: 0.25, latent: 4}
  iterations: 2
  batch_size: 4
  samples_per_class: 2
  metrics: [intra_class_diversity_native]
seeds: [0]
variants: {cvae: {}}
"""


def draw_faces(folder, seed=0):
    """Write a few random images in three class folders, in the place of any that are there."""
    pixels = np.random.default_rng(seed)
    for name in ("a", "b", "c"):
        (folder / name).mkdir(parents=True, exist_ok=True)
        for number in range(8):
            image = Image.fromarray(pixels.integers(0, 256, (8, 8), np.uint8))
            image.save(folder / name / f"{number}.png")


@functools.cache
def _faces_sweep():
    place = _folder()
    draw_faces(place / "faces")
    (place / "faces.yaml").write_text(FACES)
    _run(place, "run", "faces.yaml", "--no-mlflow", "--device", "cpu")
    return place


def copy_faces_sweep(to):
    """Copy a sweep on a folder of images with its first seed, the images, and its results."""
    shutil.copytree(_faces_sweep(), to, dirs_exist_ok=True)
    return to / "results" / "faces"
