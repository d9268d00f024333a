"""Fixtures that several folders of tests share."""

import os
import subprocess
import sys
from pathlib import Path

import pytest
import torch

from bench.cli import main

sys.path.insert(0, str(Path(__file__).parent / "data_recorded"))

TINY = """\
# A sweep of seconds.
name: tiny
base: {data: blobs, iterations: 12, batch_size: 16, samples_per_class: 3}
seeds: [0, 1]
variants:
  cvae: {model: {name: cvae, width: 0.25, latent: 4}}
  lr_livae: {model: {name: lr_livae, width: 0.25, relevant: 4, irrelevant: 4}}
"""


@pytest.fixture(autouse=True, scope="session")
def one_thread():
    """Small networks run fastest on one thread, and leave the other core to a neighbor."""
    torch.set_num_threads(1)


@pytest.fixture(autouse=True)
def no_network(monkeypatch, tmp_path_factory):
    """No test may download anything, or see the data sets of the person who runs it."""
    monkeypatch.setenv("BENCH_OFFLINE", "1")
    monkeypatch.setenv("BENCH_DATA", str(tmp_path_factory.getbasetemp() / "bench-data"))
    monkeypatch.delenv("MLFLOW_TRACKING_URI", raising=False)
    monkeypatch.setenv("XDG_CONFIG_HOME", str(tmp_path_factory.getbasetemp() / "no-preferences"))


@pytest.fixture
def here(tmp_path, monkeypatch):
    """An empty working directory with one tiny sweep in it."""
    monkeypatch.chdir(tmp_path)
    (tmp_path / "tiny.yaml").write_text(TINY)
    return tmp_path


@pytest.fixture
def bench(here, capsys):
    """Run the command line in this process; return status, stdout and stderr."""

    def run(*words):
        try:
            main(list(words))
        except SystemExit as end:
            status = end.code or 0
        captured = capsys.readouterr()
        return status, captured.out, captured.err

    return run


@pytest.fixture
def bench_process(here):
    """Start the command line as a process of its own, to be killed."""

    started = []

    def start(*words):
        process = subprocess.Popen(
            [sys.executable, "-m", "bench", *words],
            cwd=here,
            env={**os.environ, "OMP_NUM_THREADS": "1"},
            stdout=subprocess.PIPE,
            stderr=subprocess.PIPE,
            text=True,
        )
        started.append(process)
        return process

    yield start
    for process in started:
        with process:  # which closes the pipes
            process.kill()  # if the test failed
