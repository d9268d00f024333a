"""The domain classifier: trained by the harness on the real training images of a data set.

It has a seed of its own and is cached by content. No model is trained with it, and `bench tune`
selects by another one.
"""

import hashlib
import io
import logging
import time
from collections.abc import Iterator
from contextlib import ExitStack, contextmanager
from datetime import timedelta
from pathlib import Path

import torch
from torch import nn

from bench.console import say
from bench.data.base import DataSpec, fingerprint, to_float
from bench.errors import NotApplicable, first_line
from bench.metrics.base import Context
from bench.metrics.extractors.base import FeatureClassifier, FeatureExtractor
from bench.metrics.extractors.small_classifier import (
    RECIPE,
    SmallClassifier,
    fits,
    isolated_training,
    steps_for,
    train_classifier,
)
from bench.metrics.extractors.weight_files import weights_hash
from bench.record.files import write_atomically
from bench.record.locks import Busy, hold

SAY_EVERY_S = 60.0

_log = logging.getLogger(__name__)


def domain_classifier(context: Context, seed: int = 0) -> FeatureClassifier:
    """Return the classifier of a data set, trained now unless it is cached.

    Its features are those of the network without the last layer. The same data, seed, processor and
    library give the same weights, above 16 pixels only with the same number of threads. Elsewhere
    the last bits differ, and so does the hash in the name. One of several processes trains it, and
    the others wait. `NotApplicable` if the data are not images, or such that it cannot look at.
    """
    context.require_images()
    if not fits(context.data.spec):
        _, height, width = context.data.spec.shape
        raise NotApplicable(
            f"the domain classifier needs images of at least 4 pixels per side that are not much "
            f"higher than wide; these are {width} wide and {height} high"
        )
    return context.remember(f"domain {seed}", lambda: _load(context, seed))


def feature_width(spec: DataSpec) -> int:
    """Return the number of its features on such images."""
    with torch.device("meta"):
        return SmallClassifier(spec).head.in_features


def _load(context: Context, seed: int) -> FeatureClassifier:
    data, spec, device = context.data, context.data.spec, context.device
    content = f"{RECIPE} {seed} {spec.shape} {spec.classes} {data.flip} {fingerprint(data.train)}"
    key = hashlib.sha256(content.encode()).hexdigest()[:16]
    path = context.cache / "extractors" / f"classifier-{key}.pt"
    seconds = None
    with isolated_training():
        network = _read(spec, path)
        if network is None:
            with _held(path.with_suffix(".lock"), spec):
                network = _read(spec, path)
                if network is None:
                    began = time.monotonic()
                    network = _train(context, seed)
                    _write(network, path)
                    seconds = time.monotonic() - began
    network.to(device).eval().requires_grad_(False)
    name = f"{spec.name}-classifier@{weights_hash(network.state_dict())[:8]}"
    features, width = network.features, network.head.in_features
    extractor = FeatureExtractor(name, lambda x: features(to_float(x)), width, device)
    classifier = FeatureClassifier(name, lambda x: network(to_float(x)), device, extractor)
    if seconds is not None:
        right = classifier.logits(data.test.x).argmax(dim=1) == data.test.y
        say(
            f"  trained in {seconds:.0f} s; of {len(right)} real images that it has not seen it "
            f"classifies {100 * right.double().mean():.1f} % correctly"
        )
    return classifier


@contextmanager
def _held(lock: Path, spec: DataSpec) -> Iterator[None]:
    """Hold a lock; where another process has it, say so and wait."""
    lock.parent.mkdir(parents=True, exist_ok=True)
    with ExitStack() as stack:
        try:
            stack.enter_context(hold(lock))
        except Busy as busy:
            say(f"  waiting for the domain classifier of {spec.name}: {busy}")
            stack.enter_context(hold(lock, wait=True))
        yield


def _train(context: Context, seed: int) -> SmallClassifier:
    """Train the classifier, and say now and then how far it is."""
    data = context.data
    began = said = time.monotonic()
    steps = steps_for(len(data.train))
    say(f"  training the domain classifier of {data.spec.name}: {steps} steps")

    def report(step: int) -> None:
        nonlocal said
        now = time.monotonic()
        if now - said >= SAY_EVERY_S:
            said = now
            left = timedelta(seconds=round((now - began) * (steps - step) / step))
            say(f"  domain classifier of {data.spec.name}: {step} of {steps} steps, {left} left")

    return train_classifier(
        data.spec, data.train, seed=seed, flip=data.flip, device=context.device, report=report
    )


def _read(spec: DataSpec, path: Path) -> SmallClassifier | None:
    """Return the classifier of a file; None if there is no file, or it is damaged."""
    if not path.exists():
        return None
    network = SmallClassifier(spec)
    try:
        content = torch.load(path, map_location="cpu", weights_only=True)
        network.load_state_dict(content["weights"])
        if weights_hash(network.state_dict()) != content["hash"]:
            raise ValueError("its weights are not those that were written")
    except Exception as error:  # a damaged file may raise anything
        _log.warning("%s is damaged (%s); training the classifier again", path, first_line(error))
        return None
    return network


def _write(network: nn.Module, path: Path) -> None:
    weights = {name: value.cpu() for name, value in network.state_dict().items()}
    buffer = io.BytesIO()
    torch.save({"weights": weights, "hash": weights_hash(weights)}, buffer)
    write_atomically(path, buffer.getbuffer())
