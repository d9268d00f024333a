"""The spread over seeds, divided into training and sampling, and what classifiers add.

The variance over seeds is that of training and sampling together, since each run draws once. That
of sampling is known from drawing again from the same weights, or estimated by the error over
images; the rest is training. All rows of a column share one classifier, so its part is separate:
how far other classifiers of its kind would move the mean.
"""

import re
from collections.abc import Iterable, Sequence
from dataclasses import replace
from pathlib import Path

from bench.record.quantities import Quantity
from bench.record.records import RecordEntry, Records, load_records, say_lost_rows
from bench.record.sweep_folder import RecordedRun
from bench.reporting.grouping import grouped
from bench.reporting.notes.data_sets import data_notes
from bench.reporting.notes.wording import listed
from bench.reporting.statistics import estimate
from bench.reporting.tables.table import Cell, Column, Note, Row, Table
from bench.reporting.tables.table_spec import Names
from bench.spec.reserved_names import EVALUATIONS

CLASSIFIER = re.compile(r"(?<=-classifier@)[0-9a-f]{8}")
"""The part of a protocol that identifies a trained classifier of a data set."""

MEAN, SEEDS, TRAINING, SAMPLES = "Mean", "Seeds, s.d.", "Training, s.d.", "Samples, s.d."
SHARE, CLASSIFIERS = "Training, %", "Classifiers, s.d."
COLUMNS = (MEAN, SEEDS, TRAINING, SAMPLES, SHARE, CLASSIFIERS)
"""Each reads: what, in which unit."""

EXPLANATION = (
    f"{SEEDS}: standard deviation over seeds, of training and samples together. {SAMPLES}: of "
    "other samples from the same weights where they were drawn, else the error over images. "
    f"{TRAINING}: the root of what is left of the variance, and 0 where nothing is left; {SHARE}: "
    f"its share. {CLASSIFIERS}: over the means of the same runs by classifiers of several seeds; "
    "n/a where none was trained."
)
REMEDIES = {
    SEEDS: ("One seed has no spread; more `seeds` in the sweep give it.", ""),
    SAMPLES: (
        "What samples add is known for quantities that were measured again on other samples of "
        "each run, with several seeds and names. Not known of all rows: {}.",
        "bench evaluate {} --metric METRIC --sample-seed 1001 --name 'drawn again 1'",
    ),
    CLASSIFIERS: (
        "What classifiers add is known where each run was also measured by classifiers of other "
        "seeds. Not known of all rows: {}.",
        "bench evaluate {} --metric '{{name: METRIC, extractor_seed: 1}}' --record",
    ),
}

Key = tuple[str, str, int, str, str]
"""Sweep, run, iteration of the weights, metric and protocol."""


def variance_table(records: Records, names: Names, metrics: Sequence[str] = ()) -> Table:
    """Return a table of the parts of each variance; notes say what makes unknown parts known.

    Where `metrics` are named, of these alone.
    """
    quantities = replace(records.quantities, overrides=names.quantities)
    final = [
        entry
        for entry in records.final
        if entry.value is not None and entry.run.seed is not None
        if entry.run.sweep != EVALUATIONS and entry.split == "samples"
        if not metrics or entry.metric in metrics
    ]
    redrawn = _redrawn(records)
    is_split = [len({getattr(e.run, name) for e in final}) > 1 for name in ("sweep", "data")]
    rows: list[tuple[str, Row]] = []  # with the title of the quantity
    protocols: dict[str, None] = {}
    of_column = grouped(((e.run.sweep, e.run.variant, e.run.data, e.metric), e) for e in final)
    for entries in of_column.values():
        kinds = grouped((CLASSIFIER.sub("", entry.protocol), entry) for entry in entries)
        for number, same in enumerate(kinds.values(), start=1):
            run, quantity, protocol = same[0].run, quantities[same[0].metric], same[0].protocol
            title = quantity.title + (f" ({number})" if len(kinds) > 1 else "")
            protocols[f"{title}: {protocol}"] = None
            where = [name for name, of in zip((run.sweep, run.data), is_split, strict=True) if of]
            label = listed([names.models.get(run.variant, run.variant), *where])
            cells = [
                Cell("missing") if value is None else Cell("single", value)
                for value in _numbers(same, redrawn, quantity.scale).values()
            ]
            if not CLASSIFIER.search(protocol):
                cells[-1] = Cell("inapplicable")
            row = Row(label, run.sweep, run.variant, tuple(cells), run.model, title)
            rows.append((quantity.title, row))
    sections = grouped((row.section, row) for _, row in rows).values()
    known = [
        n for n in range(len(COLUMNS)) if any(row.cells[n].mean is not None for _, row in rows)
    ]
    only_rows = tuple(
        replace(row, cells=tuple(row.cells[n] for n in known)) for of in sections for row in of
    )
    columns = tuple(_column(COLUMNS[n]) for n in known)
    kept_apart = data_notes(records, {entry.run.data for entry in final})
    notes = [
        *([Note(records.selection_note)] if records.selection_note else []),
        *kept_apart,
        *_notes(records, rows),
        *([Note("Protocols:", tuple(protocols))] if protocols else []),
    ]
    return Table(
        "variance",
        "Where the spread comes from",
        columns,
        only_rows,
        tuple(notes),
        records.selection,
    )


def _column(title: str) -> Column:
    """Return a column whose heading has the unit in a line of its own."""
    what, _, unit = title.partition(", ")
    return Column("", what, title, Quantity(unit, decimals=0 if title == SHARE else None))


def _numbers(
    entries: Sequence[RecordEntry], redrawn: dict[Key, list[float]], scale: float
) -> dict[str, float | None]:
    """Return what the columns show of one quantity of one variant, None where it is not known.

    The values are those of the classifier that most runs have. Classifiers are compared by their
    means over the runs that all of them saw.
    """
    by_classifier = grouped((entry.protocol, entry) for entry in entries).values()
    largest = max(by_classifier, key=len)
    common = set.intersection(*({entry.run.id for entry in group} for group in by_classifier))
    means = [_mean(e.value for e in group if e.run.id in common) for group in by_classifier]
    again = [[entry.value, *redrawn[_key(entry)]] for entry in largest if _key(entry) in redrawn]
    sampling = _mean(map(_variance, again))
    if sampling is None:
        sampling = _mean(None if e.error is None else e.error**2 for e in largest)
    observed, training = _variance(entry.value for entry in largest), None
    if observed is not None and sampling is not None:
        training = max(0.0, observed - sampling)
    moved = _variance(means)
    parts = {SEEDS: observed, TRAINING: training, SAMPLES: sampling, CLASSIFIERS: moved}
    numbers = {name: None if v is None else v**0.5 * scale for name, v in parts.items()}
    mean = _mean(entry.value for entry in largest)
    numbers[MEAN] = None if mean is None else mean * scale
    numbers[SHARE] = 100 * training / observed if training is not None and observed else None
    return {name: numbers[name] for name in COLUMNS}


def _redrawn(records: Records) -> dict[Key, list[float]]:
    """Return what `bench evaluate --sample-seed --name` measured of the runs of a sweep."""
    if not (records.results / EVALUATIONS / "sweep.json").exists():
        say_lost_rows(records.results)
        return {}
    kept = load_records(records.results, [EVALUATIONS])
    sources: dict[RecordedRun, Path] = {}
    for run in kept.runs:
        origin = kept.config(run).get("evaluated", {})
        is_redrawn = "run" in origin and origin.get("sample_seed") != run.seed
        if is_redrawn and not origin.get("sampling"):
            sources[run] = Path(origin["run"])
    return grouped(
        ((source.parent.name, source.name, entry.step, entry.metric, entry.protocol), entry.value)
        for entry in kept.final
        if (source := sources.get(entry.run)) and entry.value is not None
    )


def _notes(records: Records, rows: Sequence[tuple[str, Row]]) -> list[Note]:
    """Say what the columns are, and what makes known what is not."""
    done = [r for r in records.runs if r.state == "done" and r.seed is not None]
    run = next((run.path for run in done if run.sweep != EVALUATIONS), "results/SWEEP/ID")
    notes = [Note(EXPLANATION)]
    for title, (text, command) in REMEDIES.items():
        index = COLUMNS.index(title)
        lacking = dict.fromkeys(name for name, row in rows if row.cells[index].kind == "missing")
        if lacking:
            notes.append(Note(text.format(listed(lacking)), (), command.format(run)))
    return notes


def _key(entry: RecordEntry) -> Key:
    return entry.run.sweep, entry.run.path.name, entry.step, entry.metric, entry.protocol


def _variance(values: Iterable[float | None]) -> float | None:
    known = [value for value in values if value is not None]
    spread = estimate(known).spread if known else None
    return None if spread is None else spread**2


def _mean(values: Iterable[float | None]) -> float | None:
    known = [value for value in values if value is not None]
    return sum(known) / len(known) if known else None
