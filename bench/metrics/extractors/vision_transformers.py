"""DINOv2 and CLIP, the vision transformers of recent Fréchet distances and of CMMD.

The networks are timm's. Their weights come from the user's file or are downloaded once. Without
them metrics do not apply: numbers from other weights would mislead.
"""

from collections.abc import Callable
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import torch
import torch.nn.functional as F
from torch import Tensor, nn

from bench.console import say
from bench.data.base import is_offline
from bench.errors import BenchError, NotApplicable, one_line, shown_path
from bench.metrics.base import Context
from bench.metrics.extractors.base import FeatureExtractor
from bench.metrics.extractors.weight_files import read_weights, weights_hash
from bench.registry import import_extra

IMAGES_PER_PASS = 32  # an image of 336x336 takes 9 MB in the widest layers
FILE = "model.safetensors"


@dataclass(frozen=True)
class VisionTransformer:
    """A network of timm, and how images are prepared for it.

    Attributes:
        title: Name in messages.
        name: Name in protocols, which stands for all that is here.
        network: Name of the network and its weights in timm, which also knows mean and standard
            deviation of the pixels.
        size: Side in pixels to which images are resized.
        crops: Whether oblong images are cut to their central square first; else they are stretched.
    """

    title: str
    name: str
    network: str
    size: int
    crops: bool


TRANSFORMERS = {
    # As Stein et al. (2023) take it in dgm-eval.
    "dinov2": VisionTransformer(
        "DINOv2", "dinov2-vitl14-224", "vit_large_patch14_dinov2.lvd142m", 224, crops=False
    ),
    # As Jayasumana et al. (2024) take it for CMMD. OpenAI trained with another GELU than timm's
    # network without `quickgelu` in its name has.
    "clip": VisionTransformer(
        "CLIP",
        "clip-vitl14-336",
        "vit_large_patch14_clip_quickgelu_336.openai",
        336,
        crops=True,
    ),
}
"""By the name in the option `extractor` and in `Context.weights`."""


def transformer_features(context: Context, name: str) -> FeatureExtractor:
    """Return the extractor of a network of `TRANSFORMERS`.

    Its features are the normed class token of DINOv2, 1 024 of them, or the 768 of CLIP's image
    embedding, after its projection and before it is normalized. Gray images are repeated to three
    channels. The weights are those of the file `weights[name]` of the context; without one they are
    downloaded, unless `BENCH_OFFLINE` is set. `NotApplicable` if they are missing, damaged or of
    another network, timm is not installed, or the data are neither gray nor color images.
    """
    context.require_gray_or_color()
    return context.remember(name, lambda: _load(context, name))


def _load(context: Context, name: str) -> FeatureExtractor:
    kind, device = TRANSFORMERS[name], context.device
    path = context.weights.get(name) or _downloaded(_repository(name), kind.title, remedy_of(name))
    network = read_transformer(name, path)
    source = network.pretrained_cfg
    full_name = f"{kind.name}@{weights_hash(network.state_dict())[:8]}"
    if kind.size != network.patch_embed.img_size[0]:
        resized = _resized_positions(
            network.pos_embed, kind.size // network.patch_embed.patch_size[0]
        )
        network.set_input_size(kind.size)
        network.pos_embed = nn.Parameter(resized)
    network.to(device).eval().requires_grad_(False)
    prepare = _preparation(kind, source["mean"], source["std"], device)

    def features_of(x: Tensor) -> Tensor:
        return torch.cat([network(prepare(batch)) for batch in torch.split(x, IMAGES_PER_PASS)])

    width = network.num_classes or network.num_features
    return FeatureExtractor(full_name, features_of, width, device, is_slow=True)


def read_transformer(name: str, path: Path) -> Any:
    """Return a network of `TRANSFORMERS` with the weights of a file, for images of its own size.

    `NotApplicable` if the file is not of this network, or timm is not installed.
    """
    kind, remedy = TRANSFORMERS[name], remedy_of(name)
    from timm import create_model
    from timm.models.vision_transformer import checkpoint_filter_fn

    with torch.device("meta"):  # without memory, and without random numbers
        network = create_model(kind.network)
    weights = read_weights(path, kind.title, remedy)
    try:
        # timm would silently resize the positions of a network for images of another size.
        positions = [value for key, value in weights.items() if "pos" in key]
        if all(value.shape[-2] != network.pos_embed.shape[1] for value in positions):
            raise ValueError(f"it has no {network.pos_embed.shape[1]} positions")
        weights = checkpoint_filter_fn(weights, network)
        network.load_state_dict({key: v.float() for key, v in weights.items()}, assign=True)
    except Exception as error:  # another network's file may raise anything
        reason = f"{path} does not fit {kind.title} ({one_line(error)}); {remedy}"
        raise NotApplicable(reason) from error
    return network


def _resized_positions(embedding: Tensor, side: int) -> Tensor:
    """Return position embeddings `[1, 1 + side^2, D]` of those of more patches, as DINOv2 does.

    timm resizes with antialiasing and without the tenth of a patch: other features.
    """
    first, patches = embedding.detach()[:, :1], embedding.detach()[:, 1:]
    whole = round(patches.shape[1] ** 0.5)
    grid = patches.transpose(1, 2).reshape(1, -1, whole, whole)
    scale = (side + 0.1) / whole
    resized = F.interpolate(grid, scale_factor=(scale, scale), mode="bicubic")
    return torch.cat((first, resized.flatten(2).transpose(1, 2)), dim=1)


def _preparation(
    kind: VisionTransformer,
    mean: tuple[float, ...],
    deviation: tuple[float, ...],
    device: torch.device,
) -> Callable[[Tensor], Tensor]:
    """Return a function from `uint8` images on the device to what a network takes."""
    center, scale = (torch.tensor(v, device=device).view(3, 1, 1) for v in (mean, deviation))

    def prepare(x: Tensor) -> Tensor:
        if kind.crops:
            x = _central_square(x)
        resized = resized_as_pillow(x, kind.size).expand(-1, 3, -1, -1)
        return (resized / 255 - center) / scale

    return prepare


def _central_square(x: Tensor) -> Tensor:
    height, width = x.shape[2:]
    side = min(height, width)
    top, left = (height - side) // 2, (width - side) // 2
    return x[:, :, top : top + side, left : left + side]


def resized_as_pillow(x: Tensor, size: int) -> Tensor:
    """Return images `[B, C, size, size]` of levels 0 to 255 as floats, bicubically resized.

    Pillow resizes along the width, rounds to bytes, and does the same along the height.
    """
    x = x.float()
    for shape in ((x.shape[2], size), (size, size)):
        x = F.interpolate(x, shape, mode="bicubic", align_corners=False, antialias=True)
        x = (x + 0.5).floor().clamp(0, 255)
    return x


def _repository(name: str) -> str:
    """Return the name of the repository of a network's weights; `NotApplicable` without timm."""
    kind = TRANSFORMERS[name]
    try:
        timm = import_extra("timm", "timm", kind.title)
    except BenchError as error:
        raise NotApplicable(str(error)) from error
    return str(timm.models.get_pretrained_cfg(kind.network).hf_hub_id)


def kept_weights(name: str) -> Path | None:
    """Return the downloaded weights of a network of `TRANSFORMERS`, if they are there."""
    return _kept(_repository(name))


def remedy_of(name: str) -> str:
    """Return how to provide the weights of a network of `TRANSFORMERS`."""
    return (
        f"give {FILE} of https://huggingface.co/{_repository(name)} with --{name}-weights "
        f"(or BENCH_{name.upper()}_WEIGHTS), or run once where it can be downloaded"
    )


def _kept(repository: str) -> Path | None:
    """Return the file of weights where timm keeps it, if it is there."""
    from huggingface_hub import try_to_load_from_cache

    path = try_to_load_from_cache(repository, FILE)
    return Path(path) if isinstance(path, str) else None


def _downloaded(repository: str, title: str, remedy: str) -> Path:
    """Return the file of weights where timm keeps it, after a download if it is missing."""
    from huggingface_hub import hf_hub_download
    from huggingface_hub.constants import HF_HUB_CACHE

    if path := _kept(repository):
        return path
    looked = f"looked for {repository} in {shown_path(HF_HUB_CACHE)}"
    missing = f"the weights of {title} are not on this machine ({looked})"
    if is_offline():
        raise NotApplicable(f"{missing}, and BENCH_OFFLINE is set; {remedy}")
    say(f"  downloading {FILE} of https://huggingface.co/{repository}")
    try:
        return Path(hf_hub_download(repository, FILE))
    except Exception as error:  # of several libraries
        reason = f"{missing}, and downloading them failed ({one_line(error)}); {remedy}"
        raise NotApplicable(reason) from error
