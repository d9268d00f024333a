"""Features of the Inception network, with files of random weights; nothing is downloaded."""

from dataclasses import replace

import pytest
import torch

from bench.errors import NotApplicable
from bench.metrics.base import SampleSet
from bench.metrics.comparison import judged_logits
from bench.metrics.extractors.inception import inception, inception_features
from bench.metrics.fid import FrechetDistance
from bench.metrics.inception_score import InceptionScore
from bench.metrics.kid import KernelDistance


@pytest.fixture(scope="module")
def files(tmp_path_factory):
    """Write files with and without the last layer; return them and the features of the network."""
    from torch_fidelity import feature_extractor_inceptionv3 as fidelity

    with torch.random.fork_rng(devices=[]), pytest.MonkeyPatch.context() as patch:
        torch.manual_seed(0)
        patch.setattr(fidelity, "load_state_dict_from_url", lambda *a, **k: {})
        patch.setattr(torch.nn.Module, "load_state_dict", lambda *a, **k: None)
        network = fidelity.FeatureExtractorInceptionV3("random", ["2048"])
    folder, weights = tmp_path_factory.mktemp("inception"), network.state_dict()
    torch.save(weights, folder / "whole.pth")
    features = {name: value for name, value in weights.items() if not name.startswith("fc.")}
    torch.save(features, folder / "features.pth")
    return folder, network


def test_they_are_those_of_torch_fidelity(files, contexts):
    folder, network = files
    extractor = inception_features(contexts(weights={"inception": folder / "features.pth"}))
    x = torch.randint(256, (3, 1, 8, 8), dtype=torch.uint8)
    with torch.inference_mode():
        (expected,) = network(x.repeat(1, 3, 1, 1))
        torch.testing.assert_close(extractor.features_of(x), expected)
    assert expected.shape == (3, extractor.width)
    assert extractor.is_slow


def test_weights_without_the_last_layer_are_enough_and_have_the_same_name(files, contexts):
    folder, _ = files
    contexts = [contexts(weights={"inception": folder / f"{n}.pth"}) for n in ("whole", "features")]
    names = {inception_features(context).name for context in contexts}
    assert len(names) == 1
    assert names.pop().startswith("inception-pool3@")
    with pytest.raises(NotApplicable, match="which the Inception Score needs"):
        inception(contexts[1])
    assert inception_features(contexts[1]) is inception_features(contexts[1])


def test_metrics_carry_the_network_and_know_its_width(files, contexts, tiny):
    data = tiny(channels=3)
    context = contexts(data, weights={"inception": files[0] / "features.pth"})
    samples = SampleSet(data.test.x[:6], data.test.y[:6], data.spec)
    before = torch.get_rng_state()
    (found,) = KernelDistance(extractor="inception").measure(samples, context)
    name = inception_features(context).name
    assert found.protocol.startswith(f"kid[extractor={name},n=6,real=train:24@")
    assert found.value is not None
    assert len(list((context.cache / "features").iterdir())) == 1
    (found,) = FrechetDistance(extractor="inception").measure(samples, context)
    assert found.reason.startswith("6 samples are too few for 2048 features")
    assert torch.equal(torch.get_rng_state(), before)


@pytest.mark.parametrize(
    ("content", "reason"),
    [
        ({"fc.weight": torch.zeros(1)}, "does not fit the Inception network"),
        (torch.zeros(3), "holds no table of weights"),
        (None, "there is no file .*--inception-weights"),
    ],
    ids=["foreign", "no table", "absent"],
)
def test_unfit_weights_are_not_applicable_with_the_reason(contexts, tmp_path, content, reason):
    path = tmp_path / "weights.pth"
    if content is not None:
        torch.save(content, path)
    context = contexts(weights={"inception": path})
    for _ in range(2):
        with pytest.raises(NotApplicable, match=reason):
            inception_features(context)


def test_points_are_not_applicable(contexts, moons):
    with pytest.raises(NotApplicable, match="neither gray nor color images"):
        inception_features(contexts(moons))


@pytest.fixture
def counted(files, contexts, tiny):
    """A context whose Inception features cost nothing, and a list of how many images it saw."""
    data, seen = tiny(channels=3), []
    context = contexts(data, weights={"inception": files[0] / "whole.pth"})

    def features_of(x):
        seen.append(len(x))
        return x.flatten(1).float().repeat(1, 11)[:, :2048] / 255

    extractor = replace(inception_features(context), features_of=features_of)
    context.extractors["inception features"] = extractor
    return context, SampleSet(255 - data.test.x[:6], data.test.y[:6], data.spec), seen


def test_inception_score_and_distances_share_one_pass(counted):
    context, samples, seen = counted
    KernelDistance(extractor="inception").measure(samples, context)
    assert sum(seen) == 6 + 24
    for splits in (1, 2):
        (found,) = InceptionScore(extractor="inception", splits=splits).measure(samples, context)
        assert found.value is not None
    assert sum(seen) == 6 + 24, "the score took the features that were there"


def test_shared_logits_are_in_the_order_of_the_samples(counted):
    context, samples, _ = counted
    judge = inception(context)
    shared = judged_logits(context, judge, samples)
    torch.testing.assert_close(shared, judge.logits(samples.x), rtol=1e-4, atol=1e-4)
