"""Fixtures that several tests of metrics share."""

import pytest
import torch
from torch import nn

from bench.metrics.extractors import small_classifier
from tests.metrics.bars import make_data
from tests.metrics.networks import save


@pytest.fixture
def short_training(monkeypatch):
    """Train classifiers for that number of steps."""

    def train_for(steps):
        monkeypatch.setattr(small_classifier, "STEPS", steps)
        monkeypatch.setattr(small_classifier, "EPOCHS", 0)

    return train_for


@pytest.fixture(scope="session")
def bars():
    return make_data()


@pytest.fixture(scope="session")
def inception_files(tmp_path_factory):
    """Files of random Inception weights, with and without the last layer, and the networks."""
    from torch_fidelity import feature_extractor_inceptionv3 as fidelity

    def build(layer):
        torch.manual_seed(0)
        return fidelity.FeatureExtractorInceptionV3("random", [layer])

    with torch.random.fork_rng(devices=[]), pytest.MonkeyPatch.context() as patch:
        patch.setattr(fidelity, "load_state_dict_from_url", lambda *a, **k: {})
        patch.setattr(nn.Module, "load_state_dict", lambda *a, **k: None)
        networks = {layer: build(layer) for layer in ("2048", "logits_unbiased")}
    folder, weights = tmp_path_factory.mktemp("inception"), networks["2048"].state_dict()
    torch.save(weights, folder / "whole.pth")
    features = {name: value for name, value in weights.items() if not name.startswith("fc.")}
    torch.save(features, folder / "features.pth")
    return folder, networks


@pytest.fixture
def saved(tmp_path):
    """Save a network as TorchScript and return its path."""

    def make(network, name="net.pt"):
        return save(network, tmp_path / name)

    return make
