"""What a table is, as data: read from `sweeps/tables.yaml`, checked before anything is built."""

from collections.abc import Collection, Mapping
from dataclasses import dataclass, field
from pathlib import Path
from typing import Literal

import yaml
from pydantic import BaseModel, ConfigDict, Field, ValidationError, field_validator

import bench
from bench.errors import BenchError, SpecError, UnknownName

Direction = Literal["higher", "lower", "real", "one"]
Record = Literal["figures", "cost", "timings"]
"""Where the values of a column stand: what was measured, counted, or told by a clock."""


class MetricNames(BaseModel):
    """How a metric is printed.

    Attributes:
        title: Its name for people.
        direction: Which values are better; `real` means the nearer to the real images' value, `one`
            to 1. None for what a model costs, where the table judges nothing.
        decimals: Digits after the point.
        scale: What values are multiplied by to be printed in the title's unit; files keep them.
        record: Where the values stand.
        parts: The figures of a metric that has several. Where it says that it does not apply, that
            is true of each of them.
    """

    model_config = ConfigDict(extra="forbid", frozen=True)
    title: str
    direction: Direction | None = None
    decimals: int = Field(default=3, ge=0, le=9)
    scale: float = Field(default=1.0, gt=0, allow_inf_nan=False)
    record: Record = "figures"
    parts: tuple[str, ...] = ()


@dataclass(frozen=True)
class Names:
    """Names for people: of models, data sets and metrics, by their names in the registry."""

    models: Mapping[str, str] = field(default_factory=dict)
    data: Mapping[str, str] = field(default_factory=dict)
    metrics: Mapping[str, MetricNames] = field(default_factory=dict)

    def metric(self, name: str) -> MetricNames | None:
        """Return how a metric is printed; a part `arc_fit/radius` is printed as its whole."""
        if name in self.metrics:
            return self.metrics[name]
        whole, _, part = name.partition("/")
        if whole not in self.metrics:
            return None
        found = self.metrics[whole]
        return found.model_copy(update={"title": f"{found.title}, {part.replace('_', ' ')}"})

    def variant(self, name: str, model: str, others: Collection[str]) -> str:
        """Return what a variant is called: by its model where it is called so itself.

        Where one of the others has that very name it keeps its own: no two are called alike.
        """
        title = self.models.get(name, name) if name == model else name
        return name if title in others else title

    def record(self, metric: str) -> Record:
        """Return where the values of a metric stand."""
        found = self.metric(metric)
        return found.record if found else "figures"


@dataclass(frozen=True)
class TableSpec:
    """What one table shows.

    Attributes:
        name: Its number, or a word.
        title: One line.
        source: Which table of the paper it repeats; empty for none.
        metrics: Its metrics in order; empty for all that the record holds.
        models: The models of the paper's table in order.
        data: The paper's data sets in order -> the command that fills them here.
        published: The paper's values: model -> data set -> value.
        notes: What a reader must know besides.
        reference: Variant or model that rows are compared with, if there is one of that name.
        names: Names for people.
    """

    name: str
    title: str
    source: str = ""
    metrics: tuple[str, ...] = ()
    models: tuple[str, ...] = ()
    data: Mapping[str, str] = field(default_factory=dict)
    published: Mapping[str, Mapping[str, float]] = field(default_factory=dict)
    notes: tuple[str, ...] = ()
    reference: str = ""
    names: Names = field(default_factory=Names)

    @property
    def has_figures(self) -> bool:
        """Whether it shows anything that real images have as well."""
        return not self.metrics or any(
            self.names.record(name) == "figures" for name in self.metrics
        )


class _Entry(BaseModel):
    """One table as it stands in the file."""

    model_config = ConfigDict(extra="forbid")
    title: str
    source: str = ""
    metrics: tuple[str, ...] = ()
    models: tuple[str, ...] = ()
    data: dict[str, str] = Field(default_factory=dict)
    published: dict[str, dict[str, float]] = Field(default_factory=dict)
    notes: tuple[str, ...] = ()
    reference: str = ""


class _File(BaseModel):
    """The whole file."""

    model_config = ConfigDict(extra="forbid")
    reference: str = ""
    models: dict[str, str] = Field(default_factory=dict)
    data: dict[str, str] = Field(default_factory=dict)
    metrics: dict[str, MetricNames] = Field(default_factory=dict)
    tables: dict[str, _Entry]

    @field_validator("tables", mode="before")
    @classmethod
    def _names_are_text(cls, tables: object) -> object:
        """Let a table be called 1 as well as "1"."""
        if not isinstance(tables, dict):
            return tables
        return {str(key): value for key, value in tables.items()}


def find_tables() -> Path:
    """Return the file of the tables: `sweeps/tables.yaml` here, else the one that is shipped.

    Returns:
        The path.

    Raises:
        BenchError: If there is none.
    """
    package = Path(bench.__file__).parent
    places = [Path("sweeps"), package / "sweeps", package.parent / "sweeps"]
    for place in places:
        if (place / "tables.yaml").is_file():
            return place / "tables.yaml"
    raise BenchError(f"no tables.yaml in {', '.join(str(place) for place in places)}")


def load_tables(path: Path | None = None) -> dict[str, TableSpec]:
    """Read the tables of a file.

    Args:
        path: A file like `sweeps/tables.yaml`; None for what `find_tables` finds.

    Returns:
        The tables by name, in the order of the file.

    Raises:
        SpecError: If the file says something that is no table; names the file and the key.
    """
    path = path or find_tables()
    try:
        content = yaml.safe_load(path.read_text(encoding="utf-8"))
    except (OSError, UnicodeDecodeError, yaml.YAMLError) as error:
        raise SpecError(f"cannot be read: {error}", where=str(path)) from error
    try:
        file = _File.model_validate(content)
    except ValidationError as error:
        first = error.errors()[0]
        key = ".".join(str(part) for part in first["loc"])
        raise SpecError(first["msg"], where=str(path), key=key) from error
    names = Names(file.models, file.data, file.metrics)
    tables = {}
    for name, entry in file.tables.items():
        if entry.published and len(entry.metrics) != 1:
            raise SpecError(
                "published values belong to one metric, so the table must name exactly one",
                where=str(path),
                key=f"tables.{name}.published",
            )
        settings = dict(entry) | {"reference": entry.reference or file.reference}
        tables[name] = TableSpec(name=name, names=names, **settings)
    return tables


def pick_table(tables: Mapping[str, TableSpec], name: str) -> TableSpec:
    """Return the table of a name.

    Args:
        tables: What `load_tables` returned.
        name: A number or a word.

    Returns:
        The table.

    Raises:
        UnknownName: If there is none; suggests the nearest.
    """
    if name not in tables:
        raise UnknownName("table", name, tables)
    return tables[name]
