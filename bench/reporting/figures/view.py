"""What a figure is drawn from: the record of one data set, and what the user chose of it."""

import itertools
import string
from collections.abc import Sequence
from dataclasses import dataclass, field, replace
from functools import cached_property

from matplotlib.figure import Figure

from bench.errors import NotApplicable, UnknownName
from bench.record.pictures import Pictures, Samples, read_pictures, read_samples
from bench.record.quantities import Direction, QuantityKind
from bench.record.records import RecordEntry, Records
from bench.record.sweep_folder import RecordedRun
from bench.reporting.statistics import Interval, t_interval
from bench.reporting.tables.table_spec import Names, load_tables
from bench.spec.reserved_names import REAL, VALIDATION


@dataclass(frozen=True)
class Variant:
    """One variant of a sweep.

    Attributes:
        sweep: Name of the sweep.
        name: Its name in the sweep.
        model: Name of its model.
        label: What it is called for people.
        place: Its number among all variants of the data set; its color and shape.
    """

    sweep: str
    name: str
    model: str
    label: str
    place: int


@dataclass(frozen=True)
class Measure:
    """One metric by one protocol: what may share an axis.

    Attributes:
        metric: Its name.
        protocol: How it was measured.
        title: What it is called for people, with a letter where a metric has several protocols.
        direction: Which values are better.
        scale: What values are multiplied by to be shown in the unit of the title.
        kind: Whether it was measured, counted, or timed.
    """

    metric: str
    protocol: str
    title: str
    direction: Direction | None
    scale: float
    kind: QuantityKind


@dataclass(frozen=True)
class Choice:
    """What the user asked for.

    Attributes:
        variants: Names of variants; all of them, as far as they fit, where empty.
        seed: Whose pictures are shown; the first finished one of each variant where None.
        metrics: Names of metrics, or of losses; the figure's own choice where empty.
    """

    variants: tuple[str, ...] = ()
    seed: int | None = None
    metrics: tuple[str, ...] = ()


@dataclass(frozen=True)
class Drawn:
    """A figure, and what its caption must say.

    Attributes:
        figure: The figure.
        notes: Sentences: what is shown, what was left out, and why.
    """

    figure: Figure
    notes: tuple[str, ...]


@dataclass(frozen=True)
class View:
    """The finished runs on one data set.

    Attributes:
        records: The record.
        data: Name of the data set.
        choice: What the user asked for.
    """

    records: Records
    data: str
    choice: Choice = field(default_factory=Choice)

    @cached_property
    def names(self) -> Names:
        """Names for people."""
        return next(iter(load_tables().values())).names

    @cached_property
    def _runs(self) -> list[RecordedRun]:
        """The measured runs of models, in the order of the record."""
        runs = self.records.measured_runs
        return [run for run in runs if run.data == self.data and not run.is_control]

    @cached_property
    def everyone(self) -> tuple[Variant, ...]:
        """All variants with a finished run."""
        keys = dict.fromkeys((run.sweep, run.variant, run.model) for run in self._runs)
        several = len({sweep for sweep, _, _ in keys}) > 1
        others = {name for _, name, _ in keys}
        found = []
        for place, (sweep, name, model) in enumerate(keys):
            label = self.names.variant(name, model, others)
            found.append(
                Variant(sweep, name, model, f"{label} ({sweep})" if several else label, place)
            )
        return tuple(found)

    @cached_property
    def variants(self) -> tuple[Variant, ...]:
        """The variants that the user chose, in the order in which they were named.

        Returns:
            The variants; all of them where the user named none.

        Raises:
            UnknownName: If there is none of that name.
            NotApplicable: If nothing is finished.
        """
        if not self.everyone:
            raise NotApplicable(f"no run on {self.data} is finished yet")
        by_name = {variant.name: variant for variant in reversed(self.everyone)}
        for name in self.choice.variants:
            if name not in by_name:
                raise UnknownName("variant", name, by_name)
        chosen = [v for name in self.choice.variants for v in self.everyone if v.name == name]
        return tuple(chosen) or self.everyone

    def run_of(self, variant: Variant) -> RecordedRun | None:
        """Return the run whose pictures stand for a variant: of the seed asked for, or the first.

        None where the variant has no finished run of that seed.
        """
        mine = [
            run
            for run in self._runs
            if (run.sweep, run.variant) == (variant.sweep, variant.name)
            and self.choice.seed in (None, run.seed)
        ]
        return mine[0] if mine else None

    def pictures(self, variant: Variant) -> Pictures:
        """Return the pictures of a variant; nothing where it has no run to show."""
        run = self.run_of(variant)
        return Pictures({}, {}) if run is None else read_pictures(run.path)

    def samples(self, variant: Variant) -> Samples | None:
        """Return the samples of a variant, or None where there are none."""
        run = self.run_of(variant)
        return None if run is None else read_samples(run.path)

    @cached_property
    def real(self) -> Samples | None:
        """The real test examples that were measured, or None where there are none."""
        runs = [run for run in self.records.measured_runs if run.data == self.data]
        real = [run for run in runs if run.is_control and run.variant == REAL]
        return next((found for run in real if (found := read_samples(run.path))), None)

    def whose(self, variants: Sequence[Variant]) -> str:
        """Return the sentence that says whose pictures are shown."""
        runs = [run for variant in variants if (run := self.run_of(variant))]
        shown = sorted({run.seed for run in runs if run.seed is not None})
        if not shown:
            return ""
        which = f"seed {shown[0]}" if len(shown) == 1 else f"seeds {', '.join(map(str, shown))}"
        first = "" if self.choice.seed is not None else ", the first finished one of each variant"
        return f"Pictures are of one run each, {which}{first}; they were not selected."

    def fitting(self, variants: Sequence[Variant], most: int) -> tuple[list[Variant], list[str]]:
        """Return as many variants as a figure can show, and a sentence about the others.

        Who names variants is shown all of them.
        """
        if self.choice.variants or len(variants) <= most:
            return list(variants), []
        rest = ", ".join(variant.label for variant in variants[most:])
        note = (
            f"Left out for want of room: {rest}; --variant NAME, given once for each, chooses "
            "what is shown."
        )
        return list(variants[:most]), [note]

    def measures(self, names: Sequence[str] = ()) -> list[Measure]:
        """Return the metrics of the variants, each protocol by itself.

        Args:
            names: Which metrics, in this order; all of them where empty.

        Returns:
            The metrics, in the order of the record where none were named.

        Raises:
            UnknownName: If the record has no such metric.
        """
        known = list(dict.fromkeys(entry.metric for entry, _ in self._numbers))
        for name in names:
            if name not in known:
                raise UnknownName("metric", name, known)
        found = []
        for name in names or known:
            mine = [(entry, kind) for entry, kind in self._numbers if entry.metric == name]
            protocols = dict.fromkeys(entry.protocol for entry, _ in mine)
            marks = string.ascii_lowercase if len(protocols) > 1 else " "
            for protocol, mark in zip(protocols, itertools.cycle(marks), strict=False):
                found.append(self._measure(name, protocol, mark.strip(), mine[0][1]))
        return found

    def values(self, measure: Measure, variant: Variant) -> list[float]:
        """Return the values of a variant, one for each seed that has one."""
        return [
            entry.value * measure.scale
            for entry, _ in self._numbers
            if (entry.metric, entry.protocol) == (measure.metric, measure.protocol)
            and (entry.run.sweep, entry.run.variant) == (variant.sweep, variant.name)
            and entry.value is not None
        ]

    def interval(self, measure: Measure, variant: Variant) -> Interval | None:
        """Return the mean over seeds with its interval, or None where there are no values."""
        values = self.values(measure, variant)
        return t_interval(values) if values else None

    def real_value(self, measure: Measure) -> float | None:
        """Return the value of the real test images, or None where they have none."""
        values = {
            entry.value
            for entry in self.records.final
            if entry.run.is_control
            and (entry.run.data, entry.run.variant) == (self.data, REAL)
            and (entry.metric, entry.protocol) == (measure.metric, measure.protocol)
            and entry.value is not None
        }
        return values.pop() * measure.scale if len(values) == 1 else None

    @cached_property
    def _numbers(self) -> list[tuple[RecordEntry, QuantityKind]]:
        """The final values of the models on test images, and what they cost."""
        runs, final = set(self._runs), self.records.final
        parts: dict[QuantityKind, Sequence[RecordEntry]] = {
            "measured": [entry for entry in final if entry.split != VALIDATION],
            "counted": self.records.cost,
            "timed": self.records.timings,
        }
        return [
            (entry, kind)
            for kind, entries in parts.items()
            for entry in entries
            if entry.run in runs and entry.value is not None
        ]

    def _measure(self, metric: str, protocol: str, mark: str, kind: QuantityKind) -> Measure:
        quantity = replace(self.records.quantities, overrides=self.names.quantities)[metric]
        title = quantity.title + (f" [{mark}]" if mark else "")
        return Measure(metric, protocol, title, quantity.direction, quantity.scale, kind)
