"""Pictures of what a trained model does with codes, as arrays (`bench.record.pictures`)."""

from collections.abc import Callable, Mapping, Sequence
from dataclasses import dataclass, replace
from functools import cached_property, partial
from itertools import pairwise
from pathlib import Path
from typing import Any

import numpy as np
import torch
from torch import Tensor

from bench.data.base import Split, to_bytes
from bench.errors import BenchError, NotApplicable
from bench.evaluation.nearest_pictures import nearest_pictures
from bench.evaluation.sampling import draw_samples
from bench.evaluation.trained_run import TrainedRun
from bench.evaluation.trained_weights import load_trained, refuse_other_data, trained_settings
from bench.metrics.base import Context, Metric, SampleSet
from bench.metrics.encoder_decoder import EncoderDecoder
from bench.metrics.images_by_class import ordered_by_content
from bench.metrics.inpainting import corrupt, fill_in, regions
from bench.metrics.swap import exchange
from bench.process.worker import Worker
from bench.record.files import write_npz
from bench.record.pictures import FILE
from bench.record.run_folder import RunFolder, read_config
from bench.seeding import generator_for
from bench.spec.components import construct
from bench.training.interface import Code, Infers, Switches

CLASSES = 10  # that are shown, the first ones
STEPS = 7  # images of a traversal; odd, so that one is in the middle
DIMENSIONS = 6  # of the irrelevant code that are shown
WALKED = 4  # attributes that are walked along, and by pairs of neighbors over planes
BEYOND = 5.0  # of a walk, past the means of both values, in standard deviations of their priors
SUBSPACES = 4  # labels whose part of the relevant code is shown as a plane, the first ones
MARGIN = 2.0  # of such a plane around the prior means, in standard deviations of their priors
REACH = 3.0  # of a single dimension to either side, in standard deviations of its prior

Array = np.ndarray[Any, np.dtype[Any]]


@dataclass(frozen=True)
class PictureInputs:
    """A model as encoder and decoder, and the test images that its pictures are made of."""

    coder: EncoderDecoder
    test: Split
    seed: int

    @cached_property
    def classes(self) -> Tensor:
        """The classes that are shown, `[N]`: the first 10 of which there are test images."""
        labels: Tensor = torch.unique(self.test.y)
        return labels[:CLASSES]

    @cached_property
    def originals(self) -> Split:
        """One test image of each class shown, the same for every run."""
        indices = []
        for label in self.classes.tolist():
            members = torch.nonzero(self.test.y == label).flatten()
            generator = generator_for(0, "pictures", label)
            indices.append(members[torch.randint(len(members), (), generator=generator)])
        return self.test.take(torch.stack(indices))

    @cached_property
    def codes(self) -> Code:
        """The codes of the originals."""
        return self.coder.encode(self.originals.x, self.originals.y)

    @cached_property
    def irrelevant(self) -> Tensor:
        """The irrelevant codes of the originals, `[N, D_u]`."""
        return _irrelevant(self.codes)

    @cached_property
    def every_prior(self) -> tuple[Tensor, Tensor] | None:
        """Means and standard deviations `[K, D_s]`; None where the label is the relevant code."""
        if not isinstance(self.coder.model, Infers):
            raise NotApplicable("the model says nothing of the priors of its codes")
        with torch.inference_mode():
            moments = self.coder.model.class_prior()
        return moments and (moments[0].float().cpu(), moments[1].float().cpu().sqrt())

    @property
    def prior(self) -> tuple[Tensor, Tensor] | None:
        """Means and standard deviations `[N, D_s]` of the classes that are shown, or None."""
        every = self.every_prior
        return every and (every[0][self.classes], every[1][self.classes])

    @property
    def class_prior(self) -> tuple[Tensor, Tensor]:
        """The prior of a model that has one."""
        if self.prior is None:
            raise NotApplicable("the label itself is the relevant code, so nothing in it can vary")
        return self.prior

    @property
    def fixed(self) -> Tensor:
        """The one irrelevant code that stays while relevant ones vary, `[1, 1, D_u]`."""
        return self.normal(1, self.irrelevant.shape[1], "fixed")[None]

    def normal(self, count: int, size: int, purpose: str) -> Tensor:
        """Return standard normal draws `[count, size]` of a stream of the run."""
        return torch.randn(count, size, generator=generator_for(self.seed, "pictures", purpose))

    def decoded(self, relevant: Tensor | None, irrelevant: Tensor, y: Tensor) -> Array:
        """Return the images `[R, T, H, W, C]` of codes, expanded to `[R, T, D]`."""
        steps = max(part.shape[1] for part in (relevant, irrelevant) if part is not None)
        shape = (len(y), steps)
        parts = (
            None if part is None else part.expand(*shape, part.shape[-1]).flatten(0, 1)
            for part in (relevant, irrelevant)
        )
        images = self.coder.decode(Code(*parts), y.repeat_interleave(steps))
        return _channels_last(images.reshape(*shape, *images.shape[1:]))


def make_pictures(
    context: Context,
    seed: int,
    further: Mapping[str, Callable[[], dict[str, Array]]] = {},
) -> dict[str, Array]:
    """Make all pictures of the model of a context; `missing` says why some cannot be made.

    `further` makes pictures that are not of codes, by name.
    """
    pictures: dict[str, Array] = {}
    missing: dict[str, str] = {}
    spec = context.data.spec
    try:
        if not spec.is_image:
            raise NotApplicable(f"{spec.name} are not images")
        inputs = PictureInputs(EncoderDecoder(context), context.data.test, seed)
    except NotApplicable as reason:
        missing = dict.fromkeys(PICTURES, str(reason))
    for name, make in PICTURES.items():
        try:
            pictures |= {} if name in missing else make(inputs)
        except NotApplicable as reason:
            missing[name] = str(reason)
    for name, make_further in further.items():
        try:
            pictures |= make_further()
        except NotApplicable as reason:
            missing[name] = str(reason)
    pictures["missing"] = np.array(list(missing.items()), dtype=str).reshape(-1, 2)
    return pictures


def save_pictures(
    context: Context,
    seed: int,
    folder: Path,
    metrics: Sequence[Metric],
    draw: Callable[[], SampleSet],
) -> None:
    """Make all pictures of a model, and keep them in the folder of its run.

    Of the samples that `draw` gives those like copies are shown, if memorization is measured.
    """
    nearest = partial(nearest_pictures, metrics, draw, context)
    write_npz(folder / FILE, make_pictures(context, seed, {"neighbors": nearest}))


def save_pictures_of(folder: Path, worker: Worker) -> None:
    """Make the pictures of the finished run in a folder from its weights, and keep them there."""
    run = RunFolder(folder)
    if not run.model.exists():
        raise BenchError(f"{folder} holds no weights (model.pt) to make pictures with")
    training = trained_settings(folder)
    context = worker.context_of(training.data)
    refuse_other_data(folder, context.data)
    with worker.computing(context.data.spec):
        model = load_trained(training, context.data, run.model, worker.device)
        measured = read_config(folder).get("evaluation") or {}
        metrics = [construct("metric", component) for component in measured.get("metrics") or ()]
        count, spec = TrainedRun(folder, training, context).drawn_before(), context.data.spec
        draw = partial(draw_samples, model, spec, count, training.seed, worker.device)
        save_pictures(replace(context, model=model), training.seed, folder, metrics, draw)


def _originals(inputs: PictureInputs) -> dict[str, Array]:
    coder, originals = inputs.coder, inputs.originals
    return {
        "originals": _channels_last(originals.x),
        "names": np.array([coder.spec.class_names[label] for label in originals.y.tolist()]),
        "label_given": np.array(coder.needs_label),
    }


def _reconstruction(inputs: PictureInputs) -> dict[str, Array]:
    images = inputs.coder.decode(inputs.codes, inputs.originals.y)
    return {"reconstruction": _channels_last(images)}


def _swaps(inputs: PictureInputs) -> dict[str, Array]:
    count = len(inputs.irrelevant)
    a, b = torch.cartesian_prod(torch.arange(count), torch.arange(count)).T
    images = exchange(inputs.coder, inputs.codes, inputs.originals.y, a, b)
    return {"swaps": _channels_last(images.reshape(count, count, *images.shape[1:]))}


def _inpainting(inputs: PictureInputs) -> dict[str, Array]:
    x, y = inputs.originals.x, inputs.originals.y
    hidden = regions(inputs.originals)
    corrupted = [to_bytes(corrupt(x, r)) for r in hidden.values()]
    filled = [torch.where(r, fill_in(inputs.coder, x, y, r), x) for r in hidden.values()]
    return {
        "corrupted": _channels_last(torch.stack(corrupted)),
        "inpainting": _channels_last(torch.stack(filled)),
        "regions": np.array(list(hidden)),
    }


def _traverse_relevant(inputs: PictureInputs) -> dict[str, Array]:
    means, scales = inputs.class_prior
    path = _path(*inputs.normal(2, means.shape[1], "relevant"))
    codes = means[:, None] + scales[:, None] * path
    return {"traverse_relevant": inputs.decoded(codes, inputs.fixed, inputs.classes)}


def _traverse_classes(inputs: PictureInputs) -> dict[str, Array]:
    means, _ = inputs.class_prior
    pairs = zip(means, means.roll(-1, dims=0), strict=True)
    codes = torch.stack([_path(*pair) for pair in pairs])
    return {"traverse_classes": inputs.decoded(codes, inputs.fixed, inputs.classes)}


def _traverse_irrelevant(inputs: PictureInputs) -> dict[str, Array]:
    path = _path(*inputs.normal(2, inputs.irrelevant.shape[1], "irrelevant"))
    means = None if inputs.prior is None else inputs.prior[0][:, None]
    return {"traverse_irrelevant": inputs.decoded(means, path[None], inputs.classes)}


def _walks(inputs: PictureInputs) -> dict[str, Array]:
    spec = inputs.coder.spec
    if not spec.attributes:
        raise NotApplicable(f"images of {spec.name} have one label, no attributes")
    if not isinstance(inputs.coder.model, Switches):
        raise NotApplicable("the model has no part of its code for each attribute")
    columns = enumerate(zip(*spec.combinations, strict=True))
    shown = [index for index, values in columns if len(set(values)) == 2][:WALKED]
    pictures = {
        "walks": np.stack([_walk(inputs, index) for index in shown]),
        "walk_names": np.array([spec.attributes[index] for index in shown]),
        "walk_beyond": np.array(BEYOND),
    }
    if pairs := list(pairwise(shown)):
        pictures["walk_planes"] = np.stack([_walk(inputs, *pair) for pair in pairs])
        pictures["walk_pairs"] = np.array([[spec.attributes[i] for i in pair] for pair in pairs])
    return pictures


def _walk(inputs: PictureInputs, *attributes: int) -> Array:
    """Return images `[T, ..., H, W, C]`, an axis for each attribute, whose part of the code moves.

    It goes from beyond the mean of value 0 to beyond that of value 1. All else of the code stays
    that of the first original.
    """
    moments, relevant = inputs.every_prior, inputs.codes.relevant
    assert moments is not None
    assert relevant is not None
    combinations = torch.tensor(inputs.coder.spec.combinations)
    axes = [torch.linspace(0, 1, STEPS)] * len(attributes)
    shares = torch.stack([axis.flatten() for axis in torch.meshgrid(*axes, indexing="ij")])
    code = relevant[:1].repeat(shares.shape[1], 1)
    for attribute, share in zip(attributes, shares, strict=True):
        part = inputs.coder.part_of(inputs.codes, attribute)
        classes = [int((combinations[:, attribute] == value).nonzero()[0]) for value in (0, 1)]
        (off, on), (off_scale, on_scale) = (of[classes][:, part] for of in moments)
        outward = BEYOND * (on - off).sign()
        start, end = off - outward * off_scale, on + outward * on_scale
        code[:, part] = start + share[:, None] * (end - start)
    images = inputs.decoded(code[None], inputs.irrelevant[:1, None], inputs.classes[:1])
    return images.reshape(*([STEPS] * len(attributes)), *images.shape[2:])


def _subspaces(inputs: PictureInputs) -> dict[str, Array]:
    moments, relevant = inputs.every_prior, inputs.codes.relevant
    if moments is None or relevant is None:
        raise NotApplicable("the label itself is the relevant code, so nothing in it can vary")
    planes = {name: part for name, part in _parts(inputs).items() if len(part) == 2}
    if not planes:
        raise NotApplicable("no label has a part of two dimensions in the relevant code")
    names = list(planes)[:SUBSPACES]
    return {
        "subspaces": np.stack([_plane(inputs, relevant, moments, planes[name]) for name in names]),
        "subspace_names": np.array(names),
        "subspace_margin": np.array(MARGIN),
    }


def _parts(inputs: PictureInputs) -> dict[str, Tensor]:
    """Return the columns of the relevant code that belong to each attribute, or to the class."""
    coder, codes = inputs.coder, inputs.codes
    assert codes.relevant is not None
    if not coder.spec.attributes or not isinstance(coder.model, Switches):
        return {"class": torch.arange(codes.relevant.shape[1])}
    return {
        name: torch.nonzero(coder.part_of(codes, attribute)).flatten()
        for attribute, name in enumerate(coder.spec.attributes)
    }


def _plane(
    inputs: PictureInputs, relevant: Tensor, moments: tuple[Tensor, Tensor], part: Tensor
) -> Array:
    """Return images `[T, T, H, W, C]` of a plane of codes; all else is the first original's."""
    means, scales = (of[:, part] for of in moments)
    low, high = (means - MARGIN * scales).amin(dim=0), (means + MARGIN * scales).amax(dim=0)
    steps = torch.linspace(0, 1, STEPS)
    shares = torch.cartesian_prod(steps, steps)
    codes = relevant[:1].repeat(len(shares), 1)
    codes[:, part] = low + shares * (high - low)
    images = inputs.decoded(codes[None], inputs.irrelevant[:1, None], inputs.classes[:1])
    return images.reshape(STEPS, STEPS, *images.shape[2:])


def _dimensions(inputs: PictureInputs) -> dict[str, Array]:
    some = ordered_by_content(inputs.test, 1000)
    irrelevant = _irrelevant(inputs.coder.encode(some.x, some.y))
    spread = irrelevant.double().std(dim=0, correction=0)
    order = torch.argsort(spread, descending=True, stable=True)[:DIMENSIONS]
    values = torch.linspace(-REACH, REACH, STEPS)
    codes = torch.zeros(len(order), STEPS, irrelevant.shape[1])
    codes[torch.arange(len(order)), :, order] = values
    means = None if inputs.prior is None else inputs.prior[0][:1, None]
    return {
        "dimensions": inputs.decoded(means, codes, inputs.classes[:1].expand(len(order))),
        "dimensions_index": order.numpy(),
        "dimensions_spread": spread[order].numpy(),
        "dimensions_values": values.numpy(),
    }


PICTURES: Mapping[str, Callable[[PictureInputs], dict[str, Array]]] = {
    "originals": _originals,
    "reconstruction": _reconstruction,
    "swaps": _swaps,
    "inpainting": _inpainting,
    "traverse_relevant": _traverse_relevant,
    "traverse_classes": _traverse_classes,
    "traverse_irrelevant": _traverse_irrelevant,
    "dimensions": _dimensions,
    "walks": _walks,
    "subspaces": _subspaces,
}


def _irrelevant(code: Code) -> Tensor:
    if code.irrelevant is None:
        raise NotApplicable("the model has no irrelevant code")
    return code.irrelevant


def _path(start: Tensor, end: Tensor) -> Tensor:
    """Return codes on the straight line from one to another, `[T, D]`."""
    share = torch.linspace(0, 1, STEPS)[:, None]
    return (1 - share) * start + share * end


def _channels_last(images: Tensor) -> Array:
    return np.ascontiguousarray(images.movedim(-3, -1).numpy())
