"""Which comparisons are corrected together: planned before, chosen by a user, or those of a column.

Nobody can choose afterwards by what came out if a sweep says beforehand what it compares
(`compare:`). A table then tests those comparisons alone, corrected for all of them, also where it
shows a part.
"""

from collections.abc import Hashable, Iterable, Mapping, Sequence
from dataclasses import dataclass
from typing import NamedTuple, TypeVar

from bench.errors import UnknownName
from bench.record.records import Records
from bench.reporting.grouping import grouped
from bench.reporting.statistics import FEWEST_FOR_CLAIMS, PairedDifference, holm
from bench.reporting.tables.table import Column, Row
from bench.spec.comparisons import Comparisons
from bench.spec.reserved_names import EVALUATIONS

K = TypeVar("K", bound=Hashable)

Place = tuple[str, ...]
"""Sweep, variant, data set, metric and protocol of a cell."""


class Corrected(NamedTuple):
    """A p value corrected for a number of comparisons, and the level of an interval that agrees.

    `pending` of the comparisons were planned, but have too few seeds yet.
    """

    p: float
    level: float
    comparisons: int
    pending: int


@dataclass(frozen=True)
class Family:
    """Comparisons whose p values are corrected together, and who said so.

    Attributes:
        comparisons: What is compared; what is empty in it is everything.
        origin: Who said so, for a note.
        sweep: The sweep that planned it, with none but its own rows; '' for a user.
    """

    comparisons: Comparisons
    origin: str
    sweep: str = ""

    def holds(self, row: Row, column: Column) -> bool:
        """Return whether the comparison of a cell is one of these."""
        metrics = self.comparisons.metrics
        return self.compares(row) and (
            not metrics or any(f"{column.metric}/".startswith(f"{name}/") for name in metrics)
        )

    def compares(self, row: Row) -> bool:
        """Return whether a row has comparisons among these, in whatever metric."""
        variants = self.comparisons.variants
        return not variants or not names_of(row).isdisjoint(variants)

    def reference_of(self, row: Row) -> str:
        """Return the name of the reference that a row has of its own; '' if it has none."""
        own = self.comparisons.references
        names = (f"{row.sweep}/{row.variant}", row.label, row.variant)
        return next((own[name] for name in names if name in own), "")

    def check(self, rows: Iterable[Row], columns: Iterable[Column]) -> None:
        """Raise an `UnknownName` for a row or metric that is not there."""
        labels = set().union(*(names_of(row) for row in rows if is_comparable(row)))
        metrics = {name for c in columns for name in (c.metric, c.metric.partition("/")[0])}
        compared = [*self.comparisons.variants, *self.comparisons.references]
        for kind, asked, known in (
            ("row to compare", compared, labels),
            ("row to compare with", self.comparisons.references.values(), labels),
            ("metric to compare", self.comparisons.metrics, metrics),
        ):
            for name in asked:
                if name not in known:
                    raise UnknownName(kind, name, known)


def families_by_sweep(
    records: Records, rows: Sequence[Row], reference: str | None, chosen: Family | None
) -> dict[str, Family]:
    """Return the planned comparisons by sweep; those of a user are together those of all sweeps.

    What a sweep planned holds for the reference row that it named, by any of its names.
    """
    if chosen is not None:
        return dict.fromkeys((run.sweep for run in records.runs), chosen)
    families = {}
    for sweep in records.sweeps:
        if sweep.compare is None:
            continue
        asked, origin = Comparisons.of_record(sweep.compare), f"planned in the sweep {sweep.name}"
        same = [row for row in rows if row.sweep == sweep.name and asked.reference in names_of(row)]
        if reference in (None, asked.reference) or any(reference in names_of(row) for row in same):
            families[sweep.name] = Family(asked, origin, sweep.name)
    return families


def is_comparable(row: Row) -> bool:
    """Return whether a row may be a reference: it is of a model that a sweep trained."""
    return bool(row.model) and row.sweep != EVALUATIONS


def names_of(row: Row) -> set[str]:
    """Return the names by which a user may mean a row."""
    return {row.label, row.variant, f"{row.sweep}/{row.variant}"}


def cell_place(row: Row, column: Column) -> Place:
    """Return the place of a cell, the same in every table."""
    return row.sweep, row.variant, column.data, column.metric, column.protocol


def correct(tests: Mapping[K, PairedDifference | None]) -> dict[K, Corrected]:
    """Return the corrected p values of those with enough seeds for claims.

    None is a comparison that was planned and cannot be made yet. It counts like one of p = 1, so
    nothing becomes significant by what is missing.
    """
    p_values = {
        key: found.p
        for key, found in tests.items()
        if found is not None and found.p is not None and found.n >= FEWEST_FOR_CLAIMS
    }
    pending = sum(found is None for found in tests.values())
    known = [*p_values.values(), *[1.0] * pending]
    corrected = zip(*holm(known), strict=True)
    return {
        key: Corrected(p, level, len(known), pending)
        for key, (p, level) in zip(p_values, corrected, strict=False)
    }


def _unmeasured(
    tests: Sequence[tuple[Row, Column, PairedDifference | None]], sweep: str, family: Family
) -> list[tuple[Place, None]]:
    """Return the comparisons of planned metrics that no row of a sweep has been measured by yet."""
    rows = {row.variant: row for row, _, _ in tests if row.sweep == sweep}
    measured = {f"{column.metric}/" for row, column, _ in tests if row.sweep == sweep}
    return [
        ((sweep, row.variant, metric), None)
        for metric in family.comparisons.metrics
        if not any(name.startswith(f"{metric}/") for name in measured)
        for row in rows.values()
        if family.compares(row)
    ]


def correct_families(
    tests: Sequence[tuple[Row, Column, PairedDifference | None]], by_sweep: Mapping[str, Family]
) -> dict[Place, Corrected]:
    """Return the corrected p values by place; None in `tests` is what cannot be tested yet.

    Without a family of its sweep, the comparisons of a column are one; with it there are no others.
    Only a sweep has planned what is not there yet.
    """
    families: dict[Hashable, list[tuple[Place, PairedDifference | None]]] = grouped(
        ((family.origin,) if family else place[2:], (place, found))
        for row, column, found in tests
        for place in [cell_place(row, column)]
        if (family := by_sweep.get(row.sweep)) is None or family.holds(row, column)
        if found is not None or (family is not None and family.sweep)
    )
    for sweep, family in by_sweep.items():
        if family.sweep:
            key: Hashable = (family.origin,)
            families.setdefault(key, []).extend(_unmeasured(tests, sweep, family))
    corrected: dict[Place, Corrected] = {}
    for tested in families.values():
        corrected |= correct(dict(tested))
    return corrected
