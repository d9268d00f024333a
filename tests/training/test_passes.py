"""The gradient plan and the pass, on games small enough to check by hand."""

import gc
import weakref

import pytest
import torch
from torch import nn

from bench.errors import BenchError
from bench.spec import run_settings
from bench.training.interface import Batch, ConditionalGenerator, Stage
from bench.training.optimizers import PlayerOptimizer
from bench.training.passes import StagePass, plan_backwards, reached_leaves
from tests.small import small

LR_LIVAE = {
    "encoder_s": {"reconstruct": 10.0, "gm_likelihood": 1.0},
    "encoder_u": {"reconstruct": 10.0, "kl": 1.0, "confuse": 1.0},
    "decoder": {"reconstruct": 10.0, "fool": 1.0},
    "critic": {"discriminate": 1.0},
    "adversary": {"classify_u": 1.0},
}
REACH = {
    "reconstruct": frozenset({"encoder_s", "encoder_u", "decoder"}),
    "gm_likelihood": frozenset({"encoder_s"}),
    "kl": frozenset({"encoder_u"}),
    "confuse": frozenset({"encoder_u", "adversary"}),
    "fool": frozenset({"encoder_s", "encoder_u", "decoder", "critic"}),
    "discriminate": frozenset({"encoder_s", "encoder_u", "decoder", "critic"}),
    "classify_u": frozenset({"encoder_u", "adversary"}),
}


def covered(plan, weights, reach):
    """Return player -> term -> total weight that the plan gives it."""
    found = {player: {} for player in weights}
    for backward in plan:
        for player in backward.players:
            for term, weight in backward.weights.items():
                if player in reach[term]:
                    found[player][term] = found[player].get(term, 0) + weight
    return found


def test_lr_livae_needs_three_backwards_for_five_players():
    plan = plan_backwards(LR_LIVAE, REACH)
    assert covered(plan, LR_LIVAE, REACH) == LR_LIVAE
    assert len(plan) == 3
    assert set(plan[0].weights) == {"reconstruct", "gm_likelihood", "kl", "confuse"}


def test_unequal_weights_are_not_shared():
    weights = {"a": {"t": 1.0}, "b": {"t": 2.0}}
    reach = {"t": frozenset({"a", "b"})}
    plan = plan_backwards(weights, reach)
    assert len(plan) == 2
    assert covered(plan, weights, reach) == weights


def test_random_games_are_covered_exactly():
    generator = torch.Generator().manual_seed(0)
    draw = lambda n: int(torch.randint(n, (), generator=generator))  # noqa: E731
    for _ in range(200):
        players, terms = [f"p{i}" for i in range(4)], [f"t{i}" for i in range(5)]
        reach = {t: frozenset(p for p in players if draw(2)) for t in terms}
        weights = {p: {t: float(1 + draw(2)) for t in terms if draw(2)} for p in players}
        expected = {
            p: {t: w for t, w in own.items() if p in reach[t]} for p, own in weights.items()
        }
        assert covered(plan_backwards(weights, reach), weights, reach) == expected


class Duel(ConditionalGenerator):
    """Two numbers: one wants their product small, the other wants it large."""

    stages = (Stage("duel", ("low", "high")),)
    objective = {"low": {"product": 1.0}, "high": {"negated": 1.0}}

    def __init__(self):
        super().__init__()
        self.a = nn.Parameter(torch.tensor(2.0))
        self.b = nn.Parameter(torch.tensor(3.0))

    def players(self):
        return {"low": [self.a], "high": [self.b]}

    def terms(self, stage, batch, wanted):
        return {"product": self.a * self.b, "negated": -self.a * self.b}

    def sample(self, y, generator=None):
        return y.float()


BATCH = Batch(torch.zeros(1, 2), torch.zeros(1, dtype=torch.int64), 1)
SGD = run_settings.SGD(name="sgd", rate=0.1)


def optimizers(model):
    return {
        player: PlayerOptimizer(parameters, SGD, iterations=10, epoch=10)
        for player, parameters in model.players().items()
    }


def test_all_gradients_are_taken_before_any_step():
    model = Duel()
    StagePass(model, model.stages[0], model.objective, optimizers(model)).play(BATCH)
    assert model.a.item() == pytest.approx(2.0 - 0.1 * 3.0)
    assert model.b.item() == pytest.approx(3.0 + 0.1 * 2.0)  # from the old a, not the new one


def test_a_weight_scales_the_gradient_and_zero_freezes():
    model = Duel()
    table = {"low": {"product": 4.0}, "high": {"negated": 0.0}}
    StagePass(model, model.stages[0], table, optimizers(model)).play(BATCH)
    assert model.a.item() == pytest.approx(2.0 - 0.1 * 4.0 * 3.0)
    assert model.b.item() == 3.0


def test_clipping_bounds_each_players_gradient():
    model = Duel()
    made = StagePass(model, model.stages[0], model.objective, optimizers(model), clip_norm=0.5)
    made.play(BATCH)
    assert model.a.item() == pytest.approx(2.0 - 0.1 * 0.5, abs=1e-6)


def test_a_parameter_that_its_loss_does_not_reach_is_named():
    class Dead(Duel):
        def __init__(self):
            super().__init__()
            self.unused = nn.Parameter(torch.tensor(1.0))

        def players(self):
            return {"low": [self.a, self.unused], "high": [self.b]}

    model = Dead()
    made = StagePass(model, model.stages[0], model.objective, optimizers(model))
    with pytest.raises(BenchError, match="'unused' belongs to the player 'low'"):
        made.play(BATCH)


def test_a_term_that_is_not_returned_is_named():
    model = Duel()
    table = {"low": {"product": 1.0, "sum": 1.0}}
    made = StagePass(model, model.stages[0], table, optimizers(model))
    with pytest.raises(BenchError, match="did not return the wanted terms sum"):
        made.play(BATCH)


def test_players_may_share_parameters_with_their_own_moments():
    class Shared(Duel):
        stages = (Stage("first", ("low",)), Stage("second", ("also_low",)))
        objective = {"low": {"product": 1.0}, "also_low": {"product": 1.0}}

        def players(self):
            return {"low": [self.a], "also_low": [self.a], "high": [self.b]}

    model = Shared()
    made = optimizers(model)
    for stage in model.stages:
        StagePass(model, stage, model.objective, made).play(BATCH)
    assert model.a.item() == pytest.approx(2.0 - 2 * 0.1 * 3.0)


def test_reached_leaves_stop_at_detach():
    a, b = (nn.Parameter(torch.ones(2)) for _ in range(2))
    assert reached_leaves((a * b.detach()).sum()).keys() == {id(a)}
    assert reached_leaves((a * b).sum()).keys() == {id(a), id(b)}
    assert reached_leaves(torch.ones(())) == {}


def test_the_memory_of_a_training_goes_with_it():
    trainer = small().trainer()
    trainer.iterate(0)
    parameter = weakref.ref(next(trainer.model.parameters()))
    gc.collect()
    gc.disable()  # on a GPU nobody waits for the collector
    try:
        del trainer
        assert parameter() is None
    finally:
        gc.enable()
