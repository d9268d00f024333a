"""A network of the user's own as judge: a file that holds the network whole, code and weights.

The paper judges FaceScrub with an Inception-ResNet-v1 trained on VGGFace2. Such a network is saved
once, by `torch.export.save` as `NAME.pt2` (in evaluation mode, with a dynamic batch size) or as
TorchScript with any other suffix, and named in the sweep:

    metrics:
      - {name: inception_score, extractor: {path: vggface2.pt2, size: 160}}
      - {name: fid, extractor: {path: vggface2.pt2, size: 160}}

Such a file is a program and does what it likes with the rights of whoever runs it: use only files
of your own or of people you trust. The first digits of its hash stand in every protocol.
"""

import hashlib
import warnings
import zipfile
from collections.abc import Callable
from pathlib import Path
from typing import Annotated, Any, Literal, NamedTuple

import torch
import torch.nn.functional as F
from pydantic import Field
from torch import Tensor

from bench.errors import BenchError, NotApplicable
from bench.metrics.base import Context
from bench.metrics.extractors.domain import FeatureExtractor, HeadedExtractor
from bench.spec.run_settings import Strict

JUDGED_AT_ONCE = 50  # such networks are large
TOLERANCE = 1e-3


class Network(Strict):
    """A file that holds a network, and what it expects.

    It is given `float32` images `[B, C, H, W]` and returns logits `[B, K]`, features `[B, D]`, a
    pair `(logits, features)`, or a dict with these names.

    Attributes:
        path: The file; `~` is the home folder.
        gives: What a network returns that returns one tensor.
        size: Side in pixels to which images are resized first, bilinearly, with antialiasing where
            they shrink; left as they are where None. Oblong images are stretched.
        range: What the levels 0 and 255 become.
        color: Whether gray images are repeated to three channels.
    """

    path: str
    gives: Literal["logits", "features"] = "logits"
    size: Annotated[int, Field(gt=0)] | None = None
    range: tuple[float, float] = (-1.0, 1.0)
    color: bool = False


class _Outputs(NamedTuple):
    """What a network says about a batch; None for what it does not say."""

    logits: Tensor | None
    features: Tensor | None


class _Opened(NamedTuple):
    """A network that has been tried on two images."""

    name: str
    run: Callable[[Tensor], _Outputs]
    found: _Outputs

    def view(self, context: Context, of: Literal["logits", "features"]) -> FeatureExtractor:
        """Return the extractor of all that the network says, logits first, for one of the two."""
        logits, features = (0 if part is None else part.shape[1] for part in self.found)

        def outputs_of(x: Tensor) -> Tensor:
            runs = [self.run(chunk) for chunk in torch.split(x, JUDGED_AT_ONCE)]
            parts = [torch.cat([p.float() for p in run if p is not None], dim=1) for run in runs]
            return torch.cat(parts)

        shown = (logits, 0, features) if of == "logits" else (features, logits, 0)
        width, before, after = shown
        return FeatureExtractor(self.name, outputs_of, width, context.device, True, before, after)


def network_logits(context: Context, network: Network) -> HeadedExtractor:
    """Return the extractor of a network's logits.

    Args:
        context: The data and the device.
        network: The file.

    Returns:
        The extractor.

    Raises:
        NotApplicable: If the data are no images.
        BenchError: If the file is no such network, or gives no logits.
    """
    opened = _opened(context, network)
    if opened.found.logits is None:
        raise BenchError(f"{network.path} gives features alone, and logits [B, K] are needed here")
    through = opened.view(context, "logits")

    def logits_of(x: Tensor) -> Tensor:
        return through.features_of(x)[:, : through.width]

    return HeadedExtractor(opened.name, logits_of, context.device, through, lambda logits: logits)


def network_features(context: Context, network: Network) -> FeatureExtractor:
    """Return the extractor of a network's features.

    Args:
        context: The data and the device.
        network: The file.

    Returns:
        The extractor.

    Raises:
        NotApplicable: If the data are no images.
        BenchError: If the file is no such network, or gives no features.
    """
    opened = _opened(context, network)
    if opened.found.features is None:
        raise BenchError(
            f"{network.path} gives logits alone, and features [B, D] are needed here; return both "
            "as a pair (logits, features), or say gives: features if that is what it returns"
        )
    return opened.view(context, "features")


def _opened(context: Context, network: Network) -> _Opened:
    """Return a network, opened and tried once in this process."""
    spec = context.data.spec
    if not spec.is_image:
        raise NotApplicable(f"{spec.name} are no images")
    place = f"network {network.model_dump_json()}"
    if place not in context.extractors:
        path = Path(network.path).expanduser()
        if not path.is_file():
            raise BenchError(f"there is no file {path} of a network")
        program = _read(path, context.device)
        with path.open("rb") as file:
            digest = hashlib.file_digest(file, "sha256").hexdigest()[:8]
        low, high = network.range
        parts = [f"network@{digest}", f"range={low:g}..{high:g}"]
        parts += [f"size={network.size}"] if network.size else []
        parts += ["color"] if network.color else []

        def run(x: Tensor) -> _Outputs:
            return _outputs(program, _prepared(x, network), network)

        found = _tried(run, context.data.train.x[:2].to(context.device), network.path)
        context.extractors[place] = _Opened(";".join(parts), run, found)
    opened = context.extractors[place]
    assert isinstance(opened, _Opened)
    return opened


def _read(path: Path, device: torch.device) -> Callable[[Tensor], Any]:
    """Read a program; from here on the file's own code may run."""
    kind = "torch.export" if path.suffix == ".pt2" else "TorchScript"
    try:
        if not zipfile.is_zipfile(path):
            raise ValueError("it is no archive")
        if kind == "TorchScript":
            with warnings.catch_warnings():
                warnings.simplefilter("ignore", FutureWarning)  # TorchScript is deprecated
                script = torch.jit.load(path, map_location=device)  # type: ignore[no-untyped-call]
            ready: Callable[[Tensor], Any] = script.eval()
            return ready
        from torch.export.passes import move_to_device_pass

        program = move_to_device_pass(torch.export.load(path), device)
        exported: Callable[[Tensor], Any] = program.module()
    except Exception as error:  # whatever a damaged file makes of itself
        what = " ".join(str(error).split())[:200]
        raise BenchError(f"{path} is no {kind} network, or damaged: {what}") from error
    return exported


def _prepared(x: Tensor, network: Network) -> Tensor:
    """Return `uint8` images as the network expects them."""
    x = (x.expand(-1, 3, -1, -1) if network.color else x).float()
    if network.size and list(x.shape[2:]) != [network.size] * 2:
        size, shrinks = (network.size, network.size), max(x.shape[2:]) > network.size
        x = F.interpolate(x, size, mode="bilinear", align_corners=False, antialias=shrinks)
    low, high = network.range
    return x * ((high - low) / 255) + low


def _outputs(program: Callable[[Tensor], Any], x: Tensor, network: Network) -> _Outputs:
    """Run a program, and check what it returns."""
    path = network.path
    try:
        found = program(x)
    except Exception as error:
        what = str(error).strip().rsplit("\n", 1)[-1][:200]
        raise BenchError(f"{path} cannot judge images {list(x.shape)}: {what}") from error
    if isinstance(found, Tensor):
        found = {network.gives: found}
    elif isinstance(found, tuple | list) and len(found) == 2:
        found = dict(zip(("logits", "features"), found, strict=True))
    if not isinstance(found, dict) or not found or set(found) - {"logits", "features"}:
        what = type(found).__name__
        what += f" of {', '.join(map(str, found))}" if isinstance(found, dict) else ""
        raise BenchError(
            f"{path} must return a tensor, a pair (logits, features), or a dict with these names; "
            f"it returned {what}"
        )
    for name, tensor in found.items():
        shape = list(tensor.shape) if isinstance(tensor, Tensor) else type(tensor).__name__
        if not isinstance(tensor, Tensor) or tensor.ndim != 2 or len(tensor) != len(x):
            letter = {"logits": "K", "features": "D"}[name]
            raise BenchError(
                f"{path} must return {name} [B, {letter}]; for {len(x)} images it returned {shape}"
            )
    logits, features = found.get("logits"), found.get("features")
    if logits is not None and logits.shape[1] < 2:
        raise BenchError(f"{path} returned one logit an image; at least 2 classes are needed")
    return _Outputs(logits, features)


def _tried(run: Callable[[Tensor], _Outputs], x: Tensor, path: str) -> _Outputs:
    """Judge two images together, and one alone, which must make no difference."""
    with torch.inference_mode(), torch.random.fork_rng(devices=[]):
        together, alone = run(x), run(x[:1])
    for both, one in zip(together, alone, strict=True):
        if both is None or one is None:
            continue
        scale = max(1.0, float(both[:1].abs().max()))
        if not float((both[:1] - one).abs().max()) <= TOLERANCE * scale:  # also if not finite
            raise BenchError(
                f"{path} judges an image otherwise beside another one than alone; save the network "
                "in evaluation mode, after net.eval()"
            )
    return together
