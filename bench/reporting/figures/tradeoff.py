"""Quality against diversity."""

from functools import partial

from bench.errors import NotApplicable
from bench.reporting.figures.figure_data import CaptionedFigure, FigureData, axis_title
from bench.reporting.figures.scatter import scatter

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
    x, y = (data.columns([name])[0] for name in names)
    figure, notes = scatter(
        data,
        partial(data.interval, x),
        partial(data.interval, y),
        (axis_title(x), axis_title(y)),
        (data.real_value(x), data.real_value(y)),
    )
    means = "Means over seeds with 95 % t intervals; best is near the real images."
    protocols = f"Protocols: {x.metric} by {x.protocol}; {y.metric} by {y.protocol}."
    return CaptionedFigure(figure, [*notes, means, protocols])
