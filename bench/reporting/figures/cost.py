"""What is gained by what it costs: a metric over the arithmetic of the training."""

from bench.errors import NotApplicable
from bench.reporting.figures.scatter import Spot, scatter, titled
from bench.reporting.figures.view import Drawn, Measure, Variant, View
from bench.reporting.statistics import Interval, t_interval

MOST = 24
ARITHMETIC = "multiply_adds_per_iteration"


def draw(view: View) -> Drawn:
    """Return a metric over a cost: by default the first one over all multiply-adds."""
    known = {measure.metric: measure for measure in view.measures()}
    named = view.measures(view.choice.metrics) if view.choice.metrics else []
    costs = [measure for measure in named if measure.kind != "measured"]
    figures = [m for m in (*named, *known.values()) if m.kind == "measured"]
    if not figures:
        raise NotApplicable("nothing was measured")
    if not costs and ARITHMETIC not in known:
        raise NotApplicable(f"{ARITHMETIC} was not recorded")
    y, x = figures[0], costs[0] if costs else known[ARITHMETIC]
    shown, notes = view.fitting(view.variants, MOST)
    spots, lacking = [], []
    for variant in shown:
        at = _cost(view, x, variant, whole=not costs), view.interval(y, variant)
        if at[0] is None or at[1] is None:
            lacking.append(variant.label)
        else:
            spots.append(Spot(at[0], at[1], variant.label, variant.place))
    if lacking:
        notes.append(f"Without one of the two figures: {', '.join(lacking)}.")
    if not spots:
        raise NotApplicable("no variant has both figures")
    real = view.real_value(y)
    figure = scatter(spots, titled(x) if costs else "Training (T multiply-adds)", titled(y))
    if real is not None:
        notes.append(f"The real test images have {real:.4g}.")
    notes.append("Means over seeds with 95 % t intervals.")
    if not costs:
        notes.append("Multiply-adds are those of the whole training, counted, not measured.")
    elif x.kind == "timed":
        notes.append("Times are of the machines that the runs were on; compare within one only.")
    notes.append(f"Protocol: {y.metric} by {y.protocol}.")
    return Drawn(figure, tuple(notes))


def _cost(view: View, measure: Measure, variant: Variant, *, whole: bool) -> Interval | None:
    """Return what a variant costs; an iteration times their number, in tera, where `whole`."""
    if not whole:
        return view.interval(measure, variant)
    run, values = view.run_of(variant), view.values(measure, variant)
    if run is None or run.iterations is None or not values:
        return None
    per_iteration = t_interval(value / measure.scale for value in values).mean
    return Interval(per_iteration * run.iterations * 1e-12, None, len(values))
