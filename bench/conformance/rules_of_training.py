"""Rules about players and their training of a few iterations."""

import tempfile
from contextlib import suppress
from copy import deepcopy
from functools import partial
from pathlib import Path

import torch

from bench.conformance.model_under_test import ModelUnderTest
from bench.conformance.outcomes import Violation, refuse_difference, require
from bench.conformance.watching import refuse_other_randomness
from bench.errors import Interrupted, NotApplicable
from bench.seeding import generator_for
from bench.training.interface import frozen_modules, overrides_finish
from bench.training.trainer import Trainer


def models_start_equal(under_test: ModelUnderTest) -> None:
    """Two models of one seed start with the same parameters and buffers."""
    when = "between two models of one seed; initialize with torch, not with NumPy or `random`"
    refuse_difference(under_test.model(), under_test.model(), when)


def players_move_in_a_stage(under_test: ModelUnderTest) -> None:
    """Every player moves in a stage."""
    model = under_test.model()
    idle = sorted(set(model.players()) - {p for stage in model.stages for p in stage.players})
    require(not idle, f"the players {idle} move in no stage")


def players_move_only_their_own(under_test: ModelUnderTest) -> None:
    """A player that moves alone moves its own parameters and no others."""
    for player in {p: None for stage_pass in under_test.passes() for p in stage_pass.weights}:
        trainer, moved = _moved_alone(under_test, player)
        if not moved:  # a layer of another player that begins with zeros lets no gradient through
            everyone = under_test.trainer()
            for step in range(2):
                everyone.iterate(step)
            trainer, moved = _moved_alone(under_test, player, everyone.model.state_dict())
        owned = {id(p) for p in trainer.model.players()[player]}
        others = ", ".join(name for name, p in moved.items() if id(p) not in owned)
        require(not others, f"player {player!r} moved {others}, not its own")
        require(moved, f"player {player!r} descends its terms, but nothing of it moved")


def _moved_alone(
    under_test: ModelUnderTest, player: str, weights: dict[str, torch.Tensor] | None = None
) -> tuple[Trainer, dict[str, torch.nn.Parameter]]:
    """Train one player until a parameter has changed; return the trainer and what has changed."""
    trainer = under_test.trainer(objective={player: under_test.training.objective[player]})
    if weights:
        trainer.model.load_state_dict(weights)
    before = {name: p.detach().clone() for name, p in trainer.model.named_parameters()}
    for step in range(*trainer.timetable.span(player)):  # a warm-up begins with a rate of 0
        trainer.iterate(step)
        parameters = trainer.model.named_parameters()
        if moved := {n: p for n, p in parameters if not torch.equal(before[n], p)}:
            return trainer, moved
    return trainer, {}


def players_get_the_gradients_of_their_own_terms(under_test: ModelUnderTest) -> None:
    """The planned backwards give the gradients that one backward a player gives."""
    for planned, literal in zip(under_test.passes(), under_test.passes(), strict=True):
        torch.manual_seed(0)
        _, gradients = planned.gradients(under_test.batch)
        values = under_test.terms(literal)
        for player, weights in literal.weights.items():
            factors = {term: literal.current(weight) for term, weight in weights.items()}
            loss = torch.stack([factors[term] * values[term] for term in weights]).sum()
            parameters = literal.parameters[player]
            expected = torch.autograd.grad(loss, parameters, retain_graph=True)
            for single, shared in zip(expected, gradients[player], strict=True):
                scale = single.abs().max().item() + 1e-6
                require(single.isfinite().all(), f"the gradient of player {player!r} is not finite")
                require(
                    (single - shared).abs().max().item() <= 1e-4 * scale,
                    f"the gradient of player {player!r} differs from that of its own loss",
                )


def frozen_modules_stay_as_they_are(under_test: ModelUnderTest) -> None:
    """Modules of frozen parameters alone stay in evaluation mode, and their buffers as they are."""
    trainer = under_test.trainer()
    trainer.prepare()
    before = deepcopy(trainer.model)
    for step in range(2):
        trainer.iterate(step)
    now = frozen_modules(trainer.model)
    for name, module in frozen_modules(before).items():
        require(
            not any(part.training for part in now[name].modules()),
            f"{name} is frozen, but the model puts it in training mode; who calls train() on it?",
        )
        refuse_difference(module, now[name], f"in the frozen {name} after two iterations")


def finishing_repeats_itself(under_test: ModelUnderTest) -> None:
    """If it sees the data after training, equal weights give equal buffers of the same shapes."""
    trainer = under_test.trainer()
    if not overrides_finish(trainer.model):
        raise NotApplicable("the model does nothing after the last iteration")
    first, second = deepcopy(trainer.model), deepcopy(trainer.model)
    refuse_other_randomness(partial(trainer.finish, first))
    trainer.finish(second)
    before, after = trainer.model.state_dict(), first.state_dict()
    for name, parameter in trainer.model.named_parameters():
        problem = f"finish() changes the parameter {name}; write its results into buffers"
        require(name not in after or torch.equal(parameter, after[name]), problem)
    for name in before.keys() | after.keys():
        shapes = [list(s[name].shape) if name in s else "nothing" for s in (before, after)]
        problem = f"finish() makes {name} {shapes[1]}, which was {shapes[0]}; make it in __init__"
        require(shapes[0] == shapes[1], problem)
        require(after[name].isfinite().all(), f"finish() makes {name} not finite")
    refuse_difference(first, second, "after finish() has seen the same data with the same weights")
    loaded = under_test.model().eval()
    loaded.load_state_dict(after)
    y = under_test.labels()
    with torch.inference_mode():
        drawn, again = (m.sample(y, generator_for(0, "contract")) for m in (first, loaded))
    problem = "a saved and loaded model draws other samples; keep what finish() makes in buffers"
    require(torch.equal(drawn, again), problem)


def resume_is_exact(under_test: ModelUnderTest) -> None:
    """Six iterations equal three, two and one with checkpoints between them, bit for bit."""
    with tempfile.TemporaryDirectory() as name:
        folder = Path(name)
        straight = under_test.trainer(folder / "straight").train()
        for iterations in (3, 2):
            steps = iter([*[False] * (iterations - 1), True])
            with suppress(Interrupted):
                under_test.trainer(folder / "halted").train(stop=partial(next, steps))
        resumed = under_test.trainer(folder / "halted").train()
        curves = [(folder / run / "rows.jsonl").read_bytes() for run in ("straight", "halted")]
    when = "after a resumption; what outlasts an iteration belongs into buffers (register_buffer)"
    refuse_difference(straight, resumed, when)
    problem = "the curves of a resumed run differ from those of the uninterrupted one"
    require(curves[0] == curves[1], problem)


def training_lowers_reconstruct(under_test: ModelUnderTest) -> None:
    """If it has the term `reconstruct`, ten iterations on one batch lower it."""
    passes = list(under_test.trainer().passes.values())
    measured = next((p for p in passes if "reconstruct" in p.wanted), None)
    if measured is None:
        raise NotApplicable("the model has no term of that name")
    before = under_test.terms(deepcopy(measured), frozenset({"reconstruct"}))["reconstruct"]
    for step in range(10):
        for stage_pass in passes:
            torch.manual_seed(step)
            stage_pass.play(under_test.batch)
    after = under_test.terms(measured, frozenset({"reconstruct"}))["reconstruct"]
    if not after < before:
        raise Violation(f"reconstruct went from {before.item():.4g} to {after.item():.4g}")
