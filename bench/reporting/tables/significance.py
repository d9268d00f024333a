"""Which rows of a table differ from its reference row, and which of them may be called better.

Rows are compared in pairs of runs of equal seed, all with one reference row, and the p values of a
column are corrected for their number. Without a reference row nothing is compared.
"""

from collections.abc import Callable, Iterable, Sequence
from dataclasses import replace
from statistics import median

from bench.errors import UnknownName
from bench.reporting.notes.wording import listed, rows_listed
from bench.reporting.statistics import (
    FEWEST_FOR_CLAIMS,
    LEVEL,
    POWER,
    detectable_effect,
    holm,
    paired_difference,
)
from bench.reporting.tables.table import Cell, Column, Difference, Note, Robust, Row, Verdict
from bench.spec.reserved_names import ELSEWHERE, EVALUATIONS

NO_REFERENCE = "none"
"""What a user says to compare nothing."""

TARGETED = ("real", "one")
"""Directions in which nearer to a target is better."""


def find_references(rows: Sequence[Row], name: str, *, must_exist: bool) -> dict[str, Row]:
    """Return the row that each row is compared with.

    A row is compared within its own sweep if the reference is there, else with the first one.

    Args:
        rows: Rows of a table.
        name: Label, variant, `sweep/variant`, or a model, of which the first variant is meant;
            empty or `none` for no reference.
        must_exist: Whether the user asked for this very name.

    Returns:
        Label of a row -> its reference; the reference is not in it.

    Raises:
        UnknownName: If no row is called so, but one must be.
    """
    if name in ("", NO_REFERENCE):
        return {}
    trained = [row for row in rows if row.model and row.sweep != EVALUATIONS]
    ways: tuple[Callable[[Row], tuple[str, ...]], ...] = (
        lambda row: (row.label, row.variant, f"{row.sweep}/{row.variant}"),
        lambda row: (row.model,),
    )
    for names in ways:
        found = [row for row in trained if name in names(row)]
        if found:
            break
    else:
        if must_exist:
            raise UnknownName("row to compare with", name, {n for r in trained for n in ways[0](r)})
        return {}
    own: dict[str, Row] = {}
    for row in found:
        own.setdefault(row.sweep, row)
    chosen = {row.label for row in own.values()}
    return {
        row.label: own.get(row.sweep, found[0])
        for row in trained
        if row.label not in chosen and row.model != ELSEWHERE
    }


def compare_rows(
    rows: Sequence[Row], columns: Sequence[Column], references: dict[str, Row]
) -> list[Row]:
    """Compare the rows of a table with their references.

    Args:
        rows: The rows, with cells.
        columns: The columns.
        references: What `find_references` returned.

    Returns:
        The rows; their cells say how they differ, which are the references, and what is bold.
    """
    held = {row.label: list(row.cells) for row in rows}
    chosen = dict.fromkeys(reference.label for reference in references.values())
    for place, column in enumerate(columns):
        if column.record == "figures" and not column.paper:
            cells = {label: row[place] for label, row in held.items()}
            pairs = {label: reference.label for label, reference in references.items()}
            for label, cell in _compare_column(cells, pairs, column, chosen).items():
                held[label][place] = cell
    return [replace(row, cells=tuple(held[row.label])) for row in rows]


def _compare_column(
    cells: dict[str, Cell], pairs: dict[str, str], column: Column, chosen: Iterable[str]
) -> dict[str, Cell]:
    """Return the cells of a column by label, compared."""
    found: dict[str, Difference] = {}
    for label, reference in pairs.items():
        difference = _difference(cells[label], cells[reference], reference, column)
        if difference is not None:
            found[label] = difference
    family = [label for label, d in found.items() if d.p is not None and d.n >= FEWEST_FOR_CLAIMS]
    corrected = dict(zip(family, holm([found[label].p or 0.0 for label in family]), strict=True))
    for label, p in corrected.items():
        verdict = _verdict(found[label].mean, column) if p < LEVEL else ""
        found[label] = replace(found[label], adjusted=p, verdict=verdict)
    compared = {
        label: replace(cells[label], difference=difference, bold=difference.verdict == "better")
        for label, difference in found.items()
    }
    for reference in chosen:
        beside = [label for label, to in pairs.items() if to == reference and cells[label].values]
        is_best = bool(beside) and all(
            label in found and found[label].verdict == "worse" for label in beside
        )
        compared[reference] = replace(cells[reference], is_reference=True, bold=is_best)
    return compared


def _difference(ours: Cell, theirs: Cell, label: str, column: Column) -> Difference | None:
    """Return how a cell differs from the reference's; None where they cannot be compared."""
    mine, its = scores(ours, column), scores(theirs, column)
    found = paired_difference(dict(mine), dict(its))
    if found is None:
        return None
    effect = detectable_effect(found.interval.n)
    detectable = effect * found.spread if effect and found.spread else None
    interval = found.interval
    return Difference(
        label, interval.mean, interval.half_width, interval.n, found.p, detectable=detectable
    )


def scores(cell: Cell, column: Column) -> tuple[tuple[int, float], ...]:
    """Return what is compared: seeds with values, or with distances to the target.

    Args:
        cell: A cell.
        column: Its column.

    Returns:
        Nothing where there is a target, but nobody knows it.
    """
    if column.direction not in TARGETED:
        return cell.values
    if cell.target is None:
        return ()
    return tuple((seed, abs(value - cell.target)) for seed, value in cell.values)


def _verdict(difference: float, column: Column) -> Verdict:
    """Return what a significant difference means."""
    if column.direction is None or difference == 0:
        return ""
    return "better" if (difference > 0) == (column.direction == "higher") else "worse"


def add_robust(rows: Sequence[Row], columns: Sequence[Column]) -> list[Row]:
    """Return rows whose cells have interquartile means and what belongs to them.

    Args:
        rows: Rows that are compared already.
        columns: Their columns.

    Returns:
        The rows.
    """
    from bench.reporting.robust import (
        bootstrap_interval,
        interquartile_mean,
        probability_of_improvement,
    )

    by_label = {row.label: row for row in rows}

    def robust(cell: Cell, place: int) -> Cell:
        column = columns[place]
        values = [value for _, value in cell.values]
        if column.record != "figures" or not values:
            return cell
        improvement = None
        if cell.difference is not None and column.direction is not None:
            other = by_label[cell.difference.to].cells[place]
            mine, its = ([score for _, score in scores(c, column)] for c in (cell, other))
            above = probability_of_improvement(mine, its)
            improvement = above if column.direction == "higher" else 1 - above
        low, high = bootstrap_interval(values) or (None, None)
        return replace(cell, robust=Robust(interquartile_mean(values), low, high, improvement))

    return [
        replace(row, cells=tuple(robust(cell, place) for place, cell in enumerate(row.cells)))
        for row in rows
    ]


def comparison_notes(columns: Sequence[Column], rows: Sequence[Row]) -> list[Note]:
    """Say what is compared with what, by which test, and what it can find.

    Args:
        columns: Columns of a table.
        rows: Its rows.

    Returns:
        Notes; of a table that compares nothing, at most that few seeds allow no claim.
    """
    places = range(len(columns))
    notes = _uncompared(columns, rows)
    found = [cell.difference for row in rows for cell in row.cells if cell.difference is not None]
    if not found:
        means = [cell.n for row in rows for cell in row.cells if cell.kind == "mean"]
        if not means or min(means) >= FEWEST_FOR_CLAIMS:
            return notes
        text = "a difference between rows is an observation, not a significant one"
        return [Note(f"Fewer than {FEWEST_FOR_CLAIMS} seeds: {text}."), *notes]
    references = listed(dict.fromkeys(difference.to for difference in found))
    if any(difference.adjusted is not None for difference in found):
        several = "" if len({d.to for d in found}) == 1 else " of its sweep"
        notes.append(
            Note(
                f"Bold, or * in plain text: significantly better than {references}{several}; "
                f"{references} itself where it is significantly better than all rows compared. "
                "Paired t tests over common seeds, p values corrected by Holm over the comparisons "
                f"of a column, below {LEVEL}."
            )
        )
    if any(c.direction in TARGETED and _compared(rows, p) for p, c in enumerate(columns)):
        notes.append(Note("Where nearer to a target is better, distances to it are compared."))
    few = [d for d in found if d.n < FEWEST_FOR_CLAIMS]
    if few:
        items = tuple(item for place in places for item in _detectable(columns[place], place, rows))
        none = " no size: one common seed has no spread, nor have equal differences."
        notes.append(
            Note(
                f"With fewer than {FEWEST_FOR_CLAIMS} common seeds significance cannot be reached, "
                f"and no difference from {references} is claimed. In a test of one pair of rows, "
                f"{100 * POWER:.0f} of 100 such experiments would find a true difference of"
                f"{':' if items else none}",
                items,
            )
        )
    return notes


def _uncompared(columns: Sequence[Column], rows: Sequence[Row]) -> list[Note]:
    """Say of which rows nothing is compared although there is a reference, and why."""
    why: dict[str, dict[str, None]] = {}
    for place, column in enumerate(columns):
        references = [row for row in rows if row.cells[place].is_reference]
        for row in rows if references else ():
            cell = row.cells[place]
            if cell.kind != "mean" or cell.is_reference or cell.difference is not None:
                continue
            reference = next((r for r in references if r.sweep == row.sweep), references[0])
            reason = "no seed in common with it"
            if row.sweep == EVALUATIONS:
                reason = "not of a sweep, so that equal seeds have nothing in common"
            elif not reference.cells[place].values:
                by = f" by [{column.mark}]" if column.mark else ""
                reason = f"no {column.metric_title}{by} of {reference.label} on {column.data_title}"
            elif column.direction in TARGETED and cell.target is None:
                reason = f"{column.metric_title} of the real images is not known"
            why.setdefault(reason, {})[row.label] = None
    items = tuple(f"{reason}: {rows_listed(labels)}" for reason, labels in why.items())
    return [Note("Not compared with the reference row:", items)] if items else []


def _compared(rows: Sequence[Row], place: int) -> list[Difference]:
    """Return the differences of a column."""
    return [d for row in rows if (d := row.cells[place].difference) is not None]


def _detectable(column: Column, place: int, rows: Sequence[Row]) -> list[str]:
    """Return which difference the few seeds of a column could show, for people."""
    few = [d for d in _compared(rows, place) if d.n < FEWEST_FOR_CLAIMS]
    sizes = [d.detectable for d in few if d.detectable is not None]
    if not sizes:
        return []
    seeds = sorted({d.n for d in few if d.detectable is not None})
    form = ".4g" if column.decimals is None else f".{column.decimals}f"
    return [
        f"{median(sizes) * column.scale:{form}} in {column.metric_title} on {column.data_title} "
        f"(median over rows, {' or '.join(map(str, seeds))} seeds)"
    ]
