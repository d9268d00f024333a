"""Optimizers from data, averages, schedules."""

from copy import deepcopy

import pytest
import torch
from torch import nn

from bench.spec import run_settings
from bench.training.optimizers import MovingAverage, PlayerOptimizer, schedule_factor


@pytest.mark.parametrize(
    ("chosen", "reference"),
    [
        (run_settings.Adam(rate=0.01), lambda p: torch.optim.Adam(p, 0.01, (0.0, 0.9))),
        (
            run_settings.AdamW(name="adamw", rate=0.01, weight_decay=0.1),
            lambda p: torch.optim.AdamW(p, 0.01, (0.0, 0.9), weight_decay=0.1),
        ),
        (
            run_settings.SGD(name="sgd", rate=0.01, momentum=0.9),
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
        player.step([gradient.clone()], None)
        theirs.grad = gradient
        optimizer.step()
    torch.testing.assert_close(ours, theirs, rtol=1e-6, atol=1e-7)
    assert ours.grad is None


@pytest.mark.parametrize(
    "chosen", [run_settings.Adam(), run_settings.SGD(name="sgd", momentum=0.9)]
)
def test_gradients_and_moments_that_lie_otherwise_go_to_their_own_weights(chosen):
    gradient = torch.arange(6.0).view(3, 2).t()
    assert not gradient.is_contiguous()
    moved = []
    for value in (gradient, gradient.contiguous()):
        parameter = nn.Parameter(torch.zeros(2, 3))
        player = PlayerOptimizer([parameter], chosen, iterations=10, epoch=5)
        player.step([value], None)
        state = deepcopy(player.torch_optimizer.state_dict())
        for moments in state["state"].values():
            for name, moment in moments.items():
                if isinstance(moment, torch.Tensor) and moment.ndim == 2:
                    moments[name] = moment.t().contiguous().t()  # as of another memory format
        player.restore(state)
        player.step([2 * value.flip(0)], None)
        moved.append(parameter.detach())
    assert torch.equal(*moved)
    assert moved[0][0, 1] != moved[0][1, 0]


def test_a_capturable_rate_is_a_tensor_that_follows_the_schedule():
    parameter = nn.Parameter(torch.zeros(1))
    chosen = run_settings.SGD(name="sgd", rate=1.0, schedule=run_settings.Linear(name="linear"))
    player = PlayerOptimizer([parameter], chosen, iterations=4, epoch=3, capturable=True)
    rate = player.torch_optimizer.param_groups[0]["lr"]
    found = []
    for step in range(4):
        player.set_rate(step)
        player.step([torch.ones(1)], None)
        found.append(rate.item())
    assert found == [1.0, 0.75, 0.5, 0.25]
    assert parameter.item() == -2.5


def test_schedule_scales_the_rate():
    parameter = nn.Parameter(torch.zeros(1))
    drop = run_settings.Drop(name="drop", at=2.0, factor=0.5, unit="epochs")
    chosen = run_settings.SGD(name="sgd", rate=1.0, schedule=drop)
    player = PlayerOptimizer([parameter], chosen, iterations=10, epoch=3)
    places = []
    for step in range(8):
        player.set_rate(step)
        player.step([torch.ones(1)], None)
        places.append(parameter.item())
    assert places == [-1, -2, -3, -4, -5, -6, -6.5, -7]


def test_linear_schedule_ends_at_its_final_share():
    schedule = run_settings.Linear(name="linear", start=50.0, final=0.1)
    factors = [schedule_factor(schedule, s, iterations=100, epoch=9) for s in (0, 50, 75, 100)]
    assert factors == pytest.approx([1, 1, 0.55, 0.1])


@pytest.mark.parametrize("capturable", [False, True])
def test_average_follows_the_closed_form(capturable):
    parameter = nn.Parameter(torch.zeros(1))
    average = MovingAverage([parameter], 0.5, capturable=capturable)
    expected = 0.0
    for step in range(6):
        with torch.no_grad():
            parameter.fill_(step)
        average.set_step(step)
        average.update()
        decay = min(0.5, (1 + step) / (10 + step))
        expected = decay * expected + (1 - decay) * step
    assert average.averages[0].item() == pytest.approx(expected)
    average.install()
    assert parameter.item() == pytest.approx(expected)


def test_averages_have_the_same_bits_whether_captured_or_not():
    torch.manual_seed(0)
    parameters = [nn.Parameter(torch.randn(7, 5)), nn.Parameter(torch.randn(3))]
    eager, captured = (MovingAverage(parameters, 0.9, capturable=c) for c in (False, True))
    for step in range(120):
        with torch.no_grad():
            for parameter in parameters:
                parameter.add_(torch.randn_like(parameter))
        for average in (eager, captured):
            average.set_step(step)
            average.update()
    assert all(map(torch.equal, eager.averages, captured.averages))
