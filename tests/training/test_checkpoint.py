"""Checkpoints: whole or not at all."""

import logging

import pytest
import torch

from bench.errors import CheckpointError
from bench.training import checkpoint

CPU = torch.device("cpu")


def test_what_is_saved_is_loaded(tmp_path):
    path = tmp_path / "c.pt"
    checkpoint.save_checkpoint(path, {"step": 3, "t": torch.arange(4.0)})
    state = checkpoint.load_checkpoint(path, CPU)
    assert state["step"] == 3
    assert torch.equal(state["t"], torch.arange(4.0))


def test_nothing_there_is_none(tmp_path):
    assert checkpoint.load_checkpoint(tmp_path / "c.pt", CPU) is None


@pytest.mark.parametrize("damage", ["truncate", "flip", "empty"])
def test_a_damaged_one_falls_back_with_a_warning(tmp_path, caplog, damage):
    path = tmp_path / "c.pt"
    for step in (1, 2):
        checkpoint.save_checkpoint(path, {"step": step, "t": torch.rand(100)})
    raw = bytearray(path.read_bytes())
    if damage == "flip":
        raw[len(raw) // 2] ^= 1
    path.write_bytes({"truncate": raw[:-50], "flip": raw, "empty": b""}[damage])
    with caplog.at_level(logging.WARNING):
        assert checkpoint.load_checkpoint(path, CPU)["step"] == 1
    assert "is damaged" in caplog.text


def test_both_damaged_is_none(tmp_path):
    path = tmp_path / "c.pt"
    for step in (1, 2):
        checkpoint.save_checkpoint(path, {"step": step})
    path.write_bytes(b"x")
    checkpoint.previous(path).write_bytes(b"y")
    assert checkpoint.load_checkpoint(path, CPU) is None


def test_another_format_is_refused(tmp_path, monkeypatch):
    path = tmp_path / "c.pt"
    monkeypatch.setattr(checkpoint, "VERSION", 99)
    checkpoint.save_checkpoint(path, {})
    monkeypatch.undo()
    with pytest.raises(CheckpointError, match="format 99"):
        checkpoint.load_checkpoint(path, CPU)


def test_code_in_a_checkpoint_is_not_run(tmp_path):
    class Evil:
        def __reduce__(self):
            return (print, ("ran",))

    path = tmp_path / "c.pt"
    checkpoint.save_checkpoint(path, {"x": Evil()})
    with pytest.raises(Exception, match=r"(?i)weights.only|unsupported"):
        checkpoint.load_checkpoint(path, CPU)
