"""When the stages of a model are played, and on which draws of the stream."""

from collections.abc import Sequence
from itertools import pairwise
from math import ceil, lcm
from typing import NamedTuple

from bench.training.interface import Stage


class Turn(NamedTuple):
    """A pass of an iteration: a stage, and the number of its first draw in the iteration."""

    stage: Stage
    draw: int


class Kind(NamedTuple):
    """The iterations that have the same turns: their numbers, the first one, and how many."""

    turns: tuple[int, ...]
    first: int
    iterations: int


class Timetable:
    """The turns of each iteration of a training.

    Stages draw whether they are played or not, so that an ablation sees the data of its base, and
    iterations have `draws` draws each.

    >>> critic, generator = Stage("critic", ("d",), repeat=2), Stage("generator", ("g",), every=3)
    >>> table = Timetable((critic, generator), iterations=6)
    >>> [(turn.stage.name, turn.draw) for turn in table.turns], table.draws
    ([('critic', 0), ('critic', 1), ('generator', 2)], 3)
    >>> [table.of(step) for step in range(4)]
    [(0, 1, 2), (0, 1), (0, 1), (0, 1, 2)]
    >>> table.kinds()
    [Kind(turns=(0, 1, 2), first=0, iterations=2), Kind(turns=(0, 1), first=1, iterations=4)]
    """

    def __init__(self, stages: Sequence[Stage], iterations: int) -> None:
        self.iterations = iterations
        self.turns, self.draws = _turns(stages)
        self._spans = [stage.span(iterations) for stage, _ in self.turns]

    def of(self, step: int) -> tuple[int, ...]:
        """Return the numbers of the turns of an iteration, counted from 0."""
        return tuple(
            number
            for number, ((stage, _), (start, end)) in enumerate(
                zip(self.turns, self._spans, strict=True)
            )
            if start <= step < end and (step - start) % stage.every == 0
        )

    def kinds(self) -> list[Kind]:
        """Return the kinds of iterations, the one that comes first at the beginning."""
        found: dict[tuple[int, ...], Kind] = {}
        cycle = lcm(*(turn.stage.every for turn in self.turns))
        edges = sorted({0, self.iterations, *(edge for span in self._spans for edge in span)})
        for begin, end in pairwise(edges):
            for step in range(begin, min(begin + cycle, end)):
                turns = self.of(step)
                first, count = found[turns][1:] if turns in found else (step, 0)
                found[turns] = Kind(turns, first, count + -(-(end - step) // cycle))
        return sorted(found.values(), key=lambda kind: kind.first)

    def span(self, player: str) -> tuple[int, int]:
        """Return the iteration from which a player may move, and the one where that ends."""
        spans = [
            span
            for (stage, _), span in zip(self.turns, self._spans, strict=True)
            if player in stage.players
        ]
        return min(start for start, _ in spans), max(end for _, end in spans)


def _turns(stages: Sequence[Stage]) -> tuple[list[Turn], int]:
    turns: list[Turn] = []
    first = draws = 0
    for stage in stages:
        for _ in range(stage.repeat):
            if stage.fresh or draws == 0:
                first, draws = draws, draws + ceil(stage.batch)
            turns.append(Turn(stage, first))
    return turns, draws
