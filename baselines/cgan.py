"""cGAN: a generator and a projection critic (Miyato & Koyama, ICLR 2018, arXiv 1802.05637).

The generator makes an image of standard normal noise and a label. The critic scores an image with
its label, `D(x, y) = psi(h(x)) + <e_y, h(x)>`, all of its weights spectrally normalized; both
descend hinge losses. Labels of fakes are drawn uniformly. There is no encoder, and so there are no
codes, reconstructions and swaps.

By default it is like for like with Lr-LiVAE, as Zheng & Sun (2019) describe their baseline: the
family's decoder of `[z; one-hot y]` as generator, the same critic, and one simultaneous move of
both in an iteration with the harness's Adam. Nobody has published the size of the noise; here it is
that of Lr-LiVAE's irrelevant code.

That is not the method at its best. Two options lead towards the published one: with `cond_bn` the
label chooses the gains and biases of the generator's batch norms instead of being joined to the
noise, and with `critic_steps` the critic moves several times, on new batches, before the generator
moves once. Rates are not options: `critic_steps` leaves them, so that it can be ablated alone, and
a sweep writes the strong form as

    model: {name: cgan, cond_bn: true, critic_steps: 5}
    optimizers: {default: {rate: 2e-4, schedule: {name: linear}}}

That rate is for tens of thousands of iterations.

Differences from the authors' code that remain: networks are the family's, not residual ones, and
the critic's last map is flattened or averaged, not summed; the generator moves after the critic
and not before it, on one batch and not two. An iteration is one move of the generator, so the
critic sees `critic_steps` times the images of other methods.

Sampling takes a `truncation` of the noise (Brock et al., 2019), which trades variety for fidelity.
"""

import math

import torch
import torch.nn.functional as F
from torch import Tensor, nn

from bench.data.base import DataSpec
from bench.training.interface import (
    AtLeastOne,
    Batch,
    ConditionalGenerator,
    Objective,
    Positive,
    Stage,
)
from models import backbones, terms
from models.blocks import normal, one_hot


def truncated(z: Tensor, bound: float) -> Tensor:
    r"""Map standard normal draws to draws of the normal distribution truncated at `bound`.

    .. math:: \Phi^{-1}\bigl(\Phi(-b) + \Phi(z) (\Phi(b) - \Phi(-b))\bigr)

    That is what drawing again until `|z|` is small enough gives, without a loop that looks at
    values. It is monotone, so a draw moves towards 0 as the bound falls.

    >>> truncated(torch.tensor([-9.0, 0.0, 9.0]), 0.5).tolist()
    [-0.5, 0.0, 0.5]
    """
    inside = math.erf(bound / math.sqrt(2))  # probability of |z| <= bound
    share = inside * torch.erf(z.double() / math.sqrt(2))
    return (math.sqrt(2) * torch.erfinv(share)).clamp(-bound, bound).to(z.dtype)


class LabelNorm(nn.Module):
    """A batch norm whose gains and biases are looked up by label, in place of a plain one."""

    def __init__(self, norm: nn.BatchNorm1d | nn.BatchNorm2d, classes: int) -> None:
        super().__init__()
        self.norm = type(norm)(norm.num_features, norm.eps, norm.momentum, affine=False)
        self.gains = nn.Parameter(torch.ones(classes, norm.num_features))
        self.biases = nn.Parameter(torch.zeros(classes, norm.num_features))

    def forward(self, x: Tensor, y: Tensor) -> Tensor:
        """Return `[B, C, ...]` normalized over all classes, and scaled by label."""
        shape = (*x.shape[:2], *[1] * (x.ndim - 2))
        gain, bias = (F.embedding(y, table).view(shape) for table in (self.gains, self.biases))
        out: Tensor = self.norm(x) * gain + bias
        return out


class ConditionalDecoder(nn.Module):
    """A decoder that sees the label beside the code, or with `cond_bn` in every batch norm."""

    def __init__(self, layers: nn.Sequential, classes: int, cond_bn: bool) -> None:
        super().__init__()
        self.classes = classes
        self.cond_bn = cond_bn
        if cond_bn:
            for name, layer in layers.named_children():
                if isinstance(layer, nn.BatchNorm1d | nn.BatchNorm2d):
                    setattr(layers, name, LabelNorm(layer, classes))
            if not any(isinstance(layer, LabelNorm) for layer in layers):
                raise ValueError("cond_bn needs batch norms; networks for points have none")
        self.layers = layers

    def forward(self, z: Tensor, y: Tensor) -> Tensor:
        """Return the examples of codes `[B, D]` and labels `[B]`."""
        x = z if self.cond_bn else torch.cat((z, one_hot(y, self.classes)), dim=1)
        for layer in self.layers:
            x = layer(x, y) if isinstance(layer, LabelNorm) else layer(x)
        return x


class CGAN(ConditionalGenerator):
    """The conditional GAN with a projection critic.

    Args:
        spec: Shape of the data.
        backbone: Family of networks; `auto` fits the data.
        width: Multiplier of the layer sizes.
        latent: Size of the noise, the family's irrelevant code where None.
        cond_bn: Whether labels enter the generator by its batch norms, not beside the noise.
        critic_steps: Moves of the critic for one of the generator; 1 is a simultaneous move.
    """

    stages: tuple[Stage, ...] = (Stage("main", ("decoder", "critic")),)
    objective: Objective = {"decoder": {"fool": 1.0}, "critic": {"discriminate": 1.0}}

    def __init__(
        self,
        spec: DataSpec,
        *,
        backbone: backbones.Backbone = "auto",
        width: Positive = 1.0,
        latent: AtLeastOne | None = None,
        cond_bn: bool = False,
        critic_steps: AtLeastOne = 1,
    ) -> None:
        super().__init__()
        if critic_steps > 1:
            self.stages = (
                Stage("critic", ("critic",), repeat=critic_steps),
                Stage("generator", ("decoder",), fresh=False),
            )
        self.classes = spec.classes
        self.latent = backbones.code_sizes(spec, backbone, irrelevant=latent)[1]
        codes = self.latent + (0 if cond_bn else spec.classes)
        layers = backbones.decoder(spec, backbone, width, codes)
        self.decoder = ConditionalDecoder(layers, spec.classes, cond_bn)
        self.critic = backbones.critic(spec, backbone, width)

    def terms(self, stage: str, batch: Batch, wanted: frozenset[str]) -> dict[str, Tensor]:
        """Return the hinge losses of both players, one kind of fake; the same in each stage."""
        x, y = batch.x, batch.y
        y_sample = torch.randint(self.classes, y.shape, device=y.device)
        sample = self.sample(y_sample)
        weights = self.critic.weights()
        of_sample = self.critic(sample, y_sample, weights)
        values = {"fool": terms.fool(of_sample)}
        if "discriminate" in wanted:
            values["discriminate"] = terms.discriminate(self.critic(x, y, weights), of_sample)
        return values

    def sample(
        self,
        y: Tensor,
        generator: torch.Generator | None = None,
        *,
        truncation: Positive | None = None,
    ) -> Tensor:
        """Turn standard normal draws and the labels into images.

        Args:
            y: Labels `[B]`.
            generator: Source of the draws.
            truncation: Bound of the noise: draws are from the standard normal distribution given
                that each is at most this far from 0 (Brock et al., ICLR 2019, arXiv 1809.11096).
                Unbounded where None.

        Returns:
            Images `[B, C, H, W]` or points `[B, D]`.
        """
        weight = next(self.decoder.parameters())
        z = normal(len(y), self.latent, like=weight, generator=generator)
        if truncation is not None:
            z = truncated(z, truncation)
        image: Tensor = self.decoder(z, y)
        return image
