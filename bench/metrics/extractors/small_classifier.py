"""A small convolutional classifier, trained by a pure function of examples, seed and device.

Above 16 pixels the number of threads matters too.
"""

import contextlib
from collections.abc import Callable, Iterator

import torch
import torch.nn.functional as F
from torch import Tensor, nn

from bench.data.base import DataSpec, Split
from bench.data.stream import Stream
from bench.seeding import seed_for

RECIPE = 2  # part of the cache key: raise it with any change of network or training
BATCH = 128
STEPS = 600  # at least; large sets get ten epochs
EPOCHS = 10
RATE = 2e-3


class SmallClassifier(nn.Module):
    """A convolutional classifier for images of 8 to 64 pixels; its blocks halve the image to 2."""

    def __init__(self, spec: DataSpec) -> None:
        super().__init__()
        channels, size, _ = spec.shape
        layers: list[nn.Module] = []
        width = 32
        while size >= 4:
            for inputs in (channels, width):
                layers.append(nn.Conv2d(inputs, width, 3, padding=1, bias=False))
                layers += [nn.BatchNorm2d(width), nn.ReLU(inplace=True)]
            layers.append(nn.MaxPool2d(2))
            channels, width, size = width, min(2 * width, 256), size // 2
        self.features = nn.Sequential(*layers, nn.AdaptiveAvgPool2d(1), nn.Flatten())
        self.head = nn.Linear(channels, spec.classes)

    def forward(self, x: Tensor) -> Tensor:
        """Return logits `[B, K]` of images `[B, C, H, W]` in `[-1, 1]`."""
        logits: Tensor = self.head(self.features(x))
        return logits


def fits(spec: DataSpec) -> bool:
    """Return whether the network sees more of such images than their mean, and can halve them."""
    _, height, width = spec.shape
    halvings = height.bit_length() - 2  # until fewer than 4 rows are left
    return halvings >= 1 and width >> halvings >= 1


def steps_for(examples: int) -> int:
    """Return for how many steps a classifier of `examples` examples is trained."""
    return max(STEPS, EPOCHS * examples // min(BATCH, examples))


def train_classifier(
    spec: DataSpec,
    split: Split,
    *,
    seed: int,
    flip: bool,
    device: torch.device,
    steps: int | None = None,
    report: Callable[[int], None] = lambda step: None,
) -> SmallClassifier:
    """Return a classifier trained on the examples of a split, whose order matters.

    The seed is that of initialization and batches; the random state is left alone. `flip` mirrors
    images at random. The number of batches is by default that of `steps_for`. `report` is called
    after each with the number of those so far.
    """
    batch, steps = min(BATCH, len(split)), steps or steps_for(len(split))
    with isolated_training(), _reproducible(spec):
        torch.default_generator.manual_seed(seed_for(seed, "extractor"))
        network = SmallClassifier(spec).to(device)
        if not spec.is_small:  # a quarter less time on a CPU
            network.to(memory_format=torch.channels_last)
        stream = Stream(split, batch_size=batch, seed=seed, flip=flip, device=device)
        optimizer = torch.optim.Adam(network.parameters(), RATE, fused=True)
        for step in range(steps):
            for group in optimizer.param_groups:
                group["lr"] = RATE * (1 - step / steps)
            x, y, _ = stream.batch(step)
            optimizer.zero_grad()
            torch.autograd.backward(F.cross_entropy(network(x), y))
            optimizer.step()
            report(step + 1)
    network.to(memory_format=torch.contiguous_format)
    return network.eval()


@contextlib.contextmanager
def isolated_training() -> Iterator[None]:
    """Leave the random state alone, and compute gradients even if the caller does not."""
    # Networks are initialized on the CPU, so only its generator has to be restored.
    with torch.random.fork_rng(devices=[]), torch.inference_mode(False), torch.enable_grad():
        yield


@contextlib.contextmanager
def _reproducible(spec: DataSpec) -> Iterator[None]:
    """Make the weights independent of cuDNN's choice of algorithms, and of the number of threads.

    Images above 16 pixels keep their threads, since time matters more there.
    """
    threads = torch.get_num_threads()
    cudnn = torch.backends.cudnn
    before = cudnn.benchmark, cudnn.deterministic
    try:
        if spec.is_small:
            torch.set_num_threads(1)
        cudnn.benchmark, cudnn.deterministic = False, True
        yield
    finally:
        torch.set_num_threads(threads)
        cudnn.benchmark, cudnn.deterministic = before
