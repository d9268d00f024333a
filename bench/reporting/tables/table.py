"""A table as plain data: columns, rows of cells, notes. Nothing here knows how it is printed."""

from dataclasses import dataclass
from typing import Literal, get_args

from bench.reporting.tables.table_spec import Direction, Record

Kind = Literal["mean", "counted", "real", "single", "paper", "inapplicable", "missing"]
ARROWS: dict[Direction | None, str] = {
    **{"higher": "↑", "lower": "↓", "real": "≈ real", "one": "≈ 1"},
    None: "",
}


View = Literal["value", "gap", "difference", "iqm", "improvement"]
"""What a column prints of its cells: the value; how far it is from that of the real images; how far
from the reference row; the interquartile mean; how often a run lies on the better side of one of
the reference row's."""
VIEWS: tuple[View, ...] = get_args(View)
Verdict = Literal["better", "worse", ""]


@dataclass(frozen=True)
class Difference:
    """How a row differs from the reference row, over the seeds that both have.

    Where nearer to a target is better, it is the difference of the distances to the target.

    Attributes:
        to: Label of the reference row.
        mean: The row minus the reference row.
        half_width: Half the width of the 95 % t interval, None for a single seed.
        n: Common seeds.
        p: p value of the paired t test, None for a single seed.
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
    verdict: Verdict = ""


@dataclass(frozen=True)
class Robust:
    """What one bad seed does not move far.

    Attributes:
        iqm: Interquartile mean.
        low: Lower end of its bootstrap interval, None for too few seeds.
        high: Upper end.
        improvement: Probability that a run is better than one of the reference row; None without
            such a row, and where no direction is declared.
    """

    iqm: float
    low: float | None
    high: float | None
    improvement: float | None


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
        values: Those seeds and their values.
        target: What the value should be near to, where nearer is better.
        difference: From the reference row; None for that row and where nothing is compared.
        is_reference: Whether others are compared with this one.
        bold: Whether it is significantly better than the reference, or as the reference better
            than all others.
        robust: Statistics on request.
    """

    kind: Kind
    mean: float | None = None
    half_width: float | None = None
    n: int = 0
    values: tuple[tuple[int, float], ...] = ()
    target: float | None = None
    difference: Difference | None = None
    is_reference: bool = False
    bold: bool = False
    robust: Robust | None = None

    def number(self, view: View = "value") -> float | None:
        """Return the number that a view prints, unscaled.

        Args:
            view: What of the cell is printed.

        Returns:
            The number; None where that view of the cell is empty.
        """
        if view == "gap":
            has_gap = self.kind in ("mean", "single") and self.target is not None
            return self.mean - (self.target or 0.0) if has_gap and self.mean is not None else None
        if view == "difference":
            return self.difference.mean if self.difference else None
        if view == "value":
            return self.mean
        if self.robust is None:
            return None
        return self.robust.iqm if view == "iqm" else self.robust.improvement

    def parts(
        self, decimals: int | None, scale: float = 1.0, view: View = "value"
    ) -> tuple[str, str]:
        """Return the number, and what follows it: interval and seeds.

        Args:
            decimals: Digits after the point; None for four significant digits.
            scale: What the number is multiplied by.
            view: What of the cell is printed.

        Returns:
            Two texts; the second begins with a space or comma where it is not empty.

        Example:
            >>> Cell("mean", 8.81, 0.124, 3).parts(2)
            ('8.81', ' ± 0.12 (3)')
            >>> Cell("real", 0.0149).parts(4)
            ('0.0149', '')
            >>> Cell("counted", 367552).parts(2, 1e-6)
            ('0.37', '')
            >>> Cell("mean", 0.3, target=0.5).parts(2, view="gap")
            ('-0.20', '')
            >>> difference = Difference("cVAE", 0.5, 0.25, 8, adjusted=0.0321)
            >>> Cell("mean", 8.81, 0.124, 8, difference=difference).parts(2, view="difference")
            ('+0.50', ' ± 0.25, p = 0.032')
        """
        form = "z.4g" if decimals is None else f"z.{decimals}f"

        def spread(half_width: float | None) -> str:
            return "" if half_width is None else f" ± {half_width * scale:{form}}"

        if view == "gap":
            gap = self.number(view)
            return ("" if gap is None else f"{gap * scale:+{form}}"), ""
        if view == "difference":
            found = self.difference
            if found is None:
                return "", "reference" if self.is_reference and self.mean is not None else ""
            told = "" if found.adjusted is None else f", {p_text(found.adjusted)}"
            return f"{found.mean * scale:+{form}}", spread(found.half_width) + told
        if view != "value":
            return self._robust_parts(form, scale, view)
        if self.mean is None:
            return ("n/a" if self.kind == "inapplicable" else "—", "")
        seeds = f" ({self.n})" if self.kind == "mean" else ""
        return f"{self.mean * scale:{form}}", spread(self.half_width) + seeds

    def _robust_parts(self, form: str, scale: float, view: View) -> tuple[str, str]:
        held = self.robust
        if held is None:
            return "", ""
        if view == "improvement":
            return ("" if held.improvement is None else f"{held.improvement:.2f}"), ""
        known = held.low is not None and held.high is not None
        ends = [f"{end * scale:{form}}" for end in (held.low, held.high) if end is not None]
        return f"{held.iqm * scale:{form}}", f" [{', '.join(ends)}]" if known else ""


def p_text(p: float) -> str:
    """Return a p value for people.

    Args:
        p: Between 0 and 1.

    Returns:
        Three digits after the point; of less than that, only that it is.

    Example:
        >>> p_text(0.0321), p_text(2e-5)
        ('p = 0.032', 'p < 0.001')
    """
    return "p < 0.001" if p < 0.001 else f"p = {p:.3f}"


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
        view: What of its cells is printed. Other views stand to the right of the column whose
            cells they repeat.
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
    view: View = "value"


@dataclass(frozen=True)
class Row:
    """One variant of one sweep, a reference, or a model that only the paper has.

    Attributes:
        label: What is printed.
        sweep: Where it comes from; empty for a row that no sweep has.
        variant: Its variant; `real` for the real images, the name of any other reference.
        cells: One cell for each column.
        model: Name of its model in the registry.
    """

    label: str
    sweep: str
    variant: str
    cells: tuple[Cell, ...] = ()
    model: str = ""


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
