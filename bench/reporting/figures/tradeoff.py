"""Quality against diversity: either alone can be had cheaply."""

from bench.errors import NotApplicable
from bench.reporting.figures.scatter import Spot, scatter, titled
from bench.reporting.figures.view import Drawn, View
from bench.reporting.statistics import Interval

MOST = 24
DEFAULT = ("intra_class_diversity", "inception_score")


def draw(view: View) -> Drawn:
    """Return the second metric (quality) over the first (diversity), the real images among them."""
    names = view.choice.metrics or DEFAULT
    if len(names) != 2:
        raise NotApplicable(
            f"two metrics are needed, --metric X --metric Y; got {', '.join(names)}"
        )
    known = {measure.metric for measure in view.measures()}
    if lacking := [name for name in DEFAULT if name not in known and not view.choice.metrics]:
        raise NotApplicable(
            f"{' and '.join(lacking)} not measured; --metric X --metric Y names others: "
            f"{', '.join(sorted(known))}"
        )
    x, y = (view.measures([name])[0] for name in names)
    shown, notes = view.fitting(view.variants, MOST)
    spots, lacking = [], []
    for variant in shown:
        at = view.interval(x, variant), view.interval(y, variant)
        if at[0] is None or at[1] is None:
            lacking.append(variant.label)
        else:
            spots.append(Spot(at[0], at[1], variant.label, variant.place))
    real = view.real_value(x), view.real_value(y)
    if real[0] is not None and real[1] is not None:
        spots.append(
            Spot(Interval(real[0], None, 1), Interval(real[1], None, 1), "real images", None)
        )
    if lacking:
        notes.append(f"Without one of the two figures: {', '.join(lacking)}.")
    if not spots:
        raise NotApplicable("no variant has both figures")
    notes.append("Means over seeds with 95 % t intervals; best is near the real images.")
    notes.append(f"Protocols: {x.metric} by {x.protocol}; {y.metric} by {y.protocol}.")
    return Drawn(scatter(spots, titled(x), titled(y)), tuple(notes))
