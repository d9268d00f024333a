"""The user's own classifier or feature extractor: a file of a network, code and weights.

The paper evaluates FaceScrub with an Inception-ResNet-v1 trained on VGGFace2. Save such a network
once, by `torch.export.save` as `NAME.pt2` (in evaluation mode, with a dynamic batch size) or as
TorchScript with any other suffix, and name it in the sweep:

    metrics:
      - {name: inception_score, extractor: {path: vggface2.pt2, size: 160}}
      - {name: fid, extractor: {path: vggface2.pt2, size: 160}}

Such a file is a program that runs with your rights: use only files that you trust. The first digits
of its hash are in every protocol.
"""

import warnings
import zipfile
from collections.abc import Callable
from pathlib import Path
from typing import Annotated, Any, Literal

import torch
import torch.nn.functional as F
from pydantic import Field
from torch import Tensor

from bench.errors import BenchError, one_line
from bench.metrics.base import Context
from bench.metrics.extractors.base import FeatureClassifier, FeatureExtractor
from bench.spec.option_files import file_hash
from bench.spec.run_settings import Strict

IMAGES_PER_PASS = 50  # such networks are large
TOLERANCE = 1e-3

OUTPUTS = {"logits": "[B, K]", "features": "[B, D]"}  # what a network may return


class Network(Strict):
    """A file that holds a network, and what the network expects.

    From `float32` images `[B, C, H, W]` it returns logits `[B, K]`, features `[B, D]`, a pair
    `(logits, features)`, or a dict with these names.

    Attributes:
        path: The file; `~` is the home folder.
        gives: What the network returns if it returns one tensor.
        size: Side in pixels to which images are resized first, bilinearly, with antialiasing where
            they shrink; None for the images' own size. Oblong images are stretched.
        range: Values that the network expects for the levels 0 and 255.
        color: Whether gray images are repeated to three channels.
    """

    path: Annotated[Path, Field(strict=False)]
    gives: Literal["logits", "features"] = "logits"
    size: Annotated[int, Field(gt=0)] | None = None
    range: tuple[float, float] = (-1.0, 1.0)
    color: bool = False


def network_logits(context: Context, network: Network) -> FeatureClassifier:
    """Return the classifier of a file; a `BenchError` says if the file holds none."""
    logits = _extractors(context, network).get("logits")
    if logits is None:
        raise BenchError(f"{network.path} gives only features, and logits [B, K] are needed here")
    return FeatureClassifier(
        logits.name,
        lambda x: logits.outputs_of(x)[:, logits.columns],
        context.device,
        logits,
        lambda cached: cached,
    )


def network_features(context: Context, network: Network) -> FeatureExtractor:
    """Return the feature extractor of a file; a `BenchError` says if the file holds none."""
    extractor = _extractors(context, network).get("features")
    if extractor is None:
        raise BenchError(
            f"{network.path} gives only logits, and features [B, D] are needed here; return both "
            "as a pair (logits, features), or say gives: features if that is what it returns"
        )
    return extractor


def _extractors(context: Context, network: Network) -> dict[str, FeatureExtractor]:
    """Return an extractor for each output of a network, which is opened once in this process."""
    context.require_images()
    return context.remember(f"network {network}", lambda: _open(context, network))


def _open(context: Context, network: Network) -> dict[str, FeatureExtractor]:
    path = network.path.expanduser()
    if not path.is_file():
        raise BenchError(f"there is no file {path} of a network")
    program = _read(path, context.device)
    low, high = network.range
    name = f"network@{file_hash(path)[:8]};range={low:g}..{high:g}"
    name += f";size={network.size}" if network.size else ""
    name += ";color" if network.color else ""

    def outputs_of(x: Tensor) -> Tensor:
        """Return all outputs side by side."""
        batches = [_run(program, batch, network) for batch in torch.split(x, IMAGES_PER_PASS)]
        return torch.cat([torch.cat([*batch.values()], dim=1) for batch in batches])

    extractors, start = {}, 0
    for output, tensor in _try(program, context, network).items():
        end = start + tensor.shape[1]
        extractors[output] = FeatureExtractor(
            name, outputs_of, end - start, context.device, is_slow=True, columns=slice(start, end)
        )
        start = end
    return extractors


def _read(path: Path, device: torch.device) -> Callable[[Tensor], Any]:
    """Read a program; from here on the file's own code may run."""
    kind = "torch.export" if path.suffix == ".pt2" else "TorchScript"
    program: Callable[[Tensor], Any]
    try:
        if not zipfile.is_zipfile(path):
            raise ValueError("it is not an archive")
        if kind == "TorchScript":
            with warnings.catch_warnings():
                warnings.simplefilter("ignore", FutureWarning)  # TorchScript is deprecated
                script = torch.jit.load(path, map_location=device)  # type: ignore[no-untyped-call]
            program = script.eval()
        else:
            from torch.export.passes import move_to_device_pass

            program = move_to_device_pass(torch.export.load(path), device).module()
    except Exception as error:  # a damaged file may raise anything
        reason = one_line(error)
        raise BenchError(f"{path} is not a {kind} network, or damaged: {reason}") from error
    return program


def _run(program: Callable[[Tensor], Any], x: Tensor, network: Network) -> dict[str, Tensor]:
    """Run a program on `uint8` images, and return its outputs, logits first, after checks."""
    path, (low, high) = network.path, network.range
    x = (x.expand(-1, 3, -1, -1) if network.color else x).float()
    if network.size and list(x.shape[2:]) != [network.size] * 2:
        size, shrinks = (network.size, network.size), max(x.shape[2:]) > network.size
        x = F.interpolate(x, size, mode="bilinear", align_corners=False, antialias=shrinks)
    x = x * ((high - low) / 255) + low
    try:
        returned = program(x)
    except Exception as error:
        what = str(error).strip().rsplit("\n", 1)[-1][:200]
        raise BenchError(f"{path} cannot process images {list(x.shape)}: {what}") from error
    if isinstance(returned, Tensor):
        returned = {network.gives: returned}
    elif isinstance(returned, tuple | list) and len(returned) == 2:
        returned = dict(zip(OUTPUTS, returned, strict=True))
    if not isinstance(returned, dict) or not returned or set(returned) - set(OUTPUTS):
        what = type(returned).__name__
        what += f" of {', '.join(map(str, returned))}" if isinstance(returned, dict) else ""
        raise BenchError(
            f"{path} must return a tensor, a pair (logits, features), or a dict with these names; "
            f"it returned {what}"
        )
    for name, tensor in returned.items():
        shape = list(tensor.shape) if isinstance(tensor, Tensor) else type(tensor).__name__
        if not isinstance(tensor, Tensor) or tensor.ndim != 2 or len(tensor) != len(x):
            raise BenchError(
                f"{path} must return {name} {OUTPUTS[name]}; for {len(x)} images it returned "
                f"{shape}"
            )
    if "logits" in returned and returned["logits"].shape[1] < 2:
        raise BenchError(f"{path} returned one logit an image; at least 2 classes are needed")
    return {name: returned[name].float() for name in OUTPUTS if name in returned}


def _try(program: Callable[[Tensor], Any], context: Context, network: Network) -> dict[str, Tensor]:
    """Run two images together, and one alone, which must make no difference."""
    x = context.data.train.x[:2].to(context.device)
    with torch.inference_mode(), torch.random.fork_rng(devices=[]):
        together, alone = _run(program, x, network), _run(program, x[:1], network)
    for name, output in alone.items():
        first = together[name][:1]
        scale = max(1.0, float(first.abs().max()))
        if not float((first - output).abs().max()) <= TOLERANCE * scale:  # also if not finite
            raise BenchError(
                f"{network.path} gives other outputs for an image in a batch than alone; "
                "save the network in evaluation mode, after net.eval()"
            )
    return together
