"""A table as plain data: columns, rows of cells, notes. Nothing here knows how it is printed."""

from dataclasses import dataclass
from typing import Literal

from bench.reporting.specs import Direction, Record

Kind = Literal["mean", "counted", "real", "single", "paper", "inapplicable", "missing"]
ARROWS: dict[Direction | None, str] = {
    **{"higher": "↑", "lower": "↓", "real": "≈ real", "one": "≈ 1"},
    None: "",
}


@dataclass(frozen=True)
class Cell:
    """One place of a table.

    Attributes:
        kind: `mean` over seeds; `counted`, the same for every seed; a number of the `real` images;
            of a `single` set of images that has no seed; of the `paper`; `inapplicable` where a
            note gives the reason; `missing`.
        mean: The number.
        half_width: Half the width of the 95 % t interval, None for fewer than two seeds.
        n: Seeds that went into the mean.
    """

    kind: Kind
    mean: float | None = None
    half_width: float | None = None
    n: int = 0

    def parts(self, decimals: int | None, scale: float = 1.0) -> tuple[str, str]:
        """Return the number, and what follows it: interval and seeds.

        Args:
            decimals: Digits after the point; None for four significant digits.
            scale: What the number is multiplied by.

        Returns:
            Two texts; the second begins with a space where it is not empty.

        Example:
            >>> Cell("mean", 8.81, 0.124, 3).parts(2)
            ('8.81', ' ± 0.12 (3)')
            >>> Cell("real", 0.0149).parts(4)
            ('0.0149', '')
            >>> Cell("counted", 367552).parts(2, 1e-6)
            ('0.37', '')
        """
        if self.mean is None:
            return ("n/a" if self.kind == "inapplicable" else "—", "")
        form = "z.4g" if decimals is None else f"z.{decimals}f"
        spread = "" if self.half_width is None else f" ± {self.half_width * scale:{form}}"
        return f"{self.mean * scale:{form}}", spread + (
            f" ({self.n})" if self.kind == "mean" else ""
        )


@dataclass(frozen=True)
class Column:
    """One metric of one data set, by one protocol: what may be compared.

    Attributes:
        data: Name of the data set.
        metric: Name of the metric.
        protocol: How it was measured; empty for the paper's numbers, and where nothing is known.
        data_title: The data set for people.
        metric_title: The metric for people.
        direction: Which values are better, None where nobody said.
        decimals: Digits after the point; None for four significant ones.
        scale: What values are multiplied by to be printed.
        record: Where the values stand.
        mark: The letter of the protocol where a table has more than one, else empty.
        paper: Whether it holds the paper's numbers.
    """

    data: str
    metric: str
    protocol: str
    data_title: str
    metric_title: str
    direction: Direction | None
    decimals: int | None
    scale: float = 1.0
    record: Record = "figures"
    mark: str = ""
    paper: bool = False


@dataclass(frozen=True)
class Row:
    """One variant of one sweep, a reference, or a model that only the paper has.

    Attributes:
        label: What is printed.
        sweep: Where it comes from; empty for a row that no sweep has.
        variant: Its variant; `real` for the real images, the name of any other reference.
        cells: One cell for each column.
    """

    label: str
    sweep: str
    variant: str
    cells: tuple[Cell, ...] = ()


@dataclass(frozen=True)
class Note:
    """A line under the table.

    Attributes:
        text: The line.
        items: What it lists.
        command: What mends it, to be copied; empty for none.
    """

    text: str
    items: tuple[str, ...] = ()
    command: str = ""


@dataclass(frozen=True)
class Table:
    """A whole table.

    Attributes:
        name: Its number, or a word.
        title: One line.
        columns: The columns.
        rows: The rows, each with a cell for each column.
        notes: What stands under it.
    """

    name: str
    title: str
    columns: tuple[Column, ...]
    rows: tuple[Row, ...]
    notes: tuple[Note, ...]
