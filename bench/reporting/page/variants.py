"""The variants of the page, each by its index."""

from collections.abc import Iterable
from typing import Any

from bench.record.records import Records
from bench.reporting.tables.table import Row


class PageVariants:
    """All variants of a record, controls first, with the labels that rows of tables have."""

    def __init__(self, records: Records, rows: Iterable[Row]) -> None:
        labels = {(row.sweep, row.variant): row.label for row in rows}
        variants: dict[tuple[str, str], dict[str, Any]] = {}
        for run in sorted(records.runs, key=lambda run: not run.is_control):
            key = run.sweep, run.variant
            label = labels.get(key, labels.get(("", run.variant), run.title))
            variant = {"sweep": run.sweep, "name": run.variant, "model": run.model}
            variants.setdefault(key, variant | {"label": label, "control": run.is_control})
        self.described = list(variants.values())
        self._indices = {key: index for index, key in enumerate(variants)}

    def index(self, sweep: str, variant: str) -> int | None:
        """Return the index of a variant; None for a row that no single sweep has."""
        return self._indices.get((sweep, variant))
