"""The loop: resumption, averages, failures, data order."""

import json

import pytest
import torch

from bench.errors import CheckpointError, Interrupted, RunFailed
from bench.record.run_folder import RunFolder
from bench.spec.run_settings import Average
from bench.training.checkpoint import load_checkpoint, previous
from bench.training.trainer import Trainer, build_model
from tests.small import small

CPU = torch.device("cpu")


@pytest.fixture(scope="module")
def under_test():
    return small()


@pytest.fixture(scope="module")
def straight(under_test, tmp_path_factory):
    """Return the weights of an uninterrupted run, and its curves."""
    folder = tmp_path_factory.mktemp("straight")
    return state(under_test.trainer(folder).train()), (folder / "rows.jsonl").read_bytes()


def state(model):
    return {name: value.clone() for name, value in model.state_dict().items()}


def same(first, second):
    return all(torch.equal(first[name], second[name]) for name in first)


def halted(trainer, more):
    """Stop after some more iterations."""
    steps = iter(range(1, 10_000))
    with pytest.raises(Interrupted, match="checkpoint saved"):
        trainer.train(stop=lambda: next(steps) >= more)


def test_seeds_differ_and_repeat(under_test, straight, tmp_path):
    first, again, other = (
        straight[0],
        *(state(under_test.trainer(tmp_path / str(s), seed=s).train()) for s in (0, 1)),
    )
    assert same(first, again)
    assert not same(first, other)


def test_resumption_is_exact_with_average_schedule_and_clipping(under_test, tmp_path):
    settings = dict(under_test.training.optimizers["decoder"])
    settings["schedule"] = {"name": "linear", "start": 0.0, "final": 0.0, "unit": "iterations"}
    changes = {
        "average": Average(decay=0.9, players=["decoder"]),
        "clip_norm": 0.5,
        "iterations": 12,
        "optimizers": {**under_test.training.optimizers, "decoder": settings},
    }
    straight = under_test.trainer(tmp_path / "a", **changes).train()
    halted(under_test.trainer(tmp_path / "b", **changes), 5)
    halted(under_test.trainer(tmp_path / "b", **changes), 2)
    resumed = under_test.trainer(tmp_path / "b", **changes).train()
    assert same(state(straight), state(resumed))
    curves = [(tmp_path / folder / "rows.jsonl").read_bytes() for folder in "ab"]
    assert curves[0] == curves[1]


def test_a_checkpoint_has_the_form_of_earlier_versions(under_test, tmp_path):
    trainer = under_test.trainer(tmp_path)
    halted(trainer, 2)
    found = load_checkpoint(trainer.checkpoint, CPU)
    keys = ["run", "step", "seconds", "rows_offset", "model", "optimizers", "average", "losses"]
    assert list(found) == keys
    assert (found["run"], found["step"], found["average"]) == ("contract", 2, [])
    assert found["losses"]["main"].keys() == {"sums", "passes"}
    assert found["optimizers"]["decoder"].keys() == {"state", "param_groups"}


def test_entries_written_after_the_checkpoint_are_taken_back(under_test, straight, tmp_path):
    halted(under_test.trainer(tmp_path), 3)
    with (tmp_path / "rows.jsonl").open("a") as file:
        file.write('{"metric":"x","protocol":"","split":"train","step":4,"value":1}\n{"met')
    under_test.trainer(tmp_path).train()
    assert (tmp_path / "rows.jsonl").read_bytes() == straight[1]


def test_a_damaged_checkpoint_costs_only_the_time_since_the_one_before(
    under_test, straight, tmp_path
):
    halted(under_test.trainer(tmp_path), 2)
    halted(under_test.trainer(tmp_path), 2)
    newest = tmp_path / "checkpoint.pt"
    assert previous(newest).exists()
    newest.write_bytes(newest.read_bytes()[:100])
    resumed = under_test.trainer(tmp_path)
    assert same(straight[0], state(resumed.train()))
    assert resumed.start == 2, "the checkpoint before the damaged one"


def test_a_checkpoint_of_another_run_is_refused(under_test, tmp_path):
    halted(under_test.trainer(tmp_path), 2)
    other = Trainer(under_test.training, under_test.data, tmp_path, CPU, "other")
    with pytest.raises(CheckpointError, match="belongs to run contract, not to other"):
        other.train()


def test_a_term_that_is_not_finite_fails_the_run_by_name(under_test, tmp_path):
    trainer = under_test.trainer(tmp_path)
    terms, calls = trainer.model.terms, iter(range(100))

    def broken(stage, batch, wanted):
        values = terms(stage, batch, wanted)
        return {**values, "kl": values["kl"] / (0.0 if next(calls) == 2 else 1.0)}

    trainer.model.terms = broken
    with pytest.raises(RunFailed, match=r"'kl' of stage 'main' .* iteration 2 .*encoder"):
        trainer.train()


def test_a_frozen_player_keeps_its_initialization(under_test, tmp_path):
    fresh = state(build_model(under_test.training, under_test.data, CPU))
    table = {"encoder": under_test.training.objective["encoder"], "decoder": {"reconstruct": 0.0}}
    trainer = under_test.trainer(tmp_path, objective=table)
    trainer.train()
    decoder = {id(p) for p in trainer.model.players()["decoder"]}
    for name, parameter in trainer.model.named_parameters():
        assert torch.equal(parameter, fresh[name]) == (id(parameter) in decoder), name


def test_an_ablation_sees_the_same_data_in_the_same_order():
    under_test, seen = small("lr_livae"), []
    for cut in ([], ["prior", "prior_scale"]):
        objective = under_test.training.objective
        table = {player: {} if player in cut else objective[player] for player in objective}
        trainer = under_test.trainer(objective=table)
        stage_pass = trainer.passes["main"]
        play, batches = stage_pass.play, []
        stage_pass.play = lambda b, play=play, batches=batches: (
            batches.append(b.x.clone()),
            play(b),
        )[1]
        for step in range(6):
            trainer.iterate(step)
        seen.append(torch.stack(batches))
    assert torch.equal(seen[0], seen[1])


def test_bfloat16_trains_on_cpu(under_test, tmp_path):
    model = under_test.trainer(tmp_path, precision="bfloat16").train()
    assert all(torch.isfinite(p).all() for p in model.parameters())
    assert all(p.dtype == torch.float32 for p in model.parameters())


def test_curves_are_means_over_the_interval(straight):
    entries = [json.loads(line) for line in straight[1].splitlines()]
    assert {entry["metric"] for entry in entries} == {"main/reconstruct", "main/kl"}
    assert sorted({entry["step"] for entry in entries}) == [1, 2, 3, 4, 5, 6]


def test_memory_that_runs_out_after_a_snapshot_costs_what_came_after_the_checkpoint(
    under_test, tmp_path, monkeypatch
):
    trainer = under_test.trainer(tmp_path, iterations=12)
    iterate, played, kept = Trainer.iterate, [], []

    def iterate_until_memory_runs_out(self, step):
        played.append(step)
        if step == 8 and played.count(8) == 1:
            raise torch.OutOfMemoryError("CUDA out of memory.")
        iterate(self, step)

    monkeypatch.setattr(Trainer, "iterate", iterate_until_memory_runs_out)
    trainer.train(
        snapshots=[4], on_snapshot=lambda done, _: kept.append(done), checkpoint_seconds=0
    )
    assert played == [*range(9), *range(8, 12)]
    assert kept == [4]


def test_a_training_killed_while_it_saves_goes_on_from_the_checkpoint_before(
    under_test, straight, tmp_path
):
    halted(under_test.trainer(tmp_path), 2)
    newest = tmp_path / "checkpoint.pt"
    newest.rename(previous(newest))  # as between the two renames of `save_checkpoint`
    assert RunFolder(tmp_path).has_learned, "so that code and data are compared"
    resumed = under_test.trainer(tmp_path)
    assert same(straight[0], state(resumed.train()))
    assert resumed.start == 2
