"""Base classes of the VAEs here and in `baselines`: draw, encode and decode codes."""

from abc import abstractmethod
from typing import ClassVar

import torch
from torch import Tensor, nn

from bench.data.base import DataSpec
from bench.training.interface import (
    AtLeastOne,
    Batch,
    Code,
    ConditionalGenerator,
    Positive,
    Posterior,
)
from models import backbones, terms
from models.blocks import Critic, LabelGaussians, normal, one_hot


def gaussian_draw(output: Tensor) -> tuple[Tensor, Tensor, Tensor]:
    """Return mean, log-variance and a draw, each `[B, D]`, for an encoder's output `[B, 2 D]`."""
    mean, logvar = terms.widen(output).chunk(2, dim=1)
    return mean, logvar, mean + (0.5 * logvar).exp() * torch.randn_like(mean)


def gaussian_moments(output: Tensor) -> tuple[Tensor, Tensor]:
    """Return mean and variance, each `[B, D]`, for an encoder's output `[B, 2 D]`."""
    mean, logvar = output.chunk(2, dim=1)
    return mean, logvar.exp()


class VAE(ConditionalGenerator):
    """A model whose codes are the means of its posterior."""

    title: ClassVar[str]  # name of the method in messages
    classes: int
    decoder: nn.Module

    @abstractmethod
    def posterior(self, x: Tensor, y: Tensor | None = None) -> Posterior:
        """Return the Gaussians of the codes."""

    def encode(self, x: Tensor, y: Tensor | None = None) -> Code:
        """Return the means of the posterior."""
        relevant, irrelevant = self.posterior(x, y)
        return Code(relevant and relevant[0], irrelevant and irrelevant[0])

    def _decode(self, *parts: Tensor) -> Tensor:
        image: Tensor = self.decoder(torch.cat(parts, dim=1))
        return image

    def _draw(self, y: Tensor) -> tuple[Tensor, Tensor]:
        """Return as many samples as labels, and their labels, which are drawn uniformly."""
        y_sample = torch.randint(self.classes, y.shape, device=y.device)
        # A call of its own: batch norm must not mix the statistics of codes and of draws.
        return self.sample(y_sample), y_sample

    def _hinge_terms(
        self,
        critic: Critic,
        x: Tensor,
        y: Tensor,
        reconstruction: Tensor,
        drawn: tuple[Tensor, Tensor],
        *,
        balanced: bool,
    ) -> dict[str, Tensor]:
        """Return `discriminate` and `fool` (Eq. 10 and 11a) of reconstructions and drawn images."""
        sample, y_sample = drawn
        weights = critic.weights()
        real = critic(x, y, weights)
        fakes = torch.cat((reconstruction, sample)), torch.cat((y, y_sample))
        both = critic(*fakes, weights).chunk(2)
        discriminate = terms.discriminate(real, *both, balanced=balanced)
        return {"discriminate": discriminate, "fool": terms.fool(*both)}


class LabelConditionedVAE(VAE):
    """Encoder `q(z | x, y)`, decoder `p(x | z, y)`, and a standard normal code for every class.

    A subclass says which terms there are, who descends what, and whether the encoder sees the
    label.

    Args:
        spec: Shape of the data.
        backbone: Family of networks; `auto` fits the data.
        width: Multiplier of the layer sizes.
        latent: Size of the code, the family's irrelevant code where None.
    """

    encoder_sees_label: ClassVar[bool] = True

    def __init__(
        self,
        spec: DataSpec,
        *,
        backbone: backbones.Backbone = "auto",
        width: Positive = 1.0,
        latent: AtLeastOne | None = None,
    ) -> None:
        super().__init__()
        self.classes = spec.classes
        self.latent = backbones.code_sizes(spec, backbone, irrelevant=latent)[1]
        planes = spec.classes if self.encoder_sees_label else 0
        self.encoder = backbones.encoder(spec, backbone, width, self.latent, planes=planes, heads=2)
        self.decoder = backbones.decoder(spec, backbone, width, self.latent + spec.classes)
        self.nats = {"kl": self.latent}

    def sample(self, y: Tensor, generator: torch.Generator | None = None) -> Tensor:
        """Decode standard normal draws with the labels."""
        weight = next(self.decoder.parameters())
        z = normal(len(y), self.latent, like=weight, generator=generator)
        return self._decode(z, one_hot(y, self.classes))

    def posterior(self, x: Tensor, y: Tensor | None = None) -> Posterior:
        """Return the Gaussian of the irrelevant code; the label is the relevant one."""
        if self.encoder_sees_label and y is None:
            raise ValueError(f"{self.title} needs labels to encode: its encoder is q(z | x, y)")
        return Posterior(None, gaussian_moments(self.encoder(*self._seen(x, y))))

    def class_prior(self) -> None:
        """Return None: the label itself is the relevant code."""

    def decode(self, code: Code, y: Tensor | None = None) -> Tensor:
        """Return the images of irrelevant codes and labels; needs both."""
        if y is None or code.irrelevant is None:
            raise ValueError(
                f"{self.title} needs labels and an irrelevant code to decode: p(x | z, y)"
            )
        return self._decode(code.irrelevant, one_hot(y, self.classes))

    def _seen(self, x: Tensor, y: Tensor | None) -> tuple[Tensor | None, ...]:
        """Return what the encoder is given."""
        return (x, y) if self.encoder_sees_label else (x,)

    def _reconstruct(self, batch: Batch) -> tuple[Tensor, Tensor, dict[str, Tensor]]:
        """Return posterior draws of a batch, their images, and both halves of the bound."""
        mean, logvar, z = gaussian_draw(self.encoder(*self._seen(batch.x, batch.y)))
        reconstruction = self._decode(z, one_hot(batch.y, self.classes))
        return (
            z,
            reconstruction,
            {
                "reconstruct": terms.reconstruct(batch.x, reconstruction),
                "kl": terms.kl_to_standard_normal(mean, logvar),
            },
        )


class TwoCodeVAE(VAE):
    """A relevant code with a prior for each label, and a standard normal irrelevant one."""

    relevant: int  # sizes of the codes
    irrelevant: int

    @abstractmethod
    def draw_relevant(self, y: Tensor, generator: torch.Generator | None = None) -> Tensor:
        """Return a draw `[B, D_s]` from the prior of each label."""

    def sample(self, y: Tensor, generator: torch.Generator | None = None) -> Tensor:
        """Decode draws from the priors of the labels and the standard normal."""
        return self._decode_drawn(self.draw_relevant(y, generator), generator)

    def _decode_drawn(self, z_s: Tensor, generator: torch.Generator | None = None) -> Tensor:
        """Return the images of relevant codes, each with a draw of the irrelevant one."""
        z_u = normal(len(z_s), self.irrelevant, like=z_s, generator=generator)
        return self._decode(z_s, z_u)

    def decode(self, code: Code, y: Tensor | None = None) -> Tensor:
        """Return the images of codes; labels are not needed."""
        if code.relevant is None or code.irrelevant is None:
            raise ValueError(f"{self.title} needs both parts of a code to decode it")
        return self._decode(code.relevant, code.irrelevant)


class LabelSubspaceVAE(TwoCodeVAE):
    """A relevant code with an equal part for each label: for each attribute, or for the class.

    There are `labels` `G` of `values` `V` each: 2, or the number of classes. A subclass makes
    `prior` with `_make_prior`, when it knows the sizes of its codes.
    """

    prior: LabelGaussians

    def __init__(self, spec: DataSpec) -> None:
        super().__init__()
        self.attributes = len(spec.attributes) if "attributes" in self.capabilities else 0
        self.labels, self.values = (self.attributes, 2) if self.attributes else (1, spec.classes)

    def _make_prior(
        self, spec: DataSpec, form: type[LabelGaussians] = LabelGaussians
    ) -> LabelGaussians:
        every = torch.tensor(spec.combinations if self.attributes else range(spec.classes))
        return form(self.labels, self.values, self.relevant // self.labels, every)

    def draw_relevant(self, y: Tensor, generator: torch.Generator | None = None) -> Tensor:
        """Return a draw `[B, D_s]` from the Gaussians of the labels `[B]` or `[B, G]`."""
        return self.prior.sample(self._given(y), generator)

    def _given(self, y: Tensor) -> Tensor:
        """Return labels `[B]` or `[B, A]` as `[B, G]`; refuse the other form."""
        expected = [len(y), self.labels] if self.attributes else [len(y)]
        if list(y.shape) != expected:
            raise ValueError(
                f"{self.title} needs labels {expected} of this data, got {list(y.shape)}"
            )
        return y.view(-1, self.labels)

    def class_prior(self) -> tuple[Tensor, Tensor]:
        """Return means and variances of the relevant codes of each class, `[K, D_s]`."""
        return self.prior.of_classes()

    def switch(self, code: Code, attribute: int, values: Tensor) -> Code:
        """Return codes whose part for one attribute is at the prior mean of other values."""
        if code.relevant is None:
            raise ValueError(
                f"{self.title} has a part of the relevant code for each attribute, but this code "
                "has no relevant part"
            )
        return Code(self.prior.switched(code.relevant, attribute, values), code.irrelevant)
