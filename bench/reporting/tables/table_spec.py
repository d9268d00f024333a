"""Definitions of tables: read from `sweeps/tables.yaml`, checked before anything is built."""

import re
from collections.abc import Collection, Iterable, Mapping, Sequence
from dataclasses import replace
from pathlib import Path
from typing import Any

from pydantic import Field

from bench import registry
from bench.errors import BenchError, SpecError, UnknownName, describe_unknown
from bench.record.quantities import COST, TIMINGS, Direction, kind_of, registered_metrics
from bench.record.records import Records
from bench.record.shapes import SAFE_NAME
from bench.spec.located import Located
from bench.spec.located_yaml import read_yaml
from bench.spec.run_settings import Strict
from bench.spec.sweep_file import TABLES, shipped_folders
from bench.spec.validation import KeyPath, validate


class Names(Strict):
    """Titles by names in the registry; of quantities, the fields that are printed otherwise.

    `places` say where the user's own file names quantities.
    """

    models: Mapping[str, str] = {}
    data: Mapping[str, str] = {}
    quantities: Mapping[str, Mapping[str, Any]] = {}
    places: Mapping[str, str] = {}

    def variant(self, name: str, model: str, others: Collection[str]) -> str:
        """Return the label of a variant.

        It is the model's title if the variant is named after it and no other one has that label.
        """
        title = self.models.get(name, name) if name == model else name
        return name if title in others else title


class _Entry(Strict):
    """One table of the file.

    Attributes:
        source: Which table of the paper it repeats; empty for none.
        metrics: Its quantities in order; empty for all that were measured.
        models: The models of the paper's table in order.
        data: The paper's data sets in order -> the command that fills them here.
        published: The paper's values: model -> data set -> value.
        reference: Variant or model that rows are compared with, if there is one of that name.
    """

    title: str
    source: str = ""
    metrics: tuple[str, ...] = ()
    models: tuple[str, ...] = ()
    data: Mapping[str, str] = {}
    published: Mapping[str, Mapping[str, float]] = {}
    notes: tuple[str, ...] = ()
    reference: str = ""


class TableSpec(_Entry):
    """The definition of one table: a section of the file with its name, a number or a word.

    `places` say where the metrics were written, for a table of the user's own file.
    """

    name: str
    names: Names = Names()
    places: Mapping[str, str] = {}

    @property
    def is_measured(self) -> bool:
        """Whether it shows anything that real images have as well."""
        return not self.metrics or any(kind_of(name) == "measured" for name in self.metrics)

    def rank(self, metric: str) -> int | None:
        """Return the place of a quantity, or of a part of it, in the table; None for no place."""
        places = (n for n, name in enumerate(self.metrics) if f"{metric}/".startswith(f"{name}/"))
        return next(places, None)


class _Override(Strict):
    title: str = ""
    direction: Direction | None = None
    decimals: int | None = Field(default=None, ge=0, le=9)
    scale: float = Field(default=1.0, gt=0, allow_inf_nan=False)


class _File(Strict):
    reference: str = ""
    models: dict[str, str] = {}
    data: dict[str, str] = {}
    metrics: dict[str, _Override] = {}
    tables: dict[str, _Entry]


def load_tables(own: Path | None = None) -> dict[str, TableSpec]:
    """Read the tables by name: those of the user's own file, then the others that are shipped.

    The own file is `sweeps/tables.yaml` of the current folder, where there is one. `SpecError`
    names the key of what is not a table.
    """
    own = Path("sweeps") / TABLES if own is None else own
    document = _document(own)
    with document.locating_errors():
        file = validate(_File, document.value, ())
    for name in file.tables:  # which files are named after
        if not re.fullmatch(SAFE_NAME, name):
            allowed = "letters, digits and . _ -"
            raise document.error(("tables", name), f"the name of a table has {allowed}")
    overrides = {
        name: fields.model_dump(exclude_unset=True) for name, fields in file.metrics.items()
    }

    def places(keys: Mapping[str, KeyPath]) -> dict[str, str]:
        """Return where names stand that the user's own file has."""
        found = {name: document.where(key) for name, key in keys.items()}
        return {name: place for name, place in found.items() if place.startswith(f"{own}:")}

    names = Names(
        models=file.models,
        data=file.data,
        quantities=overrides,
        places=places({name: ("metrics", name) for name in overrides}),
    )
    tables = {}
    for name, entry in file.tables.items():
        if entry.published and len(entry.metrics) != 1:
            raise document.error(
                ("tables", name, "published"),
                "published values belong to one metric, so the table must name exactly one",
            )
        settings = dict(entry) | {"reference": entry.reference or file.reference}
        keys = {m: ("tables", name, "metrics", number) for number, m in enumerate(entry.metrics)}
        tables[name] = TableSpec(name=name, names=names, places=places(keys), **settings)
    return tables


def unknown_metrics(specs: Iterable[TableSpec], records: Records) -> list[SpecError]:
    """Return what is wrong with names in the user's own file that no number can have.

    A number is called after a quantity that its metric declares, or after a part of one. The metric
    need not be installed here, so what the record holds is known, too.
    """
    asked = {
        (key, name): place
        for spec in specs
        for key, places in (
            ("metrics", spec.names.places),
            (f"tables.{spec.name}.metrics", spec.places),
        )
        for name, place in places.items()
        if key == "metrics" or name in spec.metrics
    }
    measured = {entry.metric for entry in records.measurements}
    known = set(map(_whole, {*COST, *TIMINGS, *records.quantities.described, *measured}))
    if all(_whole(name) in known for _, name in asked):
        return []
    metrics = registered_metrics()  # the last resort, since it imports torch
    if metrics.keys() < registry.registered("metric").keys():
        return []  # one cannot be imported, so nobody knows what it measures
    known |= {_whole(name) for metric in metrics.values() for name in metric.quantities}
    return [
        SpecError(describe_unknown("metric", name, known), where=place, key=key)
        for (key, name), place in asked.items()
        if _whole(name) not in known
    ]


def _whole(name: str) -> str:
    return name.partition("/")[0]


def _document(own: Path) -> Located:
    """Return the shipped file, with the entries of the user's own in place of those so named."""
    found = [path for folder in shipped_folders() if (path := folder / TABLES).is_file()]
    if not found:
        raise BenchError(f"no {TABLES} in {', '.join(map(str, shipped_folders()))}")
    shipped = read_yaml(found[0])
    if not own.exists() or own.samefile(found[0]):
        return shipped
    document = read_yaml(own)
    both = shipped.content.keys() & document.content.keys()
    sections = {name: _joined(shipped.at((name,)), document.at((name,))) for name in both}
    return replace(document, content=shipped.content | document.content | sections)


def _joined(shipped: Located, own: Located) -> Located:
    """Return a section of both files: the own entries, then the shipped ones of other names."""
    if not (isinstance(shipped.content, dict) and isinstance(own.content, dict)):
        return own
    others = {name: part for name, part in shipped.content.items() if name not in own.content}
    return replace(own, content=own.content | others)


def load_names() -> Names:
    """Return the names for display of the file of the tables."""
    return next((spec.names for spec in load_tables().values()), Names())


def choose_metrics(
    tables: Mapping[str, TableSpec], metrics: Sequence[str], known: Collection[str]
) -> dict[str, TableSpec]:
    """Return the tables that have some of these metrics, with these alone, in this order.

    A name is that of a metric, or of a quantity before a slash: all of its parts. An unknown name
    is an error that suggests the nearest.
    """
    names = {*known, *(name.partition("/")[0] for name in known)}
    for name in metrics:
        if name not in names:
            hint = "; add one that is not measured here to `metrics`, or by bench evaluate --record"
            raise UnknownName("metric", name, names, hint)
    chosen = {}
    for table, spec in tables.items():
        shown = [name for name in metrics if not spec.metrics or spec.rank(name) is not None]
        if shown:
            title = spec.title if spec.metrics else "Chosen metrics"
            update = {"metrics": tuple(shown), "title": title}
            chosen[table] = spec.model_copy(update=update)
    return chosen


def pick_table(
    tables: Mapping[str, TableSpec], name: str, chosen: Mapping[str, TableSpec] | None = None
) -> TableSpec:
    """Return the table of a name, as it was chosen; an unknown name suggests the nearest."""
    if name not in tables:
        raise UnknownName("table", name, tables)
    chosen = tables if chosen is None else chosen
    if name not in chosen:
        shown = ", ".join(tables[name].metrics)
        raise BenchError(f"table {name} has none of these metrics; it shows {shown}")
    return chosen[name]
