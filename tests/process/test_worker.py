"""What a process does to torch before it computes on a GPU; calls stand in for the GPU."""

import os

import torch

from bench.process.worker import Worker


def test_a_gpu_becomes_the_current_one_and_rounds_nothing(monkeypatch):
    chosen = []
    monkeypatch.setattr(torch, "empty", lambda *size, device: None)
    monkeypatch.setattr(torch.cuda, "set_device", chosen.append)
    monkeypatch.setattr(os, "environ", {})
    cudnn = torch.backends.cudnn
    before = cudnn.allow_tf32
    cudnn.allow_tf32 = True  # as torch has it
    try:
        device = Worker("cuda:1").device
        assert not cudnn.allow_tf32
    finally:
        cudnn.allow_tf32 = before
    assert chosen == [device] == [torch.device("cuda", 1)]
    assert os.environ["CUBLAS_WORKSPACE_CONFIG"] == ":4096:8"
