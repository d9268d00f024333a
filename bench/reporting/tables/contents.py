"""The part of a record that a table shows: columns, rows, and the numbers of its cells.

Two numbers share a column only if data set, quantity and protocol are the same. Rows are the real
test images, other controls, and then the variants in the order of their sweep.
"""

import itertools
import re
import string
from collections.abc import Iterator, Sequence
from dataclasses import dataclass, replace
from functools import cached_property

from bench.record.quantities import COST, TIMINGS, Quantities, kind_of
from bench.record.records import RecordEntry, Records
from bench.record.sweep_folder import control_title
from bench.reporting.grouping import grouped
from bench.reporting.tables.table import Column, Row
from bench.reporting.tables.table_spec import TableSpec
from bench.spec.reserved_names import EVALUATIONS, VALIDATION

OF_A_PART = re.compile(r"[\[,]of=([^,\]]+)")
"""What a protocol says of a number that is of one attribute alone."""

UNIT = re.compile(r"( \([^()]*\))?$")
"""The unit behind the title of a quantity."""


@dataclass(frozen=True)
class TableContents:
    """A table that still lacks its cells and notes."""

    spec: TableSpec
    records: Records
    paper: bool = False  # whether rows and columns that only the paper has are shown

    @cached_property
    def quantities(self) -> Quantities:
        """The quantities of its numbers."""
        return replace(self.records.quantities, overrides=self.spec.names.quantities)

    @cached_property
    def entries(self) -> tuple[RecordEntry, ...]:
        """The numbers that the table shows, each under the name of its quantity."""
        measured = [entry for entry in self.records.final if entry.split != VALIDATION]
        has_value = {entry.metric for entry in measured if entry.value is not None}
        in_parts = grouped((part.partition("/")[0], part) for part in has_value if "/" in part)
        entries = []
        if self.spec.metrics:
            known = set(self.records.measured_runs)
            entries += [e for e in self.records.cost if e.metric in COST and e.run in known]
            entries += [e for e in self.records.timings if e.metric in TIMINGS and e.run in known]
        for entry in measured:
            # a quantity that was measured in parts alone has no column of its own
            parts = [] if entry.value is not None else sorted(in_parts.get(entry.metric, ()))
            own = [entry.metric] if entry.metric in has_value or not parts else []
            entries += [entry._replace(metric=one) for one in (*own, *parts)]
        shows_all, rank = not self.spec.metrics, self.spec.rank
        return tuple(entry for entry in entries if shows_all or rank(entry.metric) is not None)

    def entries_of(self, row: Row) -> list[RecordEntry]:
        """Return the entries of a row, of all sweeps where it belongs to none."""
        return [
            entry
            for entry in self.entries
            if entry.run.variant == row.variant and row.sweep in ("", entry.run.sweep)
        ]

    def data_title(self, name: str) -> str:
        """Return the title of a data set."""
        return self.spec.names.data.get(name, name)

    @cached_property
    def columns(self) -> tuple[Column, ...]:
        """The columns: by data set, quantity and protocol, then the paper's own."""
        spec, runs = self.spec, self.records.runs
        present = list(dict.fromkeys(run.data for run in runs))
        if not runs and self.paper:
            present = list(spec.data)
        in_paper = {d for values in spec.published.values() if self.paper for d in values}
        in_order = [data for data in spec.data if data in present]
        unrun = [data for data in spec.data if data in in_paper]
        measured = {run.data for run in self.records.measured_runs}
        columns: list[Column] = []
        for data in dict.fromkeys([*in_order, *present, *unrun]):
            entries = [entry for entry in self.entries if entry.run.data == data]
            metrics = list(dict.fromkeys(entry.metric for entry in entries))
            metrics.sort(key=lambda name: spec.rank(name) or 0)
            if data in present and data not in measured:
                metrics = list(spec.metrics)
            for metric in metrics:
                columns += [self._column(data, metric, p) for p in _protocols(entries, metric)]
            if data in in_paper:
                columns.append(replace(self._column(data, spec.metrics[0]), paper=True))
        protocols = dict.fromkeys(column.protocol for column in columns if column.protocol)
        marks = dict(zip(protocols, letters(), strict=False)) if len(protocols) > 1 else {}
        return tuple(replace(column, mark=marks.get(column.protocol, "")) for column in columns)

    def _column(self, data: str, metric: str, protocol: str = "") -> Column:
        quantity, title = self.quantities[metric], self.data_title(data)
        if part := OF_A_PART.search(protocol):
            named = UNIT.sub(lambda unit: f", {part[1]}{unit[0]}", quantity.title, count=1)
            quantity = replace(quantity, title=named)
        return Column(data, title, metric, quantity, protocol, kind=kind_of(metric))

    @cached_property
    def rows(self) -> tuple[Row, ...]:
        """The rows, without cells; a label that is taken gets the name of its sweep behind it."""
        runs = [run for run in self.records.runs if not run.is_control]
        keys = list(dict.fromkeys((run.sweep, run.variant, run.model) for run in runs))
        several = len({sweep for sweep, _, _ in keys} - {EVALUATIONS}) > 1
        rows = self._control_rows() if self.spec.is_measured else []
        names = {variant for _, variant, _ in keys}
        for sweep, variant, model in keys:
            label = self.spec.names.variant(variant, model, names)
            is_taken = label in [row.label for row in rows]
            if is_taken or (several and sweep != EVALUATIONS):
                label = f"{label} ({sweep})"
            rows.append(Row(label, sweep, variant, model=model))
        models = {model for _, variant, model in keys if variant == model}
        for name in self.spec.models if self.paper else ():
            if name not in models and (name in self.spec.published or not keys):
                rows.append(Row(self.spec.names.models.get(name, name), "", name))
        return tuple(rows)

    def _control_rows(self) -> list[Row]:
        """Return a row for each control, or one per sweep where their values differ."""
        rows = []
        for name in self.records.untrained:
            entries = [e for e in self.entries if e.run.is_control and e.run.variant == name]
            values = {((e.run.data, e.metric, e.protocol), e.value) for e in entries}
            title = control_title(name)
            if any(len(different) > 1 for different in grouped(values).values()):
                sweeps = dict.fromkeys(entry.run.sweep for entry in entries)
                rows += [Row(f"{title} ({sweep})", sweep, name) for sweep in sweeps]
            else:
                rows.append(Row(title, "", name))
        return rows


def _protocols(entries: Sequence[RecordEntry], metric: str) -> list[str]:
    """Return the protocols of a quantity on one data set, those of the models first."""
    same = [entry for entry in entries if entry.metric == metric]
    same.sort(key=lambda entry: (entry.value is None, entry.run.is_control))
    return list(dict.fromkeys(entry.protocol for entry in same if entry.protocol)) or [""]


def letters() -> Iterator[str]:
    """Yield a, b, ..., z, aa, ab, ..."""
    for length in itertools.count(1):
        yield from map("".join, itertools.product(string.ascii_lowercase, repeat=length))
