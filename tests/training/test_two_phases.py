"""Stages with times and batches of their own, weights that change, and a pass at the end."""

import json
from contextlib import suppress

import pytest
import torch

from bench import registry
from bench.conformance.findings import check_model
from bench.conformance.model_under_test import ModelUnderTest
from bench.errors import Interrupted
from bench.spec.run_config import complete_settings, recorded_training
from bench.spec.run_settings import Average
from bench.spec.switches import SwitchSet
from bench.spec.validation import KeyProblem
from bench.training.cost import count_cost
from bench.training.trainer import Trainer
from tests.fake_graph import use_fake_graphs
from tests.training.two_phases import TwoPhases

CPU = torch.device("cpu")
ROWS = 16  # of a batch
CODES, MEANS, POLISH = 1.0, 1.5, 0.5  # sizes of batches


@pytest.fixture(autouse=True)
def registered(monkeypatch):
    target = f"{TwoPhases.__module__}:TwoPhases"
    before, table = registry.registered, {"two": registry.Registration(target, "")}
    merged = lambda kind: before(kind) | table if kind == "model" else before(kind)  # noqa: E731
    monkeypatch.setattr(registry, "registered", merged)


@pytest.fixture
def under_test(registered):
    return ModelUnderTest.of("two")


def same(first, second):
    pairs = zip(first.state_dict().items(), second.state_dict().values(), strict=True)
    return all(torch.equal(value, other) for (_, value), other in pairs)


def test_each_stage_sees_its_batches_at_its_times(under_test, monkeypatch):
    seen = []
    terms = TwoPhases.terms

    def watched(self, stage, batch, wanted):
        seen.append((stage, len(batch.x), round(self.progress.share.item(), 3)))
        return terms(self, stage, batch, wanted)

    monkeypatch.setattr(TwoPhases, "terms", watched)
    trainer = under_test.trainer()
    for step in range(6):
        trainer.iterate(step)
    assert seen == [
        *(("codes", 16, round(step / 6, 3)) for step in range(3)),
        ("means", 24, 0.5),
        ("polish", 8, 0.667),
        ("means", 24, 0.833),
        ("polish", 8, 0.833),
    ]


def test_what_does_not_move_stays_and_costs_nothing(under_test):
    trainer = under_test.trainer()
    before = {name: p.clone() for name, p in trainer.model.named_parameters()}
    trainer.iterate(0)
    after = dict(trainer.model.named_parameters())
    moved = {name.split(".")[0] for name, p in after.items() if not torch.equal(p, before[name])}
    assert moved == {"encoder", "decoder"}
    entries = count_cost(under_test.training, under_test.data.spec)
    cost = {entry.metric: entry.value for entry in entries}
    # Of 6 iterations, 3 see one batch, one a batch and a half, one half, one a batch and a half.
    assert cost["images_per_iteration"] == round(ROWS * (3 * 1 + 1.5 + 0.5 + 1.5) / 6)
    code, pixels = 4, 64
    linear = pixels * code  # multiply-adds of one layer for an example, forward
    # Forward two, then backward: both layers and the codes for `reconstruct`, one for `annealed`.
    codes, means, polish = linear * (2 + 3 + 1), linear, linear * (2 + 1)
    expected = ROWS * (3 * CODES * codes + 2 * MEANS * means + 2 * POLISH * polish) / 6
    assert cost["multiply_adds_per_iteration"] == round(expected)


def test_an_ablated_stage_leaves_the_data_of_the_others(under_test):
    kept, ablated = (
        under_test.trainer(objective=objective)
        for objective in (
            under_test.training.objective,
            {**under_test.training.objective, "means": {"distance": 0.0}},
        )
    )
    for step in range(6):
        for trainer in (kept, ablated):
            trainer.model.eval()  # no dropout, whose noise is that of a whole iteration
            trainer.iterate(step)
    for name in ("encoder", "decoder"):
        assert same(getattr(kept.model, name), getattr(ablated.model, name))
    assert not same(kept.model.means, ablated.model.means)


@pytest.mark.parametrize("stopped_after", range(1, 7))
def test_resumption_is_exact_from_every_phase(under_test, tmp_path, stopped_after):
    changes = {"average": Average(decay=0.9, players=["decoder", "means"])}
    straight = under_test.trainer(tmp_path / "a", **changes).train()
    asked = iter(range(1, 100))
    with suppress(Interrupted):
        under_test.trainer(tmp_path / "b", **changes).train(
            stop=lambda: next(asked) >= stopped_after
        )
    trainer = under_test.trainer(tmp_path / "b", **changes)
    assert same(straight, trainer.train())
    assert trainer.start == stopped_after
    assert (tmp_path / "a/rows.jsonl").read_bytes() == (tmp_path / "b/rows.jsonl").read_bytes()


def test_curves_hold_only_what_was_played(under_test, tmp_path):
    under_test.trainer(tmp_path / "a").train()
    rows = [json.loads(line) for line in (tmp_path / "a/rows.jsonl").read_text().splitlines()]
    steps = {}
    for row in rows:
        steps.setdefault(row["metric"], []).append(row["step"])
    assert steps["codes/reconstruct"] == [1, 2, 3]
    assert steps["means/distance"] == [4, 6]
    assert steps["polish/annealed"] == [5, 6]


def test_graphs_of_each_kind_replay_what_eager_mode_does(under_test, tmp_path, monkeypatch):
    eager = under_test.trainer(tmp_path / "a")
    use_fake_graphs(monkeypatch)
    (tmp_path / "b").mkdir()
    place = under_test.training, under_test.data, tmp_path / "b", CPU, "contract"
    captured = Trainer(*place, SwitchSet(graphs=True))
    assert same(eager.train(), captured.train())
    replays = {passes: c._graph.replays for passes, c in captured._captured.items()}
    assert replays == {(0,): 3, (1,): 1, (2,): 1, (1, 2): 1}


def test_micro_batches_give_the_gradients_of_the_whole(under_test):
    whole, parts = under_test.trainer(), under_test.trainer()
    for model in (whole.model, parts.model):
        model.eval()
    for stage_pass in parts.passes.values():
        stage_pass.micro_batch = 5
    for step in range(6):
        whole.iterate(step), parts.iterate(step)
    for a, b in zip(whole.model.parameters(), parts.model.parameters(), strict=True):
        torch.testing.assert_close(a, b)


def test_changing_weights_follow_their_schedule(under_test):
    trainer = under_test.trainer()
    codes = trainer.passes["codes"]
    weight = codes.weights["encoder"]["small"]
    found = []
    for step in range(6):
        trainer.iterate(step)
        found.append(codes.current(weight).item())
    assert found == pytest.approx([0.5 * (1 - 0.5 * step / 6) for step in range(6)])


def test_schedules_run_while_their_player_moves(under_test):
    table = {
        player: {**settings, "schedule": {"name": "linear"}}
        for player, settings in under_test.training.optimizers.items()
    }
    trainer = under_test.trainer(optimizers=table)
    optimizers = trainer.optimizers

    def rates(step):
        for optimizer in optimizers.values():
            optimizer.set_rate(step)
        full = 5e-4
        return {p: o.torch_optimizer.param_groups[0]["lr"] / full for p, o in optimizers.items()}

    assert rates(2)["encoder"] == pytest.approx(1 / 3)
    # The encoder moves no more, so nobody asks its schedule.
    assert rates(3) == pytest.approx({"encoder": 1 / 3, "decoder": 0.5, "means": 1.0})
    assert rates(5)["means"] == pytest.approx(1 / 3)


def test_finish_sees_all_training_examples_and_no_others(under_test, tmp_path):
    model = under_test.trainer(tmp_path / "a").train()
    split = under_test.data.train
    with torch.no_grad():
        codes = model.encoder(split.x.flatten(1).float() / 127.5 - 1)
    for label, mean in enumerate(model.moments):
        torch.testing.assert_close(mean, codes[split.y == label].mean(dim=0), rtol=1e-4, atol=1e-5)


def test_snapshots_are_finished_too(under_test, tmp_path):
    kept = {}
    under_test.trainer(tmp_path / "a").train(
        snapshots=[2, 4], on_snapshot=lambda done, weights: kept.update({done: weights})
    )
    assert kept[2]["moments"].abs().sum() > 0
    assert not torch.equal(kept[2]["moments"], kept[4]["moments"])


def test_samples_do_not_depend_on_the_progress(under_test, tmp_path):
    trained = under_test.trainer(tmp_path / "a").train()
    assert trained.progress.share.item() == under_test.model().progress.share.item() == 1


def test_it_conforms(under_test):
    findings = list(check_model("two"))
    assert not [f for f in findings if f.outcome in ("FAIL", "note")]
    assert ("finishing-repeats-itself", "ok") in [(f.rule, f.outcome) for f in findings]


BASE = {"model": "two", "data": "blobs", "seed": 0, "iterations": 6}


def test_a_sweep_edits_stages_and_weights():
    edits = {
        "stages": {"means": {"start": 2, "every": 1}},
        "objective": {
            "encoder": {"small": {"weight": 2.0}},
            "decoder": {"reconstruct": {"weight": 1.0, "schedule": {"name": "linear"}}},
        },
    }
    run = complete_settings(BASE | edits)
    assert run.id != complete_settings(BASE).id
    assert run.canonical["stages"] == {"means": {"start": 2, "every": 1}}
    small = run.canonical["objective"]["encoder"]["small"]
    assert (small["weight"], small["schedule"]["final"]) == (2.0, 0.5)
    assert run.canonical["objective"]["decoder"]["reconstruct"]["weight"] == 1.0
    again = recorded_training(json.loads(json.dumps(run.canonical)))
    assert again == run.training
    model = ModelUnderTest.of("two", **edits).model()
    assert [(s.start, s.every) for s in model.stages] == [(0, 1), (2, 1), (4, 1)]
    assert "stages" not in complete_settings(BASE).canonical


@pytest.mark.parametrize(
    ("edits", "message"),
    [
        ({"stages": {"mean": {"repeat": 2}}}, "stages.mean: .*did you mean 'means'"),
        ({"stages": {"means": {"repeats": 2}}}, "stages.means.repeats: .*did you mean 'repeat'"),
        ({"stages": {"means": {"repeat": 0}}}, "stages.means.repeat: must be >= 1"),
        ({"stages": {"means": {"start": 1.5}}}, "stages.means.start: .*share of the run"),
        ({"stages": {"means": {"start": 6}}}, "stages.means: .*from iteration 6 to 6"),
        ({"stages": {"polish": {"batch": 2}}}, "stages.polish: .*has 1.5"),
        ({"objective": {"encoder": {"small": {"weigth": 1}}}}, "weigth: .*did you mean 'weight'"),
        ({"objective": {"encoder": {"small": {"weight": -1}}}}, "small.weight: must be > 0"),
        ({"objective": {"encoder": {"small": "big"}}}, "small: expected a number"),
        (
            {"objective": {"encoder": {"small": {"weight": 1, "schedule": {"name": "lineal"}}}}},
            "small.schedule: expected one of",
        ),
        ({"objective": {"encoder": {"small": {"schedule": {"name": "linear"}}}}}, "weight: is req"),
        ({"objective": {"encoder": {"reconstruct": {"weight": 1}}}}, "schedule: is required"),
        ({"stages": {"codes": {"end": 1}}}, "stages.codes: .*1.0 is the end of the run"),
        ({"stages": {"codes": {"batch": 0.001}}}, "stages.codes: .*one example"),
        ({"stages": {"means": {"batch": 0.4}}}, "stages: stage 'polish' takes 0.5 batches"),
    ],
)
def test_wrong_edits_are_refused_at_their_key(edits, message):
    with pytest.raises(KeyProblem, match=message):
        complete_settings(BASE | edits)


def falling(step, *, iterations, epoch):
    """Fall to 0 at the end of the span; below that, and so refused, after it."""
    assert 0 <= step < iterations
    return 1 - step / iterations


def test_a_schedule_is_not_asked_beyond_the_span_of_its_player(tmp_path):
    schedule = {"name": "function", "function": f"{__name__}:falling"}
    settings = {"optimizers": {"default": {"schedule": schedule}}}
    ModelUnderTest.of("two", **settings).trainer(tmp_path / "a").train()
