"""Notes on comparisons: between which rows, by which test, and what the test can find."""

from collections.abc import Mapping, Sequence
from statistics import median

from bench.reporting.grouping import grouped
from bench.reporting.notes.wording import listed
from bench.reporting.statistics import FEWEST_FOR_CLAIMS, LEVEL, POWER
from bench.reporting.tables.differences import is_testable
from bench.reporting.tables.families import Family, names_of
from bench.reporting.tables.table import TARGETED, Column, Difference, Note, Row
from bench.spec.reserved_names import EVALUATIONS

STARRED = ", or * in plain text"
"""How bold numbers are shown where there are no bold letters."""

TARGETS = (
    "Where nearer to a target is better, the distances of the means from it are compared. A claim "
    "needs two tests, of which the larger p value counts: that the rows differ, and that the "
    "middle between them lies on one side of the target. The second counts the target's standard "
    "error."
)


def significance_notes(
    columns: Sequence[Column], rows: Sequence[Row], families: Mapping[str, Family]
) -> list[Note]:
    """Return the notes on comparisons; where nothing is compared, at most on too few seeds."""
    notes = _uncompared(columns, rows, families)
    differences = [cell.difference for row in rows for cell in row.cells if cell.difference]
    if not differences:
        means = [cell.n for row in rows for cell in row.cells if cell.kind == "mean"]
        if not means or min(means) >= FEWEST_FOR_CLAIMS:
            return notes
        text = "a difference between rows is an observation, not a significant one"
        return [Note(f"Fewer than {FEWEST_FOR_CLAIMS} seeds: {text}."), *notes]
    to = dict.fromkeys(difference.to for difference in differences)
    references, several = listed(to), len(to) > 1
    tested = [difference for difference in differences if difference.adjusted is not None]
    if tested:
        own = "its own of " if several else ""
        itself = "one of these" if several else f"{references} itself"
        notes.append(
            Note(
                f"Bold{STARRED}: significantly better than {own}{references}; "
                f"{itself} where it is significantly better than all rows compared.",
                role="cell",
            )
        )
    notes += _own_references(rows, families) + _families(columns, rows, families)
    by_column = [
        (column, [d for row in rows if (d := row.cells[index].difference)])
        for index, column in enumerate(columns)
    ]
    if any(of and column.quantity.direction in TARGETED for column, of in by_column):
        notes.append(Note(TARGETS))
    notes += _untested(columns, rows)
    if any(difference.n < FEWEST_FOR_CLAIMS for difference in differences):
        items = tuple(text for column, of in by_column for text in _size(column, of))
        power = (
            f" In a test of one pair of rows, {100 * POWER:.0f} of 100 such experiments would find "
            "a true difference of:"
        )
        notes.append(
            Note(
                f"With fewer than {FEWEST_FOR_CLAIMS} common seeds significance cannot be reached, "
                f"and no difference from {references} is claimed.{power if items else ''}",
                items,
            )
        )
    return notes


def _own_references(rows: Sequence[Row], families: Mapping[str, Family]) -> list[Note]:
    """Name the rows that have a reference row of their own."""
    items = tuple(
        f"{row.label}: {next(iter(to))}"
        for row in rows
        if (family := families.get(row.sweep)) and family.reference_of(row)
        if (to := {cell.difference.to for cell in row.cells if cell.difference})
    )
    return [Note("Compared with a reference row of their own:", items)] if items else []


def _families(
    columns: Sequence[Column], rows: Sequence[Row], families: Mapping[str, Family]
) -> list[Note]:
    """Say what the p values rest on: which test, how many seeds, and which comparisons."""
    tested: dict[str, list[tuple[int, Difference]]] = grouped(
        (family.origin if (family := families.get(row.sweep)) else "", (index, cell.difference))
        for row in rows
        for index, cell in enumerate(row.cells)
        if cell.difference and cell.difference.adjusted is not None
    )
    notes = []
    for origin, found in tested.items():
        seeds = " or ".join(map(str, sorted({difference.n for _, difference in found})))
        text = f"p values: two-sided paired t tests over common seeds ({seeds}), corrected by Holm "
        counts = sorted({difference.comparisons for _, difference in found})
        if origin:
            text += f"over {counts[0]} comparison{'s' * (counts[0] > 1)} together, {origin}: "
            text += next(
                _asked(family, found) for family in families.values() if family.origin == origin
            )
        else:
            text += f"over the comparisons of a column ({' or '.join(map(str, counts))})"
            if len({index for index, _ in found}) > 1:
                text += ", not over columns"
            text += "; they were not planned in the sweep (`compare:`)."
        notes.append(Note(f"{text} A claim needs p < {LEVEL}."))
    return notes


def _asked(family: Family, found: Sequence[tuple[int, Difference]]) -> str:
    """Return in words what a family compares."""
    to = listed(dict.fromkeys(difference.to for _, difference in found))
    rows = "; ".join(family.comparisons.variants) or "all rows"
    metrics = listed(family.comparisons.metrics) or "all metrics"
    return f"{rows}, with {to}, in {metrics}. Other differences are shown without a test."


def _untested(columns: Sequence[Column], rows: Sequence[Row]) -> list[Note]:
    """Name the columns of which the target is not known well enough for a test."""
    titles = dict.fromkeys(
        column.quantity.title
        for index, column in enumerate(columns)
        for cell in (row.cells[index] for row in rows)
        if cell.difference and not is_testable(cell, column)
    )
    text = "Not tested, since the record has no standard error of the real images' value"
    return [Note(f"{text}: {listed(titles)}.")] if titles else []


def _uncompared(
    columns: Sequence[Column], rows: Sequence[Row], families: Mapping[str, Family]
) -> list[Note]:
    """Name the rows that are not compared although there is a reference row, and say why."""
    uncompared = []
    for index, column in enumerate(columns):
        references = [row for row in rows if row.cells[index].is_reference]
        for row in rows if references else ():
            cell = row.cells[index]
            if cell.kind != "mean" or cell.is_reference or cell.difference is not None:
                continue
            reference = _reference_of(row, references, rows, families)
            reason = "no seed in common with it"
            title = column.quantity.title
            if row.sweep == EVALUATIONS:
                reason = "not of a sweep, so that equal seeds have nothing in common"
            elif not reference.cells[index].values:
                by = f" by [{column.mark}]" if column.mark else ""
                reason = f"no {title}{by} of {reference.label} on {column.data_title}"
            elif column.quantity.direction in TARGETED and cell.target is None:
                reason = f"{title} of the real images is not known"
            uncompared.append((reason, row.label))
    groups = grouped(dict.fromkeys(uncompared))
    items = tuple(f"{reason}: {'; '.join(labels)}" for reason, labels in groups.items())
    return [Note("Not compared with the reference row:", items)] if items else []


def _reference_of(
    row: Row, references: Sequence[Row], rows: Sequence[Row], families: Mapping[str, Family]
) -> Row:
    """Return the row that a row would be compared with."""
    family = families.get(row.sweep)
    own = family.reference_of(row) if family else ""
    named = [other for other in rows if own and own in names_of(other)]
    candidates = named or references
    return next((other for other in candidates if other.sweep == row.sweep), candidates[0])


def _size(column: Column, differences: Sequence[Difference]) -> list[str]:
    """Return the difference that the few seeds of a column could show."""
    few = [d for d in differences if d.n < FEWEST_FOR_CLAIMS and d.detectable is not None]
    if not few:
        return []
    seeds = " or ".join(str(n) for n in sorted({d.n for d in few}))
    size = column.quantity.text(median(d.detectable for d in few if d.detectable is not None))
    on = f"{column.quantity.title} on {column.data_title}"
    return [f"{size} in {on} (median over rows, {seeds} seeds)"]
