"""The difference of each row from its reference row, and whether it may be called better.

Runs of equal seed are compared in pairs; p values are corrected for the comparisons of a family.
"""

from collections.abc import Iterable, Mapping, Sequence
from dataclasses import replace
from typing import Literal

from bench.errors import UnknownName
from bench.reporting.robust_statistics import (
    bootstrap_interval,
    interquartile_mean,
    probability_of_improvement,
)
from bench.reporting.statistics import (
    FEWEST_FOR_CLAIMS,
    LEVEL,
    PairedDifference,
    detectable_effect,
    paired_difference,
)
from bench.reporting.tables.families import (
    Corrected,
    Family,
    Place,
    cell_place,
    correct_families,
    is_comparable,
    names_of,
)
from bench.reporting.tables.table import TARGETED, Cell, Column, Difference, Robust, Row
from bench.spec.reserved_names import ELSEWHERE

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
    trained = [row for row in rows if is_comparable(row)]
    names = {row.label: names_of(row) for row in trained}
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


def with_own_references(
    rows: Sequence[Row], references: Mapping[str, Row], families: Mapping[str, Family]
) -> dict[str, Row]:
    """Return reference rows by label, with those that a family names for single rows.

    Such a row is compared with no other one, also where its reference is not among the rows.
    """
    found = dict(references)
    common = {row.label for row in references.values()}
    for row in filter(is_comparable, rows):
        family = families.get(row.sweep)
        name = family.reference_of(row) if family else ""
        if not family or not name or row.label in common or row.model == ELSEWHERE:
            continue
        found.pop(row.label, None)
        others = [other for other in rows if is_comparable(other) and name in names_of(other)]
        others = [other for other in others if family.sweep in ("", other.sweep)]
        others.sort(key=lambda other: other.sweep != row.sweep)
        if others and others[0].label != row.label:
            found[row.label] = others[0]
    return found


def corrected_tests(
    rows: Sequence[Row],
    columns: Sequence[Column],
    references: Mapping[str, Row],
    families: Mapping[str, Family],
) -> dict[Place, Corrected]:
    """Return the corrected p values of all comparisons that may be tested, by place.

    Those that cannot be tested yet count for the correction of planned ones. In a column in which a
    sweep has no value, such as one of data or protocols of other sweeps, it has planned none.
    """
    of_sweeps = {
        (row.sweep, index)
        for row in rows
        if is_comparable(row)
        for index, cell in enumerate(row.cells)
        if cell.values
    }
    return correct_families(
        [
            (row, column, _tested(row, references, index, column))
            for row in rows
            if row.label in references
            for index, column in enumerate(columns)
            if _is_compared(column) and row.cells[index].kind in ("missing", "mean")
            if (row.sweep, index) in of_sweeps
        ],
        families,
    )


def _tested(
    row: Row, references: Mapping[str, Row], index: int, column: Column
) -> PairedDifference | None:
    """Return a difference that may be tested; None for too few seeds or an unknown target."""
    found = _paired(row, references, index, column)
    if found is None or found.n < FEWEST_FOR_CLAIMS or not is_testable(row.cells[index], column):
        return None
    return found


def add_differences(
    rows: Sequence[Row],
    columns: Sequence[Column],
    references: Mapping[str, Row],
    families: Mapping[str, Family],
    corrected: Mapping[Place, Corrected],
) -> list[Row]:
    """Return the rows with differences from their references, and with what is bold.

    `families` are by sweep. `corrected` may have comparisons that are not in these columns.
    """
    cells = {row.label: list(row.cells) for row in rows}
    for index, column in enumerate(columns):
        for row in rows:
            if (paired := _paired(row, references, index, column)) is not None:
                found = corrected.get(cell_place(row, column))
                cell, label = row.cells[index], references[row.label].label
                difference = _difference(paired, label, cell, column, found)
                bold = difference.verdict == "better"
                cells[row.label][index] = replace(cell, difference=difference, bold=bold)
        for to in {row.label: row for row in references.values()}.values():
            if to.label in references or not _is_compared(column):
                continue
            others = [
                cells[row.label][index].difference
                for row in rows
                if references.get(row.label) is to and row.cells[index].values
                if (family := families.get(row.sweep)) is None or family.holds(row, column)
            ]
            is_best = bool(others) and all(d is not None and d.verdict == "worse" for d in others)
            cells[to.label][index] = replace(to.cells[index], is_reference=True, bold=is_best)
    return [replace(row, cells=tuple(cells[row.label])) for row in rows]


def is_testable(cell: Cell, column: Column) -> bool:
    """Return whether a difference of the cell may be tested: the error of a target is known."""
    return column.quantity.direction not in TARGETED or cell.target_error is not None


def _is_compared(column: Column) -> bool:
    return column.kind == "measured" and not column.paper


def _paired(
    row: Row, references: Mapping[str, Row], index: int, column: Column
) -> PairedDifference | None:
    """Return a row minus its reference row; None where they cannot be compared."""
    if row.label not in references or not _is_compared(column):
        return None
    cell, to = row.cells[index], references[row.label].cells[index]
    if column.quantity.direction not in TARGETED:
        return paired_difference(dict(cell.values), dict(to.values))
    if cell.target is None:
        return None
    error = cell.target_error or 0.0
    return paired_difference(dict(cell.values), dict(to.values), cell.target, error)


def _difference(
    paired: PairedDifference, to: str, cell: Cell, column: Column, corrected: Corrected | None
) -> Difference:
    """Return what a table says of a difference."""
    if not is_testable(cell, column):
        return Difference(to, paired.mean, None, paired.n)
    effect = detectable_effect(paired.n)
    verdict: Literal["better", "worse", ""] = ""
    direction = column.quantity.direction
    if corrected and corrected.p < LEVEL and direction is not None and paired.mean != 0:
        verdict = "better" if (paired.mean > 0) == (direction == "higher") else "worse"
    return Difference(
        to,
        paired.mean,
        paired.half_width(corrected.level if corrected else LEVEL),
        paired.n,
        paired.p,
        adjusted=corrected.p if corrected else None,
        comparisons=corrected.comparisons if corrected else 0,
        pending=corrected.pending if corrected else 0,
        detectable=effect * paired.spread if effect and paired.spread else None,
        verdict=verdict,
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
