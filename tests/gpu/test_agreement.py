"""Ways of execution agree with eager mode as closely as a run demands of them."""

import pytest

from bench import registry
from bench.spec.switches import EAGER, SwitchSet
from bench.training.switch_trials import (
    ROUNDINGS,
    differences,
    evidence,
    evidence_after_rounding,
    tolerances,
)
from tests.gpu.trainings import on_gpu_and, only_on_gpu, trainer_of
from tests.small import small

LAST = SwitchSet(channels_last=True)


def assert_agrees(under_test, switches, device, folder):
    """Compare the first iterations; what rounding the weights once changes is allowed thrice."""
    precision = under_test.training.precision
    rounded = [
        evidence_after_rounding(trainer_of(under_test, folder, device), precision, seed)
        for seed in range(ROUNDINGS)
    ]
    expected, found = (
        evidence(trainer_of(under_test, folder, device, on)) for on in (EAGER, switches)
    )
    allowed = tolerances(expected, rounded, precision)
    excess = differences(expected, found) / allowed
    print(f"{under_test.training.model['name']}, {precision}, {switches}: {excess.max():.3g}")
    assert excess.max() < 1, (allowed, excess)


@only_on_gpu
@pytest.mark.parametrize("precision", ["float32", "tf32", "bfloat16"])
@pytest.mark.parametrize("name", registry.BUILT_IN["model"])
def test_channels_last_agrees(name, precision, device, tmp_path):
    assert_agrees(small(name).changed(precision=precision), LAST, device, tmp_path)


@on_gpu_and(["cvae"], "name", ["cvae", "lr_livae"])
def test_channels_last_in_a_graph_agrees(name, device, tmp_path):
    under_test = small(name).changed(precision="bfloat16")
    assert_agrees(under_test, SwitchSet(graphs=True, channels_last=True), device, tmp_path)


@only_on_gpu
@pytest.mark.slow
@pytest.mark.parametrize("switches", ["compile", "compile,graphs,channels_last"])
@pytest.mark.parametrize("name", ["cvae", "lr_livae"])
def test_compilation_agrees(name, switches, device, tmp_path):
    chosen = SwitchSet.of(switches.split(","))
    assert_agrees(small(name), chosen, device, tmp_path)
