"""How much of the spread over seeds is training, how much is sampling, and what the judge adds.

What is seen over seeds is the variance of training and that of sampling together, since each run
draws once. The second is known from drawing again from the same weights, or estimated by the error
over images; what is left is the first. All rows of a column share one judge, so its part is not in
there: it is how far other judges of its kind would move the mean.
"""

import re
from collections.abc import Iterable, Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import Any

from bench.record.records import Records, load_records, plain, seeds
from bench.reporting.notes.wording import listed
from bench.reporting.statistics import standard_deviation
from bench.reporting.tables.table import Cell, Column, Note, Row, Table
from bench.reporting.tables.table_spec import Names
from bench.spec.reserved_names import EVALUATIONS

Figures = list[dict[str, Any]]
Key = tuple[str, str, str]
"""Sweep, run and metric with its protocol."""

JUDGE = re.compile(r"(?<=-classifier@)[0-9a-f]{8}")
"""What tells one trained judge of a data set from another, in a protocol."""

COLUMNS = ("Mean", "Seeds, s.d.", "Training, s.d.", "Samples, s.d.", "Training, %", "Judge, s.d.")


@dataclass(frozen=True)
class Split:
    """The variance of one figure of one row.

    Attributes:
        mean: Mean over seeds.
        observed: Variance over seeds; None for one seed.
        sampling: Variance of drawing samples again from the same weights; None if unknown.
        judge: Variance over judges of the same kind of their mean over the runs that all of them
            saw; None if there was one.
    """

    mean: float
    observed: float | None
    sampling: float | None
    judge: float | None

    @property
    def training(self) -> float | None:
        """The observed variance less that of sampling, clipped at 0."""
        if self.observed is None or self.sampling is None:
            return None
        return max(0.0, self.observed - self.sampling)

    @property
    def share(self) -> float | None:
        """Percentage of the observed variance that is training's."""
        if self.training is None or not self.observed:
            return None
        return 100 * self.training / self.observed


def variance_table(records: Records, names: Names) -> Table:
    """Split the variance of each figure of each variant.

    Args:
        records: The sweeps.
        names: Names for people.

    Returns:
        A row for each figure of each variant; what is not known is a dash, and a note says what
        makes it known.
    """
    final = [f for f in plain(records.final) if seeds(f) and f["value"] == f["value"]]
    final = [f for f in final if f["sweep"] != EVALUATIONS and f["split"] == "samples"]
    redrawn = _redrawn(records)
    several = {name: len({f[name] for f in final}) > 1 for name in ("sweep", "data")}
    rows: list[Row] = []
    protocols: dict[str, None] = {}
    for figures in _groups(final, "sweep", "variant", "data", "metric"):
        kinds = _groups([f | {"kind": JUDGE.sub("", f["protocol"])} for f in figures], "kind")
        for number, same in enumerate(kinds):
            first = same[0]
            known = names.metric(first["metric"])
            title = known.title if known else first["metric"]
            mark = f" ({number + 1})" if len(kinds) > 1 else ""
            protocols[f"{title}{mark}: {first['protocol']}"] = None
            label = names.models.get(first["variant"], first["variant"])
            where = [first[name] for name in several if several[name]]
            split = _split(same, redrawn)
            scale = known.scale if known else 1.0
            text = ", ".join([label, *where, title + mark])
            cells = _cells(split, scale)
            if not JUDGE.search(first["protocol"]):
                cells = (*cells[:-1], Cell("inapplicable"))
            rows.append(Row(text, first["sweep"], title, cells))
    columns = tuple(_column(title) for title in COLUMNS)
    notes = [*_notes(records, rows), *([Note("Protocols:", tuple(protocols))] if protocols else [])]
    return Table("variance", "Where the spread comes from", columns, tuple(rows), tuple(notes))


def _split(figures: Figures, redrawn: dict[Key, list[float]]) -> Split:
    """Return the variance of one figure, by the judge that most runs have, the first of equals."""
    judges = _groups(figures, "protocol")
    chosen = max(judges, key=len)
    values = [figure["value"] for figure in chosen]
    common = set.intersection(*({f["run"] for f in group} for group in judges))
    means = [_mean(f["value"] for f in group if f["run"] in common) for group in judges]
    drawn = [
        _variance([figure["value"], *redrawn[_key(figure)]])
        for figure in chosen
        if _key(figure) in redrawn
    ]
    errors = [f["error"] ** 2 for f in chosen if f["error"] == f["error"]]
    sampling = _mean(part for part in drawn if part is not None)
    if sampling is None:
        sampling = _mean(errors)
    moved = _variance([mean for mean in means if mean is not None]) if common else None
    return Split(sum(values) / len(values), _variance(values), sampling, moved)


def _redrawn(records: Records) -> dict[Key, list[float]]:
    """Return what `bench evaluate --sample-seed --name` measured of the runs of a sweep."""
    if not (records.results / EVALUATIONS / "sweep.json").exists():
        return {}
    kept = load_records(records.results, [EVALUATIONS])
    origins: dict[str, tuple[str, str]] = {}
    for run in plain(kept.runs):
        config = kept.config(run)
        source = config.get("evaluated", {})
        if "run" in source and source.get("sample_seed") != run["seed"]:
            folder = Path(source["run"])
            origins[run["run"]] = folder.parent.name, folder.name
    held: dict[Key, list[float]] = {}
    for figure in plain(kept.final):
        if figure["run"] in origins and figure["value"] == figure["value"]:
            sweep, source_run = origins[figure["run"]]
            key = _key({**figure, "sweep": sweep, "run": source_run})
            held.setdefault(key, []).append(figure["value"])
    return held


def _key(figure: dict[str, Any]) -> Key:
    return figure["sweep"], figure["run"], f"{figure['metric']} {figure['protocol']}"


def _groups(figures: Figures, *names: str) -> list[Figures]:
    """Return figures that have some columns in common, in the order of their first ones."""
    held: dict[tuple[Any, ...], Figures] = {}
    for figure in figures:
        held.setdefault(tuple(figure[name] for name in names), []).append(figure)
    return list(held.values())


def _variance(values: Sequence[float]) -> float | None:
    deviation = standard_deviation(values)
    return None if deviation is None else deviation**2


def _mean(values: Iterable[float]) -> float | None:
    held = list(values)
    return sum(held) / len(held) if held else None


def _cells(split: Split, scale: float) -> tuple[Cell, ...]:
    """Return the cells of one row."""
    spreads = (split.observed, split.training, split.sampling)
    numbers = [split.mean * scale, *(None if v is None else v**0.5 * scale for v in spreads)]
    judge = None if split.judge is None else split.judge**0.5 * scale
    return tuple(
        Cell("missing") if number is None else Cell("single", number)
        for number in (*numbers, split.share, judge)
    )


def _column(title: str) -> Column:
    """Return a column of numbers that no protocol compares."""
    return Column("", title, "", "", title, None, 0 if title.endswith("%") else None)


def _notes(records: Records, rows: Sequence[Row]) -> list[Note]:
    """Say what the columns are, and what makes known what is not."""
    notes = [
        Note(
            "Seeds, s.d.: standard deviation over seeds, of training and samples together. "
            "Samples, s.d.: of other samples from the same weights, measured where samples were "
            "drawn again, else the error over images. Training, s.d.: the root of what is left of "
            "the variance, and 0 where nothing is left; Training, %: its share. Judge, s.d.: over "
            "the means of the same runs by judges of several seeds; n/a where none was trained."
        )
    ]
    done = records.runs[(records.runs["state"] == "done") & records.runs["seed"].notna()]
    done = done[done["sweep"] != EVALUATIONS]
    run = "results/SWEEP/ID" if done.empty else f"{plain(done)[0]['path']}"
    remedies = {
        1: ("One seed has no spread; more `seeds` in the sweep give it.", ""),
        3: (
            "What samples add is not known for every figure. Drawing again, from each run and "
            "with several seeds and names, makes it known.",
            f"bench evaluate {run} --metric METRIC --sample-seed 1001 --name 'drawn again 1'",
        ),
        5: (
            "What the judge adds is known where the runs were also judged by classifiers of other "
            "seeds, each run by each.",
            f"bench evaluate {run} --metric '{{name: METRIC, extractor_seed: 1}}' --record",
        ),
    }
    for place, (text, command) in remedies.items():
        lacking = [row.variant for row in rows if row.cells[place].kind == "missing"]
        if lacking:
            metrics = dict.fromkeys(lacking)
            some = f" Not known: {listed(metrics)}." if place != 1 else ""
            notes.append(Note(text + some, (), command))
    return notes
