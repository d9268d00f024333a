"""A trained model as encoder and decoder of real images, and the base of metrics that use it.

Only models that fail to encode or decode without the label are given it. The protocol of every
measurement says whether it was given.
"""

import re
from abc import abstractmethod
from collections.abc import Callable
from dataclasses import dataclass, replace
from functools import cached_property
from typing import Any, ClassVar

import torch
from torch import Tensor

from bench.data.base import DataSpec, Split, load_data, to_bytes, to_float
from bench.errors import BenchError, NotApplicable
from bench.metrics.base import AtLeastOne, Context, Measurement, Metric, SampleSet
from bench.metrics.images_by_class import ordered_by_content
from bench.seeding import generator_for
from bench.spec.components import complete_component, construct, errors_at
from bench.spec.run_config import canonical_json
from bench.spec.run_settings import Component
from bench.training.interface import Code, ConditionalGenerator, Encodes, Infers, Switches, as_given

BATCH = 250
TRIED = 16  # images on which it is tried what depends on the label
TOLERANCE = 1e-5  # relative difference of codes below which the label made none

NO_MODEL = "only a model has codes"


class EncoderDecoder:
    """Encode images of a data set and decode codes, in batches, without gradients.

    A `NotApplicable` says if the context has no model, or the model has no encoder.
    """

    def __init__(self, context: Context) -> None:
        if context.model is None:
            raise NotApplicable(NO_MODEL)
        if not isinstance(context.model, Encodes):
            raise NotApplicable("the model has no encoder")
        self.model: Encodes = context.model
        self._generator: ConditionalGenerator = context.model
        self.spec: DataSpec = context.data.spec
        self._device = context.device
        x, y = context.data.test.x[:TRIED], context.data.test.y[:TRIED]
        self._tried = to_float(x).to(self._device), y

    @cached_property
    def encoder_needs_label(self) -> bool:
        """Whether the model cannot encode an image alone."""
        return not _works(lambda: self.model.encode(self._tried[0]))

    @cached_property
    def decoder_needs_label(self) -> bool:
        """Whether the model cannot decode a code alone."""
        return not _works(lambda: self.model.decode(self._encode(*self._tried)))

    @property
    def needs_label(self) -> bool:
        """Whether reconstructions are made with the label."""
        return self.encoder_needs_label or self.decoder_needs_label

    @property
    def label(self) -> str:
        """The part of protocols that is about the label."""
        return f"label={'given' if self.needs_label else 'none'}"

    def depends_on_label(self, part: str) -> bool:
        """Return whether a part of the code changes with the label, as `z` of CSVAE does not."""
        if not self.encoder_needs_label:
            return False
        x, y = self._tried
        other = (y + 1) % self.spec.classes
        a, b = (getattr(self._encode(x, labels), part) for labels in (y, other))
        return a is not None and bool((a - b).abs().max() > TOLERANCE * a.abs().max())

    @torch.inference_mode()
    def encode(self, x: Tensor, y: Tensor) -> Code:
        """Return the codes of images on the CPU, posterior means where the model has posteriors.

        Images `[N, C, H, W]` are `uint8`, or `float32` in `[-1, 1]`; `y` are their classes `[N]`.
        """
        pairs = zip(torch.split(x, BATCH), torch.split(y, BATCH), strict=True)
        return _joined([self._encode(*pair) for pair in pairs])

    @torch.inference_mode()
    def draw(self, x: Tensor, y: Tensor) -> Code:
        """Return a draw from the posterior of each image on the CPU; arguments as for `encode`."""
        assert isinstance(self.model, Infers)
        batches = [
            self.model.posterior(*self._inputs(*pair))
            for pair in zip(torch.split(x, BATCH), torch.split(y, BATCH), strict=True)
        ]
        mean, variance = (
            _joined([Code(*(part and part[i] for part in batch)) for batch in batches])
            for i in (0, 1)
        )
        generator = generator_for(0, "codes", "noise")
        return Code(
            *(  # all images at once, so that no batch size changes the noise
                None if m is None or v is None else torch.normal(m, v.sqrt(), generator=generator)
                for m, v in zip(mean, variance, strict=True)
            )
        )

    @torch.inference_mode()
    def switch(self, code: Code, attribute: int, values: Tensor) -> Code:
        """Return codes with other values `[N]`, 0 or 1, of one attribute, on the device."""
        assert isinstance(self.model, Switches)
        return self.model.switch(self._on_device(code), attribute, values.to(self._device))

    def transplant(self, code: Code, donor: Code, attribute: int) -> Code:
        """Return codes that have the part of one attribute from other codes of as many images."""
        assert code.relevant is not None
        assert donor.relevant is not None
        part = self.part_of(code, attribute)
        return Code(torch.where(part, donor.relevant, code.relevant), code.irrelevant)

    def part_of(self, code: Code, attribute: int) -> Tensor:
        """Return which coordinates of the relevant code `[D_s]` belong to one attribute.

        They are those that the model moves where it switches the attribute of any of the codes.
        """
        assert code.relevant is not None
        moved = [
            self.switch(code, attribute, torch.full((len(code.relevant),), value)).relevant
            for value in (0, 1)
        ]
        here = code.relevant
        return torch.stack([m.cpu() != here for m in moved if m is not None]).any(dim=(0, 1))

    @torch.inference_mode()
    def decode(self, code: Code, y: Tensor) -> Tensor:
        """Return the images of codes, `uint8` `[N, C, H, W]` on the CPU; `y` as for `encode`."""
        images = []
        for indices in torch.split(torch.arange(len(y)), BATCH):
            given = self._given(y[indices]) if self.decoder_needs_label else None
            x = self.model.decode(self._on_device(code, indices), given).float()
            images.append(to_bytes(x, "images that the model decoded from real codes").cpu())
        return torch.cat(images)

    @torch.inference_mode()
    def _encode(self, x: Tensor, y: Tensor) -> Code:
        return self.model.encode(*self._inputs(x, y))

    def _inputs(self, x: Tensor, y: Tensor) -> tuple[Tensor, Tensor | None]:
        """Return images, and labels if the encoder needs them, as it takes them."""
        given = self._given(y) if self.encoder_needs_label else None
        return to_float(x).to(self._device), given

    def _given(self, y: Tensor) -> Tensor:
        return as_given(self._generator, self.spec, y.to(self._device))

    def _on_device(self, code: Code, indices: Tensor | slice = slice(None)) -> Code:
        return Code(*(None if part is None else part[indices].to(self._device) for part in code))


@dataclass(frozen=True, kw_only=True)
class CodeMetric(Metric):
    """A metric of what a model makes of the codes of real test images; the samples are not used.

    Attributes:
        data: Another data set of the same shape, whose test images are taken, for example with
            classes that the model has not seen. Classifiers are then those of that data set, and
            names of measurements end with its name. Models that need a label cannot be measured so.
    """

    data: Component | None = None

    later_options: ClassVar[tuple[str, ...]] = ("data",)

    def __post_init__(self) -> None:
        if self.data is not None:
            with errors_at(("data",)):  # its files are there, before anything is trained
                _ = construct("dataset", complete_component("dataset", self.data, ())).spec

    def measure(self, samples: SampleSet, context: Context) -> list[Measurement]:
        """Measure how the model encodes and decodes; not applicable if it cannot encode."""
        if self.data is None:
            return self.evaluate_codes(EncoderDecoder(context), context)
        other = _on_other_data(context, complete_component("dataset", self.data, ()))
        coder = EncoderDecoder(other)
        if coder.needs_label:
            raise NotApplicable(
                "the model needs a label, and classes of other data are not those it knows"
            )
        name = "-".join(map(str, (other.data.spec.name, *(self.data.get("keep_classes") or ()))))
        part = re.sub(r"[^\w.-]+", "-", name)
        digits = other.data.fingerprint[:8]
        return [
            m._replace(
                metric=f"{m.metric}/{part}", protocol=m.protocol and f"{m.protocol} on {digits}"
            )
            for m in self.evaluate_codes(coder, other)
        ]

    @abstractmethod
    def evaluate_codes(self, coder: EncoderDecoder, context: Context) -> list[Measurement]:
        """Measure a model on the test images of a context."""


@dataclass(frozen=True, kw_only=True)
class EncodingMetric(CodeMetric):
    """A metric of what a model makes of single test images. The other option is `CodeMetric`'s.

    Attributes:
        most: Number of test images at most: the first ones in the order of their content hashes.
    """

    most: AtLeastOne = 5000

    def evaluate_codes(self, coder: EncoderDecoder, context: Context) -> list[Measurement]:
        """Measure a model on at most as many test images."""
        return self.evaluate(coder, ordered_by_content(context.data.test, self.most), context)

    @abstractmethod
    def evaluate(self, coder: EncoderDecoder, test: Split, context: Context) -> list[Measurement]:
        """Measure a model on test images."""


def _on_other_data(context: Context, component: dict[str, Any]) -> Context:
    """Return a context of another data set with a memory of its own, loaded once in this process.

    Validation images are those of the other data set, too.
    """
    key = f"data {canonical_json(component)}"
    data = context.remember(key, lambda: load_data(construct("dataset", component)))
    if data.spec.shape != context.data.spec.shape:
        raise NotApplicable(
            f"{data.spec.name} has examples of shape {data.spec.shape}, {context.data.spec.name} "
            f"of {context.data.spec.shape}"
        )
    other = replace(context, data=data, memory=context.remember(f"of {key}", dict[str, object]))
    return other.on_validation() if context.validates else other


@torch.inference_mode()
def _works(call: Callable[[], object]) -> bool:
    """Return whether a call returns; an unrelated error is raised again when the label is given."""
    try:
        call()
    except Exception:
        return False
    return True


def _joined(parts: list[Code]) -> Code:
    columns = zip(*parts, strict=True)
    present = ([p.float().cpu() for p in column if p is not None] for column in columns)
    code = Code(*(torch.cat(some) if some else None for some in present))
    if not all(part is None or bool(torch.isfinite(part).all()) for part in code):
        raise BenchError("the model's codes of real images contain values that are not finite")
    return code
