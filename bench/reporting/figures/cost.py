"""A metric over what the training costs."""

from bench.errors import NotApplicable
from bench.record.quantities import Quantity
from bench.reporting.figures.figure_data import CaptionedFigure, FigureData, FigureVariant
from bench.reporting.figures.scatter import ScatterAxis, metric_axis, scatter
from bench.reporting.statistics import Estimate, estimate
from bench.reporting.units import fit_unit

ARITHMETIC = "multiply_adds_per_iteration"


def draw(data: FigureData) -> CaptionedFigure:
    """Return a metric over a cost: by default the first one over all multiply-adds."""
    known = data.columns()
    named = data.columns(data.metrics) if data.metrics else []
    measured = next((c for c in (*named, *known) if c.kind == "measured"), None)
    if measured is None:
        raise NotApplicable("nothing was measured")
    y = metric_axis(data, measured.metric)
    chosen = next((column for column in named if column.kind != "measured"), None)
    if chosen is not None:
        x = metric_axis(data, chosen.metric)
        remark = "Times are of the machines that the runs were on; compare within one only."
        remark = remark if chosen.kind == "timed" else ""
    else:
        x = _whole_training(data)
        remark = "Multiply-adds are those of the whole training, counted, not measured."
    drawn = scatter(data, x, y)
    more = [
        "" if y.real is None else f"{y.title.rstrip(' ↑↓')} of the real test images: {y.real:.4g}.",
        "Means over seeds with 95 % t intervals.",
        remark,
        f"Protocol: {y.protocols}." if y.protocols else "",
    ]
    return drawn._replace(notes=[*drawn.notes, *filter(None, more)])


def _whole_training(data: FigureData) -> ScatterAxis:
    """Return the axis of the multiply-adds of all iterations."""
    counts = {}
    for column in (column for column in data.columns() if column.metric == ARITHMETIC):
        for variant in data.variants:
            run, cost = variant.run, data.interval(column, variant)
            if run is not None and run.iterations is not None and cost is not None:
                counts[variant] = cost.mean / column.quantity.scale * run.iterations
    if not counts:
        raise NotApplicable(f"{ARITHMETIC} was not recorded")
    quantity = Quantity("Multiply-adds of the training (T)", scale=1e-12)
    quantity = fit_unit(quantity, max(counts.values()))

    def interval(variant: FigureVariant) -> Estimate | None:
        count = counts.get(variant)
        return None if count is None else estimate([count * quantity.scale])

    return ScatterAxis(quantity.title, interval)
