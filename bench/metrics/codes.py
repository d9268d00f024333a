"""A trained model as encoder and decoder of real images, for all metrics that look at codes.

Some models cannot encode or decode without the label. They are given it, and no other model is:
which is found out by asking without. So figures of both kinds say which they are in their protocol.
"""

from collections.abc import Callable
from functools import cached_property
from typing import NamedTuple

import torch
from torch import Tensor

from bench.data.base import DataSpec, to_bytes, to_float
from bench.errors import BenchError, NotApplicable
from bench.metrics.base import Context
from bench.seeding import generator_for
from bench.training.interface import Code, ConditionalGenerator, Encodes, Infers, as_given

BATCH = 250
ASKED = 16  # images on which it is found out what sees the label
SAME = 1e-5  # relative difference of codes below which the label made none


class Told(NamedTuple):
    """Which parts of a code depend on the label that was given with the image."""

    relevant: bool
    irrelevant: bool


class Coder:
    """Encodes images of a data set and decodes codes, in batches, without noise or gradients.

    Args:
        context: The model, its data and its device.

    Raises:
        NotApplicable: If there is no model, or it has no encoder.
    """

    def __init__(self, context: Context) -> None:
        if context.model is None:
            raise NotApplicable("is a property of a model's codes")
        if not isinstance(context.model, Encodes):
            raise NotApplicable("the model has no encoder")
        self.model: Encodes = context.model
        self._generator: ConditionalGenerator = context.model
        self.spec: DataSpec = context.data.spec
        self._test, self._device = context.data.test, context.device

    @cached_property
    def encoder_needs_label(self) -> bool:
        """Whether the model refuses to encode an image alone."""
        return not _works(lambda: self.model.encode(self._asked[0]))

    @cached_property
    def decoder_needs_label(self) -> bool:
        """Whether the model refuses to decode a code alone."""
        return not _works(lambda: self.model.decode(self._encode(*self._asked)))

    @property
    def infers(self) -> bool:
        """Whether the model has posteriors to draw codes from."""
        return isinstance(self.model, Infers)

    @property
    def label(self) -> str:
        """What stands in protocols: whether a reconstruction is made with the label or without."""
        is_given = self.encoder_needs_label or self.decoder_needs_label
        return f"label={'given' if is_given else 'none'}"

    @cached_property
    def told(self) -> Told:
        """Which parts of a code change with the label that is given.

        A model that needs no label is given none. In others a part may still be blind, as `z` of
        CSVAE is: where no code differs when every label is another.
        """
        if not self.encoder_needs_label:
            return Told(False, False)
        x, y = self._asked
        pairs = zip(self._encode(x, y), self._encode(x, (y + 1) % self.spec.classes), strict=True)
        return Told(*(a is not None and b is not None and _differ(a, b) for a, b in pairs))

    @torch.inference_mode()
    def codes(self, x: Tensor, y: Tensor) -> Code:
        """Return the codes of images.

        Args:
            x: `uint8` `[N, C, H, W]`, or `float32` in `[-1, 1]`.
            y: Their classes `[N]`, not shown to a model that does without.

        Returns:
            The means of the posterior, on the CPU.
        """
        pairs = zip(torch.split(x, BATCH), torch.split(y, BATCH), strict=True)
        return _joined([self._encode(*pair) for pair in pairs])

    @torch.inference_mode()
    def draws(self, x: Tensor, y: Tensor) -> Code:
        """Return one draw of the codes of each image.

        Args:
            x: As for `codes`.
            y: As for `codes`.

        Returns:
            Draws from the posterior, on the CPU.

        Raises:
            NotApplicable: If the model has no posterior.
        """
        model = self.model
        if not isinstance(model, Infers):
            raise NotApplicable("the model infers no codes that could be drawn")
        found = []
        for some, labels in zip(torch.split(x, BATCH), torch.split(y, BATCH), strict=True):
            given = self._given(labels, self.encoder_needs_label)
            found.append(model.posterior(to_float(some).to(self._device), given))
        mean, variance = (
            _joined([Code(*(part and part[i] for part in batch)) for batch in found])
            for i in (0, 1)
        )
        generator = generator_for(0, "codes", "noise")
        return Code(
            *(  # all rows at once, so that no batch size changes the noise
                None if m is None or v is None else torch.normal(m, v.sqrt(), generator=generator)
                for m, v in zip(mean, variance, strict=True)
            )
        )

    @torch.inference_mode()
    def images(self, code: Code, y: Tensor) -> Tensor:
        """Return the images of codes.

        Args:
            code: Codes of `N` rows, on the CPU.
            y: Their classes `[N]`, not shown to a model that does without.

        Returns:
            `uint8` `[N, C, H, W]` on the CPU.
        """
        found = []
        for rows in torch.split(torch.arange(len(y)), BATCH):
            given = self._given(y[rows], self.decoder_needs_label)
            part = Code(*(None if p is None else p[rows].to(self._device) for p in code))
            x = self.model.decode(part, given).float()
            if not bool(torch.isfinite(x).all()):
                raise BenchError("the model decoded real codes to values that are not finite")
            found.append(to_bytes(x).cpu())
        return torch.cat(found)

    @torch.inference_mode()
    def _encode(self, x: Tensor, y: Tensor) -> Code:
        given = self._given(y, self.encoder_needs_label)
        return self.model.encode(to_float(x).to(self._device), given)

    def _given(self, y: Tensor, is_needed: bool) -> Tensor | None:
        return as_given(self._generator, self.spec, y.to(self._device)) if is_needed else None

    @property
    def _asked(self) -> tuple[Tensor, Tensor]:
        return to_float(self._test.x[:ASKED]).to(self._device), self._test.y[:ASKED]


@torch.inference_mode()
def _works(call: Callable[[], object]) -> bool:
    """Return whether a call returns; what else may be wrong shows when there is a label."""
    try:
        call()
    except Exception:
        return False
    return True


def _differ(a: Tensor, b: Tensor) -> bool:
    return bool((a - b).abs().max() > SAME * a.abs().max())


def _joined(parts: list[Code]) -> Code:
    columns = zip(*parts, strict=True)
    kept = ([p.float().cpu() for p in column if p is not None] for column in columns)
    code = Code(*(torch.cat(some) if some else None for some in kept))
    if not all(part is None or bool(torch.isfinite(part).all()) for part in code):
        raise BenchError("the model's codes of real images contain values that are not finite")
    return code
