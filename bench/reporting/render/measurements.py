"""The measurements of one sample set as text: what `bench evaluate` prints."""

from collections.abc import Mapping, Sequence
from dataclasses import replace
from typing import Any

from bench.record.quantities import Quantities, Quantity
from bench.reporting.notes.wording import counts_text
from bench.reporting.render.text import aligned
from bench.reporting.tables.table import ARROWS
from bench.reporting.tables.table_spec import load_names

HEAD = ("", "value", "real test images", "protocol")


def measurements_text(summary: Mapping[str, Any]) -> str:
    """Return the `measurements` of a summary, a line each, with those of the real images."""
    quantities = replace(Quantities(), overrides=load_names().quantities)
    lines, notes = [], []
    beside = _beside(summary["measurements"], summary["real"])
    for entry, real in zip(summary["measurements"], beside, strict=True):
        quantity = quantities[entry["metric"]]
        title, arrow = quantity.title, ARROWS[quantity.direction]
        value, of_real = _number(quantity, entry), _number(quantity, real)
        if real and real["value"] is not None and real["protocol"] != entry["protocol"]:
            of_real += "*"
            notes.append(f"* by another protocol, do not compare: {real['protocol']}")
        lines.append((f"{title} {arrow}".strip(), value, of_real, entry["protocol"]))
        if entry["reason"]:
            notes.append(f"n/a: {title}: {entry['reason']}")
        if real and real["reason"] not in ("", entry["reason"]):
            notes.append(f"n/a: {title}, real test images: {real['reason']}")
    if any(entry.get("error") is not None for entry in summary["measurements"]):
        notes.append("±: standard error over images; it says nothing of another training")
    count = summary["per_class"]
    title = (
        f"{summary['target']}: {summary['classes']} classes of {summary['data']}, "
        f"{counts_text(count) if isinstance(count, list) else f'{count} images each'}"
    )
    below = ["", *dict.fromkeys(notes)] if notes else []
    return "\n".join([title, "", *aligned([HEAD, *lines]), *below])


def _beside(
    entries: Sequence[Mapping[str, Any]], real: Sequence[Mapping[str, Any]]
) -> list[Mapping[str, Any] | None]:
    """Return for each entry that of the real images: of the same protocol, if there is one."""
    beside: list[Mapping[str, Any] | None] = []
    for index, entry in enumerate(entries):
        same = [other for other in real if other["metric"] == entry["metric"]]
        equal = [other for other in same if other["protocol"] == entry["protocol"]]
        earlier = sum(other["metric"] == entry["metric"] for other in entries[:index])
        beside.append(next(iter([*equal, *same[earlier:]]), None))
    return beside


def _number(quantity: Quantity, entry: Mapping[str, Any] | None) -> str:
    if entry is None:
        return "—"
    if entry["value"] is None:
        return "n/a"
    error = entry.get("error")
    return quantity.text(entry["value"]) + ("" if error is None else f" ± {quantity.text(error)}")
