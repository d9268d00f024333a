"""Frozen modules and the files of their weights."""

import sys
from pathlib import Path

import pytest
import torch
from torch import nn
from torch._subclasses import FakeTensorMode

from baselines.cvae import CVAE
from bench.errors import BenchError
from bench.spec.run_config import complete_settings
from bench.training.cost import count_cost
from bench.training.interface import begin_training, frozen
from tests.small import GRAY

MODEL = """\
from pathlib import Path
from torch import nn
from baselines.cvae import CVAE
from bench.training.interface import frozen


class Compared(CVAE):
    def __init__(self, spec, *, weights: Path, width: float = 0.25, latent: int = 4):
        super().__init__(spec, width=width, latent=latent)
        self.features = frozen(nn.Conv2d(spec.shape[0], 2, 3), weights)
"""


def network():
    return nn.Sequential(nn.Conv2d(1, 2, 3), nn.BatchNorm2d(2))


@pytest.fixture
def weights(tmp_path):
    state = network().state_dict()
    torch.save(state, tmp_path / "weights.pt")
    return state, tmp_path / "weights.pt"


def test_a_frozen_module_does_not_learn(weights):
    state, path = weights
    model = nn.ModuleDict({"features": frozen(network(), path), "other": network()})
    begin_training(model)
    found = model["features"].state_dict()
    assert all(torch.equal(found[name], value) for name, value in state.items())
    assert not any(p.requires_grad for p in model["features"].parameters())
    assert not any(module.training for module in model["features"].modules())
    assert model["other"].training


def test_a_frozen_module_needs_no_file():
    module = network()
    assert frozen(module) is module
    assert not module.training


@pytest.mark.parametrize("nowhere", [torch.device("meta"), FakeTensorMode()], ids=["meta", "fake"])
def test_nothing_is_read_where_tensors_have_no_values(nowhere):
    with nowhere:
        frozen(network(), Path("absent.pt"))


STATE = network().state_dict()


@pytest.mark.parametrize(
    ("content", "words"),
    [
        ({n: v for n, v in STATE.items() if n != "0.bias"}, "Sequential: it lacks 0.bias"),
        (STATE | {"2.bias": torch.ones(1)}, "the module has no 2.bias"),
        (STATE | {"0.bias": torch.ones(3)}, "shapes differ: 0.bias [3], here [2]"),
        (
            {f"net.{name}": value for name, value in STATE.items()},
            "lacks 0.weight, 0.bias, 1.weight, 1.bias and 3 more; the module has no net.0.weight, ",
        ),
        ({"state_dict": STATE, "epoch": 3}, "holds dict with the keys state_dict, epoch, not a"),
        (torch.ones(2), "holds Tensor, not a state dict"),
        (network(), "cannot be read as a state dict (UnpicklingError"),
        (b"something else", "cannot be read as a state dict"),
        (None, "there is no file"),
    ],
    ids=["lacks", "more", "shape", "prefix", "checkpoint", "tensor", "module", "bytes", "absent"],
)
def test_what_does_not_fit_is_named(tmp_path, content, words):
    path = tmp_path / "weights.pt"
    if isinstance(content, bytes):
        path.write_bytes(content)
    elif content is not None:
        torch.save(content, path)
    with pytest.raises(BenchError) as caught:
        frozen(network(), path)
    assert words in str(caught.value)
    assert str(path) in str(caught.value)


def test_a_file_of_safetensors_is_read(tmp_path):
    safetensors = pytest.importorskip("safetensors.torch")
    state, path = network().state_dict(), tmp_path / "weights.safetensors"
    safetensors.save_file(state, path)
    found = frozen(network(), path).state_dict()
    assert all(torch.equal(found[name], value) for name, value in state.items())
    path.write_bytes(b"something else")
    with pytest.raises(BenchError, match="cannot be read as a state dict"):
        frozen(network(), path)


def test_without_safetensors_it_is_said_what_to_install(tmp_path, monkeypatch):
    monkeypatch.setitem(sys.modules, "safetensors.torch", None)
    with pytest.raises(
        BenchError, match=r"weights.safetensors is read by the package.*pip install"
    ):
        frozen(network(), tmp_path / "weights.safetensors")


def test_what_the_file_holds_is_part_of_the_id(tmp_path, install, monkeypatch):
    install("compared", {"compared.py": MODEL}, {"bench.models": {"compared": "compared:Compared"}})
    paths = [tmp_path / name for name in ("one.pt", "moved.pt")]
    torch.save(nn.Conv2d(1, 2, 3).state_dict(), paths[0])
    paths[1].write_bytes(paths[0].read_bytes())

    def run(path):
        model = {"name": "compared", "weights": str(path)}
        return complete_settings({"model": model, "data": "blobs", "seed": 0, "iterations": 1})

    first, moved = map(run, paths)
    hashes = [found.training.model["file-hashes"] for found in (first, moved)]
    assert hashes[0] == hashes[1]
    assert first.id != moved.id, "the path of an option is an option, too"
    assert {entry.metric for entry in count_cost(first.training, GRAY)} >= {"parameters"}
    torch.save(nn.Conv2d(1, 2, 3).state_dict(), paths[0])
    assert run(paths[0]).id != first.id
    with pytest.raises(BenchError, match=r"one\.pt, the option weights of compared, has changed"):
        first.model(GRAY)


def test_a_parameter_without_player_is_told_of_frozen(monkeypatch):
    players = CVAE.players
    monkeypatch.setattr(CVAE, "players", lambda self: {"encoder": players(self)["encoder"]})
    with pytest.raises(BenchError, match=r"belong to no player.*frozen\(module\)"):
        complete_settings({"model": "cvae", "data": "blobs", "seed": 0, "iterations": 1})
