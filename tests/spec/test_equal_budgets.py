"""Sweeps that promise equal budgets keep that promise."""

from pathlib import Path

import pytest

from bench.spec.sweep_file import load_sweep
from bench.training.cost import count_cost

SWEEPS = Path(__file__).parents[2] / "sweeps"


@pytest.mark.slow
@pytest.mark.parametrize(
    ("name", "metric"),
    [
        ("equal_images", "images_per_iteration"),
        ("equal_arithmetic", "multiply_adds_per_iteration"),
    ],
)
def test_budgets_are_equal_within_a_few_tenths_of_a_percent(name, metric):
    budgets = {}
    for run in load_sweep(SWEEPS / f"{name}.yaml").runs:
        training = run.config.training
        if training.seed == 0:
            cost = {e.metric: e.value for e in count_cost(training, run.config.source().spec)}
            budgets[run.variant] = cost[metric] * training.iterations
    assert len(budgets) == 8
    assert max(budgets.values()) / min(budgets.values()) < 1.003
