"""The sample set of a model: draw it, remark on what looks wrong, keep some of it."""

from collections.abc import Mapping
from pathlib import Path
from typing import Any

import numpy as np
import torch
from torch import Tensor

from bench.data.base import DIM, DataSet, DataSpec, to_bytes
from bench.errors import BenchError
from bench.metrics.base import SampleSet
from bench.record.files import write_npz
from bench.seeding import generator_for
from bench.spec.components import sampling_arguments
from bench.spec.places import place_of
from bench.spec.run_settings import Training
from bench.training.interface import ConditionalGenerator, as_given
from bench.training.trainer import build_model

SAMPLING_BATCH = 250  # part of the definition of the sample set: a batch has one random stream
SHOWN_PER_CLASS = 10


@torch.inference_mode()
def draw_samples(
    model: ConditionalGenerator,
    spec: DataSpec,
    per_class: int,
    seed: int,
    device: torch.device,
    sampling: Mapping[str, Any] = {},
) -> SampleSet:
    """Draw the sample set of a model in evaluation mode, ordered by class.

    Batch `b` draws from the stream `("samples", b)` of `seed`, that of the run, with the options
    `sampling` in place of the model's defaults. A `BenchError` says if samples do not have the
    shape or the range of the data.
    """
    options = sampling_arguments(type(model), sampling) if sampling else {}
    labels = torch.arange(spec.classes).repeat_interleave(per_class)
    batches = enumerate(torch.split(labels, SAMPLING_BATCH))
    x = torch.cat([_draw(model, spec, y, seed, index, device, options) for index, y in batches])
    return SampleSet(x, labels, spec)


def _draw(
    model: ConditionalGenerator,
    spec: DataSpec,
    y: Tensor,
    seed: int,
    batch: int,
    device: torch.device,
    options: Mapping[str, Any] = {},
) -> Tensor:
    """Draw one batch of samples, as they are stored."""
    generator = generator_for(seed, "samples", batch)
    x = model.sample(as_given(model, spec, y.to(device)), generator, **options)
    if list(x.shape) != (expected := [len(y), *spec.shape]) or not x.is_floating_point():
        raise BenchError(
            f"sample() returned {x.dtype} {list(x.shape)}, not float {expected} "
            f"({place_of(type(model), 'sample')})"
        )
    return to_bytes(x.float(), "the model's samples").cpu()


@torch.inference_mode()
def remark_before_training(training: Training, data: DataSet, device: torch.device) -> str | None:
    """Return what is wrong with a few samples of the model as it is initialized, or None."""
    model, y = build_model(training, data, device).eval(), torch.arange(min(data.spec.classes, 4))
    try:
        _draw(model, data.spec, y, training.seed, 0, device)
    except Exception as error:  # of the model's own code, which may need to be trained first
        return f"before its training, sampling fails ({error}); then measuring may fail, too"
    return None


def remark_on_range(samples: SampleSet, data: DataSet) -> str | None:
    """Return a remark on samples of another range than the real images: none is dark, or bright."""
    if not samples.spec.is_image:
        return None
    darkest, brightest = int(samples.x.min()), int(samples.x.max())
    real_darkest, real_brightest = int(data.train.x.min()), int(data.train.x.max())
    # Where everything has saturated at an end, it is another fault.
    if 128 <= darkest < 250 and real_darkest < DIM:
        return (
            f"no pixel of {len(samples.x)} samples is below {darkest / 127.5 - 1:.2f}, training "
            "images go down to -1: if they were made for [0, 1], x * 2 - 1 maps them to [-1, 1]"
        )
    if 0 < brightest < DIM <= real_brightest:
        return (
            f"no pixel of {len(samples.x)} samples is above {brightest}, training images go up to "
            f"{real_brightest}: samples of another range must be scaled to 0 to 255 first"
        )
    return None


def save_samples(samples: SampleSet, folder: Path, data: DataSet | None = None) -> None:
    """Keep at most 10 images of each class, or all points, in `samples.npz`; with `data` draw them.

    The file holds `x` (`[K, n, H, W, C]` uint8, or `[K, n, D]`) and the class `names`.
    """
    spec = samples.spec
    most = SHOWN_PER_CLASS if spec.is_image else len(samples.y)
    shown = min(samples.per_class, most)
    members = [torch.nonzero(samples.y == label).flatten()[:shown] for label in samples.labels]
    x = samples.x[torch.stack(members)]
    kept = (x.permute(0, 1, 3, 4, 2) if spec.is_image else x).numpy()
    names = [spec.class_names[label] if samples.labeled else "all" for label in samples.labels]
    write_npz(folder / "samples.npz", {"x": kept, "names": np.array(names)})
    if data is None:
        return
    from bench.reporting.drawing.grids import save_image_grid
    from bench.reporting.drawing.points import save_point_cloud

    picture = folder / "samples.png"
    if spec.is_image:
        save_image_grid({"": kept}, names, picture)
    else:
        labels = np.repeat(samples.labels, shown)
        save_point_cloud(kept.reshape(-1, *spec.shape), labels, data.test.x.numpy(), picture)
