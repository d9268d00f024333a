"""cVAE-GAN: a cVAE with a critic (Bao et al., ICCV 2017, arXiv 1703.10155).

Encoder `q(z | x, y)` and decoder `p(x | z, y)` are those of cVAE, and the prior of the code is the
standard normal. The critic sees two kinds of fakes, reconstructions and samples of the prior whose
labels are drawn uniformly. Two forms are registered, and a table must say which it shows.

`cvae_gan` is the controlled comparison: networks, critic, hinge losses, reductions and weights are
those of Lr-LiVAE, and as there the critic's gradient reaches the decoder alone. The latent code is
what differs, and what Zheng & Sun (2019) compare with; they share the critic too.

`cvae_gan_bao` follows the publication in its losses. The decoder descends none of the critic's
loss: it matches the mean of the critic's features over the samples with that over the images, the
means of a classifier's features class by class, and the features of each reconstruction with those
of its image. Critic and classifier descend cross-entropies. Class means are moving averages that
keep 0.9, since a batch has few images of a class; only the batch's own contribution has a gradient,
and a class's first mean is taken whole.

Departures from the paper: networks are the family's, so the critic is the spectrally normalized
projection critic, which sees the label, and the classifier has the critic's layers without that
norm. Features are the last hidden layers of both. Terms are means, not sums, so the published
weights (3 for the KL, 1 for pairs, 0.001 for means at 128x128) cannot be used as they are. Pixels
and KL have the weights of all methods here; features in pairs weigh 1, and both kinds of means 10,
since a tenth of a class mean's gradient passes its moving average. The halves before the paper's
squares are part of the weights. No code of the authors was found.
"""

from typing import ClassVar

import torch
import torch.nn.functional as F
from torch import Tensor, nn

from bench.data.base import DataSpec
from bench.training.interface import AtLeastOne, Batch, Objective, Positive, Stage
from models import backbones, terms
from models.autoencoders import LabelConditionedVAE
from models.blocks import SLOPE, Critic, Spectral, glorot, one_hot

KEPT = 0.9  # of a class's average features when a batch has examples of it


class CVAEGAN(LabelConditionedVAE):
    """The conditional VAE-GAN, in the losses and weights of Lr-LiVAE.

    Args:
        spec: Shape of the data.
        backbone: Family of networks; `auto` fits the data.
        width: Multiplier of the layer sizes.
        latent: Size of the code, the family's irrelevant code where None.
        balanced_critic: Whether both kinds of fakes together weigh as much as the reals.
    """

    title: ClassVar[str] = "cVAE-GAN"
    stages = (Stage("main", ("encoder", "decoder", "critic")),)
    objective: Objective = {
        "encoder": {"reconstruct": 10.0, "kl": 1.0},
        "decoder": {"reconstruct": 10.0, "fool": 1.0},
        "critic": {"discriminate": 1.0},
    }

    def __init__(
        self,
        spec: DataSpec,
        *,
        backbone: backbones.Backbone = "auto",
        width: Positive = 1.0,
        latent: AtLeastOne | None = None,
        balanced_critic: bool = False,
    ) -> None:
        super().__init__(spec, backbone=backbone, width=width, latent=latent)
        self.balanced_critic = balanced_critic
        self.critic = backbones.critic(spec, backbone, width)

    def terms(self, stage: str, batch: Batch, wanted: frozenset[str]) -> dict[str, Tensor]:
        """Return both halves of the bound (Eq. 2 and 3) and the hinge losses (Eq. 10, 11a)."""
        _, reconstruction, values = self._reconstruct(batch)
        if wanted & {"fool", "discriminate"}:
            drawn = self._draw(batch.y)
            values |= self._hinge_terms(
                self.critic, batch.x, batch.y, reconstruction, drawn, balanced=self.balanced_critic
            )
        return values


class CVAEGANBao(CVAEGAN):
    """The conditional VAE-GAN of the publication; options are those of `LabelConditionedVAE`."""

    stages = (Stage("main", ("encoder", "decoder", "critic", "classifier")),)
    objective: Objective = {
        "encoder": {
            "reconstruct": 10.0,
            "reconstruct_critic_features": 1.0,
            "reconstruct_classifier_features": 1.0,
            "kl": 1.0,
        },
        "decoder": {
            "reconstruct": 10.0,
            "reconstruct_critic_features": 1.0,
            "reconstruct_classifier_features": 1.0,
            "match_critic_mean": 10.0,
            "match_class_means": 10.0,
        },
        "critic": {"discriminate": 1.0},
        "classifier": {"classify": 1.0},
    }

    def __init__(
        self,
        spec: DataSpec,
        *,
        backbone: backbones.Backbone = "auto",
        width: Positive = 1.0,
        latent: AtLeastOne | None = None,
    ) -> None:
        super().__init__(spec, backbone=backbone, width=width, latent=latent)
        self.classifier = Classifier(backbones.critic(spec, backbone, width), spec.classes)
        features = self.classifier.head.in_features
        self.real_means = ClassMeans(spec.classes, features)
        self.sample_means = ClassMeans(spec.classes, features)

    def terms(self, stage: str, batch: Batch, wanted: frozenset[str]) -> dict[str, Tensor]:
        """Return both halves of the bound, features matched in pairs and means, cross-entropies."""
        x, y = batch.x, batch.y
        _, reconstruction, values = self._reconstruct(batch)
        sample, y_sample = self._draw(y)
        fakes = torch.cat((reconstruction, sample))
        if wanted & {"reconstruct_critic_features", "match_critic_mean", "discriminate"}:
            weights = self.critic.weights()
            real, fake = (terms.widen(self.critic.features(v, weights)) for v in (x, fakes))
            of_reconstruction, of_sample = fake.chunk(2)
            values["reconstruct_critic_features"] = terms.reconstruct(real, of_reconstruction)
            values["match_critic_mean"] = terms.reconstruct(real.mean(dim=0), of_sample.mean(dim=0))
            scores = self.critic.scores(fake, torch.cat((y, y_sample)), weights).chunk(2)
            real_scores = self.critic.scores(real, y, weights)
            values["discriminate"] = discriminate_by_cross_entropy(real_scores, *scores)
        if wanted & {"reconstruct_classifier_features", "match_class_means", "classify"}:
            real, fake = (terms.widen(self.classifier.features(v)) for v in (x, fakes))
            of_reconstruction, of_sample = fake.chunk(2)
            values["reconstruct_classifier_features"] = terms.reconstruct(real, of_reconstruction)
            values["match_class_means"] = match_class_means(
                *self.real_means(real, y), *self.sample_means(of_sample, y_sample)
            )
            values["classify"] = terms.classify(self.classifier.head(real), y)
        return values

    def class_logits(self, x: Tensor) -> Tensor:
        """Return the logits of the classifier, which is trained on images alone."""
        logits: Tensor = self.classifier.head(self.classifier.features(x))
        return logits


class Classifier(nn.Module):
    """A network from examples to logits: a critic's layers without spectral norm, freshly made.

    It has no batch norm, which would subtract the very means that are to be matched.
    """

    def __init__(self, critic: Critic, classes: int) -> None:
        super().__init__()
        layers = [spectral.layer for spectral in critic.trunk if isinstance(spectral, Spectral)]
        self.average = critic.average
        self.trunk = nn.ModuleList(layers)
        self.head = nn.Linear(len(layers[-1].weight), classes)
        glorot(self)

    def features(self, x: Tensor) -> Tensor:
        """Return the last hidden layer, `[B, F]`, of examples `[B, ...]`."""
        for layer in self.trunk:
            if x.ndim == 4 and isinstance(layer, nn.Linear):
                x = x.mean(dim=(2, 3)) if self.average else x.flatten(1)
            x = F.leaky_relu(layer(x), SLOPE, inplace=True)
        return x


class ClassMeans(nn.Module):
    """Moving averages of the features of each class, updated in training mode."""

    means: Tensor
    seen: Tensor

    def __init__(self, classes: int, features: int) -> None:
        super().__init__()
        self.register_buffer("means", torch.zeros(classes, features))
        self.register_buffer("seen", torch.zeros(classes, dtype=torch.bool))

    def forward(self, features: Tensor, y: Tensor) -> tuple[Tensor, Tensor]:
        """Add features `[B, F]` with labels `[B]`, whose gradient the averages have.

        Returns the averages `[K, F]`, and `[K]` whether the class has ever been seen.
        """
        with torch.autocast(features.device.type, enabled=False):
            members = one_hot(y, len(self.means)).to(features.dtype)
            counts = members.sum(dim=0)
            of_batch = (members.t() @ features) / counts.clamp(min=1).unsqueeze(1)
            share = torch.where(self.seen, 1 - KEPT, 1.0) * (counts > 0)
            share = share.to(features.dtype).unsqueeze(1)
            means: Tensor = (1 - share) * self.means + share * of_batch
            seen = self.seen | (counts > 0)
        if self.training:
            with torch.no_grad():
                self.means.copy_(means)
                self.seen.copy_(seen)
        return means, seen


def match_class_means(real: Tensor, real_seen: Tensor, fake: Tensor, fake_seen: Tensor) -> Tensor:
    r"""Squared distance between the mean features of images and of samples, class by class.

    .. math:: \tfrac1K \sum_c \tfrac1F \lVert \bar f_c(x) - \bar f_c(x') \rVert_2^2

    Means are `[K, F]`. The paper's sum over classes is a mean over those that have been seen on
    both sides, `[K]`; 0 where there are none.
    """
    both = (real_seen & fake_seen).to(real.dtype)
    distances = (real - fake).square().mean(dim=1)
    return (both * distances).sum() / both.sum().clamp(min=1)


def discriminate_by_cross_entropy(real: Tensor, *fakes: Tensor) -> Tensor:
    r"""Cross-entropy of the critic in nats, its scores `[B]` of each kind of example being logits.

    .. math:: -\mathbb E[\log D(x, y)] - \sum_i \mathbb E[\log(1 - D(x'_i, y_i))]

    Where the critic says 0 it is `log 2` times the number of kinds of fakes plus one.
    """
    loss = F.softplus(-terms.widen(real)).mean()
    for fake in fakes:
        loss = loss + F.softplus(terms.widen(fake)).mean()
    return loss
