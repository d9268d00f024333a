"""Sweeps on a GPU: every metric, several processes, and a kernel that fails."""

import json
import os
import subprocess
import sys
from pathlib import Path

import pytest
import torch

from bench import registry
from tests.gpu.trainings import on_gpu_and, only_on_gpu
from tests.metrics.bars import OPTIONS

SWEEP = """\
name: device
base:
  data: {name: blobs, per_class: 80, test_per_class: 70}
  iterations: 30
  batch_size: 16
  samples_per_class: 70
seeds: [0]
variants:
"""
VARIANTS = {
    "cvae": "{model: {name: cvae, width: 0.25, latent: 4}}",
    "points": "{model: {name: lr_livae, width: 0.25}, data: {name: moons, per_class: 100}}",
    "lr_livae": "{model: {name: lr_livae, width: 0.25, relevant: 4, irrelevant: 4}}",
    "attributes": "{model: {name: csvae, width: 0.25, irrelevant: 4}, data: digit_attributes}",
}
BROKEN_SWEEP = """\
name: broken
base: {model: broken, data: blobs, iterations: 9, batch_size: 16, metrics: []}
seeds: [0]
"""
BROKEN = '''
"""A model that asks for a class that does not exist."""
import torch
from torch import nn

from bench.data.base import DataSpec
from bench.training.interface import ConditionalGenerator, Stage


class Broken(ConditionalGenerator):
    stages = (Stage("main", ("mean",)),)
    objective = {"mean": {"reconstruct": 1.0}}

    def __init__(self, spec: DataSpec) -> None:
        super().__init__()
        self.mean = nn.Parameter(torch.zeros(spec.classes, *spec.shape))

    def players(self):
        return {"mean": [self.mean]}

    def terms(self, stage, batch, wanted):
        return {"reconstruct": (batch.x - self.mean[batch.y + 1000]).square().mean()}

    def sample(self, y, generator=None):
        return self.mean[y]
'''
FAST = ("prior_fit", "arc_fit", "point_fit")
DOWNLOADED = {"reconstruction_lpips"}


@pytest.fixture
def run(bench, here, device):
    """Run the sweep on the device; return the folder of results and the messages."""

    def run(variants, *words, results="results"):
        lines = [f"  {name}: {VARIANTS[name]}\n" for name in variants]
        (here / "device.yaml").write_text(SWEEP + "".join(lines))
        where = "--device", device.type, "--no-mlflow", "--results", results
        status, _, err = bench("run", "device.yaml", *where, *words)
        assert status == 0, err
        return here / results / "device", err

    return run


def weights_of(folder):
    """Return run -> its trained weights."""
    return {
        path.parent.name: torch.load(path, map_location="cpu", weights_only=True)
        for path in sorted(folder.glob("*/model.pt"))
    }


def test_every_metric_is_measured(run, device):
    is_gpu = device.type == "cuda"
    names, variants = (registry.BUILT_IN["metric"], VARIANTS) if is_gpu else (FAST, ["points"])
    metrics = [{"name": name, **OPTIONS.get(name, {})} for name in names]
    speed = "graphs" if is_gpu else "eager"
    folder, _ = run(variants, f"base.metrics={json.dumps(metrics)}", "--speed", speed)
    lines = [path.read_text().splitlines() for path in folder.glob("*/evaluation.jsonl")]
    entries = [json.loads(line) for of_run in lines for line in of_run]
    values = [(entry["metric"].partition("/")[0], entry["value"]) for entry in entries]
    measured = {metric for metric, value in values if value is not None}
    assert measured
    assert {metric for metric, _ in values} - measured <= DOWNLOADED


@only_on_gpu
@pytest.mark.parametrize("executor", ["local", "streams"])
def test_runs_at_the_same_time_end_as_alone(executor, run, device):
    words = ["cvae", "lr_livae"], "base.metrics=[]", "seeds=[0,1]", "--speed", "graphs"
    alone, _ = run(*words, "--jobs", "1", results="alone")
    together, _ = run(*words, "--jobs", "3", "--executor", executor, results="together")
    expected, found = weights_of(alone), weights_of(together)
    assert len(expected) == 4
    assert expected.keys() == found.keys()
    for name, weights in expected.items():
        for key, value in weights.items():
            assert torch.equal(found[name][key], value), (name, key)


@on_gpu_and(["float32"], "precision", ["float32", "bfloat16"])
def test_a_run_repeats_bit_by_bit(precision, run, bench, device):
    """Trained with all switches that keep bits, then repeated and measured again."""
    metrics = "base.metrics=[intra_class_diversity_native]"
    speed = "graphs,channels_last" if device.type == "cuda" else "channels_last"
    run(["cvae", "lr_livae"], metrics, f"base.precision={precision}", "--speed", speed)
    words = "--tolerance", "0", "--iterations", "30", "--measurements", "--device", device.type
    status, out, err = bench("verify", "device", *words)
    assert status == 0, out + err
    assert out.count("bit-identical") == 4


def test_a_failed_kernel_is_trouble_of_the_machine(bench, here, device, install, tmp_path):
    install("broken", {"broken.py": BROKEN}, {"bench.models": {"broken": "broken:Broken"}})
    (here / "broken.yaml").write_text(BROKEN_SWEEP)
    words = "run", "broken.yaml", "--device", device.type, "--no-mlflow", "--jobs", "1"
    if device.type == "cpu":  # which tells at once, and is none the worse for it
        _, _, err = bench(*words)
        assert "1 failed" in err
        assert list(here.glob("results/broken/*/failed"))
        return
    root = Path(__file__).parents[2]
    path = os.pathsep.join((str(tmp_path / "site"), str(root), os.environ.get("PYTHONPATH", "")))
    ended = subprocess.run(
        [sys.executable, "-m", "bench", *words],
        cwd=here,
        env={**os.environ, "PYTHONPATH": path},
        capture_output=True,
        text=True,
        timeout=100,
    )
    assert ended.returncode == 2, ended.stderr
    assert "this process cannot use cuda" in ended.stderr
    assert "the same command continues" in ended.stderr
    assert not list(here.glob("results/broken/*/failed"))
