"""Optimizers from data, averages, schedules."""

import pytest
import torch
from torch import nn

from bench import settings
from bench.training.average import MovingAverage
from bench.training.optimizers import PlayerOptimizer, rate_factor


@pytest.mark.parametrize(
    ("chosen", "reference"),
    [
        (settings.Adam(rate=0.01), lambda p: torch.optim.Adam(p, 0.01, (0.0, 0.9))),
        (
            settings.AdamW(name="adamw", rate=0.01, weight_decay=0.1),
            lambda p: torch.optim.AdamW(p, 0.01, (0.0, 0.9), weight_decay=0.1),
        ),
        (
            settings.SGD(name="sgd", rate=0.01, momentum=0.9),
            lambda p: torch.optim.SGD(p, 0.01, momentum=0.9),
        ),
    ],
    ids=["adam", "adamw", "sgd"],
)
def test_steps_equal_torchs_own(chosen, reference):
    ours, theirs = (nn.Parameter(torch.linspace(-1, 1, 7)) for _ in range(2))
    player = PlayerOptimizer([ours], chosen, iterations=10, epoch=5)
    optimizer = reference([theirs])
    for step in range(5):
        gradient = torch.sin(torch.arange(7.0) + step)
        player.step([gradient.clone()], step, None)
        theirs.grad = gradient
        optimizer.step()
    torch.testing.assert_close(ours, theirs, rtol=1e-6, atol=1e-7)
    assert ours.grad is None


def test_schedule_scales_the_rate():
    parameter = nn.Parameter(torch.zeros(1))
    drop = settings.Drop(name="drop", at=2.0, factor=0.5, unit="epochs")
    chosen = settings.SGD(name="sgd", rate=1.0, schedule=drop)
    player = PlayerOptimizer([parameter], chosen, iterations=10, epoch=3)
    places = []
    for step in range(8):
        player.step([torch.ones(1)], step, None)
        places.append(parameter.item())
    assert places == [-1, -2, -3, -4, -5, -6, -6.5, -7]


def test_linear_schedule_ends_at_its_final_share():
    schedule = settings.Linear(name="linear", start=50.0, final=0.1)
    factors = [rate_factor(schedule, s, iterations=100, epoch=9) for s in (0, 50, 75, 100)]
    assert factors == pytest.approx([1, 1, 0.55, 0.1])


def test_average_follows_the_closed_form():
    parameter = nn.Parameter(torch.zeros(1))
    average = MovingAverage([parameter], 0.5)
    expected = 0.0
    for step in range(6):
        with torch.no_grad():
            parameter.fill_(step)
        average.update(step)
        decay = min(0.5, (1 + step) / (10 + step))
        expected = decay * expected + (1 - decay) * step
    assert average.averages[0].item() == pytest.approx(expected)
    average.install()
    assert parameter.item() == pytest.approx(expected)
