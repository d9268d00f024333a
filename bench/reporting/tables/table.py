"""A table as plain data: columns, rows of cells, notes. Nothing here knows how it is printed."""

from dataclasses import dataclass
from typing import Literal, get_args

from bench.record.quantities import Direction, Quantity, QuantityKind

CellKind = Literal["mean", "counted", "real", "single", "paper", "inapplicable", "missing"]
"""A mean over seeds; a number that is counted, the same for every seed; a number of the real
images; of one set of images that has no seed; of the paper; none, for a reason that a note gives;
none."""

ColumnView = Literal["value", "gap", "difference", "iqm", "improvement"]
"""What a column prints of its cells: the value; its distance from that of the real images; from
that of the reference row; the interquartile mean; the probability that a run is better than one of
the reference row."""
VIEWS: tuple[ColumnView, ...] = get_args(ColumnView)

ARROWS: dict[Direction | None, str] = {
    **{"higher": "↑", "lower": "↓", "real": "≈ real", "one": "≈ 1"},
    None: "",
}


@dataclass(frozen=True)
class Difference:
    """The difference of a row from the reference row, over the seeds that both have.

    Where nearer to a target is better, it is the difference of the distances to the target.

    Attributes:
        to: Label of the reference row.
        mean: The row minus the reference row, with the half width of its 95 % t interval.
        n: Common seeds; a single one has no interval and no p value.
        p: p value of the paired t test.
        adjusted: That, corrected for all comparisons of the column; None below six seeds, where
            nothing is claimed.
        detectable: The true difference that would be found with these seeds.
        verdict: Whether the row is significantly better or worse; empty for neither.
    """

    to: str
    mean: float
    half_width: float | None
    n: int
    p: float | None = None
    adjusted: float | None = None
    detectable: float | None = None
    verdict: Literal["better", "worse", ""] = ""


@dataclass(frozen=True)
class Robust:
    """Statistics that one bad seed does not move far.

    The interquartile mean, the ends of its bootstrap interval (None for too few seeds), and the
    probability that a run is better than one of the reference row (None without such a row or a
    direction).
    """

    iqm: float
    low: float | None
    high: float | None
    improvement: float | None


@dataclass(frozen=True)
class Cell:
    """One place of a table.

    Attributes:
        kind: What kind of number it holds.
        mean: The number, as it was measured.
        half_width: Half the width of the 95 % t interval, None for fewer than two seeds.
        n: Seeds that went into the mean.
        values: Those seeds and their values.
        target: What the value should be near to, where nearer is better.
        difference: From the reference row; None for that row and where nothing is compared.
        is_reference: Whether others are compared with this one.
        bold: Whether it is significantly better than the reference, or as the reference better
            than all others.
        robust: Statistics on request.
    """

    kind: CellKind
    mean: float | None = None
    half_width: float | None = None
    n: int = 0
    values: tuple[tuple[int, float], ...] = ()
    target: float | None = None
    difference: Difference | None = None
    is_reference: bool = False
    bold: bool = False
    robust: Robust | None = None

    def number(self, view: ColumnView) -> float | None:
        """Return the number that a view prints, unscaled; None where the view is empty."""
        if view == "gap":
            if self.kind not in ("mean", "single") or self.mean is None or self.target is None:
                return None
            return self.mean - self.target
        if view == "difference":
            return self.difference.mean if self.difference else None
        if view == "value":
            return self.mean
        if self.robust is None:
            return None
        return self.robust.iqm if view == "iqm" else self.robust.improvement


@dataclass(frozen=True)
class Column:
    """One quantity on one data set by one protocol: numbers that may be compared.

    Attributes:
        data: Name of the data set.
        data_title: The data set for people.
        metric: Name of the quantity.
        quantity: What the numbers mean.
        protocol: How it was measured; empty for the paper's numbers, and where nothing is known.
        kind: Whether it was measured, counted or timed.
        mark: The letter of the protocol where a table has more than one, else empty.
        paper: Whether it holds the paper's numbers.
        view: What of its cells is printed. Other views stand to the right of the column whose
            cells they repeat.
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
        """What makes two columns of different tables the same."""
        return self.data, self.metric, self.protocol, self.view


@dataclass(frozen=True)
class Row:
    """One variant of one sweep, a control, or a model that only the paper has.

    A row that no single sweep has is of the sweep ''. Controls, whose variant is their name, and
    the paper's rows have no model.
    """

    label: str
    sweep: str
    variant: str
    cells: tuple[Cell, ...] = ()
    model: str = ""


@dataclass(frozen=True)
class Note:
    """A line under the table, with what it lists, and a command that is the remedy."""

    text: str
    items: tuple[str, ...] = ()
    command: str = ""


@dataclass(frozen=True)
class Table:
    """A whole table, named by its number or a word; each row has a cell for each column."""

    name: str
    title: str
    columns: tuple[Column, ...]
    rows: tuple[Row, ...]
    notes: tuple[Note, ...]
