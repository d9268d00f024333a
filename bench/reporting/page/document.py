"""The page itself: plain data put into the files of `template/`, everything in one file."""

import base64
import hashlib
import html
import json
import re
from collections.abc import Collection, Mapping
from importlib.resources import files
from typing import Any

import bench
from bench.record.records import Records
from bench.reporting.page.curves import describe_curves
from bench.reporting.page.images import describe_pictures
from bench.reporting.page.runs import describe_runs
from bench.reporting.page.tables import (
    describe_notes,
    describe_seeds,
    describe_tables,
)
from bench.reporting.page.variants import Variants
from bench.reporting.status import STATES
from bench.reporting.tables.build import filled_tables
from bench.reporting.tables.table import ColumnView
from bench.reporting.tables.table_spec import TableSpec

STYLES = ("colors.css", "page.css", "parts.css", "print.css")
SCRIPTS = (
    "page.js",
    "filter.js",
    "overview.js",
    "table.js",
    "chart.js",
    "seeds.js",
    "pictures.js",
    "curves.js",
    "runs.js",
    "start.js",
)
"""In this order; each adds one part to the only global, `Page`."""


def render_page(
    records: Records,
    specs: Mapping[str, TableSpec],
    *,
    reference: str | None = None,
    show: Collection[ColumnView] = (),
) -> str:
    """Return the report of some sweeps as one HTML file.

    Args:
        records: The sweeps to show.
        specs: The tables, of which those are shown that the record fills.
        reference: What rows are compared with, as for `build_table`.
        show: Views beside the values, as for `build_table`.

    Returns:
        The file: without a clock, so that the same record gives the same text.

    Raises:
        BenchError: If a file of the record is damaged; names it.
    """
    return fill_template(describe(records, specs, reference=reference, show=show))


def describe(
    records: Records,
    specs: Mapping[str, TableSpec],
    *,
    reference: str | None = None,
    show: Collection[ColumnView] = (),
) -> dict[str, Any]:
    """Return everything that the page shows, as what JSON can hold.

    Args:
        records: The sweeps to show.
        specs: The tables.
        reference: As for `render_page`.
        show: As for `render_page`.

    Returns:
        The parts of the page by name.

    Raises:
        BenchError: If a file of the record is damaged; names it.
    """
    tables = filled_tables(specs, records, reference=reference, show=show)
    variants = Variants(records, [row for table in tables for row in table.rows])
    names = next(iter(specs.values())).names.data if specs else {}
    runs = records.runs
    return {
        "title": " · ".join(sweep.title or sweep.name for sweep in records.sweeps[:3])
        + (f" and {len(records.sweeps) - 3} more" if len(records.sweeps) > 3 else ""),
        "made": f"bench {bench.__version__}",
        "sweeps": [
            {
                "name": sweep.name,
                "title": sweep.title,
                "command": sweep.command,
                "data": list(dict.fromkeys(run.data for run in runs if run.sweep == sweep.name)),
                "states": {
                    state: sum((run.sweep, run.state) == (sweep.name, state) for run in runs)
                    for state in STATES
                },
            }
            for sweep in records.sweeps
        ],
        "data": {name: names.get(name, name) for name in dict.fromkeys(run.data for run in runs)},
        "variants": variants.describe(),
        "notes": describe_notes(tables),
        "tables": describe_tables(tables, variants),
        "seeds": describe_seeds(tables, variants),
        "pictures": describe_pictures(records, variants),
        "curves": describe_curves(records, variants),
        "runs": describe_runs(records, variants),
    }


def fill_template(description: Mapping[str, Any]) -> str:
    """Return a description as one HTML file.

    A content security policy admits these very styles and scripts, images inside the file, and
    nothing else: the page can ask no server for anything, whatever the names in it hold.

    Args:
        description: What `describe` returned.

    Returns:
        The file.
    """
    style, script = (_joined(names) for names in (STYLES, SCRIPTS))
    policy = (
        f"default-src 'none'; img-src data:; style-src {_digest(style)}; "
        f"script-src {_digest(script)}; base-uri 'none'; form-action 'none'"
    )
    parts = {
        "title": html.escape(description["title"]),
        "policy": policy,
        "style": style,
        "script": script,
        "description": _json(description),
    }
    return re.sub(r"\{\{ (\w+) \}\}", lambda place: parts[place[1]], _template("page.html"))


def _json(value: object) -> str:
    """Return JSON that may stand inside of a script element, whatever texts it holds."""
    text = json.dumps(value, ensure_ascii=False, separators=(",", ":"), allow_nan=False)
    for character in "<>&\u2028\u2029":
        text = text.replace(character, f"\\u{ord(character):04x}")
    return text


def _digest(text: str) -> str:
    """Return a text as a content security policy names it."""
    return f"'sha256-{base64.b64encode(hashlib.sha256(text.encode()).digest()).decode()}'"


def _joined(names: tuple[str, ...]) -> str:
    """Return files of the template, one below the other."""
    return "\n" + "\n".join(_template(name) for name in names)


def _template(name: str) -> str:
    """Return a file of the template."""
    return (files(__package__) / "template" / name).read_text(encoding="utf-8")
