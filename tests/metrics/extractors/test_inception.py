"""The Inception network, with files of random weights; nothing is downloaded."""

from dataclasses import replace

import pytest
import torch

from bench.errors import NotApplicable
from bench.metrics.base import SampleSet
from bench.metrics.extractors import inception as module
from bench.metrics.extractors.feature_cache import sample_logits
from bench.metrics.extractors.inception import inception, inception_features
from bench.metrics.features.fid import FrechetDistance
from bench.metrics.features.kid import KernelDistance
from bench.metrics.inception_score import InceptionScore


@pytest.fixture(scope="module")
def network(inception_files, tmp_path_factory):
    """What is remembered of the file with all weights, which is read once."""
    return {}


@pytest.fixture
def whole(inception_files, network, contexts, tiny):
    """A context with the file of all weights, for color images."""
    context = contexts(tiny(channels=3), weights={"inception": inception_files[0] / "whole.pth"})
    if "inception" not in network:
        before = torch.get_rng_state()
        inception(context)
        assert torch.equal(torch.get_rng_state(), before)
        network["inception"] = context.memory["inception"]
    context.memory["inception"] = network["inception"]
    return context


@pytest.fixture
def few(tiny):
    data = tiny(channels=3)
    return SampleSet(255 - data.test.x[:6], data.test.y[:6], data.spec)


@pytest.fixture
def no_downloads_here(monkeypatch, tmp_path):
    monkeypatch.setattr(torch.hub, "get_dir", lambda: str(tmp_path / "hub"))
    return tmp_path / "hub" / "checkpoints"


def test_logits_and_features_of_gray_images_are_those_of_torch_fidelity(whole, inception_files):
    x = torch.randint(256, (3, 1, 8, 8), dtype=torch.uint8)
    with torch.inference_mode():
        features, logits = (
            network(x.repeat(1, 3, 1, 1))[0] for network in inception_files[1].values()
        )
        torch.testing.assert_close(inception_features(whole).outputs_of(x), features)
    torch.testing.assert_close(inception(whole).logits(x), logits)
    assert logits.shape == (3, 1008)
    assert features.shape == (3, inception_features(whole).width)
    assert inception_features(whole).is_slow


def test_it_is_built_once(whole):
    assert inception(whole) is inception(whole)
    assert inception_features(whole) is inception_features(whole)


def test_the_names_tell_the_weights(whole, inception_files, contexts, tmp_path):
    weights = torch.load(inception_files[0] / "whole.pth", weights_only=True)
    weights["fc.weight"] += 1
    torch.save(weights, tmp_path / "other.pth")
    other = contexts(weights={"inception": tmp_path / "other.pth"})
    name = inception(whole).name
    assert name.startswith("inception@")
    assert len(name) == len("inception@") + 8
    assert inception(other).name != name
    assert inception_features(other).name == inception_features(whole).name


def test_weights_without_the_last_layer_are_enough_and_have_the_same_name(
    whole, inception_files, contexts
):
    context = contexts(weights={"inception": inception_files[0] / "features.pth"})
    assert inception_features(context).name == inception_features(whole).name
    assert inception_features(context).name.startswith("inception-pool3@")
    reason = r"lacks the last layer of the Inception network \(fc.weight\), which the Inception"
    for _ in range(2):
        with pytest.raises(NotApplicable, match=reason):
            inception(context)


def test_metrics_carry_the_network_and_know_its_width(whole, few):
    data = whole.data
    few_real = replace(data, train=replace(data.train, x=data.train.x[:6], y=data.train.y[:6]))
    context = replace(whole, data=few_real)
    (found,) = KernelDistance(extractor="inception").measure(few, context)
    name = inception_features(context).name
    assert found.protocol.startswith(f"kid[extractor={name},n=6,real=train:6@")
    assert found.value is not None
    assert len(list((context.cache / "features").iterdir())) == 1
    (found,) = FrechetDistance(extractor="inception").measure(few, context)
    assert found.reason.startswith("6 samples are too few for 2048 features")
    (found,) = InceptionScore(extractor="inception", splits=2).measure(few, context)
    assert found.protocol == f"is[extractor={inception(context).name},n=6,splits=2]"
    assert 1 - 1e-9 <= found.value <= 1008


@pytest.fixture
def counted(whole):
    """The same context with features that cost nothing, and how many images were seen."""
    seen = []

    def outputs_of(x):
        seen.append(len(x))
        return x.flatten(1).float().repeat(1, 11)[:, :2048] / 255

    extractor = replace(inception_features(whole), outputs_of=outputs_of)
    head = inception(whole).head
    classifier = replace(
        inception(whole), extractor=extractor, logits_of=lambda x: head(outputs_of(x))
    )
    whole.memory["inception"] = extractor, classifier
    return whole, seen


def test_inception_score_and_distances_share_one_pass(counted, few):
    context, seen = counted
    KernelDistance(extractor="inception").measure(few, context)
    assert sum(seen) == 6 + 24
    for splits in (1, 2):
        (found,) = InceptionScore(extractor="inception", splits=splits).measure(few, context)
        assert found.value is not None
    assert sum(seen) == 6 + 24, "the score took the features that were there"


def test_shared_logits_are_in_the_order_of_the_samples(counted, few):
    context, _ = counted
    shared = sample_logits(context, inception(context), few)
    torch.testing.assert_close(shared, inception(context).logits(few.x), rtol=1e-4, atol=1e-4)


def foreign(path):
    torch.save({"fc.weight": torch.zeros(1)}, path)


def no_table(path):
    torch.save(torch.zeros(3), path)


def code(path):
    torch.save({"fc.weight": foreign}, path)


@pytest.mark.parametrize("load", [inception, inception_features])
@pytest.mark.parametrize(
    ("write", "reason"),
    [
        (foreign, "does not fit the Inception network"),
        (no_table, "not a state dict"),
        (lambda path: path.write_text("x"), "cannot be read as a state dict"),
        (code, "cannot be read as a state dict"),
        (lambda path: None, "there is no file .*--inception-weights"),
    ],
    ids=["foreign", "no table", "damaged", "code", "absent"],
)
def test_unfit_weights_are_not_applicable_with_the_reason(contexts, tmp_path, load, write, reason):
    path = tmp_path / "weights.pth"
    write(path)
    context = contexts(weights={"inception": path})
    for _ in range(2):
        with pytest.raises(NotApplicable, match=reason):
            load(context)


def test_offline_without_a_file_says_how_to_provide_one(contexts, no_downloads_here):
    with pytest.raises(NotApplicable) as caught:
        inception(contexts())
    assert str(no_downloads_here) in str(caught.value)
    assert "BENCH_OFFLINE is set" in str(caught.value)
    assert "--inception-weights" in str(caught.value)


@pytest.mark.parametrize("content", [None, "something else"], ids=["unreachable", "another file"])
def test_a_failed_download_is_tried_once_and_leaves_nothing(
    contexts, no_downloads_here, monkeypatch, tmp_path, content
):
    from torch_fidelity import feature_extractor_inceptionv3 as fidelity

    source, tries = tmp_path / "weights-6726825d.pth", []
    if content:
        source.write_text(content)
    monkeypatch.setenv("BENCH_OFFLINE", "0")
    monkeypatch.setattr(fidelity, "URL_INCEPTION_V3", source.as_uri())
    fetch = module._fetch
    monkeypatch.setattr(module, "_fetch", lambda address: tries.append(address) or fetch(address))
    context = contexts()
    for _ in range(2):
        with pytest.raises(NotApplicable, match=r"downloading them failed .*--inception-weights"):
            inception(context)
    assert len(tries) == 1
    assert not list(no_downloads_here.glob("*"))


def test_a_slow_download_is_given_up(tmp_path, monkeypatch):
    source = tmp_path / "source"
    source.write_bytes(bytes(10))
    monkeypatch.setattr(module, "PATIENCE_S", -1.0)
    with pytest.raises(TimeoutError, match="took longer"):
        module._fetch(source.as_uri())


@pytest.mark.parametrize("load", [inception, inception_features])
def test_points_are_not_applicable(contexts, moons, load):
    with pytest.raises(NotApplicable, match="neither gray nor color images"):
        load(contexts(moons))
