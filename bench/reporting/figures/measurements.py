"""The numbers that a plot shows: final measurements, costs and timings, in printed units."""

import string
from collections.abc import Sequence
from dataclasses import dataclass, replace
from functools import cached_property

from bench.errors import UnknownName
from bench.record.quantities import COST, TIMINGS, kind_of
from bench.record.records import RecordEntry
from bench.record.sweep_folder import RecordedRun
from bench.reporting.figures.selection import FigureData, FigureVariant
from bench.reporting.statistics import Interval, t_interval
from bench.reporting.tables.table import Column
from bench.spec.reserved_names import VALIDATION

ARROWS = {"higher": " ↑", "lower": " ↓", "real": " (≈ real)", "one": " (≈ 1)", None: ""}


@dataclass(frozen=True)
class PlottedMeasurements:
    """The measurements of runs on test images, and what their training cost."""

    data: FigureData

    @cached_property
    def _entries(self) -> list[RecordEntry]:
        records, runs = self.data.records, set(self.data.runs)
        entries = [entry for entry in records.final if entry.split != VALIDATION]
        entries += [entry for entry in records.cost if entry.metric in COST]
        entries += [entry for entry in records.timings if entry.metric in TIMINGS]
        return [entry for entry in entries if entry.run in runs and entry.value is not None]

    def columns(self, names: Sequence[str] = ()) -> list[Column]:
        """Return a column for each metric by each of its protocols: what may share an axis.

        They are in the order of `names`, or all of them in that of the record. A metric with
        several protocols has a letter for each.
        """
        protocols: dict[str, dict[str, None]] = {}
        for entry in self._entries:
            if not entry.run.is_control:
                protocols.setdefault(entry.metric, {})[entry.protocol] = None
        if unknown := [name for name in names if name not in protocols]:
            raise UnknownName("metric", unknown[0], protocols)
        overrides = self.data.names.quantities
        quantities = replace(self.data.records.quantities, overrides=overrides)
        columns = []
        for name in names or protocols:
            for index, protocol in enumerate(protocols[name]):
                quantity = quantities[name]
                if len(protocols[name]) > 1:
                    letter = string.ascii_lowercase[index % 26]
                    quantity = replace(quantity, title=f"{quantity.title} [{letter}]")
                columns.append(Column(self.data.data, "", name, quantity, protocol, kind_of(name)))
        return columns

    def values(self, column: Column, runs: Sequence[RecordedRun]) -> list[float]:
        """Return the values of some runs, as far as they have one."""
        return [
            entry.value * column.quantity.scale
            for entry in self._entries
            if (entry.metric, entry.protocol) == (column.metric, column.protocol)
            and entry.run in runs
            and entry.value is not None
        ]

    def interval(self, column: Column, variant: FigureVariant) -> Interval | None:
        """Return the mean over seeds with its interval; None where there are no values."""
        values = self.values(column, variant.runs)
        return t_interval(values) if values else None

    def real_value(self, column: Column) -> float | None:
        """Return the value of the real test images; None where sweeps differ, or have none."""
        values = set(self.values(column, self.data.real_runs))
        return values.pop() if len(values) == 1 else None


def axis_title(column: Column) -> str:
    """Return a quantity with the direction that is better."""
    return column.quantity.title + ARROWS[column.quantity.direction]
