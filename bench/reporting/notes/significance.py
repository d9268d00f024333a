"""Notes on comparisons: between which rows, by which test, and what the test can find."""

from collections.abc import Mapping, Sequence
from statistics import median

from bench.reporting.grouping import grouped
from bench.reporting.notes.wording import listed
from bench.reporting.statistics import FEWEST_FOR_CLAIMS, LEVEL, POWER, fewest_for_signs
from bench.reporting.tables.differences import is_testable
from bench.reporting.tables.families import Family
from bench.reporting.tables.table import TARGETED, Column, Difference, Note, Row
from bench.spec.reserved_names import EVALUATIONS

STARRED = ", or * in plain text"
"""How bold numbers are shown where there are no bold letters."""

TARGETS = (
    "For metrics with a target, rows are compared by the distance of their means to it. Two tests "
    "must both be significant, and the larger p value counts: the rows differ, and their midpoint "
    "lies on one side of the target. The second test counts the target's standard error."
)


def significance_notes(
    columns: Sequence[Column],
    rows: Sequence[Row],
    families: Mapping[str, Family],
    references: Mapping[str, Row],
) -> list[Note]:
    """Return the notes on comparisons; where nothing is compared, at most on too few seeds.

    `families` are by sweep, `references` the reference rows by label.
    """
    notes = _uncompared(columns, rows, families, references)
    compared = [row for row in rows if _differences(row)]
    differences = [difference for row in compared for difference in _differences(row)]
    if not differences:
        means = [cell.n for row in rows for cell in row.cells if cell.kind == "mean"]
        if not means or min(means) >= FEWEST_FOR_CLAIMS:
            return notes
        text = "differences between rows are observations, not significant results"
        return [Note(f"Fewer than {FEWEST_FOR_CLAIMS} seeds: {text}."), *notes]
    tested = [row for row in compared if any(d.adjusted is not None for d in _differences(row))]
    if tested:
        text = f"Bold{STARRED}: significantly better than {_named(tested, families, references)}"
        against = {d.to for row in tested for d in _differences(row) if d.adjusted is not None}
        marked = [row.label for row in rows if any(cell.is_reference for cell in row.cells)]
        if itself := [label for label in marked if label in against]:
            text += (
                f"; {'; '.join(itself)} itself where it is significantly better than every row "
                "tested against it"
            )
        notes.append(Note(f"{text}.", role="cell"))
    notes += _families(rows, families, references)
    by_column = [
        (column, [d for row in rows if (d := row.cells[index].difference)])
        for index, column in enumerate(columns)
    ]
    if any(of and column.quantity.direction in TARGETED for column, of in by_column):
        notes.append(Note(TARGETS))
    notes += _untested(columns, rows)
    if any(difference.n < FEWEST_FOR_CLAIMS for difference in differences):
        few = [row for row in compared if any(d.n < FEWEST_FOR_CLAIMS for d in _differences(row))]
        items = tuple(text for column, of in by_column for text in _size(column, of))
        power = f" Smallest detectable difference (single paired test, {100 * POWER:.0f} % power):"
        notes.append(
            Note(
                f"With fewer than {FEWEST_FOR_CLAIMS} common seeds no difference from "
                f"{_named(few, families, references)} can be significant."
                f"{power if items else ''}",
                items,
            )
        )
    return notes


def _differences(row: Row) -> list[Difference]:
    return [cell.difference for cell in row.cells if cell.difference]


def _named(
    rows: Sequence[Row], families: Mapping[str, Family], references: Mapping[str, Row]
) -> str:
    """Return the names of the reference rows of some rows, and whose they are if not of all."""
    common: dict[str, None] = {}
    own: dict[str, str] = {}
    for row in rows:
        to = references[row.label].label
        family = families.get(row.sweep)
        if family and family.reference_of(row):
            own[row.label] = to
        else:
            common[to] = None
    text = "; ".join(common)
    if len(common) > 1:
        text = f"the reference row of its sweep ({text})"
    exceptions = "; ".join(f"for {label}: {to}" for label, to in own.items())
    return f"{text or 'its reference row'} ({exceptions})" if own else text


def _families(
    rows: Sequence[Row], families: Mapping[str, Family], references: Mapping[str, Row]
) -> list[Note]:
    """Say what the p values rest on: which test, how many seeds, and which comparisons."""
    origins = {sweep: family.origin for sweep, family in families.items()}
    tested: dict[str, list[tuple[int, Difference]]] = grouped(
        (origins.get(row.sweep, ""), (index, cell.difference))
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
            of_it = [r for r in rows if origins.get(r.sweep) == origin and r.label in references]
            to = _named(of_it, families, references)
            asked = next(f.comparisons for f in families.values() if f.origin == origin)
            text += f"over {counts[0]} comparison{'s' * (counts[0] > 1)} together, {origin}: "
            text += (
                f"{'; '.join(asked.variants) or 'all rows'}, with {to}, in "
                f"{listed(asked.metrics) or 'all metrics'}. Other differences are shown without a "
                "test."
            )
            if pending := max(difference.pending for _, difference in found):
                text += (
                    f" {pending} of them cannot be tested yet, for want of {FEWEST_FOR_CLAIMS} "
                    "common seeds or of the real images' value, and count like p = 1."
                )
        else:
            text += f"over the comparisons of a column ({' or '.join(map(str, counts))})"
            if len({index for index, _ in found}) > 1:
                text += ", not over columns"
            text += "; they were not planned in the sweep (`compare:`)."
        text += f" A claim needs p < {LEVEL}."
        if min(d.n for _, d in found) < (fewest := fewest_for_signs(counts[-1])):
            text += (
                " The t test assumes normal differences; an exact sign test could be significant "
                f"only from {fewest} seeds on."
            )
        notes.append(Note(text, role="test"))
    return notes


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
    columns: Sequence[Column],
    rows: Sequence[Row],
    families: Mapping[str, Family],
    references: Mapping[str, Row],
) -> list[Note]:
    """Name the rows that are not compared although others are, and say why."""
    uncompared = []
    for index, column in enumerate(columns):
        if not any(row.cells[index].is_reference for row in rows):
            continue
        for row in rows:
            cell, family = row.cells[index], families.get(row.sweep)
            if cell.kind != "mean" or cell.is_reference or cell.difference is not None:
                continue
            own = family.reference_of(row) if family else ""
            if row.sweep == EVALUATIONS:
                reason = "not from a sweep, so equal seeds have nothing in common"
            elif (reference := references.get(row.label)) is None:
                if not own:  # nobody asked for it
                    continue
                reason = f"its own reference row, {own}, is missing"
            elif not reference.cells[index].values:
                by = f" by [{column.mark}]" if column.mark else ""
                title = column.quantity.title
                reason = f"no {title}{by} of {reference.label} on {column.data_title}"
            elif column.quantity.direction in TARGETED and cell.target is None:
                reason = f"{column.quantity.title} of the real images is not known"
            else:
                reason = f"no seed in common with {reference.label}"
            uncompared.append((reason, row.label))
    groups = grouped(dict.fromkeys(uncompared))
    items = tuple(f"{reason}: {'; '.join(labels)}" for reason, labels in groups.items())
    return [Note("Not compared with a reference row:", items)] if items else []


def _size(column: Column, differences: Sequence[Difference]) -> list[str]:
    """Return the difference that the few seeds of a column could show."""
    few = [d for d in differences if d.n < FEWEST_FOR_CLAIMS and d.detectable is not None]
    if not few:
        return []
    seeds = " or ".join(str(n) for n in sorted({d.n for d in few}))
    size = column.quantity.text(median(d.detectable for d in few if d.detectable is not None))
    on = f"{column.quantity.title} on {column.data_title}"
    return [f"{size} in {on} (median over rows, {seeds} seeds)"]
