import math
from dataclasses import replace

import pytest
import torch
from pytorch_msssim import ssim
from torch import nn

from bench.data.base import DataSpec, Split, to_float
from bench.metrics.inpainting import AROUND, Inpainting, regions
from bench.metrics.reconstruction import ROUNDING, Reconstruction, mean_ssim, psnr, ssim_window
from tests.metrics.autoencoders import Fixed, Halves, NeedsLabel, marked, measure, values


@pytest.fixture(scope="module")
def data():
    return marked()


class Whole(nn.Module):
    """All of the image is the code, of any size."""

    capabilities = ()

    def __init__(self, shape):
        super().__init__()
        self.shape = shape

    encode = Halves.encode

    def decode(self, code, y=None):
        return torch.cat(code, dim=1).view(-1, *self.shape)


def test_an_identity_has_no_error_and_the_highest_psnr(data):
    found = values(Reconstruction(), Halves(), data)
    assert found["reconstruction_mse"] == 0
    assert found["reconstruction_psnr"] == pytest.approx(10 * math.log10(12 * 255**2))
    assert found["reconstruction_ssim"] == pytest.approx(1)


def test_errors_are_those_of_pixels_between_0_and_1(data):
    found = values(Reconstruction(), Fixed(-1.0), data)
    squares = (data.test.x.double() / 255).square().flatten(1).mean(dim=1)
    assert found["reconstruction_mse"] == pytest.approx(squares.mean().item())
    expected = (-10 * squares.log10()).mean().item()
    assert found["reconstruction_psnr"] == pytest.approx(expected)
    assert found["reconstruction_ssim"] < 0.1


def test_noise_makes_all_three_worse(data):
    class Noisy(Halves):
        def __init__(self, size):
            super().__init__()
            self.size = size

        def decode(self, code, y=None):
            x = super().decode(code)
            noise = torch.randn(x.shape[1:], generator=torch.Generator().manual_seed(0))
            return (x + self.size * noise).clamp(-1, 1)

    found = [values(Reconstruction(), Noisy(size), data).values() for size in (0.0, 0.1, 0.5)]
    mse, ratio, similar, _ = zip(*found, strict=True)
    assert mse[0] < mse[1] < mse[2]
    assert ratio[0] > ratio[1] > ratio[2]
    assert similar[0] > similar[1] > similar[2]


def test_one_perfect_image_does_not_make_the_mean_infinite():
    assert psnr(torch.tensor([0.0, 0.01])) == pytest.approx((-10 * math.log10(ROUNDING) + 20) / 2)


@pytest.mark.parametrize(
    ("side", "window"), [(8, 7), (10, 9), (11, 11), (12, 11), (32, 11), (3, 3)]
)
def test_the_window_is_odd_and_fits(side, window):
    size, sigma = ssim_window((1, side, side + 4))
    assert size == window
    assert sigma == pytest.approx(1.5 * window / 11)


def test_structural_similarity_is_that_of_the_library_in_bytes_or_not():
    a, b = torch.randint(256, (2, 300, 3, 16, 16), generator=torch.Generator().manual_seed(0))
    expected = ssim(a.double() / 255, b.double() / 255, data_range=1)
    found = mean_ssim(a.to(torch.uint8), b.to(torch.uint8), 11, 1.5)
    assert found == pytest.approx(expected.item(), rel=1e-6)


def test_protocols_say_who_was_given_the_label(data):
    blind, given = (
        [m.protocol for m in measure(Reconstruction(), m, data)] for m in (Halves(), NeedsLabel())
    )
    assert blind == [
        "mse[8bit,label=none,codes=mean,n=160]",
        "psnr[8bit,mean of images,cap=58.9,label=none,codes=mean,n=160]",
        "ssim[8bit,window=7,sigma=0.95,label=none,codes=mean,n=160]",
        "",
    ]
    assert all("label=given" in protocol for protocol in given[:3])


REGIONS = {
    "right_half": (slice(None), slice(4, None)),
    "bottom_half": (slice(4, None), slice(None)),
    "center": (slice(2, 6), slice(2, 6)),
}


def test_only_the_region_counts_and_only_the_rest_is_seen(data):
    """An identity leaves the region mid-grey; a constant is wrong by the pixels themselves."""
    pixels = data.test.x.double() / 255
    grey = values(Inpainting(), Halves(), data)
    black = values(Inpainting(), Fixed(-1.0), data)
    for name, region in REGIONS.items():
        inside = pixels[..., region[0], region[1]]
        expected = (inside - 128 / 255).square().mean().item()
        assert grey[f"inpainting_mse/{name}"] == pytest.approx(expected)
        expected = inside.square().mean().item()
        assert black[f"inpainting_mse/{name}"] == pytest.approx(expected)
        assert black[f"inpainting_psnr/{name}"] < grey[f"inpainting_psnr/{name}"]


def test_a_model_that_knows_the_images_fills_in_perfectly(data):
    class Remembers(Halves):
        """Looks an image up by what is left of it."""

        def encode(self, x, y=None):
            known = to_float(data.test.x)
            agree = (x[:, None] == known).flatten(2).sum(dim=2)
            return super().encode(known[agree.argmax(dim=1)])

    found = values(Inpainting(), Remembers(), data)
    assert {value for name, value in found.items() if "mse" in name} == {0}
    assert min(value for name, value in found.items() if "psnr" in name) > 58.9


def test_labels_are_given_only_to_models_that_need_them(data):
    assert "label=none" in measure(Inpainting(), Halves(), data)[0].protocol
    assert "label=given" in measure(Inpainting(), NeedsLabel(), data)[0].protocol


@pytest.mark.parametrize(("side", "counts"), [(8, (32, 32, 16)), (5, (15, 15, 4))])
def test_regions_have_the_sizes_they_are_called_by(side, counts):
    images = Split(torch.zeros(1, 1, side, side), torch.zeros(1))
    assert tuple(int(region.sum()) for region in regions(images).values()) == counts


FACE = [[4, 4], [10, 4], [7, 7], [5, 10], [9, 10]]  # eyes are 6 apart, and 6 above the mouth
EDGE = [[16, 16]] * 5  # of size 0, at the edge


def test_eyes_and_nose_and_mouth_are_hidden_where_they_are():
    images = Split(torch.zeros(2, 3, 16, 16), torch.zeros(2), torch.tensor([FACE, EDGE]).float())
    found = regions(images)
    for name, rows, columns in (("eyes", (2, 6), (2, 12)), ("nose_mouth", (5, 12), (3, 11))):
        expected = torch.zeros(16, 16, dtype=torch.bool)
        expected[slice(*rows), slice(*columns)] = True
        assert found[name].shape == (2, 1, 16, 16)
        assert found[name][0, 0].equal(expected)
        assert found[name][1, 0].nonzero().tolist() == [[15, 15]]


def test_each_image_is_measured_in_its_own_region(data):
    """An identity leaves the regions mid-grey."""
    landmarks = torch.rand(len(data.test), 5, 2) * 8
    faces = replace(data, test=replace(data.test, landmarks=landmarks))
    found = {m.metric: m for m in measure(Inpainting(), Halves(), faces)}
    assert {name for name in found if name not in values(Inpainting(), Halves(), data)} == {
        f"inpainting_{error}/{region}" for error in ("mse", "psnr") for region in AROUND
    }
    squares = (faces.test.x.double() - 128).div(255).square()
    for name in AROUND:
        pairs = zip(squares, regions(faces.test)[name], strict=True)
        expected = sum(square[region].mean().item() for square, region in pairs) / len(squares)
        assert found[f"inpainting_mse/{name}"].value == pytest.approx(expected)
        assert "region=landmarks+1/3" in found[f"inpainting_psnr/{name}"].protocol
        assert "region" not in found["inpainting_mse/center"].protocol


def test_color_images_of_any_size_are_measured():
    data = marked(per_class=2, spec=DataSpec("color", (3, 12, 14), ("a", "b")))
    model = Whole(data.spec.shape)
    assert values(Reconstruction(), model, data)["reconstruction_ssim"] == pytest.approx(1)
    assert len(values(Inpainting(), model, data)) == 6
