"""The rows that all parts of the page speak of: one entry for each variant of each sweep."""

from collections.abc import Iterable
from dataclasses import dataclass
from typing import Any

from bench.record.records import Records
from bench.reporting.tables.table import Row


@dataclass(frozen=True)
class Variant:
    """One variant of one sweep.

    Attributes:
        sweep: Its sweep.
        name: Its name there.
        model: Its model.
        label: What tables call it.
        control: Whether it is one, such as the real images.
    """

    sweep: str
    name: str
    model: str
    label: str
    control: bool


class Variants:
    """All variants of a record, controls first; the other parts name them by their place.

    Args:
        records: What the page shows.
        rows: Rows of tables, for their labels.
    """

    def __init__(self, records: Records, rows: Iterable[Row]) -> None:
        labels = {(row.sweep, row.variant): row.label for row in rows}
        keys: dict[tuple[str, str], Variant] = {}
        for run in records.runs:
            key = run.sweep, run.variant
            label = labels.get(key, labels.get(("", run.variant), run.title))
            keys.setdefault(key, Variant(*key, run.model, label, run.is_control))
        ordered = sorted(keys.items(), key=lambda item: not item[1].control)
        self.all = tuple(variant for _, variant in ordered)
        self._places = {key: place for place, (key, _) in enumerate(ordered)}

    def place(self, sweep: str, variant: str) -> int | None:
        """Return the place of a variant; None for a row that no single sweep has."""
        return self._places.get((sweep, variant))

    def describe(self) -> list[dict[str, Any]]:
        """Return them as plain data."""
        return [dict(vars(variant)) for variant in self.all]
