"""A table that still lacks its notes: everything that they are written from, in one piece."""

from collections.abc import Iterator, Mapping, Sequence
from dataclasses import dataclass
from typing import Any

from bench.record.records import Records
from bench.reporting.tables.table import Column, Row
from bench.reporting.tables.table_spec import TableSpec

Figure = Mapping[str, Any]


@dataclass(frozen=True)
class Draft:
    """What a table shows, and what it is made from.

    Attributes:
        spec: What it is to show.
        records: The sweeps.
        figures: The figures that went into it.
        columns: Its columns.
        rows: Its rows.
    """

    spec: TableSpec
    records: Records
    figures: Sequence[Figure]
    columns: Sequence[Column]
    rows: Sequence[Row]

    def figures_of(self, row: Row) -> Iterator[Figure]:
        """Yield the figures of a row, of all sweeps where it belongs to none."""
        for figure in self.figures:
            if figure["variant"] == row.variant and row.sweep in ("", figure["sweep"]):
                yield figure

    def data_title(self, name: str) -> str:
        """Return what a data set is called for people."""
        return self.spec.names.data.get(name, name)
