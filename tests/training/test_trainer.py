"""The loop: resumption, averages, failures, data order."""

import json

import pytest
import torch

from bench.conformance import suite
from bench.errors import CheckpointError, Interrupted, RunFailed
from bench.spec.run_settings import Average
from bench.training.checkpoint import previous
from bench.training.trainer import Trainer, build_model

CPU = torch.device("cpu")


@pytest.fixture(scope="module")
def subject():
    return suite.make_subject("cvae", {"width": 0.25, "latent": 4})


def state(model):
    return {name: value.clone() for name, value in model.state_dict().items()}


def same(first, second):
    return all(torch.equal(first[name], second[name]) for name in first)


def halted(trainer, more):
    """Stop after some more iterations."""
    steps = iter(range(1, 10_000))
    with pytest.raises(Interrupted, match="checkpoint saved"):
        trainer.train(stop=lambda: next(steps) >= more)


def test_seeds_differ_and_repeat(subject, tmp_path):
    made = [
        state(subject.trainer(tmp_path / str(i), seed=seed).train())
        for i, seed in enumerate((0, 0, 1))
    ]
    assert same(made[0], made[1])
    assert not same(made[0], made[2])


def test_resumption_is_exact_with_average_schedule_and_clipping(subject, tmp_path):
    row = dict(subject.training.optimizers["decoder"])
    row["schedule"] = {"name": "linear", "start": 0.0, "final": 0.0, "unit": "iterations"}
    changes = {
        "average": Average(decay=0.9, players=["decoder"]),
        "clip_norm": 0.5,
        "iterations": 12,
        "optimizers": {**subject.training.optimizers, "decoder": row},
    }
    straight = subject.trainer(tmp_path / "a", **changes).train()
    halted(subject.trainer(tmp_path / "b", **changes), 5)
    halted(subject.trainer(tmp_path / "b", **changes), 2)
    resumed = subject.trainer(tmp_path / "b", **changes).train()
    assert same(state(straight), state(resumed))
    rows = [(tmp_path / folder / "rows.jsonl").read_bytes() for folder in "ab"]
    assert rows[0] == rows[1]


def test_rows_written_after_the_checkpoint_are_taken_back(subject, tmp_path):
    straight = subject.trainer(tmp_path / "a")
    straight.train()
    halted(subject.trainer(tmp_path / "b"), 3)
    with (tmp_path / "b" / "rows.jsonl").open("a") as file:
        file.write('{"metric":"x","protocol":"","split":"train","step":4,"value":1}\n{"met')
    subject.trainer(tmp_path / "b").train()
    rows = [(tmp_path / folder / "rows.jsonl").read_bytes() for folder in "ab"]
    assert rows[0] == rows[1]


def test_a_damaged_checkpoint_costs_only_the_time_since_the_one_before(subject, tmp_path):
    expected = state(subject.trainer(tmp_path / "a").train())
    halted(subject.trainer(tmp_path / "b"), 2)
    halted(subject.trainer(tmp_path / "b"), 2)
    newest = tmp_path / "b" / "checkpoint.pt"
    assert previous(newest).exists()
    newest.write_bytes(newest.read_bytes()[:100])
    resumed = subject.trainer(tmp_path / "b")
    assert same(expected, state(resumed.train()))
    assert resumed.start == 2, "the checkpoint before the damaged one"


def test_a_checkpoint_of_another_run_is_refused(subject, tmp_path):
    halted(subject.trainer(tmp_path / "a"), 2)
    other = Trainer(subject.training, subject.data, tmp_path / "a", CPU, "other")
    with pytest.raises(CheckpointError, match="belongs to run contract, not to other"):
        other.train()


def test_a_term_that_is_not_finite_fails_the_run_by_name(subject, tmp_path):
    trainer = subject.trainer(tmp_path / "a")
    terms, calls = trainer.model.terms, iter(range(100))

    def broken(stage, batch, wanted):
        values = terms(stage, batch, wanted)
        return {**values, "kl": values["kl"] / (0.0 if next(calls) == 2 else 1.0)}

    trainer.model.terms = broken
    with pytest.raises(RunFailed, match=r"'kl' of stage 'main' .* iteration 2 .*encoder"):
        trainer.train()


def test_a_frozen_player_keeps_its_initialization(subject, tmp_path):
    fresh = state(build_model(subject.training, subject.data, CPU))
    table = {"encoder": subject.training.objective["encoder"], "decoder": {"reconstruct": 0.0}}
    trainer = subject.trainer(tmp_path / "a", objective=table)
    trainer.train()
    trained = dict(trainer.model.named_parameters())
    decoder = {id(p) for p in trainer.model.players()["decoder"]}
    for name, parameter in trained.items():
        assert torch.equal(parameter, fresh[name]) == (id(parameter) in decoder), name


def test_an_ablation_sees_the_same_data_in_the_same_order(tmp_path):
    subject = suite.make_subject("lr_livae", {"width": 0.25, "relevant": 4, "irrelevant": 4})
    seen = []
    for number, cut in enumerate(([], ["prior", "prior_scale"])):
        table = {p: ({} if p in cut else row) for p, row in subject.training.objective.items()}
        trainer = subject.trainer(tmp_path / str(number), objective=table)
        stage_pass = next(p for p, _ in trainer.passes if p.stage.name == "main")
        play, batches = stage_pass.play, []
        stage_pass.play = lambda b, s, play=play, batches=batches: (
            batches.append(b.x.clone()),
            play(b, s),
        )[1]
        trainer.train()
        seen.append(torch.stack(batches))
    assert torch.equal(seen[0], seen[1])


def test_bfloat16_trains_on_cpu(subject, tmp_path):
    model = subject.trainer(tmp_path / "a", precision="bfloat16").train()
    assert all(torch.isfinite(p).all() for p in model.parameters())
    assert all(p.dtype == torch.float32 for p in model.parameters())


def test_rows_are_means_over_the_interval(subject, tmp_path):
    subject.trainer(tmp_path / "a").train()
    lines = (tmp_path / "a" / "rows.jsonl").read_text().splitlines()
    rows = [json.loads(line) for line in lines]
    assert {row["metric"] for row in rows} == {"main/reconstruct", "main/kl"}
    assert sorted({row["step"] for row in rows}) == [1, 2, 3, 4, 5, 6]
