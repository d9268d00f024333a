"""How much of the spread over seeds is training, how much sampling, and what classifiers add.

What is seen over seeds is the variance of training and that of sampling together, since each run
draws once. The second is known from drawing again from the same weights, or estimated by the error
over images; what is left is the first. All rows of a column share one classifier, so its part is
not in there: it is how far other classifiers of its kind would move the mean.
"""

import re
from collections.abc import Callable, Iterable, Sequence
from dataclasses import replace
from pathlib import Path

from bench.record.quantities import Quantity
from bench.record.records import RecordEntry, Records, load_records
from bench.record.sweep_folder import RecordedRun
from bench.reporting.notes.wording import listed
from bench.reporting.statistics import standard_deviation
from bench.reporting.tables.table import Cell, Column, Note, Row, Table
from bench.reporting.tables.table_spec import Names
from bench.spec.reserved_names import EVALUATIONS

CLASSIFIER = re.compile(r"(?<=-classifier@)[0-9a-f]{8}")
"""What tells one trained classifier of a data set from another, in a protocol."""

MEAN, SEEDS, TRAINING, SAMPLES = "Mean", "Seeds, s.d.", "Training, s.d.", "Samples, s.d."
SHARE, CLASSIFIERS = "Training, %", "Classifiers, s.d."
COLUMNS = (MEAN, SEEDS, TRAINING, SAMPLES, SHARE, CLASSIFIERS)

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
        "each run, with several seeds and names. Not known: {}.",
        "bench evaluate {} --metric METRIC --sample-seed 1001 --name 'drawn again 1'",
    ),
    CLASSIFIERS: (
        "What classifiers add is known where each run was also measured by classifiers of other "
        "seeds. Not known: {}.",
        "bench evaluate {} --metric '{{name: METRIC, extractor_seed: 1}}' --record",
    ),
}

Key = tuple[str, str, str, str]
"""Sweep, run, metric and protocol."""


def variance_table(records: Records, names: Names) -> Table:
    """Return a table of the parts of the variance of each quantity of each variant.

    What is not known is a dash, and a note says what makes it known.
    """
    quantities = replace(records.quantities, overrides=names.quantities)
    final = [
        entry
        for entry in records.final
        if entry.value is not None and entry.run.seed is not None
        if entry.run.sweep != EVALUATIONS and entry.split == "samples"
    ]
    redrawn = _redrawn(records)
    is_split = [len({getattr(e.run, name) for e in final}) > 1 for name in ("sweep", "data")]
    rows: list[Row] = []
    protocols: dict[str, None] = {}
    for entries in _groups(final, lambda e: (e.run.sweep, e.run.variant, e.run.data, e.metric)):
        kinds = _groups(entries, lambda entry: CLASSIFIER.sub("", entry.protocol))
        for number, same in enumerate(kinds, start=1):
            run, quantity, protocol = same[0].run, quantities[same[0].metric], same[0].protocol
            title = quantity.title + (f" ({number})" if len(kinds) > 1 else "")
            protocols[f"{title}: {protocol}"] = None
            where = [name for name, of in zip((run.sweep, run.data), is_split, strict=True) if of]
            label = listed([names.models.get(run.variant, run.variant), *where, title])
            cells = [
                Cell("missing")
                if value is None
                else Cell("single", value * (1.0 if column == SHARE else quantity.scale))
                for column, value in _numbers(same, redrawn).items()
            ]
            if not CLASSIFIER.search(protocol):
                cells[-1] = Cell("inapplicable")
            rows.append(Row(label, run.sweep, quantity.title, tuple(cells)))
    columns = tuple(
        Column("", "", title, Quantity(title, decimals=0 if title == SHARE else None))
        for title in COLUMNS
    )
    notes = [*_notes(records, rows), *([Note("Protocols:", tuple(protocols))] if protocols else [])]
    return Table("variance", "Where the spread comes from", columns, tuple(rows), tuple(notes))


def _numbers(
    entries: Sequence[RecordEntry], redrawn: dict[Key, list[float]]
) -> dict[str, float | None]:
    """Return what the columns show of one quantity of one variant, None where it is not known.

    The values are those of the classifier that most runs have. Classifiers are compared by their
    means over the runs that all of them saw.
    """
    by_classifier = _groups(entries, lambda entry: entry.protocol)
    chosen = max(by_classifier, key=len)
    common = set.intersection(*({entry.run.id for entry in group} for group in by_classifier))
    means = [_mean(_values(e for e in group if e.run.id in common)) for group in by_classifier]
    drawn = [
        _variance([*_values([entry]), *redrawn[_key(entry)]])
        for entry in chosen
        if _key(entry) in redrawn
    ]
    sampling = _mean(variance for variance in drawn if variance is not None)
    if sampling is None:
        sampling = _mean(entry.error**2 for entry in chosen if entry.error is not None)
    observed, training = _variance(_values(chosen)), None
    if observed is not None and sampling is not None:
        training = max(0.0, observed - sampling)
    moved = _variance([mean for mean in means if mean is not None]) if common else None
    return {
        MEAN: _mean(_values(chosen)),
        SEEDS: _root(observed),
        TRAINING: _root(training),
        SAMPLES: _root(sampling),
        SHARE: 100 * training / observed if training is not None and observed else None,
        CLASSIFIERS: _root(moved),
    }


def _redrawn(records: Records) -> dict[Key, list[float]]:
    """Return what `bench evaluate --sample-seed --name` measured of the runs of a sweep."""
    if not (records.results / EVALUATIONS / "sweep.json").exists():
        return {}
    kept = load_records(records.results, [EVALUATIONS])
    sources: dict[RecordedRun, Path] = {}
    for run in kept.runs:
        origin = kept.config(run).get("evaluated", {})
        if "run" in origin and origin.get("sample_seed") != run.seed:
            sources[run] = Path(origin["run"])
    found: dict[Key, list[float]] = {}
    for entry in kept.final:
        if (source := sources.get(entry.run)) and entry.value is not None:
            key = source.parent.name, source.name, entry.metric, entry.protocol
            found.setdefault(key, []).append(entry.value)
    return found


def _notes(records: Records, rows: Sequence[Row]) -> list[Note]:
    """Say what the columns are, and what makes known what is not."""
    done = [r for r in records.runs if r.state == "done" and r.seed is not None]
    run = next((run.path for run in done if run.sweep != EVALUATIONS), "results/SWEEP/ID")
    notes = [Note(EXPLANATION)]
    for title, (text, command) in REMEDIES.items():
        index = COLUMNS.index(title)
        lacking = dict.fromkeys(r.variant for r in rows if r.cells[index].kind == "missing")
        if lacking:
            notes.append(Note(text.format(listed(lacking)), (), command.format(run)))
    return notes


def _key(entry: RecordEntry) -> Key:
    return entry.run.sweep, entry.run.id, entry.metric, entry.protocol


def _groups(
    entries: Iterable[RecordEntry], key: Callable[[RecordEntry], object]
) -> list[list[RecordEntry]]:
    """Return entries in groups of equal keys, in the order of their first ones."""
    groups: dict[object, list[RecordEntry]] = {}
    for entry in entries:
        groups.setdefault(key(entry), []).append(entry)
    return list(groups.values())


def _values(entries: Iterable[RecordEntry]) -> list[float]:
    return [entry.value for entry in entries if entry.value is not None]


def _variance(values: Sequence[float]) -> float | None:
    deviation = standard_deviation(values)
    return None if deviation is None else deviation**2


def _root(variance: float | None) -> float | None:
    return None if variance is None else variance**0.5


def _mean(values: Iterable[float]) -> float | None:
    known = list(values)
    return sum(known) / len(known) if known else None
