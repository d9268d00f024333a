"""What a trained model does with codes, as small arrays: for figures and pages, made once a run.

Everything is drawn from named streams of the run's seed, but for the real images, which are the
same for all runs on a data set. `bench.record.pictures` says what the arrays hold.
"""

import io
from collections.abc import Callable, Mapping
from dataclasses import dataclass
from functools import cached_property
from pathlib import Path
from typing import Any

import numpy as np
import torch
from torch import Tensor

from bench.data.base import DataSpec, Split, to_bytes
from bench.errors import BenchError, NotApplicable
from bench.evaluation.measuring import load_trained
from bench.evaluation.targets import refuse_other_data
from bench.metrics.base import Context
from bench.metrics.codes import Coder
from bench.metrics.comparison import chosen
from bench.metrics.inpainting import corrupt, fill_in, regions
from bench.metrics.swap import exchange
from bench.process.worker import Worker
from bench.record.files import read_json, write_atomically
from bench.record.pictures import FILE
from bench.record.run_folder import RunFolder
from bench.seeding import generator_for
from bench.spec.run_config import recorded_training
from bench.training.interface import Code, Infers

CLASSES = 10
"""Classes that are shown, the first ones."""

STEPS = 7
"""Images of a traversal; odd, so that one stands in the middle."""

DIMENSIONS = 6
"""Dimensions of the irrelevant code that are shown."""

REACH = 3.0
"""How far a single dimension goes to either side, in standard deviations of its prior."""

Array = np.ndarray[Any, np.dtype[Any]]


@dataclass(frozen=True)
class Scene:
    """A model, and the few real images that all of its pictures are made of.

    Attributes:
        coder: The model as encoder and decoder.
        test: The real test images.
        seed: Seed of the run.
    """

    coder: Coder
    test: Split
    seed: int

    @property
    def classes(self) -> Tensor:
        """The classes that are shown, `[K]`: the first ones of which there are test images."""
        labels: Tensor = torch.unique(self.test.y)
        return labels[:CLASSES]

    @cached_property
    def originals(self) -> Split:
        """One test image of each class shown, the same for every run."""
        rows = []
        for label in self.classes.tolist():
            members = torch.nonzero(self.test.y == label).flatten()
            generator = generator_for(0, "pictures", label)
            rows.append(members[torch.randint(len(members), (), generator=generator)])
        chosen_rows = torch.stack(rows)
        return Split(self.test.x[chosen_rows], self.test.y[chosen_rows])

    @cached_property
    def codes(self) -> Code:
        """The codes of the originals."""
        return self.coder.codes(*_pair(self.originals))

    @cached_property
    def prior(self) -> tuple[Tensor, Tensor] | None:
        """Means and standard deviations `[K, D_s]`; None where the label is the relevant code."""
        if not isinstance(self.coder.model, Infers):
            raise NotApplicable("the model says nothing of the priors of its codes")
        with torch.inference_mode():
            found = self.coder.model.class_prior()
        if found is None:
            return None
        means, variances = (part.float().cpu()[self.classes] for part in found)
        return means, variances.sqrt()

    @property
    def class_prior(self) -> tuple[Tensor, Tensor]:
        """The prior of a model that has one."""
        if self.prior is None:
            raise NotApplicable("the label itself is the relevant code, so nothing in it can vary")
        return self.prior

    def normal(self, rows: int, size: int, purpose: str) -> Tensor:
        """Return standard normal draws `[rows, size]` of a stream of the run."""
        generator = generator_for(self.seed, "pictures", purpose)
        return torch.randn(rows, size, generator=generator)

    @property
    def irrelevant(self) -> Tensor:
        """The irrelevant codes of the originals, `[N, D_u]`."""
        if self.codes.irrelevant is None:
            raise NotApplicable("the model has no irrelevant code")
        return self.codes.irrelevant

    def decoded(self, relevant: Tensor | None, irrelevant: Tensor, y: Tensor) -> Array:
        """Return the images of a table of codes.

        Args:
            relevant: `[R, T, D_s]`, or what can be expanded to it; None where there is none.
            irrelevant: `[R, T, D_u]`, or what can be expanded to it.
            y: Classes `[R]`.

        Returns:
            `uint8` `[R, T, H, W, C]`.
        """
        steps = max(part.shape[1] for part in (relevant, irrelevant) if part is not None)
        shape = (len(y), steps)
        parts = (
            None if part is None else part.expand(*shape, part.shape[-1]).flatten(0, 1)
            for part in (relevant, irrelevant)
        )
        images = self.coder.images(Code(*parts), y.repeat_interleave(steps))
        return _last(images.reshape(*shape, *images.shape[1:]))


def make_pictures(context: Context, seed: int) -> dict[str, Array]:
    """Make all pictures of a model.

    Args:
        context: The model, its data and its device.
        seed: Seed of the run.

    Returns:
        The arrays; `missing` says why those are not there that the model cannot make.
    """
    found: dict[str, Array] = {}
    missing: list[tuple[str, str]] = []
    for name, make in MAKERS.items():
        try:
            spec = context.data.spec
            if not spec.is_image:
                raise NotApplicable(f"{spec.name} are no images")
            found |= make(Scene(Coder(context), context.data.test, seed))
        except NotApplicable as reason:
            missing.append((name, str(reason)))
    found["missing"] = np.array(missing, dtype=str).reshape(-1, 2)
    return found


def keep_pictures(context: Context, seed: int, folder: Path) -> None:
    """Make all pictures of a model, and keep them in the folder of its run."""
    buffer = io.BytesIO()
    np.savez_compressed(buffer, allow_pickle=False, **make_pictures(context, seed))
    write_atomically(folder / FILE, buffer.getvalue())


def picture_run(folder: Path, worker: Worker) -> None:
    """Make the pictures of a finished run from its weights.

    Args:
        folder: Folder of the run.
        worker: Device and caches.

    Raises:
        BenchError: If there are no weights, or the data are not there or others than they were.
    """
    run = RunFolder(folder)
    if not run.model.exists():
        raise BenchError(f"{folder} holds no weights (model.pt) to make pictures with")
    training = recorded_training(read_json(folder / "config.json")["config"])
    context = worker.context_of(training.data)
    refuse_other_data(folder, context)
    with worker.computing(context.data.spec):
        model = load_trained(training, context.data, run.model, worker.device)
        whole = Context(context.data, context.device, context.cache, context.weights, model)
        keep_pictures(whole, training.seed, folder)


def _originals(scene: Scene) -> dict[str, Array]:
    names = _names(scene.coder.spec, scene.originals.y)
    is_given = np.array(scene.coder.encoder_needs_label or scene.coder.decoder_needs_label)
    return {"originals": _last(scene.originals.x), "names": names, "label_given": is_given}


def _reconstruction(scene: Scene) -> dict[str, Array]:
    return {"reconstruction": _last(scene.coder.images(scene.codes, scene.originals.y))}


def _swaps(scene: Scene) -> dict[str, Array]:
    count = len(scene.irrelevant)
    a, b = torch.cartesian_prod(torch.arange(count), torch.arange(count)).T
    images = exchange(scene.coder, scene.codes, scene.originals.y, a, b)
    return {"swaps": _last(images.reshape(count, count, *images.shape[1:]))}


def _inpainting(scene: Scene) -> dict[str, Array]:
    x, y = _pair(scene.originals)
    places = regions(*scene.coder.spec.shape[1:])
    corrupted = [to_bytes(corrupt(x, region)) for region in places.values()]
    filled = [
        torch.where(region, fill_in(scene.coder, x, y, region), x) for region in places.values()
    ]
    return {
        "corrupted": _last(torch.stack(corrupted)),
        "inpainting": _last(torch.stack(filled)),
        "regions": np.array(list(places)),
    }


def _traverse_relevant(scene: Scene) -> dict[str, Array]:
    means, scales = scene.class_prior
    path = _between(*scene.normal(2, means.shape[1], "relevant"))
    codes = means[:, None] + scales[:, None] * path
    return {"traverse_relevant": scene.decoded(codes, _fixed(scene), scene.classes)}


def _traverse_classes(scene: Scene) -> dict[str, Array]:
    means, _ = scene.class_prior
    pairs = zip(means, means.roll(-1, dims=0), strict=True)
    codes = torch.stack([_between(*pair) for pair in pairs])
    return {"traverse_classes": scene.decoded(codes, _fixed(scene), scene.classes)}


def _traverse_irrelevant(scene: Scene) -> dict[str, Array]:
    path = _between(*scene.normal(2, scene.irrelevant.shape[1], "irrelevant"))
    means = None if scene.prior is None else scene.prior[0][:, None]
    return {"traverse_irrelevant": scene.decoded(means, path[None], scene.classes)}


def _dimensions(scene: Scene) -> dict[str, Array]:
    found = scene.coder.codes(*_pair(chosen(scene.test, 1000))).irrelevant
    if found is None:
        raise NotApplicable("the model has no irrelevant code")
    spread = found.double().std(dim=0, correction=0)
    order = torch.argsort(spread, descending=True, stable=True)[:DIMENSIONS]
    values = torch.linspace(-REACH, REACH, STEPS)
    codes = torch.zeros(len(order), STEPS, found.shape[1])
    codes[torch.arange(len(order)), :, order] = values
    means = None if scene.prior is None else scene.prior[0][:1, None]
    return {
        "dimensions": scene.decoded(means, codes, scene.classes[:1].expand(len(order))),
        "dimensions_index": order.numpy(),
        "dimensions_spread": spread[order].numpy(),
        "dimensions_values": values.numpy(),
    }


MAKERS: Mapping[str, Callable[[Scene], dict[str, Array]]] = {
    "originals": _originals,
    "reconstruction": _reconstruction,
    "swaps": _swaps,
    "inpainting": _inpainting,
    "traverse_relevant": _traverse_relevant,
    "traverse_classes": _traverse_classes,
    "traverse_irrelevant": _traverse_irrelevant,
    "dimensions": _dimensions,
}
"""What is made, each by a function that says for itself if the model cannot."""


def _fixed(scene: Scene) -> Tensor:
    """Return the one irrelevant code that stays while relevant ones vary, `[1, 1, D_u]`."""
    return scene.normal(1, scene.irrelevant.shape[1], "fixed")[None]


def _between(start: Tensor, end: Tensor) -> Tensor:
    """Return codes on the straight line from one to another, `[T, D]`."""
    share = torch.linspace(0, 1, STEPS)[:, None]
    return (1 - share) * start + share * end


def _pair(split: Split) -> tuple[Tensor, Tensor]:
    return split.x, split.y


def _last(images: Tensor) -> Array:
    """Return images as an array with the channels last."""
    array: Array = images.movedim(-3, -1).contiguous().numpy()
    return array


def _names(spec: DataSpec, y: Tensor) -> Array:
    return np.array([spec.class_names[label] for label in y.tolist()])
