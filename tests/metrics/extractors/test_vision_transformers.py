"""DINOv2 and CLIP, with small networks of random weights; nothing is downloaded."""

import math
import sys
from dataclasses import replace
from typing import get_args

import huggingface_hub
import numpy as np
import pytest
import scipy.linalg
import timm
import torch
import torch.nn.functional as F
from PIL import Image
from safetensors.torch import save_file
from torchvision.transforms import v2

from bench.commands.options import WEIGHTS
from bench.errors import NotApplicable
from bench.metrics.base import SampleSet
from bench.metrics.extractors import EXTRACTORS, extractor_option
from bench.metrics.extractors import vision_transformers as module
from bench.metrics.extractors.pretrained_networks import PRETRAINED
from bench.metrics.extractors.vision_transformers import (
    TRANSFORMERS,
    resized_as_pillow,
    transformer_features,
)
from bench.metrics.features.cmmd import ClipDistance
from bench.metrics.features.fid import FrechetDistance
from bench.metrics.features.kid import KernelDistance

EXTRACTOR_NAMES = ("dinov2", "clip")
each_extractor = pytest.mark.parametrize("name", EXTRACTOR_NAMES)
SMALL = {"embed_dim": 32, "depth": 2, "num_heads": 4}
SIZE, CROPS = {"dinov2": 224, "clip": 336}, {"dinov2": False, "clip": True}
HEAD = {"dinov2": {}, "clip": {"num_classes": 24}}
MEANS = {
    "dinov2": ((0.485, 0.456, 0.406), (0.229, 0.224, 0.225)),
    "clip": ((0.48145466, 0.4578275, 0.40821073), (0.26862954, 0.26130258, 0.27577711)),
}


@pytest.fixture(autouse=True)
def small_networks(monkeypatch):
    whole, names = timm.create_model, {kind.network: name for name, kind in TRANSFORMERS.items()}
    monkeypatch.setattr(
        timm, "create_model", lambda network: whole(network, **SMALL, **HEAD[names[network]])
    )


@pytest.fixture
def weights(monkeypatch):
    """Return the weights of a small network, all of them random."""

    def make(name, seed=0):
        kind = TRANSFORMERS[name]
        with torch.random.fork_rng(devices=[]):
            torch.manual_seed(seed)
            state = timm.create_model(kind.network).state_dict()
            return {key: 0.3 * torch.randn_like(v) for key, v in state.items()}

    return make


@pytest.fixture
def files(weights, tmp_path):
    """Return a function that gives the file of the weights of a small network."""

    def make(name, suffix=".safetensors"):
        path = tmp_path / f"{name}{suffix}"
        (save_file if suffix == ".safetensors" else torch.save)(weights(name), path)
        return path

    return make


def pillow(image, size, crops):
    """Resize one image `[C, H, W]` as torchvision and the authors' code do it, by Pillow."""
    image = Image.fromarray(image.permute(1, 2, 0).squeeze(2).numpy()).convert("RGB")
    if crops:
        side = min(image.size)
        left, top = ((length - side) // 2 for length in image.size)
        image = image.crop((left, top, left + side, top + side))
    resize = v2.Resize((size, size), v2.InterpolationMode.BICUBIC)
    return torch.from_numpy(np.array(resize(image))).permute(2, 0, 1)


def positions(embedding, side):
    """Return the position embeddings as DINOv2's own code makes them, here pixel by pixel."""
    whole = math.isqrt(embedding.shape[1] - 1)
    grid = embedding[0, 1:].reshape(whole, whole, -1).double()

    def row(i):
        """Return the weights of the cubic convolution (a = -3/4) for one position."""
        at = (i + 0.5) * whole / (side + 0.1) - 0.5
        weights = torch.zeros(whole, dtype=torch.float64)
        for j in range(math.floor(at) - 1, math.floor(at) + 3):
            d, a = abs(at - j), -0.75
            near = (a + 2) * d**3 - (a + 3) * d**2 + 1
            far = a * d**3 - 5 * a * d**2 + 8 * a * d - 4 * a
            weights[min(max(j, 0), whole - 1)] += near if d <= 1 else far
        return weights

    rows = torch.stack([row(i) for i in range(side)])
    resized = torch.einsum("ia,jb,abd->ijd", rows, rows, grid).reshape(side * side, -1)
    return torch.cat((embedding[0, :1].double(), resized))


def expected(name, state, x):
    """Return the features by the published formulas, in float64."""
    w = {key: v.double() for key, v in state.items()}
    is_clip = name == "clip"
    mean, deviation = (torch.tensor(v).double().view(3, 1, 1) for v in MEANS[name])
    x = torch.stack([pillow(image, SIZE[name], CROPS[name]) for image in x])
    z = F.conv2d((x / 255 - mean) / deviation, w["patch_embed.proj.weight"], stride=14)
    z = z + (0 if is_clip else w["patch_embed.proj.bias"].view(-1, 1, 1))
    z = z.flatten(2).transpose(1, 2)
    z = torch.cat((w["cls_token"].expand(len(z), 1, -1), z), dim=1)
    z = z + (w["pos_embed"][0] if is_clip else positions(state["pos_embed"], 16))

    def norm(z, layer):
        eps = 1e-5 if is_clip else 1e-6
        return F.layer_norm(z, z.shape[-1:], w[f"{layer}.weight"], w[f"{layer}.bias"], eps)

    def linear(z, layer):
        return z @ w[f"{layer}.weight"].T + w[f"{layer}.bias"]

    def scaled(z, layer):
        return z if is_clip else z * w[f"{layer}.gamma"]

    z = norm(z, "norm_pre") if is_clip else z
    for block in (f"blocks.{i}" for i in range(SMALL["depth"])):
        q, k, v = linear(norm(z, f"{block}.norm1"), f"{block}.attn.qkv").chunk(3, dim=2)
        heads = [part.unflatten(2, (4, -1)).transpose(1, 2) for part in (q, k, v)]
        weights = (heads[0] @ heads[1].transpose(2, 3) / 8**0.5).softmax(dim=3)
        attended = (weights @ heads[2]).transpose(1, 2).flatten(2)
        z = z + scaled(linear(attended, f"{block}.attn.proj"), f"{block}.ls1")
        h = linear(norm(z, f"{block}.norm2"), f"{block}.mlp.fc1")
        h = h * torch.sigmoid(1.702 * h) if is_clip else h * torch.special.ndtr(h)
        z = z + scaled(linear(h, f"{block}.mlp.fc2"), f"{block}.ls2")
    z = norm(z, "norm")[:, 0]
    return z @ w["head.weight"].T + w["head.bias"] if is_clip else z


@each_extractor
@pytest.mark.parametrize("shape", [(3, 3, 32, 32), (2, 1, 8, 8), (1, 3, 40, 60)])
def test_features_are_those_of_the_published_network(name, shape, files, weights, contexts, tiny):
    context = contexts(tiny(channels=3), weights={name: files(name)})
    generator = torch.Generator().manual_seed(0)
    x = torch.randint(256, shape, generator=generator, dtype=torch.uint8)
    extractor = transformer_features(context, name)
    with torch.inference_mode():
        found = extractor.outputs_of(x)
    torch.testing.assert_close(
        found.double(), expected(name, weights(name), x), rtol=2e-4, atol=2e-4
    )
    assert found.shape == (len(x), extractor.width)
    assert extractor.is_slow


@pytest.mark.parametrize("size", [224, 336])
@pytest.mark.parametrize("shape", [(3, 32, 32), (1, 28, 28), (3, 300, 500), (3, 224, 400)])
def test_images_are_resized_as_pillow_does(shape, size):
    image = torch.randint(256, shape, generator=torch.Generator().manual_seed(0)).to(torch.uint8)
    found = resized_as_pillow(image[None], size)[0].expand(3, -1, -1)
    difference = (found - pillow(image, size, crops=False)).abs()
    assert difference.max() <= 1  # Pillow's weights are whole numbers
    assert (difference > 0).float().mean() < 0.002


@each_extractor
def test_the_name_tells_the_weights_whatever_their_file(name, files, weights, contexts, tmp_path):
    other = tmp_path / "other.pth"
    torch.save(weights(name, seed=1), other)
    before = torch.get_rng_state()
    first, again, different = (
        transformer_features(contexts(weights={name: path}), name).name
        for path in (files(name), files(name, ".pth"), other)
    )
    assert torch.equal(torch.get_rng_state(), before)
    assert first == again != different
    assert first.startswith(f"{TRANSFORMERS[name].name}@")
    assert len(first) == len(TRANSFORMERS[name].name) + 9


def test_files_of_the_authors_are_taken_too(files, weights, contexts, tmp_path):
    """DINOv2's has a token for training; OpenAI's and OpenCLIP's have other names."""
    state = weights("dinov2")
    torch.save(state | {"mask_token": torch.zeros(1, 32)}, tmp_path / "dinov2_pretrain.pth")
    theirs = {"visual.proj": (w := weights("clip")).pop("head.weight").T}
    assert w.pop("head.bias") is not None
    for key, value in w.items():
        for ours, their in (
            ("patch_embed.proj", "conv1"),
            ("norm_pre", "ln_pre"),
            ("attn.qkv.", "attn.in_proj_"),
            ("attn.proj", "attn.out_proj"),
            ("mlp.fc1", "mlp.c_fc"),
            ("mlp.fc2", "mlp.c_proj"),
            ("norm1", "ln_1"),
            ("norm2", "ln_2"),
            ("blocks.", "transformer.resblocks."),
        ):
            key = key.replace(ours, their)
        match key:
            case "norm.weight" | "norm.bias":
                key = key.replace("norm", "ln_post")
            case "cls_token":
                key, value = "class_embedding", value[0, 0]
            case "pos_embed":
                key, value = "positional_embedding", value[0]
        theirs[f"visual.{key}"] = value
    torch.save(theirs | {"logit_scale": torch.ones(())}, tmp_path / "clip.pth")
    no_bias = weights("clip") | {"head.bias": torch.zeros(24)}
    torch.save(no_bias, tmp_path / "no_bias.pth")
    for name, path, same in (
        ("dinov2", "dinov2_pretrain.pth", files("dinov2")),
        ("clip", "clip.pth", tmp_path / "no_bias.pth"),
    ):
        first, second = (
            transformer_features(contexts(weights={name: p}), name) for p in (tmp_path / path, same)
        )
        assert first.name == second.name


@each_extractor
def test_the_whole_network_has_the_published_size_and_place(name, monkeypatch):
    monkeypatch.undo()
    kind = TRANSFORMERS[name]
    with torch.device("meta"):
        network = timm.create_model(kind.network)
    count = sum(p.numel() for p in network.parameters())
    # 304.4 million of DINOv2's paper (table 18); CLIP's has 303.5, its projection, and timm a bias.
    patches, head = {"dinov2": (37, 0), "clip": (24, 768 * 1025)}[name]
    layers = 24 * (12 * 1024**2 + 13 * 1024 + 2 * 1024 * (name == "dinov2"))
    embeddings = 14 * 14 * 3 * 1024 + 1024 * (patches**2 + 2)
    norms = 1024 * {"dinov2": 3, "clip": 4}[name]  # and the bias of DINOv2's patches
    assert count == layers + embeddings + norms + head
    assert (network.pretrained_cfg["mean"], network.pretrained_cfg["std"]) == MEANS[name]
    network.set_input_size(kind.size)
    assert network(torch.zeros(2, 3, kind.size, kind.size, device="meta")).shape[1] in (1024, 768)


def test_a_missing_package_is_named(weights, contexts, tmp_path, monkeypatch):
    monkeypatch.setitem(sys.modules, "safetensors.torch", None)
    path = tmp_path / "weights.safetensors"
    path.write_bytes(b"any")
    with pytest.raises(NotApplicable, match="safetensors, which is not installed: pip install"):
        transformer_features(contexts(weights={"clip": path}), "clip")


@each_extractor
@pytest.mark.parametrize(
    ("write", "reason"),
    [
        (lambda path, state: torch.save(state | {"more": torch.ones(1)}, path), "does not fit"),
        (lambda path, state: torch.save({"w": torch.ones(1)}, path), "does not fit"),
        (lambda path, state: torch.save({"pos_embed": 3}, path), "not a state dict"),
        (
            lambda path, state: torch.save(state | {"pos_embed": torch.ones(1, 5, 32)}, path),
            r"does not fit .* positions",
        ),
        (lambda path, state: path.write_text("x"), "cannot be read as a state dict"),
        (lambda path, state: None, "there is no file"),
    ],
    ids=["more", "foreign", "no tensors", "other size", "damaged", "absent"],
)
@pytest.mark.parametrize("suffix", [".pth", ".safetensors"])
def test_unfit_weights_are_not_applicable(name, write, reason, suffix, weights, contexts, tmp_path):
    path = tmp_path / f"weights{suffix}"
    write(path, weights(name))
    if suffix == ".safetensors" and path.exists():
        reason = "cannot be read as a state dict"
    context = contexts(weights={name: path})
    for _ in range(2):
        with pytest.raises(NotApplicable, match=reason):
            transformer_features(context, name)


@each_extractor
@pytest.mark.parametrize(
    ("offline", "why"),
    [("1", "BENCH_OFFLINE is set"), ("0", "downloading them failed (no route)")],
)
def test_without_weights_it_says_where_to_get_them(name, offline, why, contexts, monkeypatch):
    def fail(repository, file):
        assert offline == "0"
        raise OSError("no route")

    monkeypatch.setenv("BENCH_OFFLINE", offline)
    monkeypatch.setattr(huggingface_hub, "hf_hub_download", fail)
    monkeypatch.setattr(huggingface_hub, "try_to_load_from_cache", lambda *a: None)
    with pytest.raises(NotApplicable) as caught:
        transformer_features(contexts(), name)
    option = f"--{name}-weights (or BENCH_{name.upper()}_WEIGHTS)"
    for part in ("https://huggingface.co/timm/vit_large_patch14_", option, why):
        assert part in str(caught.value)


@each_extractor
def test_a_file_in_the_cache_of_the_library_is_taken_offline(name, files, contexts, monkeypatch):
    path = files(name)
    monkeypatch.setattr(huggingface_hub, "try_to_load_from_cache", lambda *a: str(path))
    assert "@" in transformer_features(contexts(), name).name


def test_without_timm_it_says_how_to_install_it(contexts, monkeypatch):
    monkeypatch.setitem(sys.modules, "timm", None)
    with pytest.raises(NotApplicable, match=r"needs timm: pip install 'bench-generators\[timm\]'"):
        transformer_features(contexts(), "clip")


@each_extractor
def test_points_are_not_applicable(name, contexts, moons):
    with pytest.raises(NotApplicable, match="neither gray nor color images"):
        transformer_features(contexts(moons), name)


@pytest.mark.parametrize("passes", [1, 4])
def test_metrics_take_it_by_name(passes, files, contexts, tiny, monkeypatch):
    monkeypatch.setattr(module, "IMAGES_PER_PASS", passes)
    data = tiny(channels=3)
    data = replace(data, train=data.train.take(torch.arange(6)))
    context = contexts(data, weights={name: files(name) for name in EXTRACTOR_NAMES})
    samples = SampleSet(255 - data.test.x[:6], data.test.y[:6], data.spec)
    for metric, name in (
        (KernelDistance(extractor="dinov2"), "dinov2"),
        (KernelDistance(extractor="clip"), "clip"),
        (ClipDistance(), "clip"),
    ):
        (found,) = metric.measure(samples, context)
        full_name = transformer_features(context, name).name
        assert found.protocol.startswith(f"{metric.name}[extractor={full_name},n=6,real=train:6@")
        assert math.isfinite(found.value)


def test_the_frechet_distance_of_dinov2_is_that_of_the_formula(files, contexts, tiny):
    data, generator = tiny(channels=3), torch.Generator().manual_seed(0)
    real, x = torch.randint(256, (2, 40, 3, 8, 8), generator=generator, dtype=torch.uint8)
    y = torch.arange(40) % data.spec.classes
    data = replace(data, train=replace(data.train, x=real // 4, y=y))
    context = contexts(data, weights={"dinov2": files("dinov2")})
    samples = SampleSet(x, y, data.spec)
    (found,) = FrechetDistance(extractor="dinov2").measure(samples, context)
    extractor, train = transformer_features(context, "dinov2"), data.train.x
    assert f"[extractor={extractor.name},n=40,real=train:{len(train)}@" in found.protocol
    a, b = (extractor.outputs_of(images).double().numpy() for images in (x, train))
    covariances = np.cov(a.T), np.cov(b.T)
    root = scipy.linalg.sqrtm(covariances[0] @ covariances[1])
    distance = ((a.mean(0) - b.mean(0)) ** 2).sum() + np.trace(sum(covariances) - 2 * root.real)
    assert found.value == pytest.approx(distance, rel=1e-6), found.reason


def test_all_names_are_listed():
    names = get_args(get_args(get_args(get_args(extractor_option.ExtractorOption)[0])[0])[0])
    assert [*names, "{path: FILE}"] == [*EXTRACTORS]
    assert {*WEIGHTS} == {*PRETRAINED}
    named = {name for name, summary in EXTRACTORS.items() if f"--{name}-weights" in summary}
    assert named == {*WEIGHTS} & {*EXTRACTORS}
