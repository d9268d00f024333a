"""The runs and numbers that a figure is drawn from, on one data set, as the user chose them."""

from collections.abc import Sequence
from dataclasses import dataclass, field, replace
from functools import cached_property
from typing import NamedTuple, TypeVar

import numpy as np
from matplotlib.figure import Figure

from bench.errors import NotApplicable, UnknownName, first_few
from bench.record.pictures import (
    Array,
    RecordedPictures,
    RecordedSamples,
    read_pictures,
    read_samples,
    samples_alike,
)
from bench.record.quantities import COST, TIMINGS, kind_of
from bench.record.records import RecordEntry, Records
from bench.record.sweep_folder import RecordedRun
from bench.reporting.drawing.panels import fit
from bench.reporting.drawing.style import distinct_places
from bench.reporting.grouping import grouped
from bench.reporting.statistics import Estimate, estimate
from bench.reporting.tables.contents import letters
from bench.reporting.tables.table import ARROWS, Column
from bench.reporting.tables.table_spec import Names, load_names
from bench.reporting.units import fit_unit
from bench.spec.reserved_names import REAL, VALIDATION

NAMED = 4  # variants in a line of the terminal
LONGEST_NAME = 2.4
"""Width of a name in axes and legends at most, in inches; longer ones lose their middle."""

PANELS = 6
"""Metrics on a page."""

T = TypeVar("T")


@dataclass(frozen=True)
class FigureVariant:
    """A variant of a sweep with its measured runs.

    `index` decides its color and shape, which may be others in another figure; `run` is the one
    whose pictures are shown, if there is one.
    """

    name: str
    label: str
    index: int = field(compare=False)
    runs: tuple[RecordedRun, ...]
    run: RecordedRun | None

    @property
    def short_label(self) -> str:
        """The label as axes and legends have room for it; captions have the whole of it."""
        return fit(self.label, LONGEST_NAME)[0]

    @property
    def is_sampling_row(self) -> bool:
        """Whether it is a sampling row, with the weights of another variant."""
        return any(run.sampling_id for run in self.runs)


class CaptionedFigure(NamedTuple):
    """A figure, and the sentences of its caption: what is shown, what was left out, and why.

    `title` is what the figure shows, where that depends on the metrics that were chosen.
    """

    figure: Figure
    notes: Sequence[str]
    title: str = ""


@dataclass(frozen=True)
class FigureData:
    """The measured runs on one data set, and what the user chose of them.

    Attributes:
        named_variants: Names of variants; all of them, as far as they fit, where empty.
        seed: Whose pictures are shown; the first finished one of each variant where None.
        metrics: Names of metrics, or of losses; the figure's own choice where empty.
    """

    records: Records
    data: str
    named_variants: tuple[str, ...] = ()
    seed: int | None = None
    metrics: tuple[str, ...] = ()

    @cached_property
    def names(self) -> Names:
        """Names for display."""
        return load_names()

    @cached_property
    def runs(self) -> list[RecordedRun]:
        """The measured runs, controls among them."""
        return [run for run in self.records.measured_runs if run.data == self.data]

    @property
    def real_runs(self) -> list[RecordedRun]:
        """The real test images, once for each sweep that measured them."""
        return [run for run in self.runs if run.is_control and run.variant == REAL]

    @cached_property
    def all_variants(self) -> tuple[FigureVariant, ...]:
        """All variants with a measured run, in the order of the record."""
        runs = grouped(((run.sweep, run.variant), run) for run in self.runs if not run.is_control)
        several = len({sweep for sweep, _ in runs}) > 1
        names = {name for _, name in runs}
        variants = []
        for index, ((sweep, name), of_variant) in enumerate(runs.items()):
            label = self.names.variant(name, of_variant[0].model, names)
            label += f" ({sweep})" if several else ""
            shown = (run for run in of_variant if self.seed in (None, run.seed))
            variants.append(FigureVariant(name, label, index, tuple(of_variant), next(shown, None)))
        return tuple(variants)

    @cached_property
    def variants(self) -> tuple[FigureVariant, ...]:
        """The variants that the user named, in that order; all of them where none were named."""
        if not self.all_variants:
            raise NotApplicable(f"no run on {self.data} is finished yet")
        named = []
        for name in self.named_variants:
            named += (same := [variant for variant in self.all_variants if variant.name == name])
            if not same:
                raise UnknownName("variant", name, (variant.name for variant in self.all_variants))
        return tuple(named) or self.all_variants

    def samples(self, *, images: bool) -> dict[FigureVariant, RecordedSamples]:
        """Return the samples of the chosen variants that are images, or that are points."""
        samples = {v: read_samples(v.run.path) for v in self.variants if v.run}
        kept = {v: of for v, of in samples.items() if of and of.are_images == images}
        return samples_alike(kept)

    @cached_property
    def real(self) -> RecordedSamples | None:
        """The real test examples that were measured; None where none were kept."""
        samples = (read_samples(run.path) for run in self.real_runs)
        return next(filter(None, samples), None)

    @cached_property
    def _entries(self) -> list[RecordEntry]:
        records, runs = self.records, set(self.runs)
        entries = [entry for entry in records.final if entry.split != VALIDATION]
        entries += [entry for entry in records.cost if entry.metric in COST]
        entries += [entry for entry in records.timings if entry.metric in TIMINGS]
        return [entry for entry in entries if entry.run in runs and entry.value is not None]

    def columns(self, names: Sequence[str] = ()) -> list[Column]:
        """Return a column for each protocol of some metrics, or of all: what may share an axis."""
        measured = [(e.metric, e.protocol) for e in self._entries if not e.run.is_control]
        protocols = grouped(dict.fromkeys(measured))
        if unknown := [name for name in names if name not in protocols]:
            raise UnknownName("metric", unknown[0], protocols)
        quantities = replace(self.records.quantities, overrides=self.names.quantities)
        columns = []
        for name in names or protocols:
            sizes = [abs(e.value or 0.0) for e in self._entries if e.metric == name]
            fitted = fit_unit(quantities[name], max(sizes))
            for protocol, letter in zip(protocols[name], letters(), strict=False):
                quantity = fitted
                if len(protocols[name]) > 1:
                    quantity = replace(quantity, title=f"{quantity.title} [{letter}]")
                columns.append(Column(self.data, "", name, quantity, protocol, kind_of(name)))
        return columns

    def values(self, column: Column, runs: Sequence[RecordedRun]) -> list[float]:
        """Return the values of some runs, as far as they have one, in printed units."""
        return [
            entry.value * column.quantity.scale
            for entry in self._entries
            if (entry.metric, entry.protocol) == (column.metric, column.protocol)
            and entry.run in runs
            and entry.value is not None
        ]

    def interval(self, column: Column, variant: FigureVariant) -> Estimate | None:
        """Return the mean over seeds with its interval; None where there are no values."""
        values = self.values(column, variant.runs)
        return estimate(values) if values else None

    def intervals_by_step(self, column: Column, variant: FigureVariant) -> dict[int, Estimate]:
        """Return the mean over seeds with its interval for each snapshot that was measured."""
        values = {
            (entry.step, entry.run): entry.value * column.quantity.scale
            for entry in self.records.measurements
            if (entry.metric, entry.protocol) == (column.metric, column.protocol)
            and entry.split != VALIDATION
            and entry.value is not None
            and entry.run in variant.runs
        }
        by_step = grouped((step, value) for (step, _), value in sorted(values.items(), key=_step))
        return {step: estimate(of_step) for step, of_step in by_step.items()}

    def real_value(self, column: Column) -> float | None:
        """Return the value of the real test images; None where sweeps differ, or have none."""
        values = set(self.values(column, self.real_runs))
        return values.pop() if len(values) == 1 else None

    def whose(self, variants: Sequence[FigureVariant]) -> str:
        """Return the sentence that says of which runs the pictures are."""
        runs = [variant.run for variant in variants if variant.run]
        seeds = sorted({run.seed for run in runs if run.seed is not None})
        if not seeds:
            return ""
        which = f"seed{'s' * (len(seeds) > 1)} {', '.join(map(str, seeds))}"
        first = "" if self.seed is not None else ", the first finished one of each variant"
        return f"Pictures are of one run each, {which}{first}; they were not selected."

    def limit_variants(
        self, variants: Sequence[FigureVariant], most: int
    ) -> tuple[list[FigureVariant], list[str]]:
        """Return the variants that fit, or all that the user named, and a note on the others.

        Their colors differ as far as there are colors.
        """
        most = len(variants) if self.named_variants else most
        shown, rest = variants[:most], [variant.label for variant in variants[most:]]
        places = distinct_places([variant.index for variant in shown])
        placed = [replace(v, index=place) for v, place in zip(shown, places, strict=True)]
        return placed, _left_out("variant", rest)

    def limit_panels(
        self, panels: Sequence[tuple[str, T]], most: int = PANELS
    ) -> tuple[list[T], list[str]]:
        """Return the panels that fit, given with their metrics, as `limit_variants` does."""
        most = len(panels) if self.metrics else most
        rest = [metric for metric, _ in panels[most:]]
        return [panel for _, panel in panels[:most]], _left_out("metric", rest)


def _step(item: tuple[tuple[int, RecordedRun], float]) -> int:
    return item[0][0]


def axis_title(column: Column) -> str:
    """Return a quantity with the direction that is better."""
    title, arrow = column.quantity.title, ARROWS[column.quantity.direction]
    return f"{title} ({arrow})" if "≈" in arrow else f"{title} {arrow}".strip()


def _left_out(option: str, names: Sequence[str]) -> list[str]:
    rest = ", ".join(dict.fromkeys(names))
    return [f"Left out for lack of space: {rest}; --{option} NAME chooses."] if rest else []


class ShownPictures(NamedTuple):
    """The pictures of the variants shown, and notes: who was left out and why, whose they are."""

    pictures: dict[FigureVariant, RecordedPictures]
    notes: list[str]

    def originals(self) -> Array:
        """Return the real images that all pictures were made of."""
        originals = {v.label: p.arrays["originals"] for v, p in self.pictures.items()}
        first, images = next(iter(originals.items()))
        for label, other in originals.items():
            if not np.array_equal(other, images):
                raise NotApplicable(
                    f"{label} has other test images than {first}; choose variants of one data set "
                    "by --variant"
                )
        return images


def find_pictures(
    data: FigureData, names: tuple[str, ...], most: int, *, encoded: bool = False
) -> ShownPictures:
    """Return the pictures of the variants that have all arrays of these names.

    Where no variant has all, or the user named variants, some of the arrays suffice. `encoded` says
    that the pictures are made of codes of real images.
    """
    able: dict[FigureVariant, RecordedPictures] = {}
    unable = []
    for variant in data.variants:
        if variant.is_sampling_row:
            unable.append(
                ("such pictures are made only for the row of their weights", variant.label)
            )
            continue
        pictures = read_pictures(variant.run.path) if variant.run else RecordedPictures({}, {})
        if any(name in pictures.arrays for name in names):
            able[variant] = pictures
            continue
        reason = next((pictures.missing[name] for name in names if name in pictures.missing), "")
        if not reason and variant.run is None:
            reason = f"no run of seed {data.seed} is finished"
        reason = reason or "no pictures are there, or can be made: no weights, or other code"
        unable.append((reason, variant.label))
    reasons = grouped(unable).items()
    if not able:
        raise NotApplicable(
            "; ".join(f"{reason}: {first_few(labels, NAMED)}" for reason, labels in reasons)
        )
    why = [f"{reason}: {', '.join(labels)}" for reason, labels in reasons]
    whole = [v for v, pictures in able.items() if all(name in pictures.arrays for name in names)]
    if whole and len(whole) < len(able) and not data.named_variants:
        partly = ", ".join(variant.label for variant in able if variant not in whole)
        why.append(f"they can make a part of it only (--variant NAME shows that part): {partly}")
        able = {variant: able[variant] for variant in whole}
    shown, notes = data.limit_variants(list(able), most)
    notes += [f"Not shown, since {line}." for line in why]
    given = [v.label for v in shown if able[v].arrays.get("label_given", False)]
    if given and encoded:
        notes.append(
            "Given the true label of real images, without which they cannot encode: "
            f"{', '.join(given)}."
        )
    return ShownPictures({v: able[v] for v in shown}, [*notes, data.whose(shown)])
