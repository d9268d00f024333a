"""Play one stage: terms, then the gradient of each player's own loss, then the steps.

All gradients of a pass are taken before anyone steps. One backward a player would repeat work, so
the first pass finds which terms reach which parameters, and plans few backwards for all players.
"""

from collections.abc import Callable, Iterable, Mapping
from dataclasses import dataclass
from itertools import combinations
from types import FunctionType, MethodType
from typing import Any, NamedTuple

import torch
from torch import Tensor, nn

from bench.errors import BenchError
from bench.spec.places import place_of
from bench.spec.run_settings import ScheduledWeight, Weight
from bench.training.gradient_accumulation import Gradients, accumulate, split
from bench.training.interface import Batch, ConditionalGenerator, Stage
from bench.training.optimizers import PlayerOptimizer, schedule_factor

BACKEND = "inductor"  # of `torch.compile`

Weights = Mapping[str, Mapping[str, Weight]]
"""Player -> term -> weight, the objective of a complete configuration."""


class StagePass:
    """One stage of one model, ready to be played.

    Optimizers are not needed for `gradients` alone. `clip_norm` bounds the norm of each player's
    gradient, `micro_batch` is the number of examples at a time, and with `compile` terms and
    gradients go through `torch.compile` from the second pass on.
    """

    def __init__(
        self,
        model: ConditionalGenerator,
        stage: Stage,
        objective: Weights,
        optimizers: Mapping[str, PlayerOptimizer],
        *,
        precision: str = "float32",
        clip_norm: float | None = None,
        micro_batch: int | None = None,
        compile: bool = False,
    ) -> None:
        self.model = model
        self.stage = stage
        self.weights = stage_weights(stage, objective)
        players = model.players()
        self.parameters = {player: players[player] for player in self.weights}
        self.optimizers = optimizers
        self.precision = precision
        self.clip_norm = clip_norm
        self.micro_batch = micro_batch
        device = next(model.parameters()).device
        self._scheduled = {
            weight: torch.tensor(weight.weight, device=device)
            for weights in self.weights.values()
            for weight in weights.values()
            if isinstance(weight, ScheduledWeight)
        }
        self.terms = tuple(
            dict.fromkeys(term for weights in self.weights.values() for term in weights)
        )
        self.wanted = frozenset(self.terms)
        self._plan: list[PlannedBackward] | None = None
        # Eager passes do not refer to themselves, so that their memory is freed with them.
        self._compiled = compiled(self.gradients) if compile else None

    def set_weights(self, step: int, *, iterations: int, epoch: int) -> None:
        """Set the weights that change to those of an iteration; see `schedule_factor`."""
        for weight, value in self._scheduled.items():
            factor = schedule_factor(weight.schedule, step, iterations=iterations, epoch=epoch)
            value.fill_(weight.weight * factor)

    def current(self, weight: Weight) -> float | Tensor:
        """Return what a weight is now: that of the last `set_weights`, at first its full value."""
        return self._scheduled[weight] if isinstance(weight, ScheduledWeight) else weight

    def play(self, batch: Batch) -> Tensor:
        """Move the players of the stage once, at their current rates; return the terms `[T]`."""
        # The first pass is never compiled: the plan is read off its graph.
        compute = (self._compiled if self._plan else None) or self.gradients
        if self.micro_batch is None:
            values, gradients = compute(batch)
        else:
            values, gradients = accumulate(compute, split(batch, self.micro_batch))
        for player, of_player in gradients.items():
            self.optimizers[player].step(of_player, self.clip_norm)
        return values

    def gradients(self, batch: Batch) -> tuple[Tensor, Gradients]:
        """Return the terms `[T]`, detached, and each player's gradients; nothing moves."""
        device = batch.x.device.type
        with torch.autocast(device, torch.bfloat16, enabled=self.precision == "bfloat16"):
            values = self.model.terms(self.stage.name, batch, self.wanted)
        if self._plan is None:
            self._plan = self._make_plan(values)
        sums: dict[str, dict[int, Tensor]] = {player: {} for player in self.weights}
        for index, (players, weights, parameters) in enumerate(self._plan):
            loss = sum(weight * values[term] for term, weight in weights.items())
            assert isinstance(loss, Tensor)
            is_last = index == len(self._plan) - 1
            gradients = torch.autograd.grad(loss, parameters, retain_graph=not is_last)
            by_id = {id(p): g for p, g in zip(parameters, gradients, strict=True)}
            for player in players:
                of_player = sums[player]
                for key in map(id, self.parameters[player]):
                    if (gradient := by_id.get(key)) is not None:
                        before = of_player.get(key)
                        of_player[key] = gradient if before is None else before + gradient
        detached = torch.stack([values[term].detach() for term in self.terms])
        return detached, {
            player: [sums[player][id(p)] for p in parameters]
            for player, parameters in self.parameters.items()
        }

    def _make_plan(self, values: Mapping[str, Tensor]) -> "list[PlannedBackward]":
        if problem := terms_problem(self.terms, values):
            factory = type(self.model)
            place = place_of(factory, "terms")
            raise BenchError(f"stage {self.stage.name!r} of {factory.__name__} {problem} ({place})")
        leaves = {term: set(reached_leaves(values[term])) for term in self.terms}
        self._refuse_unreached(leaves)
        owned = {player: set(map(id, p)) for player, p in self.parameters.items()}
        reach = {
            term: frozenset(player for player, ids in owned.items() if ids & leaves[term])
            for term in self.terms
        }
        plan = []
        for backward in plan_backwards(self.weights, reach):
            reached = set().union(*(leaves[term] for term in backward.weights))
            parameters = {
                id(parameter): parameter
                for player in backward.players
                for parameter in self.parameters[player]
                if id(parameter) in reached
            }
            weights = {term: self.current(weight) for term, weight in backward.weights.items()}
            plan.append(PlannedBackward(backward.players, weights, list(parameters.values())))
        return plan

    def _refuse_unreached(self, leaves: Mapping[str, set[int]]) -> None:
        """Refuse a player whose loss does not depend on one of its parameters."""
        names = {id(p): name for name, p in self.model.named_parameters()}
        for player, weights in self.weights.items():
            reached = set().union(*(leaves[term] for term in weights))
            for parameter in self.parameters[player]:
                if id(parameter) not in reached:
                    raise BenchError(
                        f"parameter {names.get(id(parameter), '?')!r} belongs to the player "
                        f"{player!r}, but none of the terms it descends in stage "
                        f"{self.stage.name!r} ({', '.join(weights)}) depends on it "
                        f"({place_of(type(self.model), 'terms')})"
                    )


def terms_problem(wanted: Iterable[str], values: object) -> str:
    """Return what is wrong with what `terms` returned, or an empty string."""
    if not isinstance(values, Mapping):
        return f"returned {type(values).__name__}, not a dict term -> tensor"
    if missing := [term for term in wanted if term not in values]:
        return (
            f"did not return the wanted terms {', '.join(missing)}; it returned "
            f"{', '.join(values) or 'none'}: return them, or take them out of the objective"
        )
    for term in wanted:
        value = values[term]
        if not isinstance(value, Tensor):
            return f"returned {type(value).__name__} as term {term!r}, not a tensor"
        if value.ndim:
            return f"returned {list(value.shape)} numbers as term {term!r}; take their mean"
    return ""


def make_passes(
    model: ConditionalGenerator,
    objective: Weights,
    optimizers: Mapping[str, PlayerOptimizer],
    **options: Any,
) -> dict[str, StagePass]:
    """Return the pass of each stage in which somebody moves; `options` are those of `StagePass`."""
    return {
        stage.name: StagePass(model, stage, objective, optimizers, **options)
        for stage in model.stages
        if stage_weights(stage, objective)
    }


def stage_weights(stage: Stage, objective: Weights) -> dict[str, dict[str, Weight]]:
    """Return player -> term -> weight of those who move in a stage; weights of 0 are left out."""
    weights = {
        player: {term: weight for term, weight in objective.get(player, {}).items() if weight}
        for player in stage.players
    }
    return {player: of_player for player, of_player in weights.items() if of_player}


@dataclass(frozen=True)
class Backward:
    """A weighted sum of terms, and the players who take a gradient from its backward."""

    weights: Mapping[str, Weight]
    players: tuple[str, ...]


class PlannedBackward(NamedTuple):
    """A backward of a pass: who takes gradients, current weights by term, and of what."""

    players: tuple[str, ...]
    weights: Mapping[str, float | Tensor]
    parameters: list[nn.Parameter]


def plan_backwards(weights: Weights, reach: Mapping[str, frozenset[str]]) -> list[Backward]:
    """Return few backwards that give every player the gradient of its own weighted terms.

    `weights` is player -> term -> weight, `reach` says which players' parameters a term depends on.
    Pairs of backwards are joined greedily, beginning with one for each term and weight, where no
    term of either reaches a player of the union that does not descend it at just that weight.

    >>> weights = {"decoder": {"rebuild": 10.0, "fool": 1.0}, "encoder": {"rebuild": 10.0}}
    >>> reach = {t: frozenset({"decoder", "encoder"}) for t in ("rebuild", "fool")}
    >>> [(dict(b.weights), b.players) for b in plan_backwards(weights, reach)]
    [({'rebuild': 10.0}, ('decoder', 'encoder')), ({'fool': 1.0}, ('decoder',))]
    """
    single: dict[tuple[str, Weight], list[str]] = {}
    for player, of_player in weights.items():
        for term, weight in of_player.items():
            if player in reach[term]:
                single.setdefault((term, weight), []).append(player)
    plan = [Backward({term: weight}, tuple(who)) for (term, weight), who in single.items()]
    joined = True
    while joined:
        joined = False
        for first, second in combinations(plan, 2):
            if union := _join(first, second, weights, reach):
                plan[plan.index(first)] = union
                plan.remove(second)
                joined = True
                break
    return plan


def _join(
    first: Backward,
    second: Backward,
    weights: Weights,
    reach: Mapping[str, frozenset[str]],
) -> Backward | None:
    if first.weights.keys() & second.weights.keys():  # one term at two weights
        return None
    summed = {**first.weights, **second.weights}
    players = tuple(dict.fromkeys(first.players + second.players))
    for player in players:
        for term, weight in summed.items():
            if player in reach[term] and weights[player].get(term) != weight:
                return None
    # A term of one side that reaches a player of the other is in no third backward: a pair of
    # term and weight starts in one backward and stays whole. So each pair is still covered once.
    return Backward(summed, players)


def reached_leaves(term: Tensor) -> dict[int, Tensor]:
    """Return all leaf tensors that a term depends on, by their ids, by walking its graph."""
    leaves: dict[int, Tensor] = {}
    seen: set[object] = set()
    stack: list[torch.autograd.graph.Node | None] = [term.grad_fn]
    while stack:
        node = stack.pop()
        if node is None or node in seen:
            continue
        seen.add(node)
        if (leaf := getattr(node, "variable", None)) is not None:
            leaves[id(leaf)] = leaf
        stack.extend(parent for parent, _ in node.next_functions)
    return leaves


def compiled(method: Any, backend: str | None = None) -> Callable[..., Any]:
    """Return a method of fixed shapes that is compiled, with its gradients, at the first call.

    Random numbers come from the kernels of eager mode, so that they are the same.
    """
    from torch._dynamo import config

    # torch keeps what it compiles with the code of a function, and refuses to compile one more than
    # a few times. With code of its own, each training is compiled once and freed with it.
    function = method.__func__
    copy = FunctionType(function.__code__.replace(), function.__globals__, function.__name__)
    backend = backend or BACKEND
    options: dict[str, Any] = {"fallback_random": True} if backend == "inductor" else {}
    traced = torch.compile(
        MethodType(copy, method.__self__),
        fullgraph=True,
        dynamic=False,
        backend=backend,
        options=options or None,
    )

    def call(*arguments: Any) -> Any:
        with config.patch(trace_autograd_ops=True):
            return traced(*arguments)

    return call
