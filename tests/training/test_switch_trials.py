"""Which switches are kept: fake trials, whose clock moves as they say."""

import weakref

import pytest
import torch

from bench.spec.switches import EAGER, SwitchSet
from bench.training import switch_trials
from bench.training.switch_trials import choose_switches, differences

NOISE = 0.02  # what rounding the weights of a trial changes
EVERY = [("graphs", 0.0), ("autotune", 0.0), ("channels_last", 0.0), ("compile", 0.0)]


class FakeTrial:
    """Takes `seconds` an iteration; computes 1 + `off`."""

    device = torch.device("cpu")

    def __init__(self, clock, seconds, off=0.0):
        self.clock, self.seconds, self.off, self.steps = clock, seconds, off, []
        self.model = torch.nn.Linear(1, 1, dtype=torch.float64)
        torch.nn.init.ones_(self.model.weight)
        torch.nn.init.ones_(self.model.bias)

    def iterate(self, step):
        self.steps.append(step)
        self.clock.now += self.seconds

    def evidence(self):
        for step in range(3):
            self.iterate(step)
        noise = NOISE * (self.model.weight.item() != self.model.bias.item())
        return [torch.ones(5), torch.full((3,), 1.0 + self.off + noise)]


class Clock:
    now = 0.0

    def __call__(self):
        return self.now


@pytest.fixture
def clock(monkeypatch):
    monkeypatch.setattr(switch_trials, "evidence", FakeTrial.evidence)
    return Clock()


def chooser(clock, *, raising=(), wrong=(), seconds):
    """A measurement in which each switch multiplies the time of an iteration."""

    def start(switches):
        for name in raising:
            if name in switches.names:
                raise RuntimeError(f"no {name} here\nand a long explanation")
        pace = 1.0
        for name in switches.names:
            pace *= seconds.get(name, 1.0)
        off = 0.5 if any(name in switches.names for name in wrong) else 1e-6
        return FakeTrial(clock, pace, off if switches.names else 0.0)

    return start


def test_what_raises_differs_or_is_slower_is_off_and_the_rest_is_on(clock):
    start = chooser(
        clock,
        raising=["graphs"],
        wrong=["autotune"],
        seconds={"autotune": 0.1, "channels_last": 1.5, "compile": 0.5},
    )
    decision = choose_switches(start, iterations=1000, candidates=EVERY, clock=clock)
    assert decision.switches == SwitchSet(compile=True)
    assert decision.reasons == (
        "graphs off, RuntimeError: no graphs here",
        "autotune off, its numbers differ 8.3 times too much",
        "channels_last off, 0.67 times as fast",
        "compile on, 2.00 times as fast",
    )
    assert str(decision).startswith("compile (graphs off")


def test_each_is_tried_on_top_of_what_is_on(clock):
    start = chooser(clock, seconds={"graphs": 0.5, "channels_last": 0.8, "compile": 0.99})
    decision = choose_switches(start, iterations=1000, candidates=EVERY, clock=clock)
    assert decision.switches == SwitchSet(graphs=True, channels_last=True), "1 % is not a gain"
    assert decision.reasons[2] == "channels_last on, 1.25 times as fast"


def test_short_runs_try_nothing_that_cannot_pay(clock):
    candidates = [("graphs", 20.0), ("compile", 1200.0)]
    start = chooser(clock, raising=["compile"], seconds={"graphs": 0.5})
    decision = choose_switches(start, iterations=100, candidates=candidates, clock=clock)
    assert decision.switches == SwitchSet(graphs=True)
    assert decision.reasons[1] == "compile not tried, the run is too short"


def test_a_capture_that_fails_while_it_is_timed_is_off(clock):
    def start(switches):
        trial = FakeTrial(clock, 1.0)
        if switches.graphs:
            trial.iterate = lambda step, go=trial.iterate: 1 / 0 if step > 5 else go(step)
        return trial

    decision = choose_switches(start, iterations=1000, candidates=[("graphs", 0.0)], clock=clock)
    assert decision.switches == EAGER
    assert "ZeroDivisionError" in decision.reasons[0]


@pytest.mark.parametrize(("off", "is_kept"), [(0.05, True), (0.07, False)])
def test_three_times_the_effect_of_rounding_is_allowed(clock, off, is_kept):
    def start(switches):
        return FakeTrial(clock, 0.5 if switches.compile else 1.0, off if switches.compile else 0.0)

    candidates = [("compile", 0.0)]
    decision = choose_switches(start, iterations=99, candidates=candidates, clock=clock)
    assert decision.switches.compile == is_kept


def test_each_part_has_a_tolerance_of_its_own():
    expected = torch.ones(3), torch.ones(2), torch.ones(2)
    rounded = 1.1 * torch.ones(3), torch.ones(2), torch.full((2,), float("nan"))
    found = switch_trials.tolerances(expected, [expected, rounded], "bfloat16")
    assert found.tolist() == pytest.approx([0.3, 0.03, float("inf")])


def test_what_is_not_finite_agrees_with_nothing():
    ones = torch.ones(3)
    assert differences((ones, ones), (ones, 1.5 * ones)).tolist() == pytest.approx([0, 0.5])
    assert differences((ones, ones), (ones / 0, ones)).tolist() == [float("inf"), 0]
    assert differences((ones * float("nan"), ones), (ones, ones)).tolist() == [float("inf"), 0]


def test_what_was_rejected_makes_room_for_the_next(clock):
    slower, trials = chooser(clock, seconds=dict.fromkeys(["graphs", "channels_last"], 2.0)), []

    def start(switches):
        assert sum(trial() is not None for trial in trials) <= 1, "but for the best so far"
        trial = slower(switches)
        trials.append(weakref.ref(trial))
        return trial

    assert choose_switches(start, iterations=1000, candidates=EVERY, clock=clock).switches == EAGER
    assert len(trials) == switch_trials.ROUNDINGS + 5
