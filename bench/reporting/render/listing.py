"""The figures of one set of samples as text: a line a figure, that of the real images beside it."""

from collections.abc import Mapping, Sequence
from typing import Any

from bench.reporting.tables.table import ARROWS, Cell
from bench.reporting.tables.table_spec import Names, load_tables

HEAD = ("", "value", "real test images", "protocol")


def listing_text(summary: Mapping[str, Any]) -> str:
    """Return figures as a table for the console.

    Args:
        summary: `target`, `data`, `classes`, `per_class`, and the rows `figures` and `real`.

    Returns:
        Lines, the last one not ended.
    """
    names = next(iter(load_tables().values())).names
    beside = _beside(summary["figures"], summary["real"])
    lines, notes = [], []
    for row, real in zip(summary["figures"], beside, strict=True):
        known = names.metric(row["metric"])
        title = known.title if known else row["metric"]
        other = "*" if real and real["value"] is not None and _differ(row, real) else ""
        value, its_real = _number(names, row), _number(names, real) + other
        arrow = ARROWS[known.direction] if known else ""
        lines.append((f"{title} {arrow}".strip(), value, its_real, row["protocol"]))
        if other:
            assert real is not None
            notes.append(f"* by another protocol, do not compare: {real['protocol']}")
        reason, its_reason = (figure["reason"] if figure else "" for figure in (row, real))
        if reason:
            notes.append(f"n/a: {title}: {reason}")
        if its_reason and its_reason != reason:
            notes.append(f"n/a: {title}, real test images: {its_reason}")
    if any(row.get("error") is not None for row in summary["figures"]):
        notes.append("±: standard error over images; it says nothing of another training")
    widths = [max(len(line[place]) for line in (HEAD, *lines)) for place in range(3)]
    text = [
        f"{summary['target']}: {summary['classes']} classes of {summary['data']}, "
        f"{summary['per_class']} images each",
        "",
    ]
    for line in (HEAD, *lines):
        cells = (part.ljust(width) for part, width in zip(line[:3], widths, strict=True))
        text.append("  ".join([*cells, line[3]]).rstrip())
    return "\n".join([*text, *([""] if notes else []), *dict.fromkeys(notes)])


def _beside(
    figures: Sequence[Mapping[str, Any]], real: Sequence[Mapping[str, Any]]
) -> list[Mapping[str, Any] | None]:
    """Return for each figure that of the real images: of the same protocol, if there is one."""
    found: list[Mapping[str, Any] | None] = []
    for place, row in enumerate(figures):
        same = [other for other in real if other["metric"] == row["metric"]]
        equal = [other for other in same if not _differ(row, other)]
        earlier = sum(other["metric"] == row["metric"] for other in figures[:place])
        found.append(next(iter(equal), same[earlier] if earlier < len(same) else None))
    return found


def _differ(row: Mapping[str, Any], other: Mapping[str, Any]) -> bool:
    return bool(row["protocol"] != other["protocol"])


def _number(names: Names, row: Mapping[str, Any] | None) -> str:
    """Return a value with its standard error, as tables print it."""
    if row is None:
        return "—"
    known = names.metric(row["metric"])
    decimals, scale = (known.decimals, known.scale) if known else (None, 1.0)
    if row["value"] is None:
        return "n/a"
    return "".join(Cell("real", row["value"], row.get("error")).parts(decimals, scale))
