import warnings
from dataclasses import replace

import pytest
import torch
import torch.nn.functional as F
import torchvision
from torch import nn

from bench.data.base import to_float
from bench.errors import NotApplicable
from bench.metrics.extractors.lpips import perceptual_distance
from bench.metrics.reconstruction import Reconstruction
from tests.metrics.bars import Bars, context_of, make_data, samples_of


def images(*shape, seed=0):
    generator = torch.Generator().manual_seed(seed)
    return torch.randint(256, shape, generator=generator, dtype=torch.uint8)


@pytest.fixture
def distance(contexts, tiny, alexnet):
    def distance(channels=3):
        return perceptual_distance(contexts(tiny(channels=channels), weights={"lpips": alexnet}))

    return distance


@pytest.fixture(scope="module")
def theirs(alexnet):
    """The package's own network, given torchvision's whole AlexNet of the file."""
    from lpips import LPIPS

    with warnings.catch_warnings():
        warnings.simplefilter("ignore")
        network = LPIPS(net="alex", pnet_rand=True, verbose=False)
    whole = torchvision.models.alexnet(weights=None).eval()
    whole.load_state_dict(torch.load(alexnet, weights_only=True), strict=False)
    for part, layers in enumerate(((0, 2), (2, 5), (5, 8), (8, 10), (10, 12)), 1):
        setattr(network.net, f"slice{part}", nn.Sequential(*whole.features[slice(*layers)]))
    return network


def test_it_is_that_of_the_package(distance, theirs):
    x, y = images(2, 5, 3, 64, 80)
    with torch.inference_mode():
        expected = theirs(to_float(x), to_float(y)).flatten()
    torch.testing.assert_close(distance().of(x, y), expected)
    assert expected.min() > 0


def test_small_gray_images_are_enlarged_and_repeated(distance, theirs):
    x, y = images(2, 5, 1, 8, 8)
    large = [
        F.interpolate(to_float(part).repeat(1, 3, 1, 1), (64, 64), mode="bilinear")
        for part in (x, y)
    ]
    with torch.inference_mode():
        expected = theirs(*large).flatten()
    torch.testing.assert_close(distance(1).of(x, y), expected)


def test_equal_images_are_at_distance_0_and_noise_is_farther_the_more_of_it(distance):
    x = images(4, 3, 64, 64)
    found = [
        distance().of(x, torch.where(images(*x.shape, seed=1) < t, 255 - x, x))
        for t in (0, 20, 200)
    ]
    assert found[0].tolist() == [0, 0, 0, 0]
    assert (found[0] < found[1]).all()
    assert (found[1] < found[2]).all()


def test_it_is_measured_with_reconstructions_where_the_file_is_given(tmp_path, alexnet):
    data = make_data(per_class=5)
    found = {}
    for name, model in (("good", None), ("bad", Bars(wrong=0.3))):
        context = replace(context_of(data, tmp_path, model=model), weights={"lpips": alexnet})
        found[name] = Reconstruction().measure(samples_of(data), context)[3]
    assert found["good"].value == 0
    assert found["bad"].value > 0
    assert found["good"].protocol.startswith("lpips[extractor=lpips-alex@")
    assert found["good"].protocol.endswith(",side>=64,label=none,codes=mean,n=15]")
    absent = Reconstruction().measure(samples_of(data), context_of(data, tmp_path))[3]
    assert (absent.value, absent.metric) == (None, "reconstruction_lpips")
    assert absent.reason.endswith("trained on ImageNet, with --lpips-weights")


@pytest.mark.parametrize(
    ("write", "reason"),
    [
        (lambda path: None, "there is no file .* of AlexNet weights"),
        (lambda path: path.write_bytes(b"PK\x03\x04 torn"), "cannot be read as a state dict"),
        (lambda path: torch.save([1], path), "not a state dict"),
        (lambda path: torch.save({}, path), "does not fit AlexNet"),
        (
            lambda path: torch.save(
                torchvision.models.squeezenet1_1(weights=None).state_dict(), path
            ),
            "does not fit AlexNet",
        ),
    ],
    ids=["absent", "damaged", "list", "empty", "another network"],
)
def test_unfit_weights_are_not_applicable_with_the_reason(contexts, tiny, tmp_path, write, reason):
    path = tmp_path / "weights.pth"
    write(path)
    with pytest.raises(NotApplicable, match=reason):
        perceptual_distance(contexts(tiny(), weights={"lpips": path}))


def test_it_leaves_the_random_state_alone(contexts, tiny, alexnet):
    state = torch.get_rng_state()
    perceptual_distance(contexts(tiny(), weights={"lpips": alexnet}))
    assert torch.equal(state, torch.get_rng_state())
