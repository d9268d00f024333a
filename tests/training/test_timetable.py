"""When stages are played, and on which draws."""

import pytest

from bench.spec.declaration import times_problem
from bench.training.interface import Stage
from bench.training.timetable import Timetable

CRITIC = Stage("critic", ("d",), repeat=2)


def played(stages, iterations):
    """Return the names of the stages that each iteration plays."""
    table = Timetable(stages, iterations)
    return [
        [table.passes[number].stage.name for number in table.passes_of(s)]
        for s in range(iterations)
    ]


def test_draws_are_counted_for_every_stage():
    stages = (Stage("a", (), fresh=False), Stage("b", (), repeat=2), Stage("c", (), fresh=False))
    table = Timetable(stages, 10)
    assert [draw for _, draw in table.passes] == [0, 1, 2, 2]
    assert table.draws == 3


def test_batches_of_other_sizes_take_more_draws():
    sizes = (Stage("a", (), batch=2.5), Stage("b", (), batch=0.5), Stage("c", (), fresh=False))
    table = Timetable(sizes, 10)
    assert [draw for _, draw in table.passes] == [0, 3, 3]
    assert table.draws == 4


@pytest.mark.parametrize(
    ("times", "expected"),
    [
        ({}, "111111"),
        ({"start": 0.5}, "000111"),
        ({"end": 0.5}, "111000"),
        ({"start": 2, "end": 4}, "001100"),
        ({"every": 4}, "100010"),
        ({"start": 1, "every": 2}, "010101"),
        ({"start": 1, "end": 5, "every": 3}, "010010"),
        ({"start": 0.34, "end": 1.0}, "001111"),
    ],
)
def test_a_stage_is_played_at_its_times(times, expected):
    found = played((Stage("a", (), **times),), 6)
    assert "".join(str(len(names)) for names in found) == expected


@pytest.mark.parametrize("iterations", [1, 5, 6, 7, 100, 1000])
def test_kinds_are_those_of_all_iterations(iterations):
    stages = (CRITIC, Stage("g", ("g",), every=3), Stage("p", ("p",), start=0.4, every=4))
    table = Timetable(stages, iterations)
    every = [table.passes_of(step) for step in range(iterations)]
    expected = [(one, every.index(one), every.count(one)) for one in dict.fromkeys(every)]
    assert [tuple(kind) for kind in table.kinds()] == expected


def test_kinds_of_a_long_run_are_found_at_once():
    stages = (Stage("a", ("a",), end=0.5), Stage("b", ("b",), every=7), Stage("c", ("c",), every=5))
    assert sum(kind.iterations for kind in Timetable(stages, 10**9).kinds()) == 10**9


def test_a_player_has_the_times_of_all_of_its_stages():
    stages = (Stage("a", ("p", "q"), end=0.2), Stage("b", ("p",), start=0.5, end=0.9))
    assert [Timetable(stages, 100).span(player) for player in "pq"] == [(0, 90), (0, 20)]


@pytest.mark.parametrize(
    ("stages", "words"),
    [
        ((Stage("a", ("p",), start=0.8, end=0.5),), "from iteration 8 to 5"),
        ((Stage("a", ("p",), start=10),), "from iteration 10 to 10"),
        ((Stage("a", ("p",), end=1.5),), "to 15, and the run has 10"),
        ((Stage("a", ("p",), every=0),), "at least 1"),
        ((Stage("a", ("p",), batch=0),), "more than 0"),
        ((Stage("a", ("p",)), Stage("b", ("p",), fresh=False, batch=2)), "reuses has 1"),
        ((Stage("a", ("p",), every=997), Stage("b", ("p",), every=1009)), "common multiple"),
    ],
)
def test_times_that_cannot_be_are_refused(stages, words):
    _, problem = times_problem(stages, 10, 96)
    assert words in problem
    assert times_problem((CRITIC, Stage("b", ("p",), fresh=False)), 10, 96) is None
