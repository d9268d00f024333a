"""Quality against diversity."""

from collections.abc import Sequence
from functools import partial

from bench.errors import NotApplicable
from bench.reporting.figures.figure_data import (
    CaptionedFigure,
    FigureData,
    FigureVariant,
    axis_title,
)
from bench.reporting.figures.scatter import scatter
from bench.reporting.statistics import Interval
from bench.reporting.tables.table import Column

DEFAULT = ("intra_class_diversity", "inception_score")


def draw(data: FigureData) -> CaptionedFigure:
    """Return the second metric (quality) over the first (diversity), the real images among them."""
    names = data.metrics or DEFAULT
    if len(names) != 2:
        raise NotApplicable(
            f"two metrics are needed, --metric X --metric Y; got {', '.join(names)}"
        )
    known = {column.metric for column in data.columns()}
    lacking = [name for name in names if name not in known]
    if lacking and not data.metrics:
        raise NotApplicable(
            f"{' and '.join(lacking)} not measured; --metric X --metric Y names others: "
            f"{', '.join(sorted(known))}"
        )
    x, y = (data.columns([name]) for name in names)
    figure, notes = scatter(
        data,
        partial(_first, data, x),
        partial(_first, data, y),
        (_title(x), _title(y)),
        (data.real_value(x[0]), data.real_value(y[0])),
    )
    real = "; best is near the real images" if data.real_value(y[0]) is not None else ""
    means = f"Means over seeds with 95 % t intervals{real}."
    protocols = "; ".join(_protocols(data, columns) for columns in (x, y))
    return CaptionedFigure(figure, [*notes, means, f"Protocols: {protocols}."])


def _title(columns: Sequence[Column]) -> str:
    """Return the title of a metric, whatever its protocols are."""
    return axis_title(columns[0]).replace(" [a]", "", len(columns) > 1)


def _first(data: FigureData, columns: Sequence[Column], variant: FigureVariant) -> Interval | None:
    """Return the interval by the first protocol that a variant was measured by."""
    found = (data.interval(column, variant) for column in columns)
    return next(filter(None, found), None)


def _protocols(data: FigureData, columns: Sequence[Column]) -> str:
    """Return the protocols of a metric; where there are several, with the variants of each."""
    models = [
        list(dict.fromkeys(v.runs[0].model for v in data.variants if data.interval(column, v)))
        for column in columns
    ]
    texts = [
        f"{column.metric} by {column.protocol}" + f" ({', '.join(names)})" * (len(columns) > 1)
        for column, names in zip(columns, models, strict=True)
    ]
    return "; ".join(texts)
