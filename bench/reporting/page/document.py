"""The page itself: plain data put into the files of `template/`, everything in one file."""

import base64
import hashlib
import html
import json
import re
from collections.abc import Mapping, Sequence
from importlib.resources import files
from typing import Any

import bench
from bench.record.records import Records
from bench.reporting.page.curves import describe_curves
from bench.reporting.page.pictures import describe_pictures
from bench.reporting.page.runs import describe_runs
from bench.reporting.page.tables import (
    describe_notes,
    describe_seeds,
    describe_tables,
    without_repeats,
)
from bench.reporting.page.variants import PageVariants
from bench.reporting.status import STATES, states_by_kind
from bench.reporting.tables.table import Table
from bench.reporting.tables.table_spec import Names

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
    "paper.js",
    "start.js",
)
"""In this order; each adds one part to the only global, `Page`."""


def describe_page(
    records: Records, tables: Sequence[Table], names: Names, summary: Sequence[str] = ()
) -> dict[str, Any]:
    """Return everything that the page shows, as plain data, with the sentences of its summary."""
    shown, topics = without_repeats(tables)
    variants = PageVariants(records, [row for table in tables for row in table.rows])
    runs, sweeps = records.runs, records.sweeps
    title = " · ".join(sweep.title or sweep.name for sweep in sweeps[:3])
    return {
        "title": title + (f" and {len(sweeps) - 3} more" if len(sweeps) > 3 else ""),
        "summary": list(summary),
        "made": f"bench {bench.__version__}",
        "sweeps": [
            {
                "name": sweep.name,
                "title": sweep.title,
                "command": sweep.command,
                "data": list(dict.fromkeys(run.data for run in of_sweep)),
                "states": {state: sum(run.state == state for run in of_sweep) for state in STATES},
                "progress": states_by_kind(of_sweep),
            }
            for sweep in sweeps
            for of_sweep in [[run for run in runs if run.sweep == sweep.name]]
        ],
        "data": {
            name: names.data.get(name, name) for name in dict.fromkeys(run.data for run in runs)
        },
        "variants": variants.described,
        "notes": describe_notes(shown),
        "topics": topics,
        "tables": describe_tables(shown, variants),
        "seeds": describe_seeds(tables, variants),
        "pictures": describe_pictures(records, variants),
        "curves": describe_curves(records, variants),
        "runs": describe_runs(records, variants),
    }


def render_page(description: Mapping[str, Any]) -> str:
    """Return what `describe_page` returns as one HTML file, without a clock: always the same text.

    A content security policy admits these very styles and scripts, images inside the file, and
    nothing else: the page can ask no server for anything, whatever the names in it hold.
    """
    style, script = ("\n" + "\n".join(map(_template, names)) for names in (STYLES, SCRIPTS))
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
    return re.sub(r"\{\{ (\w+) \}\}", lambda match: parts[match[1]], _template("page.html"))


def _json(value: object) -> str:
    """Return JSON that is safe inside a script element, whatever text it holds."""
    text = json.dumps(value, ensure_ascii=False, separators=(",", ":"), allow_nan=False)
    for character in "<>&\u2028\u2029":
        text = text.replace(character, f"\\u{ord(character):04x}")
    return text


def _digest(text: str) -> str:
    return f"'sha256-{base64.b64encode(hashlib.sha256(text.encode()).digest()).decode()}'"


def _template(name: str) -> str:
    return (files(__package__) / "template" / name).read_text(encoding="utf-8")
