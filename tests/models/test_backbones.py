"""The tables of the paper, layer by layer; built on the meta device, so that size costs nothing."""

from itertools import pairwise

import pytest
import torch
from torch import nn

from bench.data.base import DataSpec
from models import backbones

CIFAR = DataSpec("cifar10", (3, 32, 32), tuple("0123456789"))
FACES = DataSpec("faces", (3, 64, 64), tuple(f"person {i}" for i in range(530)))
MOONS = DataSpec("moons", (2,), ("left", "middle", "right"))
ROLL = DataSpec("swiss_roll", (3,), ("low", "high"))


def images(size, channels=1, classes=10):
    return DataSpec("images", (channels, size, size), tuple(map(str, range(classes))))


def describe(network, *inputs):
    """Return one line a layer, with the shape of its output, from a pass on the meta device."""
    lines = []

    def record(module, _, out):
        shape = "x".join(map(str, out.shape[1:]))
        if isinstance(module, nn.Conv2d | nn.ConvTranspose2d):
            name = "deconv" if module.transposed else "conv"
            size = f"{module.kernel_size[0]}x{module.kernel_size[1]} s{module.stride[0]}"
            lines.append(f"{name} {size} -> {shape}")
        elif isinstance(module, nn.Linear):
            lines.append(f"fc -> {shape}")
        elif isinstance(module, nn.BatchNorm1d | nn.BatchNorm2d):
            lines[-1] += " BN"
        elif isinstance(module, nn.ReLU | nn.LeakyReLU | nn.Tanh):
            slope = f" {module.negative_slope}" if isinstance(module, nn.LeakyReLU) else ""
            lines[-1] += f" {type(module).__name__}{slope}"
        elif isinstance(module, nn.MaxPool2d | nn.AvgPool2d):
            lines.append(f"{type(module).__name__} -> {shape}")

    for module in network.modules():
        module.register_forward_hook(record)
    network(*inputs)
    return lines


def build(function, *arguments, **options):
    with torch.device("meta"):
        return function(*arguments, **options)


def meta(*shape):
    return torch.empty(2, *shape, device="meta")


def parameters(network):
    return sum(p.numel() for p in network.parameters())


def trunk(critic):
    """Return one line a layer of a critic, down to `h`."""
    return [
        f"{type(s.layer).__name__} {tuple(s.layer.weight.shape)}"
        + (f" s{s.layer.stride[0]}" if isinstance(s.layer, nn.Conv2d) else "")
        for s in critic.trunk
    ]


def test_conv32_encoder_is_table_3():
    encoder = build(backbones.encoder, CIFAR, "auto", 1.0, 100)
    assert describe(encoder, meta(3, 32, 32)) == [
        "conv 5x5 s2 -> 32x16x16 BN ReLU",
        "conv 5x5 s2 -> 64x8x8 BN ReLU",
        "conv 5x5 s2 -> 128x4x4 BN ReLU",
        "conv 5x5 s2 -> 256x2x2 BN ReLU",
        "fc -> 1024 BN ReLU",
        "fc -> 100",
    ]
    convolutions = 25 * (3 * 32 + 32 * 64 + 64 * 128 + 128 * 256) + 2 * (32 + 64 + 128 + 256)
    assert parameters(encoder) == convolutions + 1024 * 1024 + 2 * 1024 + 1024 * 100 + 100


def test_conv32_decoder_is_table_3():
    decoder = build(backbones.decoder, CIFAR, "auto", 1.0, 300)
    assert describe(decoder, meta(300)) == [
        "fc -> 1024 BN ReLU",
        "deconv 5x5 s2 -> 256x4x4 BN ReLU",
        "deconv 5x5 s1 -> 256x4x4 BN ReLU",
        "deconv 5x5 s2 -> 128x8x8 BN ReLU",
        "deconv 5x5 s2 -> 64x16x16 BN ReLU",
        "deconv 5x5 s2 -> 32x32x32 BN ReLU",
        "deconv 5x5 s1 -> 3x32x32 Tanh",
    ]
    channels = [256, 256, 256, 128, 64, 32]
    weights = sum(25 * a * b for a, b in pairwise(channels))
    expected = 300 * 1024 + 2 * 1024 + weights + 2 * sum(channels[1:]) + 25 * 32 * 3 + 3
    assert parameters(decoder) == expected


def test_conv32_critic_is_table_3():
    critic = build(backbones.critic, CIFAR, "auto", 1.0)
    assert trunk(critic) == [
        "Conv2d (32, 3, 5, 5) s1",
        "Conv2d (128, 32, 5, 5) s2",
        "Conv2d (256, 128, 5, 5) s2",
        "Conv2d (256, 256, 5, 5) s2",
        "Linear (512, 4096)",
    ]
    assert critic.psi.layer.weight.shape == (1, 512)
    assert critic.label.layer.weight.shape == (10, 512)
    assert not critic.average


def test_vgg64_encoder_is_vgg_16_with_an_average_at_its_end():
    encoder = build(backbones.encoder, FACES, "auto", 1.0, 512, heads=2)
    lines = describe(encoder, meta(3, 64, 64))
    expected = []
    for channels, count, size in (
        (64, 2, 64),
        (128, 2, 32),
        (256, 3, 16),
        (512, 3, 8),
        (512, 3, 4),
    ):
        expected += [f"conv 3x3 s1 -> {channels}x{size}x{size} BN ReLU"] * count
        pool = "AvgPool2d" if size == 4 else "MaxPool2d"
        expected.append(f"{pool} -> {channels}x{size // 2}x{size // 2}")
    assert lines == [*expected, "fc -> 1024 BN ReLU", "fc -> 1024"]


def test_vgg64_decoder_is_the_mirror_image():
    decoder = build(backbones.decoder, FACES, "auto", 1.0, 1024)
    maps = [
        (512, 4, 2), (512, 4, 1), (512, 4, 1),
        (512, 8, 2), (512, 8, 1), (256, 8, 1),
        (256, 16, 2), (256, 16, 1), (128, 16, 1),
        (128, 32, 2), (64, 32, 1),
        (64, 64, 2),
    ]  # fmt: skip
    assert describe(decoder, meta(1024)) == [
        "fc -> 1024 BN ReLU",
        "fc -> 2048 BN ReLU",
        *(f"deconv 3x3 s{s} -> {c}x{size}x{size} BN ReLU" for c, size, s in maps),
        "deconv 3x3 s1 -> 3x64x64 Tanh",
    ]


def test_vgg64_critic_is_table_4():
    critic = build(backbones.critic, FACES, "auto", 1.0)
    channels = [3, 64, 128, 256, 256, 512, 512, 512]
    strides = [2, 2, 1, 2, 1, 2, 2]
    assert trunk(critic) == [
        *(
            f"Conv2d ({b}, {a}, 3, 3) s{s}"
            for a, b, s in zip(channels, channels[1:], strides, strict=False)
        ),
        "Linear (1024, 512)",
    ]
    assert critic.label.layer.weight.shape == (530, 1024)
    assert critic.average


def test_mlp_networks_are_those_of_the_toy():
    fully = "fc -> {} LeakyReLU 0.1".format
    encoder = build(backbones.encoder, MOONS, "auto", 1.0, 2, heads=2)
    decoder = build(backbones.decoder, MOONS, "auto", 1.0, 4)
    critic = build(backbones.critic, MOONS, "auto", 1.0)
    assert describe(encoder, meta(2)) == [fully(32), fully(64), fully(64), "fc -> 4"]
    assert describe(decoder, meta(4)) == [fully(64), fully(64), fully(32), "fc -> 2"]
    assert trunk(critic) == ["Linear (32, 2)", "Linear (64, 32)", "Linear (64, 64)"]
    assert critic.label.layer.weight.shape == (3, 64)


def test_points_of_space_have_the_networks_of_the_toy_with_three_coordinates():
    encoder = build(backbones.encoder, ROLL, "auto", 1.0, 2, planes=1, heads=2)
    assert encoder.first.weight.shape == (32, 4)
    assert describe(build(backbones.decoder, ROLL, "auto", 1.0, 4), meta(4))[-1] == "fc -> 3"
    assert trunk(build(backbones.critic, ROLL, "auto", 1.0))[0] == "Linear (32, 3)"


@pytest.mark.parametrize(
    ("spec", "lines"),
    [
        (MOONS, ["fc -> 64 LeakyReLU 0.1", "fc -> 3"]),
        (CIFAR, ["fc -> 256 ReLU", "fc -> 10"]),
        (FACES, ["fc -> 256 ReLU", "fc -> 530"]),
    ],
    ids=["mlp", "conv32", "vgg64"],
)
def test_latent_classifiers(spec, lines):
    assert describe(build(backbones.latent_classifier, spec, "auto", 7), meta(7)) == lines


@pytest.mark.parametrize("channels", [1, 3])
@pytest.mark.parametrize("size", [8, 16, 32, 64])
@pytest.mark.parametrize("width", [0.25, 0.5, 2.0])
def test_conv32_serves_other_sizes_and_widths(size, channels, width):
    spec = images(size, channels)
    encoder = build(backbones.encoder, spec, "conv32", width, 5)
    decoder = build(backbones.decoder, spec, "conv32", width, 9)
    critic = build(backbones.critic, spec, "conv32", width)
    kernel = "5x5" if size >= 32 else "3x3"
    lines = describe(encoder, meta(channels, size, size))
    assert all(kernel in line for line in lines if "conv" in line)
    assert sum("s2" in line for line in lines) == {8: 2, 16: 3, 32: 4, 64: 5}[size]
    assert "x2x2" in lines[-3]  # then fc, fc
    assert decoder(meta(9)).shape == (2, channels, size, size)
    labels = torch.zeros(2, dtype=torch.int64, device="meta")
    weights = [s.layer.weight for s in (*critic.trunk, critic.psi, critic.label)]
    assert critic(meta(channels, size, size), labels, weights).shape == (2,)
    assert all(len(s.layer.weight) % 8 == 0 for s in critic.trunk)


def test_width_scales_channels_and_rounds_them_to_eight():
    encoder = build(backbones.encoder, CIFAR, "auto", 0.3, 5)
    lines = describe(encoder, meta(3, 32, 32))
    assert [line.split("-> ")[1].split()[0] for line in lines] == [
        "8x16x16", "16x8x8", "40x4x4", "80x2x2", "320", "5",
    ]  # fmt: skip


@pytest.mark.parametrize("spec", [images(8), images(64), MOONS], ids=["conv", "vgg", "mlp"])
def test_conditional_encoders_take_labels_after_the_channels(spec):
    encoder = build(backbones.encoder, spec, "auto", 0.25, 5, planes=spec.classes, heads=2)
    assert encoder.first.weight.shape[1] == spec.shape[0] + spec.classes
    y = torch.zeros(2, dtype=torch.int64, device="meta")
    assert encoder(meta(*spec.shape), y).shape == (2, 10)


def test_two_heads_are_initialized_as_two_layers():
    torch.manual_seed(0)
    head = backbones.encoder(images(8), "auto", 0.5, 16, heads=2).rest[-1]
    bound = (6 / (head.in_features + 16)) ** 0.5
    for part in head.weight.chunk(2):
        assert 0.97 * bound < part.abs().max() <= bound


def test_layers_before_batch_norm_have_no_bias():
    for network in (
        build(backbones.encoder, FACES, "vgg64", 0.125, 5),
        build(backbones.decoder, CIFAR, "conv32", 0.125, 5),
    ):
        modules = [m for m in network.modules() if not list(m.children())]
        for layer, following in pairwise(modules):
            if isinstance(following, nn.BatchNorm1d | nn.BatchNorm2d):
                assert layer.bias is None


def test_critics_start_small_and_the_rest_after_glorot():
    torch.manual_seed(0)
    critic = backbones.critic(images(16), "auto", 1.0)
    for spectral in (*critic.trunk, critic.psi, critic.label):
        assert spectral.layer.weight.std().item() == pytest.approx(0.02, rel=0.15)
    first = backbones.decoder(images(16), "auto", 1.0, 32)[0]
    assert first.weight.abs().max().item() == pytest.approx((6 / (32 + 512)) ** 0.5, rel=0.01)


@pytest.mark.parametrize(
    ("spec", "expected"),
    [(MOONS, "mlp"), (images(8), "conv32"), (CIFAR, "conv32"), (FACES, "vgg64")],
    ids=lambda value: getattr(value, "name", value),
)
def test_auto_fits_the_data(spec, expected):
    assert backbones.family(spec, "auto") == expected


@pytest.mark.parametrize(
    ("spec", "backbone", "text"),
    [
        (MOONS, "conv32", "'conv32' does not fit, mlp does"),
        (CIFAR, "mlp", "'mlp' does not fit, conv32 does"),
        (CIFAR, "vgg64", "'vgg64' does not fit, conv32 does"),
        (FACES, "mlp", "vgg64 or conv32 does"),
        (CIFAR, "resnet", "'resnet' does not fit, conv32 does"),
        (images(28), "auto", r"\(1, 28, 28\); images must be squares of 8, 16, 32, 64 pixels"),
        (images(32, 4), "auto", "in 1 or 3 channels"),
        (DataSpec("wide", (3, 32, 64), ("a",)), "auto", "must be squares"),
        (DataSpec("space", (4,), ("a",)), "auto", "points of the plane"),
    ],
)
def test_what_does_not_fit_is_refused_with_a_sentence(spec, backbone, text):
    with pytest.raises(ValueError, match=text):
        backbones.family(spec, backbone)


def test_code_sizes_are_published_ones_unless_given():
    assert backbones.code_sizes(CIFAR, "auto") == (100, 200)
    assert backbones.code_sizes(FACES, "auto", irrelevant=7) == (512, 7)
