"""A table as plain data: columns, rows of cells, notes. Nothing here knows how it is printed."""

from dataclasses import dataclass, replace
from typing import Literal, get_args

from bench.record.quantities import Direction, Quantity, QuantityKind

CellKind = Literal["mean", "counted", "real", "single", "paper", "inapplicable", "missing"]
"""A mean over seeds; a counted number, the same for every seed; a number of the real images; one
number without an interval; one of the paper; no value, for a reason in a note; no entry."""

ColumnView = Literal["value", "gap", "difference", "iqm", "improvement"]
"""The part of its cells that a column prints: the value; its distance from that of the real
images; from that of the reference row; the interquartile mean; the probability that a run is better
than one of the reference row."""
VIEWS: tuple[ColumnView, ...] = get_args(ColumnView)

ARROWS: dict[Direction | None, str] = {
    **{"higher": "↑", "lower": "↓", "real": "≈ real", "one": "≈ 1"},
    None: "",
}


TARGETED = ("real", "one")
"""Directions in which nearer to a target is better."""


@dataclass(frozen=True)
class Difference:
    """The difference of a row from the reference row, over the `n` seeds that both have.

    Where nearer to a target is better, it is the difference of the means' distances to the target.

    Attributes:
        to: Label of the reference row.
        mean: The row minus the reference row.
        half_width: Half the width of its t interval: to the level at which `adjusted` is tested,
            else of 95 %. None for a single seed, and where a target's error is not known.
        p: p value of the paired t test; None where there is no interval.
        adjusted: That, corrected for all comparisons of its family; None below six seeds, and
            where other comparisons were planned.
        comparisons: Their number; 0 without `adjusted`.
        pending: How many of them have too few seeds yet; they count like p = 1.
        detectable: The true difference that would be found with these seeds.
        verdict: Whether the row is significantly better or worse; empty for neither.
    """

    to: str
    mean: float
    half_width: float | None
    n: int
    p: float | None = None
    adjusted: float | None = None
    comparisons: int = 0
    pending: int = 0
    detectable: float | None = None
    verdict: Literal["better", "worse", ""] = ""


@dataclass(frozen=True)
class Robust:
    """The interquartile mean, its bootstrap interval, and the probability of improvement.

    The interval is None for too few seeds, the probability without a reference row or a direction.
    """

    iqm: float
    low: float | None
    high: float | None
    improvement: float | None


@dataclass(frozen=True)
class Cell:
    """One place of a table.

    Attributes:
        mean: The number, unscaled, over `n` seeds.
        half_width: Half the width of the 95 % t interval, None for fewer than two seeds.
        values: The seeds and their values.
        error: Standard error over images of a single number, where it was recorded.
        target: What the value should be near to, where nearer is better.
        target_error: Standard error of the target, None where it was not recorded.
        gap_half_width: Half the width of the 95 % t interval of the gap to the target, over seeds
            and images of the target together; None for one seed, or without `target_error`.
        difference: From the reference row; None for that row and where nothing is compared.
        bold: Whether it is significantly better than its reference row, or as one better than every
            row that is tested against it.
    """

    kind: CellKind
    mean: float | None = None
    half_width: float | None = None
    n: int = 0
    values: tuple[tuple[int, float], ...] = ()
    error: float | None = None
    target: float | None = None
    target_error: float | None = None
    gap_half_width: float | None = None
    difference: Difference | None = None
    is_reference: bool = False
    bold: bool = False
    robust: Robust | None = None

    def number(self, view: ColumnView) -> float | None:
        """Return the number that a view prints, unscaled; None where the view is empty."""
        match view:
            case "value":
                return self.mean
            case "gap":
                has_gap = self.kind in ("mean", "single")
                if not has_gap or self.mean is None or self.target is None:
                    return None
                return self.mean - self.target
            case "difference":
                return self.difference.mean if self.difference else None
            case "iqm" | "improvement":
                return getattr(self.robust, view) if self.robust else None


@dataclass(frozen=True)
class Column:
    """One quantity on one data set by one protocol: numbers that may be compared.

    Attributes:
        data_title: The data set for display.
        metric: Name of the quantity.
        protocol: How it was measured; empty for the paper's numbers, and where nothing is known.
        mark: The letter of the protocol where a table has more than one, else empty.
        view: What is printed of its cells, which are those of the column to the left if it is not
            the value.
    """

    data: str
    data_title: str
    metric: str
    quantity: Quantity
    protocol: str = ""
    kind: QuantityKind = "measured"
    mark: str = ""
    paper: bool = False
    view: ColumnView = "value"

    @property
    def key(self) -> tuple[str, ...]:
        """Key that equal columns of different tables share."""
        return self.data, self.metric, self.protocol, self.view


@dataclass(frozen=True)
class Row:
    """One variant of one sweep, a control (by its name), or a model that only the paper has.

    The sweep is '' where it is not a single one. Controls and the paper's rows have no model. Rows
    of one section are neighbors, and belong together.
    """

    label: str
    sweep: str
    variant: str
    cells: tuple[Cell, ...] = ()
    model: str = ""
    section: str = ""

    @property
    def title(self) -> str:
        """Label for a place that shows no sections."""
        return f"{self.label}, {self.section}" if self.section else self.label


@dataclass(frozen=True)
class Note:
    """A line under the table, with what it lists, and a command that is the remedy.

    Its role says what it is about, where that matters: what a cell is, which a caption may say
    instead; what differences and p values are; or the table, as its definition says. `mark` is that
    of the columns whose protocol it names.
    """

    text: str
    items: tuple[str, ...] = ()
    command: str = ""
    role: Literal["", "cell", "test", "table"] = ""
    mark: str = ""


@dataclass(frozen=True)
class Table:
    """A whole table, named by its number or a word; each row has a cell for each column.

    `selection` is the rule that chose the snapshots that it shows.
    """

    name: str
    title: str
    columns: tuple[Column, ...]
    rows: tuple[Row, ...]
    notes: tuple[Note, ...]
    selection: str = "last"

    @property
    def bare(self) -> "Table":
        """The table with the notes on its cells and tests, and marks that tell columns apart."""
        keys = [(c.data, c.quantity.title, c.view) for c in self.columns]
        columns = [
            column if keys.count(key) > 1 else replace(column, mark="")
            for column, key in zip(self.columns, keys, strict=True)
        ]
        marks = {column.mark for column in columns if column.mark}
        notes = (n for n in self.notes if n.role in ("cell", "test") or n.mark in marks)
        return replace(self, columns=tuple(columns), notes=tuple(notes))
