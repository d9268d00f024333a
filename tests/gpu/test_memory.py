"""A run whose batches do not fit goes on with parts of them, and gives the memory back."""

import pytest
import torch

from baselines.cvae import CVAE
from bench.record.provenance import read_execution
from bench.spec.switches import EAGER, SwitchSet
from tests.gpu.trainings import trainer_of
from tests.small import small

FOR_AN_EXAMPLE = 2**26  # bytes that the model takes in addition


@pytest.fixture
def limit(device, monkeypatch, tmp_path):
    """Let cVAE need memory that suffices for 12 examples at a time."""
    terms = CVAE.terms

    def hungry(self, stage, batch, wanted):
        if device.type == "cuda":
            # As activations do: blocks of their own, all of them there at one time. What libraries
            # cut from one large block that is free would keep the whole of it from being used.
            _ = [torch.empty(FOR_AN_EXAMPLE, dtype=torch.uint8, device=device) for _ in batch.x]
        elif len(batch.x) > 12:
            raise MemoryError("a fake allocator")
        return terms(self, stage, batch, wanted)

    monkeypatch.setattr(CVAE, "terms", hungry)
    if device.type == "cpu":
        yield
        return
    trainer_of(small("cgan"), tmp_path, device).iterate(0)  # libraries take their own
    torch.cuda.empty_cache()
    total = torch.cuda.get_device_properties(device).total_memory
    room = torch.cuda.memory_reserved(device) + 12 * FOR_AN_EXAMPLE + 2**27
    torch.cuda.set_per_process_memory_fraction(room / total)
    yield
    torch.cuda.set_per_process_memory_fraction(1.0)


@pytest.mark.usefixtures("limit")
@pytest.mark.parametrize("switches", [EAGER, SwitchSet(graphs=True)], ids=str)
def test_half_of_the_batch_is_taken_at_a_time(switches, device, tmp_path):
    trainer = trainer_of(small("cvae"), tmp_path, device, switches)
    trainer.train()
    size = trainer.training.batch_size
    assert read_execution(tmp_path)["micro_batch"]["batch_size"] == size
    assert trainer.micro_batch == size // 2  # a graph has memory of its own: it may be given up
