"""The Inception network, with files of random weights; nothing is downloaded."""

import pytest
import torch

from bench.errors import NotApplicable
from bench.metrics.base import SampleSet
from bench.metrics.extractors import inception as module
from bench.metrics.extractors.inception import inception
from bench.metrics.inception_score import InceptionScore


@pytest.fixture(scope="module")
def random_network(tmp_path_factory):
    """Write a file of random weights that fits, and return its path and its network."""
    from torch_fidelity import feature_extractor_inceptionv3 as fidelity

    with torch.random.fork_rng(devices=[]), pytest.MonkeyPatch.context() as patch:
        torch.manual_seed(0)
        patch.setattr(fidelity, "load_state_dict_from_url", lambda *a, **k: {})
        patch.setattr(torch.nn.Module, "load_state_dict", lambda *a, **k: None)
        network = fidelity.FeatureExtractorInceptionV3("random", ["logits_unbiased"])
    path = tmp_path_factory.mktemp("inception") / "random.pth"
    torch.save(network.state_dict(), path)
    return path, network


@pytest.fixture
def no_downloads_here(monkeypatch, tmp_path):
    monkeypatch.setattr(torch.hub, "get_dir", lambda: str(tmp_path / "hub"))
    return tmp_path / "hub" / "checkpoints"


def test_logits_are_those_of_torch_fidelity(random_network, contexts):
    path, network = random_network
    judge = inception(contexts(weights={"inception": path}))
    x = torch.randint(256, (3, 1, 8, 8), dtype=torch.uint8)
    with torch.inference_mode():
        (expected,) = network(x.repeat(1, 3, 1, 1))
    torch.testing.assert_close(judge.logits(x), expected)
    assert expected.shape == (3, 1008)


def test_the_name_tells_the_weights(random_network, contexts):
    path, network = random_network
    name = inception(contexts(weights={"inception": path})).name
    state = {key: value.clone() for key, value in network.state_dict().items()}
    state["fc.weight"] += 1
    other = path.with_name("other.pth")
    torch.save(state, other)
    assert name.startswith("inception@")
    assert len(name) == len("inception@") + 8
    assert inception(contexts(weights={"inception": other})).name != name


def test_it_is_built_once_and_leaves_the_random_state_alone(random_network, contexts):
    context, before = contexts(weights={"inception": random_network[0]}), torch.get_rng_state()
    assert inception(context) is inception(context)
    assert torch.equal(torch.get_rng_state(), before)


def test_the_score_carries_the_network_in_its_protocol(random_network, contexts, tiny):
    data = tiny(channels=3)
    context = contexts(data, weights={"inception": random_network[0]})
    samples = SampleSet(data.test.x[:6], data.test.y[:6], data.spec)
    (found,) = InceptionScore(extractor="inception", splits=2).measure(samples, context)
    assert found.protocol == f"is[extractor={inception(context).name},n=6,splits=2]"
    assert 1 - 1e-9 <= found.value <= 1008


def features_only(path):
    torch.save({"Conv2d_1a_3x3.conv.weight": torch.zeros(1), "Mixed_5b.x": torch.zeros(1)}, path)


def foreign(path):
    torch.save({"fc.weight": torch.zeros(1)}, path)


def no_table(path):
    torch.save(torch.zeros(3), path)


def code(path):
    torch.save({"fc.weight": features_only}, path)


@pytest.mark.parametrize(
    ("write", "reason"),
    [
        (features_only, r"lacks the last layer of the Inception network \(fc.weight\)"),
        (foreign, "does not fit the Inception network"),
        (no_table, "holds no table of weights"),
        (lambda path: path.write_text("x"), "is no file of weights, or damaged"),
        (code, "is no file of weights, or damaged"),
        (lambda path: None, "there is no file .*--inception-weights"),
    ],
    ids=["features only", "foreign", "no table", "damaged", "code", "absent"],
)
def test_unfit_weights_are_not_applicable_with_the_reason(contexts, tmp_path, write, reason):
    path = tmp_path / "weights.pth"
    write(path)
    context = contexts(weights={"inception": path})
    for _ in range(2):
        with pytest.raises(NotApplicable, match=reason):
            inception(context)


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
    monkeypatch.setattr(module, "_fetch", lambda *a: (tries.append(a), fetch(*a)))
    context = contexts()
    for _ in range(2):
        with pytest.raises(NotApplicable, match=r"downloading them failed .*--inception-weights"):
            inception(context)
    assert len(tries) == 1
    assert list(no_downloads_here.iterdir()) == []


def test_a_slow_download_is_given_up(tmp_path, monkeypatch):
    source = tmp_path / "source"
    source.write_bytes(bytes(10))
    monkeypatch.setattr(module, "PATIENCE_S", -1.0)
    with pytest.raises(TimeoutError, match="took longer"):
        module._fetch(source.as_uri(), tmp_path / "target")


def test_points_are_not_applicable(contexts, moons):
    with pytest.raises(NotApplicable, match="neither gray nor color images"):
        inception(contexts(moons))
