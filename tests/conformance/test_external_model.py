"""A model from the user's own package works everywhere a built-in one does."""

import pytest

MODEL = '''
"""The mean image of each class, with noise: the simplest conditional generator."""
import torch
from torch import nn

from bench.data.base import DataSpec
from bench.training.interface import ConditionalGenerator, Stage


class ClassMean(ConditionalGenerator):
    stages = (Stage("main", ("mean",)),)
    objective = {"mean": {"reconstruct": 1.0}}

    def __init__(self, spec: DataSpec, *, noise: float = 0.1) -> None:
        super().__init__()
        self.noise = noise
        self.mean = nn.Parameter(torch.zeros(spec.classes, *spec.shape))

    def players(self):
        return {"mean": [self.mean]}

    def terms(self, stage, batch, wanted):
        return {"reconstruct": (batch.x - self.mean[batch.y]).square().mean()}

    def sample(self, y, generator=None):
        noise = torch.randn(len(y), *self.mean.shape[1:], generator=generator)
        return (self.mean[y] + self.noise * noise.to(y.device)).clamp(-1, 1)
'''
SPEC = """\
name: mine
base: {data: blobs, iterations: 30, batch_size: 16, samples_per_class: 4}
seeds: [0, 1]
variants:
  class_mean: {model: {name: class_mean, noise: 0.2}}
  cvae: {model: {name: cvae, width: 0.25, latent: 4}}
"""


@pytest.fixture
def installed(here, install):
    install("mine", {"mine.py": MODEL}, {"bench.models": {"class_mean": "mine:ClassMean"}})
    (here / "mine.yaml").write_text(SPEC)


@pytest.mark.usefixtures("installed")
def test_it_is_listed_checked_run_and_reported(bench):
    assert "from mine" in next(
        line for line in bench("list", "models")[1].splitlines() if line.startswith("class_mean")
    )
    status, out, _ = bench("check", "class_mean")
    assert status == 0, out
    assert "class_mean: conforms" in out
    status, _, err = bench("run", "mine.yaml", "--no-mlflow", "--jobs", "1")
    assert status == 0, err
    assert "4 finished" in err
    assert "4 done" in bench("status", "mine")[1]
    status, _, err = bench("run", "mine.yaml", "variants.class_mean.model.nois=1")
    assert status == 2
    assert "did you mean 'noise'" in err
