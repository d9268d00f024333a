"""When the stages of a model are played, and on which draws of the stream."""

from collections.abc import Sequence
from itertools import pairwise
from math import ceil, lcm
from typing import NamedTuple

from bench.training.interface import Stage


class ScheduledPass(NamedTuple):
    """A pass of an iteration: a stage, and the number of its first draw in the iteration."""

    stage: Stage
    draw: int


class IterationKind(NamedTuple):
    """The iterations of the same passes: their numbers, the first iteration, and how many."""

    passes: tuple[int, ...]
    first: int
    iterations: int


class Timetable:
    """The passes of each iteration of a training.

    Stages draw whether they are played or not, so that an ablation sees the data of its base, and
    iterations have `draws` draws each.

    >>> critic, generator = Stage("critic", ("d",), repeat=2), Stage("generator", ("g",), every=3)
    >>> table = Timetable((critic, generator), iterations=6)
    >>> [(stage.name, draw) for stage, draw in table.passes], table.draws
    ([('critic', 0), ('critic', 1), ('generator', 2)], 3)
    >>> [table.passes_of(step) for step in range(4)]
    [(0, 1, 2), (0, 1), (0, 1), (0, 1, 2)]
    >>> table.kinds()[1]
    IterationKind(passes=(0, 1), first=1, iterations=4)
    """

    def __init__(self, stages: Sequence[Stage], iterations: int) -> None:
        self.iterations = iterations
        self.passes, self.draws = _passes(stages)
        self._spans = [stage.span(iterations) for stage, _ in self.passes]

    def passes_of(self, step: int) -> tuple[int, ...]:
        """Return the numbers of the passes of an iteration, counted from 0."""
        return tuple(
            number
            for number, ((stage, _), (start, end)) in enumerate(
                zip(self.passes, self._spans, strict=True)
            )
            if start <= step < end and (step - start) % stage.every == 0
        )

    def kinds(self) -> list[IterationKind]:
        """Return the kinds of iterations, the one that comes first at the beginning."""
        found: dict[tuple[int, ...], IterationKind] = {}
        cycle = lcm(*(stage.every for stage, _ in self.passes))
        edges = sorted({0, self.iterations, *(edge for span in self._spans for edge in span)})
        for begin, end in pairwise(edges):
            for step in range(begin, min(begin + cycle, end)):
                passes = self.passes_of(step)
                first, count = found[passes][1:] if passes in found else (step, 0)
                found[passes] = IterationKind(passes, first, count + -(-(end - step) // cycle))
        return sorted(found.values(), key=lambda kind: kind.first)

    def span(self, player: str) -> tuple[int, int]:
        """Return the iteration from which a player may move, and the one where that ends."""
        spans = [
            span
            for (stage, _), span in zip(self.passes, self._spans, strict=True)
            if player in stage.players
        ]
        return min(start for start, _ in spans), max(end for _, end in spans)


def _passes(stages: Sequence[Stage]) -> tuple[list[ScheduledPass], int]:
    passes: list[ScheduledPass] = []
    first = draws = 0
    for stage in stages:
        for _ in range(stage.repeat):
            if stage.fresh or draws == 0:
                first, draws = draws, draws + ceil(stage.batch)
            passes.append(ScheduledPass(stage, first))
    return passes, draws
