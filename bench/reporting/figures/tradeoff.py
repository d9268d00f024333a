"""Two metrics against each other: quality against diversity, distortion against rate, or any."""

from bench.errors import NotApplicable
from bench.reporting.figures.figure_data import CaptionedFigure, FigureData
from bench.reporting.figures.scatter import metric_axis, scatter


def draw(data: FigureData, default: tuple[str, str]) -> CaptionedFigure:
    """Return the second of two metrics over the first, as the user chose them or by default."""
    names = data.metrics or default
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
    x, y = (metric_axis(data, name) for name in names)
    drawn = scatter(data, x, y)
    real = "; best is near the real images" if x.real is not None and y.real is not None else ""
    means = f"Means over seeds with 95 % t intervals{real}."
    protocols = "; ".join(filter(None, (x.protocols, y.protocols)))
    said = [f"Protocols: {protocols}."] if protocols else []
    return drawn._replace(notes=[*drawn.notes, means, *said])
