"""A stand-in for CUDA graphs on a CPU, and settings that an iteration can have."""

from bench.spec.switches import SwitchSet
from bench.training import cuda_graphs


class FakeGraph:
    """Like a CUDA graph, it returns into the same memory and never looks at its arguments again."""

    def __init__(self):
        self.replays = 0

    def capture(self, work):
        for _ in range(3):
            work()
        self.work = work
        self.out = work()
        return self.out

    def replay(self):
        self.replays += 1
        self.out.copy_(self.work())


def use_fake_graphs(monkeypatch):
    """Let a CPU have the switch `graphs`."""
    monkeypatch.setattr(cuda_graphs, "CudaGraph", FakeGraph)
    monkeypatch.setattr(SwitchSet, "check_device", lambda switches, device: None)


def rated(under_test, optimizer="adam"):
    """Return optimizers with a rate that falls at every step."""
    table = {}
    for player in under_test.model().players():
        row = {"name": optimizer, "rate": 1e-3}
        if optimizer == "sgd":
            row |= {"momentum": 0.9, "weight_decay": 0.0}
        else:
            row |= {"betas": [0.0, 0.9], "eps": 1e-8}
        schedule = {"name": "linear", "start": 0.0, "final": 0.0, "unit": "iterations"}
        table[player] = {**row, "schedule": schedule}
    return table
