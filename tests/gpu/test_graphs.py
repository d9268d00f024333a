"""Replayed graphs do what eager mode does."""

import gc
from functools import partial

import pytest
import torch

from bench import registry
from bench.errors import Interrupted
from bench.spec.switches import EAGER, SwitchSet
from bench.training import switch_trials
from bench.training.switch_trials import choose_switches
from tests.gpu.trainings import assert_same, moving, on_gpu_and, trainer_of
from tests.small import half_labeled, on_attributes, on_points, small

GRAPHS = SwitchSet(graphs=True)
FORMS = {
    **{name: partial(small, name) for name in registry.BUILT_IN["model"]},
    "lr_livae on points": partial(on_points, "lr_livae"),
    "ccvae on attributes": partial(on_attributes, "ccvae"),
    "lr_livae on half of the labels": partial(half_labeled, "lr_livae"),
    "cgan with several steps": partial(small, "cgan", cond_bn=True, critic_steps=5),
    "cvae in bfloat16": lambda: small("cvae").changed(precision="bfloat16"),
    "flow_matching in bfloat16": lambda: small("flow_matching").changed(precision="bfloat16"),
}
ON_CPU = ["ccvae on attributes", "lr_livae on half of the labels", "cvae in bfloat16"]


@on_gpu_and(ON_CPU, "form", FORMS)
def test_graphs_train_as_eager_mode_does_also_when_resumed(form, device, tmp_path):
    under_test = FORMS[form]()
    changes = moving(under_test)
    eager = trainer_of(under_test, tmp_path / "eager", device, **changes)
    eager.train()
    halted = trainer_of(under_test, tmp_path / "graphs", device, GRAPHS, **changes)
    with pytest.raises(Interrupted):
        halted.train(stop=iter([False, False, True]).__next__)
    del halted
    resumed = trainer_of(under_test, tmp_path / "graphs", device, GRAPHS, **changes)
    resumed.train()
    assert resumed.start == 3
    assert resumed._captured
    assert_same(device, eager, resumed)
    curves = [(tmp_path / name / "rows.jsonl").read_text() for name in ("eager", "graphs")]
    assert device.type == "cpu" or curves[0] == curves[1]


@on_gpu_and(["cvae"], "name", ["cvae", "lr_livae"])
def test_a_trial_that_is_dropped_leaves_a_graph_as_it_is(name, device, tmp_path):
    under_test = small(name)
    eager, graphs = (
        trainer_of(under_test, tmp_path, device, switches, **moving(under_test))
        for switches in (EAGER, GRAPHS)
    )
    for trainer in (eager, graphs):
        trainer.prepare()
    for step in range(6):
        if step == 3:
            trial = trainer_of(under_test, tmp_path, device, SwitchSet(True, channels_last=True))
            trial.prepare()
            trial.iterate(0)
            del trial
            gc.collect()
            if device.type == "cuda":
                torch.cuda.empty_cache()
        eager.iterate(step), graphs.iterate(step)
    assert_same(device, eager, graphs)


def test_two_graphs_take_turns(device, tmp_path):
    trainers = [trainer_of(small("cvae"), tmp_path, device, s) for s in (GRAPHS, GRAPHS, EAGER)]
    for trainer in trainers:
        trainer.prepare()
    for step in range(6):
        for trainer in trainers:
            trainer.iterate(step)
    for trainer in trainers[:2]:
        assert_same(device, trainers[2], trainer)


@on_gpu_and(["cvae"], "name", ["cvae", "lr_livae"])
def test_graphs_are_chosen_by_their_measurement(name, device, tmp_path, monkeypatch):
    monkeypatch.setattr(switch_trials, "BLOCK_SECONDS", 0.02)
    decision = choose_switches(
        lambda switches: trainer_of(small(name), tmp_path, device, switches),
        iterations=10**6,
        candidates=[(switch, 0.0) for switch in ("graphs", "channels_last")],
    )
    print(decision)
    assert not any("Error" in why or "differ" in why for why in decision.reasons), decision
    assert device.type == "cpu" or decision.switches.graphs
