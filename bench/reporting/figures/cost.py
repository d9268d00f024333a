"""A metric over what the training costs."""

from dataclasses import replace
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

ARITHMETIC = "multiply_adds_per_iteration"


def draw(data: FigureData) -> CaptionedFigure:
    """Return a metric over a cost: by default the first one over all multiply-adds."""
    known = {column.metric: column for column in data.columns()}
    named = data.columns(data.metrics) if data.metrics else []
    y = next((c for c in (*named, *known.values()) if c.kind == "measured"), None)
    if y is None:
        raise NotApplicable("nothing was measured")
    x = next((column for column in named if column.kind != "measured"), None)
    if x is not None:
        cost, title = partial(data.interval, x), axis_title(x)
        remark = "Times are of the machines that the runs were on; compare within one only."
        remark = remark if x.kind == "timed" else ""
    elif ARITHMETIC in known:
        cost = partial(_whole_training, data, known[ARITHMETIC])
        title = "Training (T multiply-adds)"
        remark = "Multiply-adds are those of the whole training, counted, not measured."
    else:
        raise NotApplicable(f"{ARITHMETIC} was not recorded")
    figure, notes = scatter(data, cost, partial(data.interval, y), (title, axis_title(y)))
    real = data.real_value(y)
    more = [
        "" if real is None else f"The real test images have {real:.4g}.",
        "Means over seeds with 95 % t intervals.",
        remark,
        f"Protocol: {y.metric} by {y.protocol}.",
    ]
    return CaptionedFigure(figure, [*notes, *filter(None, more)])


def _whole_training(
    data: FigureData, per_iteration: Column, variant: FigureVariant
) -> Interval | None:
    """Return the multiply-adds of all iterations, in tera."""
    tera = replace(per_iteration, quantity=replace(per_iteration.quantity, scale=1e-12))
    run, cost = variant.run, data.interval(tera, variant)
    if run is None or run.iterations is None or cost is None:
        return None
    return Interval(cost.mean * run.iterations, None, cost.n)
