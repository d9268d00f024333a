"""A conditional GAN whose generator also matches features of a frozen, pre-trained network.

Besides fooling the critic, the generator brings the mean features of its images of each class to
those of the real ones of the batch: feature matching (Salimans et al., NeurIPS 2016, arXiv
1606.03498) by class, with features of a network that was trained before (Dosovitskiy & Brox,
NeurIPS 2016, arXiv 1602.02644) in place of the critic's.

`python -m feature_gan OUT.pt` trains such a network on the training images of the digits.
"""

import sys
from pathlib import Path

import torch
import torch.nn.functional as F
from torch import Tensor, nn

from bench.data.base import DataSpec, to_float
from bench.data.digits import Digits
from bench.training.interface import (
    Batch,
    ConditionalGenerator,
    Positive,
    Stage,
    draw_normal,
    frozen,
)
from models import backbones, terms


def feature_network(spec: DataSpec) -> nn.Sequential:
    """Return a small convolutional network from images to features `[B, 64]`."""
    layers: list[nn.Module] = []
    for inputs, outputs in ((spec.shape[0], 32), (32, 64)):
        layers += [nn.Conv2d(inputs, outputs, 3, 2, 1), nn.BatchNorm2d(outputs), nn.ReLU()]
    return nn.Sequential(*layers, nn.AdaptiveAvgPool2d(2), nn.Flatten(), nn.Linear(4 * 64, 64))


class FeatureGAN(ConditionalGenerator):
    """A generator, a projection critic, and a network whose features are matched.

    Args:
        spec: Shape of the data, images.
        features: File with the weights of `feature_network`; random ones where None.
        latent: Size of the noise.
        width: Multiplier of the layer sizes.
    """

    stages = (Stage("main", ("generator", "critic")),)
    objective = {"generator": {"fool": 1.0, "match": 1.0}, "critic": {"discriminate": 1.0}}

    def __init__(
        self,
        spec: DataSpec,
        *,
        features: Path | None = None,
        latent: int = 16,
        width: Positive = 0.5,
    ) -> None:
        super().__init__()
        self.classes = spec.classes
        self.latent = latent
        self.generator = backbones.decoder(spec, "auto", width, latent + spec.classes)
        self.critic = backbones.critic(spec, "auto", width)
        self.pretrained = frozen(feature_network(spec), features)

    def terms(self, stage: str, batch: Batch, wanted: frozenset[str]) -> dict[str, Tensor]:
        """Return the hinge losses, and the distance of the features; fakes have the real labels."""
        x, y = batch.x, batch.y
        fake = self.sample(y)
        weights = self.critic.weights()
        of_fake = self.critic(fake, y, weights)
        return {
            "discriminate": terms.discriminate(self.critic(x, y, weights), of_fake),
            "fool": terms.fool(of_fake),
            "match": (self.class_means(x, y) - self.class_means(fake, y)).square().mean(),
        }

    def class_means(self, x: Tensor, y: Tensor) -> Tensor:
        """Return the mean features `[K, 64]` of each class, zeros if the batch has none of it."""
        members = F.one_hot(y, self.classes).float().t()
        sums: Tensor = members @ self.pretrained(x).float()
        return sums / members.sum(dim=1, keepdim=True).clamp(min=1)

    def sample(self, y: Tensor, generator: torch.Generator | None = None) -> Tensor:
        """Turn standard normal noise and labels into images."""
        z = draw_normal(len(y), self.latent, device=y.device, generator=generator)
        image: Tensor = self.generator(torch.cat([z, F.one_hot(y, self.classes).to(z)], dim=1))
        return image


def pretrain(path: Path, steps: int = 300) -> None:
    """Train the network to classify the training images of the digits; write its weights."""
    torch.manual_seed(0)
    source = Digits()
    examples = source.load().train
    network = feature_network(source.spec)
    classifier = nn.Sequential(network, nn.ReLU(), nn.Linear(64, source.spec.classes))
    optimizer = torch.optim.Adam(classifier.parameters(), 2e-3)
    for _ in range(steps):
        chosen = torch.randint(len(examples), (128,))
        loss = F.cross_entropy(classifier(to_float(examples.x[chosen])), examples.y[chosen])
        optimizer.zero_grad()
        torch.autograd.backward(loss)
        optimizer.step()
    torch.save(network.state_dict(), path)


if __name__ == "__main__":
    pretrain(Path(sys.argv[1]))
