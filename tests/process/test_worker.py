"""What a process does to torch before it computes on a GPU (calls stand in for it); its data."""

import os
import pickle

import pytest
import torch

from bench.data.blobs import Blobs
from bench.errors import BenchError
from bench.process.worker import Worker


def test_a_gpu_becomes_the_current_one_rounds_nothing_and_repeats_its_numbers(monkeypatch):
    chosen = []
    monkeypatch.setattr(torch, "empty", lambda *size, device: None)
    monkeypatch.setattr(torch.cuda, "set_device", chosen.append)
    monkeypatch.setattr(os, "environ", {})
    cudnn = torch.backends.cudnn
    before = cudnn.allow_tf32, cudnn.deterministic
    cudnn.allow_tf32, cudnn.deterministic = True, False  # as torch has it
    try:
        device = Worker("cuda:1").device
        assert (cudnn.allow_tf32, cudnn.deterministic) == (False, True)
    finally:
        cudnn.allow_tf32, cudnn.deterministic = before
    assert chosen == [device] == [torch.device("cuda", 1)]
    assert os.environ["CUBLAS_WORKSPACE_CONFIG"] == ":4096:8"


def test_a_process_has_the_data_of_the_one_that_started_it(monkeypatch):
    here = Worker("cpu")
    here.context_of({"name": "blobs"})
    there = pickle.loads(pickle.dumps(here))
    assert there.context_of({"name": "blobs"}).data.fingerprint in here.fingerprints.values()
    other = Blobs(split_seed=1).load()
    monkeypatch.setattr(Blobs, "load", lambda source: other)
    with pytest.raises(BenchError, match=f"has the fingerprint {other.fingerprint[:12]} here"):
        pickle.loads(pickle.dumps(here)).context_of({"name": "blobs"})
