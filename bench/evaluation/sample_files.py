"""Samples of a run as files: a folder of images for each class, or one `.npz` of either form."""

import json
import shlex
from collections.abc import Mapping
from contextlib import suppress
from pathlib import Path
from typing import Any, Literal

import numpy as np
import torch
from PIL import Image

from bench.data.files.image_tree import folder_names
from bench.errors import BenchError, SpecError
from bench.evaluation.trained_run import TrainedRun, open_run
from bench.metrics.base import SampleSet
from bench.metrics.images_by_class import sampled
from bench.process.worker import Worker
from bench.record.files import write_npz
from bench.record.run_folder import RunFolder, arriving
from bench.spec.components import complete_component

Format = Literal["png", "npz", "batch"]


def refuse_target(target: Path) -> None:
    """Refuse to write where something is already."""
    if target.is_file() or (target.is_dir() and any(target.iterdir())):
        raise SpecError("already exists and is not empty; name a new one", where=f"--to {target}")


def write_samples(
    path: Path,
    target: Path,
    worker: Worker,
    *,
    per_class: int | None = None,
    file_format: Format | None = None,
    sampling: str | None = None,
    snapshot: int | None = None,
    sample_seed: int | None = None,
) -> list[str]:
    """Write samples of the run in `path` to `target`, whole or not at all; return what to say.

    They are those that were measured, the first `per_class` of each class, unless another seed, a
    snapshot or other sampling options are asked for. More than were measured are another set.
    """
    run = open_run(path, worker)
    spec = run.context.data.spec
    measured = run.drawn_before()
    count = per_class or measured
    notes = []
    if count > measured:
        notes.append(
            f"note: {measured} of each class were measured; these {count} are another, larger set"
        )
    is_npz = target.suffix == ".npz" or not spec.is_image
    file_format = file_format or ("npz" if is_npz else "png")
    is_shown = spec.is_image and spec.shape[0] in (1, 3)
    if (file_format != "npz" and not is_shown) or (file_format == "png" and is_npz):
        what = "a target .npz" if is_shown else f"{spec.name}, of shape {spec.shape}"
        raise SpecError(
            f"is for gray or color images, not for {what}; use npz", where=f"--format {file_format}"
        )
    seed = run.training.seed if sample_seed is None else sample_seed
    options, weights = run.parse_sampling(sampling), _weights(run, snapshot)
    _, samples = run.draw(max(count, measured), seed, options, worker, weights)
    samples = _first_of_each_class(samples, count)
    if file_format in ("npz", "batch"):
        written = target if target.suffix == ".npz" else target / "samples.npz"
        write_npz(written, _batch(samples) if file_format == "batch" else _arrays(samples))
    else:
        written = target
        notes += _write_images(samples, target)
    data = _data_text(run.training.data)
    return [
        *notes,
        f"{len(samples.y)} samples, {count} of each of {spec.classes} classes, are in {written}",
        f"to measure them: bench evaluate {shlex.quote(str(written))} --data {shlex.quote(data)}",
    ]


def _data_text(data: Mapping[str, Any]) -> str:
    """Return a data set as `--data` takes it: its name, with the options where it has others."""
    with suppress(BenchError):  # some sets need options
        if data == complete_component("dataset", {"name": data["name"]}, ()):
            return str(data["name"])
    return json.dumps(data)


def _weights(run: TrainedRun, snapshot: int | None) -> Path | None:
    """Return the file of a snapshot; None for the last weights."""
    if snapshot in (None, run.training.iterations):
        return None
    folder = RunFolder(run.path)
    weights = folder.snapshot(snapshot or 0).model
    if not weights.exists():
        kept = {path.parent.name for path in folder.path.glob("snapshots/*/model.pt")}
        steps = sorted({*map(int, kept), run.training.iterations})
        known = ", ".join(map(str, steps))
        raise SpecError(
            f"no weights are kept of that iteration; known: {known}", where="--snapshot"
        )
    return weights


def _first_of_each_class(samples: SampleSet, count: int) -> SampleSet:
    """Return the first samples of each class of a set that is ordered by class."""
    spec = samples.spec
    kept = torch.arange(len(samples.y)).reshape(spec.classes, -1)[:, :count].flatten()
    return SampleSet(samples.x[kept], samples.y[kept], spec)


def _stored(samples: SampleSet) -> np.ndarray[Any, np.dtype[Any]]:
    """Return samples as arrays hold them, images with the channels last."""
    x = samples.x.permute(0, 2, 3, 1) if samples.spec.is_image else samples.x
    return np.ascontiguousarray(x.numpy())


def _arrays(samples: SampleSet) -> dict[str, Any]:
    """Return samples `x` and labels `y`, as `bench evaluate` reads them."""
    return {"x": _stored(samples), "y": samples.y.numpy()}


def _batch(samples: SampleSet) -> dict[str, Any]:
    """Return `arr_0` `uint8` `[N, H, W, 3]` and labels `arr_1`, as guided-diffusion reads them.

    Classes take turns: its Inception Score is that of parts of the file, one after the other, and
    would be 1 if each held one class.
    """
    order = sampled(samples).indices
    x = samples.x[order].permute(0, 2, 3, 1).expand(-1, -1, -1, 3)
    return {"arr_0": x.numpy(), "arr_1": samples.y[order].numpy()}


def _write_images(samples: SampleSet, target: Path) -> list[str]:
    """Write `CLASS/00000.png` below a folder; return what to say of the names."""
    spec, count = samples.spec, samples.per_class
    names = folder_names(spec.class_names)
    digits = max(5, len(str(count - 1)))
    x = np.split(_stored(samples), spec.classes)
    with arriving(target) as partial:
        for name, images in zip(names, x, strict=True):
            (partial / name).mkdir()
            for index, image in enumerate(images):
                file = partial / name / f"{index:0{digits}}.png"
                Image.fromarray(image[..., 0] if spec.shape[0] == 1 else image).save(file)
    if names == list(spec.class_names):
        return []
    return [f"note: folders are named by label, since not every class of {spec.name} can name one"]
