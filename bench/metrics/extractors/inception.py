"""The Inception network that defines Inception Score, FID and KID in the literature.

It is torch-fidelity's, with the weights of December 2015, from the user's file or downloaded once.
Without them metrics do not apply: numbers from other weights would mislead.
"""

import hashlib
import io
import time
import urllib.request
from http.client import HTTPException
from pathlib import Path
from typing import Any

import torch
from torch import Tensor

from bench.console import say
from bench.data.base import is_offline
from bench.errors import NotApplicable, one_line, shown_path
from bench.metrics.base import Context
from bench.metrics.extractors.base import FeatureClassifier, FeatureExtractor
from bench.metrics.extractors.weight_files import read_weights, weights_hash
from bench.record.files import write_atomically

TIMEOUT_S = 10.0  # without one byte
PATIENCE_S = 600.0  # for all 91 MB
FEATURES = 2048  # of the layer `pool_3`
IMAGES_PER_PASS = 50  # at 299x299 an image takes 20 MB

REMEDY = (
    "give a file of its weights with --inception-weights, or run once where they can be downloaded"
)


def inception(context: Context) -> FeatureClassifier:
    """Return the classifier of 1 008 logits without bias that the Inception Score takes.

    Gray images are repeated to three channels; the network enlarges every image to 299x299. The
    weights are those of the file `weights["inception"]` of the context; without one they are
    downloaded, unless `BENCH_OFFLINE` is set. `NotApplicable` if they are missing, damaged or lack
    the layer of the logits, or if the data are neither gray nor color images.
    """
    classifier = _network(context)[1]
    if isinstance(classifier, str):
        raise NotApplicable(classifier)
    return classifier


def inception_features(context: Context) -> FeatureExtractor:
    """Return the extractor of the 2 048 features that define FID and KID (`pool_3`).

    Unlike `inception`, it needs no layer of the logits; its name is the same without that layer.
    """
    return _network(context)[0]


def _network(context: Context) -> tuple[FeatureExtractor, FeatureClassifier | str]:
    """Return the network as extractor, and as classifier or why it cannot be one."""
    context.require_gray_or_color()
    return context.remember("inception", lambda: _load(context))


def _load(context: Context) -> tuple[FeatureExtractor, FeatureClassifier | str]:
    path, device = context.weights.get("inception") or _downloaded(), context.device
    network, has_head = read_inception(path)
    network.to(device)
    name = f"inception@{weights_hash(network.state_dict())[:8]}"
    last: Tensor = network.fc.weight.detach()
    del network.fc

    def features_of(x: Tensor) -> Tensor:
        batches = torch.split(x.expand(-1, 3, -1, -1), IMAGES_PER_PASS)
        return torch.cat([network(batch)[0] for batch in batches])

    features_name = f"inception-pool3@{weights_hash(network.state_dict())[:8]}"
    extractor = FeatureExtractor(features_name, features_of, FEATURES, device, is_slow=True)
    if not has_head:
        return extractor, (
            f"{path} lacks the last layer of the Inception network (fc.weight), which the "
            f"Inception Score needs; {REMEDY}"
        )
    return extractor, FeatureClassifier(
        name, lambda x: features_of(x) @ last.T, device, extractor, lambda x: x @ last.T
    )


def read_inception(path: Path) -> tuple[Any, bool]:
    """Return torch-fidelity's network with the weights of a file, and whether they have all layers.

    The layer of the logits may be missing. `NotApplicable` if the file is not of this network.
    """
    weights = read_weights(path, "Inception", REMEDY)
    has_head = "fc.weight" in weights
    if not has_head:  # the network insists on a last layer, which features never reach
        weights |= {"fc.weight": torch.zeros(1008, 2048), "fc.bias": torch.zeros(1008)}
    checked = io.BytesIO()  # it reads a file by itself, and would run any code in the user's
    torch.save(weights, checked)
    checked.seek(0)
    # It initializes itself with random numbers before it reads the file.
    with torch.random.fork_rng(devices=[]):
        from torch_fidelity.feature_extractor_inceptionv3 import FeatureExtractorInceptionV3

        try:
            network = FeatureExtractorInceptionV3(
                "inception", ["2048"], feature_extractor_weights_path=checked
            )
        except RuntimeError as error:
            reason = f"{path} does not fit the Inception network: {one_line(error)}"
            raise NotApplicable(reason) from error
    return network, has_head


def downloaded_path() -> Path:
    """Return the path where torch-fidelity keeps the weights that it downloads."""
    return Path(torch.hub.get_dir()) / "checkpoints" / _address().rsplit("/", 1)[1]


def _address() -> str:
    from torch_fidelity.feature_extractor_inceptionv3 import URL_INCEPTION_V3

    return str(URL_INCEPTION_V3)


def _downloaded() -> Path:
    """Return the weights where torch-fidelity keeps them, after a download if they are missing."""
    address, path = _address(), downloaded_path()
    if path.exists():
        return path
    missing = f"the Inception weights are not on this machine (looked for {shown_path(path)})"
    if is_offline():
        raise NotApplicable(f"{missing}, and BENCH_OFFLINE is set; {REMEDY}")
    say(f"  downloading {address}")
    try:
        content = _fetch(address)
        # The file's name ends in the first digits of its hash.
        if not hashlib.sha256(content).hexdigest().startswith(path.stem.rsplit("-", 1)[1]):
            raise OSError("what came is not the file that was asked for")
        write_atomically(path, content)
    except (OSError, HTTPException) as error:
        reason = f"{missing}, and downloading them failed ({error}); {REMEDY}"
        raise NotApplicable(reason) from error
    return path


def _fetch(address: str) -> bytes:
    until, content = time.monotonic() + PATIENCE_S, bytearray()
    with urllib.request.urlopen(address, timeout=TIMEOUT_S) as source:
        while block := source.read(2**20):
            content += block
            if time.monotonic() > until:
                raise TimeoutError(f"it took longer than {PATIENCE_S:.0f} s")
    return bytes(content)
