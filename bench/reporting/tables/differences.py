"""The difference of each row from its reference row, and whether it may be called better.

Runs of equal seed are compared in pairs; p values are corrected for the comparisons of a column.
"""

from collections.abc import Iterable, Mapping, Sequence
from dataclasses import replace
from typing import Literal

from bench.errors import UnknownName
from bench.reporting.statistics import (
    FEWEST_FOR_CLAIMS,
    LEVEL,
    bootstrap_interval,
    detectable_effect,
    holm,
    interquartile_mean,
    paired_difference,
    probability_of_improvement,
)
from bench.reporting.tables.table import TARGETED, Cell, Column, Difference, Robust, Row
from bench.spec.reserved_names import ELSEWHERE, EVALUATIONS

NO_REFERENCE = ("", "none")
"""Names of a reference row by which nothing is compared; `none` is a value of `--reference`."""


def find_references(rows: Sequence[Row], name: str, *, must_exist: bool) -> dict[str, Row]:
    """Return the reference row of each row, by label; reference rows themselves are left out.

    `name` is a label, a variant, `sweep/variant`, or a model, of which the first variant is meant;
    empty or `none` means no reference. A row is compared within its own sweep if the reference is
    there, else with the first one.
    """
    if name in NO_REFERENCE:
        return {}
    trained = [row for row in rows if row.model and row.sweep != EVALUATIONS]
    names = {row.label: (row.label, row.variant, f"{row.sweep}/{row.variant}") for row in trained}
    meant = [row for row in trained if name in names[row.label]]
    meant = meant or [row for row in trained if name == row.model]
    if not meant and must_exist:
        raise UnknownName("row to compare with", name, set().union(*names.values()))
    of_sweep = {row.sweep: row for row in reversed(meant)}  # the first of each
    references = {row.label for row in of_sweep.values()}
    return {
        row.label: of_sweep.get(row.sweep, meant[0])
        for row in (trained if meant else ())
        if row.label not in references and row.model != ELSEWHERE
    }


def add_differences(
    rows: Sequence[Row], columns: Sequence[Column], references: Mapping[str, Row]
) -> list[Row]:
    """Return the rows with differences from their references, and with what is bold."""
    cells = {row.label: list(row.cells) for row in rows}
    pairs = {label: reference.label for label, reference in references.items()}
    for index, column in enumerate(columns):
        if column.kind == "measured" and not column.paper:
            of_column = {label: of_row[index] for label, of_row in cells.items()}
            for label, cell in _compare_column(of_column, pairs, column).items():
                cells[label][index] = cell
    return [replace(row, cells=tuple(cells[row.label])) for row in rows]


def _compare_column(
    cells: Mapping[str, Cell], pairs: Mapping[str, str], column: Column
) -> dict[str, Cell]:
    """Return those cells of a column that are compared, by label."""
    differences: dict[str, Difference] = {}
    for label, to in pairs.items():
        if (difference := _difference(cells[label], cells[to], to, column)) is not None:
            differences[label] = difference
    p_values = {
        label: difference.p
        for label, difference in differences.items()
        if difference.p is not None and difference.n >= FEWEST_FOR_CLAIMS
    }
    corrected = holm(list(p_values.values()))
    for label, p in zip(p_values, corrected, strict=True):
        direction, mean = column.quantity.direction, differences[label].mean
        verdict: Literal["better", "worse", ""] = ""
        if p < LEVEL and direction is not None and mean != 0:
            verdict = "better" if (mean > 0) == (direction == "higher") else "worse"
        differences[label] = replace(differences[label], adjusted=p, verdict=verdict)
    compared = {
        label: replace(cells[label], difference=difference, bold=difference.verdict == "better")
        for label, difference in differences.items()
    }
    for reference in dict.fromkeys(pairs.values()):
        others = [label for label, to in pairs.items() if to == reference and cells[label].values]
        is_best = bool(others) and all(
            label in differences and differences[label].verdict == "worse" for label in others
        )
        compared[reference] = replace(cells[reference], is_reference=True, bold=is_best)
    return compared


def _difference(cell: Cell, reference: Cell, label: str, column: Column) -> Difference | None:
    """Return the difference from a reference cell; None where they cannot be compared."""
    paired = paired_difference(dict(_scores(cell, column)), dict(_scores(reference, column)))
    if paired is None:
        return None
    interval, effect = paired.interval, detectable_effect(paired.interval.n)
    detectable = effect * paired.spread if effect and paired.spread else None
    return Difference(
        label, interval.mean, interval.half_width, interval.n, paired.p, detectable=detectable
    )


def _scores(cell: Cell, column: Column) -> Iterable[tuple[int, float]]:
    """Return what is compared: seeds with values, or with distances to a known target."""
    if column.quantity.direction not in TARGETED:
        return cell.values
    if cell.target is None:
        return ()
    return [(seed, abs(value - cell.target)) for seed, value in cell.values]


def add_robust(rows: Sequence[Row], columns: Sequence[Column]) -> list[Row]:
    """Return rows, compared before, whose measured cells have robust statistics."""
    by_label = {row.label: row for row in rows}

    def robust(cell: Cell, index: int) -> Cell:
        column = columns[index]
        values = [value for _, value in cell.values]
        if column.kind != "measured" or not values:
            return cell
        improvement = None
        if cell.difference is not None and column.quantity.direction is not None:
            reference = by_label[cell.difference.to].cells[index]
            scores = ([score for _, score in _scores(c, column)] for c in (cell, reference))
            above = probability_of_improvement(*scores)
            improvement = above if column.quantity.direction == "higher" else 1 - above
        low, high = bootstrap_interval(values) or (None, None)
        return replace(cell, robust=Robust(interquartile_mean(values), low, high, improvement))

    return [
        replace(row, cells=tuple(robust(cell, index) for index, cell in enumerate(row.cells)))
        for row in rows
    ]
