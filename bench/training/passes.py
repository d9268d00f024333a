"""Play one stage: terms, then the gradient of each player's own loss, then the steps.

A player's gradient is that of its own weighted terms with respect to its own parameters, and all
gradients of a pass are taken before anyone steps. Taken literally that is one backward a player.
Most of these share work, so the first pass looks at which terms reach which parameters and plans
as few backwards as give the same gradients.
"""

from collections.abc import Callable, Mapping, Sequence
from dataclasses import dataclass
from itertools import combinations
from typing import Any

import torch
from torch import Tensor, nn

from bench.errors import BenchError
from bench.training.gradient_accumulation import Gradients, accumulate, split
from bench.training.interface import Batch, ConditionalGenerator, Stage
from bench.training.optimizers import PlayerOptimizer

BACKEND = "inductor"
"""What `torch.compile` generates code with."""


@dataclass(frozen=True)
class Backward:
    """One backward: a weighted sum of terms, and the players whose gradient it gives.

    Attributes:
        weights: Term -> weight in the sum.
        players: Who takes a gradient from it.
    """

    weights: Mapping[str, float]
    players: tuple[str, ...]


def plan_backwards(
    rows: Mapping[str, Mapping[str, float]], reach: Mapping[str, frozenset[str]]
) -> list[Backward]:
    """Find few backwards that give every player the gradient of its own row.

    Two backwards may be one if no term of either reaches a player of the union that does not
    descend it at just that weight. Starting from one backward for each term and weight, pairs
    are joined greedily.

    Args:
        rows: Moving player -> term -> weight, weights of 0 left out.
        reach: Term -> the moving players some of whose parameters it depends on.

    Returns:
        The backwards; each (player, term) pair that is reached is covered exactly once.

    Example:
        >>> rows = {"decoder": {"reconstruct": 10.0, "fool": 1.0}, "encoder": {"reconstruct": 10.0}}
        >>> reach = {t: frozenset({"decoder", "encoder"}) for t in ("reconstruct", "fool")}
        >>> [(dict(b.weights), b.players) for b in plan_backwards(rows, reach)]
        [({'reconstruct': 10.0}, ('decoder', 'encoder')), ({'fool': 1.0}, ('decoder',))]
    """
    atoms: dict[tuple[str, float], list[str]] = {}
    for player, row in rows.items():
        for term, weight in row.items():
            if player in reach[term]:
                atoms.setdefault((term, weight), []).append(player)
    plan = [Backward({term: weight}, tuple(who)) for (term, weight), who in atoms.items()]
    joined = True
    while joined:
        joined = False
        for first, second in combinations(plan, 2):
            union = _join(first, second, rows, reach)
            if union:
                plan[plan.index(first)] = union
                plan.remove(second)
                joined = True
                break
    return plan


def _join(
    first: Backward,
    second: Backward,
    rows: Mapping[str, Mapping[str, float]],
    reach: Mapping[str, frozenset[str]],
) -> Backward | None:
    if first.weights.keys() & second.weights.keys():  # one term at two weights
        return None
    weights = {**first.weights, **second.weights}
    players = tuple(dict.fromkeys(first.players + second.players))
    for player in players:
        for term, weight in weights.items():
            if player in reach[term] and rows[player].get(term) != weight:
                return None
    # Each pair must stay covered once: a term of one side that reaches a player of the other
    # is that player's own, so it must not stand in a third backward as well. It cannot, since a
    # (term, weight) pair starts in one backward and stays whole.
    return Backward(weights, players)


def reached_leaves(term: Tensor) -> set[int]:
    """Return the ids of all leaf tensors that a term depends on, by walking its graph."""
    leaves: set[int] = set()
    seen: set[object] = set()
    stack: list[torch.autograd.graph.Node | None] = [term.grad_fn]
    while stack:
        node = stack.pop()
        if node is None or node in seen:
            continue
        seen.add(node)
        if (leaf := getattr(node, "variable", None)) is not None:
            leaves.add(id(leaf))
        stack.extend(parent for parent, _ in node.next_functions)
    return leaves


class StagePass:
    """One stage of one model, ready to be played.

    Args:
        model: The model.
        stage: The stage.
        objective: The complete table of the run.
        optimizers: Player -> optimizer.
        precision: `bfloat16` runs `terms` under autocast.
        clip_norm: Largest norm of each player's gradient; unbounded where None.
        micro_batch: Rows at a time, where memory does not suffice for whole batches.
        compile: Whether terms and gradients go through `torch.compile`, from the second pass on.
    """

    def __init__(
        self,
        model: ConditionalGenerator,
        stage: Stage,
        objective: Mapping[str, Mapping[str, float]],
        optimizers: Mapping[str, PlayerOptimizer],
        *,
        precision: str = "float32",
        clip_norm: float | None = None,
        micro_batch: int | None = None,
        compile: bool = False,
    ) -> None:
        self.micro_batch = micro_batch
        self.model = model
        self.stage = stage
        self.rows = moving_rows(stage, objective)
        self.optimizers = optimizers
        self.precision = precision
        self.clip_norm = clip_norm
        self.terms = tuple(dict.fromkeys(term for row in self.rows.values() for term in row))
        self.wanted = frozenset(self.terms)
        self._plan: list[tuple[Backward, list[nn.Parameter]]] | None = None
        # Eager passes refer to themselves nowhere, so that their memory goes when they go.
        self._compiled = compiled(self._descend) if compile else None

    def play(self, batch: Batch, step: int | None) -> Tensor:
        """Move the players of the stage once.

        Args:
            batch: The draw.
            step: Iteration, for the schedules; None leaves the rates as they are.

        Returns:
            The values of `self.terms`, `[T]`, detached.
        """
        # The plan is read off the graph of a first pass, so that one is never compiled.
        descend = (self._compiled if self._plan else None) or self._descend
        if self.micro_batch is None:
            values, gradients = descend(batch)
        else:
            values, gradients = accumulate(descend, split(batch, self.micro_batch))
        for player, found in gradients.items():
            self.optimizers[player].step(found, step, self.clip_norm)
        return values

    def _descend(self, batch: Batch) -> tuple[Tensor, Gradients]:
        """Return the terms `[T]`, detached, and each player's gradients; nothing moves yet."""
        device = batch.x.device.type
        with torch.autocast(device, torch.bfloat16, enabled=self.precision == "bfloat16"):
            values = self.model.terms(self.stage.name, batch, self.wanted)
        if self._plan is None:
            self._plan = self._make_plan(values)
        gradients = self._gradients(values)
        return torch.stack([values[term].detach() for term in self.terms]), gradients

    def _gradients(self, values: Mapping[str, Tensor]) -> Gradients:
        """Return each player's gradients; nothing has moved yet when the last one is taken."""
        assert self._plan is not None
        sums: dict[str, dict[int, Tensor]] = {player: {} for player in self.rows}
        for index, (backward, parameters) in enumerate(self._plan):
            loss = sum(weight * values[term] for term, weight in backward.weights.items())
            last = index == len(self._plan) - 1
            assert isinstance(loss, Tensor)
            found = torch.autograd.grad(loss, parameters, retain_graph=not last)
            by_id = {id(p): g for p, g in zip(parameters, found, strict=True)}
            for player in backward.players:
                own = sums[player]
                for parameter in self.optimizers[player].parameters:
                    if (gradient := by_id.get(id(parameter))) is not None:
                        before = own.get(id(parameter))
                        own[id(parameter)] = gradient if before is None else before + gradient
        return {
            player: [own[id(p)] for p in self.optimizers[player].parameters]
            for player, own in sums.items()
        }

    def _make_plan(self, values: Mapping[str, Tensor]) -> list[tuple[Backward, list[nn.Parameter]]]:
        if missing := [term for term in self.terms if term not in values]:
            raise BenchError(
                f"stage {self.stage.name!r} of {type(self.model).__name__} did not return the "
                f"wanted terms {', '.join(missing)}; it returned {', '.join(values) or 'none'}"
            )
        leaves = {term: reached_leaves(values[term]) for term in self.terms}
        self._refuse_unreached(leaves)
        owned = {p: {id(q) for q in self.optimizers[p].parameters} for p in self.rows}
        reach = {
            term: frozenset(player for player, ids in owned.items() if ids & leaves[term])
            for term in self.terms
        }
        plan = []
        for backward in plan_backwards(self.rows, reach):
            reached = set().union(*(leaves[term] for term in backward.weights))
            parameters = {
                id(parameter): parameter
                for player in backward.players
                for parameter in self.optimizers[player].parameters
                if id(parameter) in reached
            }
            plan.append((backward, list(parameters.values())))
        return plan

    def _refuse_unreached(self, leaves: Mapping[str, set[int]]) -> None:
        """A parameter that its player's loss does not touch is a bug of the model."""
        names = {id(p): name for name, p in self.model.named_parameters()}
        for player, row in self.rows.items():
            reached = set().union(*(leaves[term] for term in row))
            for parameter in self.optimizers[player].parameters:
                if id(parameter) not in reached:
                    raise BenchError(
                        f"parameter {names.get(id(parameter), '?')!r} belongs to the player "
                        f"{player!r}, but none of the terms it descends in stage "
                        f"{self.stage.name!r} ({', '.join(row)}) depends on it"
                    )


def moving_rows(
    stage: Stage, objective: Mapping[str, Mapping[str, float]]
) -> dict[str, dict[str, float]]:
    """Return who moves in a stage and what each descends; weights of 0 are left out."""
    rows = {
        player: {term: weight for term, weight in objective.get(player, {}).items() if weight}
        for player in stage.players
    }
    return {player: row for player, row in rows.items() if row}


def draw_offsets(stages: Sequence[Stage]) -> tuple[list[tuple[Stage, int]], int]:
    """Number the draws of one iteration.

    Draws are counted for every stage, also for one in which nobody moves, so that an ablation
    sees the same data in the same order as its base.

    Args:
        stages: The stages in order.

    Returns:
        The passes of an iteration, each with the number of its draw within the iteration, and
        the number of draws an iteration consumes.

    Example:
        >>> three = Stage("prior", ("a",), repeat=2), Stage("main", ("b",), fresh=False)
        >>> passes, draws = draw_offsets(three)
        >>> [(stage.name, offset) for stage, offset in passes], draws
        ([('prior', 0), ('prior', 1), ('main', 1)], 2)
    """
    passes: list[tuple[Stage, int]] = []
    draws = 0
    for stage in stages:
        for _ in range(stage.repeat):
            if stage.fresh or draws == 0:
                draws += 1
            passes.append((stage, draws - 1))
    return passes, draws


def compiled(function: Callable[..., Any]) -> Callable[..., Any]:
    """Return a function, compiled as one graph, gradients taken inside included.

    Random numbers are drawn by the kernels that draw them in eager mode, so that they are the
    same ones.

    Args:
        function: Of tensors of shapes that never change.

    Returns:
        The function; it is compiled when it is first called.
    """
    from torch._dynamo import config

    options: dict[str, Any] = {"fallback_random": True} if BACKEND == "inductor" else {}
    traced = torch.compile(
        function, fullgraph=True, dynamic=False, backend=BACKEND, options=options or None
    )

    def call(*arguments: Any) -> Any:
        with config.patch(trace_autograd_ops=True):
            return traced(*arguments)

    return call
