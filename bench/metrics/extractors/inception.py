"""The Inception network that Inception Score, FID and KID of the literature are defined by.

It is torch-fidelity's, with the weights of December 2015. They come from a file of the user's, or
from torch-fidelity's address, once. Where neither is to be had the metric says so and the run
goes on; a number from other weights would be worse than none.
"""

import hashlib
import io
import os
import time
import urllib.request
from collections.abc import Callable
from http.client import HTTPException
from pathlib import Path
from typing import Any, TypeVar, cast

import torch
from torch import Tensor

from bench.console import say
from bench.data.torchvision_files import is_offline
from bench.errors import NotApplicable
from bench.metrics.base import Context
from bench.metrics.extractors.domain import (
    Extractor,
    FeatureExtractor,
    HeadedExtractor,
    weights_hash,
)

TIMEOUT_S = 10.0  # without one byte
PATIENCE_S = 600.0  # for all 91 MB
JUDGED_AT_ONCE = 50  # at 299x299 an image takes 20 MB

WAYS = (
    "give a file of its weights with --inception-weights, or run once where they can be downloaded"
)


def inception(context: Context) -> Extractor:
    """Return the extractor of the 1 008 logits without bias, as the Inception Score takes them.

    Gray images are repeated to three channels; the network enlarges every image to 299x299. Logits
    are a product with the features that FID takes, so that one pass serves both.

    Args:
        context: Names the file of the weights, `weights["inception"]`; without one they are
            downloaded, unless `BENCH_OFFLINE` is set.

    Returns:
        The extractor, kept in `context.extractors`, as a failure is.

    Raises:
        NotApplicable: If the weights cannot be had, are damaged, lack the layer of the logits, or
            if the data are neither gray nor color images.
    """
    return _once(context, "inception", _load)


def inception_features(context: Context) -> FeatureExtractor:
    """Return the extractor of the 2 048 features that FID and KID are defined by.

    They are the averages of the last layer but one, called `pool_3` where the network comes from.
    A file of weights that lacks the layer of the logits is enough, and has the same name.

    Args:
        context: As for `inception`.

    Returns:
        The extractor, kept in `context.extractors`, as a failure is.

    Raises:
        NotApplicable: If the weights cannot be had or are damaged, or if the data are neither
            gray nor color images.
    """
    return _once(context, "inception features", _load_features)


_Kind = TypeVar("_Kind")


def _once(context: Context, place: str, load: Callable[[Context], _Kind]) -> _Kind:
    """Return what `load` makes for images of this kind, or raise its refusal again."""
    spec = context.data.spec
    if not spec.is_image or spec.shape[0] not in (1, 3):
        raise NotApplicable(f"{spec.name} are neither gray nor color images")
    if place not in context.extractors:
        try:
            context.extractors[place] = load(context)
        except NotApplicable as reason:
            context.extractors[place] = reason
    found = context.extractors[place]
    if isinstance(found, NotApplicable):
        raise NotApplicable(str(found))
    return cast("_Kind", found)


def _load(context: Context) -> HeadedExtractor:
    path = context.weights.get("inception") or _downloaded()
    weights = read_weights(path, "Inception")
    if "fc.weight" not in weights:
        raise NotApplicable(
            f"{path} lacks the last layer of the Inception network (fc.weight), which the "
            f"Inception Score needs; {WAYS}"
        )
    network = _network(path, weights, "2048", context.device)
    name = f"inception@{weights_hash(network.state_dict())[:8]}"
    last: Tensor = network.fc.weight.detach()
    through = inception_features(context)

    def head(features: Tensor) -> Tensor:
        return features @ last.T

    def logits_of(x: Tensor) -> Tensor:
        return head(through.features_of(x))

    return HeadedExtractor(name, logits_of, context.device, through, head)


def _load_features(context: Context) -> FeatureExtractor:
    path = context.weights.get("inception") or _downloaded()
    # The network insists on a last layer, which features never reach.
    head = {"fc.weight": torch.zeros(1008, 2048), "fc.bias": torch.zeros(1008)}
    network = _network(path, read_weights(path, "Inception") | head, "2048", context.device)
    del network.fc
    name = f"inception-pool3@{weights_hash(network.state_dict())[:8]}"
    return FeatureExtractor(name, _in_chunks(network), 2048, context.device, is_slow=True)


def _network(path: Path, weights: dict[str, Any], layer: str, device: torch.device) -> Any:
    """Build torch-fidelity's network from weights that were read from `path`."""
    checked = io.BytesIO()  # it reads a file by itself, and would run any code in the user's
    torch.save(weights, checked)
    checked.seek(0)
    # It initializes itself with random numbers before it reads the file.
    with torch.random.fork_rng(devices=[]):
        from torch_fidelity.feature_extractor_inceptionv3 import FeatureExtractorInceptionV3

        try:
            network = FeatureExtractorInceptionV3(
                "inception", [layer], feature_extractor_weights_path=checked
            )
        except RuntimeError as error:
            what = " ".join(str(error).split())[:200]
            raise NotApplicable(f"{path} does not fit the Inception network: {what}") from error
    return network.to(device)


def _in_chunks(network: Any) -> Callable[[Tensor], Tensor]:
    def found_in(x: Tensor) -> Tensor:
        chunks = torch.split(x.expand(-1, 3, -1, -1), JUDGED_AT_ONCE)
        return torch.cat([network(chunk)[0] for chunk in chunks])

    return found_in


def read_weights(path: Path, network: str, ways: str = WAYS) -> dict[str, Any]:
    """Read a file of weights safely; the libraries would run any code in it.

    Args:
        path: The file.
        network: Whose weights these are.
        ways: What a user can do where there is no such file.

    Returns:
        Tensors by name.

    Raises:
        NotApplicable: If there is no such file, or it is damaged.
    """
    try:
        found = torch.load(path, map_location="cpu", weights_only=True)
    except FileNotFoundError:
        raise NotApplicable(f"there is no file {path} of {network} weights; {ways}") from None
    except Exception as error:  # whatever a damaged file makes of itself
        what = " ".join(str(error).split())[:200]
        raise NotApplicable(f"{path} is no file of weights, or damaged: {what}") from error
    if not isinstance(found, dict):
        raise NotApplicable(f"{path} holds no table of weights")
    return found


def _downloaded() -> Path:
    """Return where torch-fidelity keeps the weights, after a download if they are not there."""
    from torch_fidelity.feature_extractor_inceptionv3 import URL_INCEPTION_V3

    address = str(URL_INCEPTION_V3)
    path = Path(torch.hub.get_dir()) / "checkpoints" / address.rsplit("/", 1)[1]
    if path.exists():
        return path
    missing = f"the Inception weights are not on this machine (looked for {path})"
    if is_offline():
        raise NotApplicable(f"{missing}, and BENCH_OFFLINE is set; {WAYS}")
    say(f"  downloading {address}")
    path.parent.mkdir(parents=True, exist_ok=True)
    temporary = path.with_suffix(f".{os.getpid()}.partial")
    try:
        _fetch(address, temporary)
        # The file's name ends in the first digits of its hash.
        if not _file_hash(temporary).startswith(path.stem.rsplit("-", 1)[1]):
            raise OSError("what came is not the file that was asked for")
        temporary.replace(path)
    except (OSError, HTTPException) as error:
        raise NotApplicable(f"{missing}, and downloading them failed ({error}); {WAYS}") from error
    finally:
        temporary.unlink(missing_ok=True)
    return path


def _fetch(address: str, path: Path) -> None:
    until = time.monotonic() + PATIENCE_S
    with urllib.request.urlopen(address, timeout=TIMEOUT_S) as source, path.open("wb") as target:
        while block := source.read(2**20):
            target.write(block)
            if time.monotonic() > until:
                raise TimeoutError(f"it took longer than {PATIENCE_S:.0f} s")


def _file_hash(path: Path) -> str:
    with path.open("rb") as file:
        return hashlib.file_digest(file, "sha256").hexdigest()
