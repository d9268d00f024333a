"""How a run was executed where its configuration does not say it: `execution.json` in its folder.

Each key belongs to one feature, such as `micro_batch`. A resumed run goes on in the same way, and
notes under tables say so.
"""

import json
from pathlib import Path
from typing import Any

from bench.record.files import write_json

NAME = "execution.json"


def read_execution(folder: Path) -> dict[str, Any]:
    """Return the notes of a run, key -> plain data; none of a file that is absent or damaged."""
    try:
        notes = json.loads((folder / NAME).read_bytes())
    except (OSError, ValueError):
        return {}
    return notes if isinstance(notes, dict) else {}


def note_execution(folder: Path, **notes: object) -> None:
    """Add notes to those of a run."""
    write_json(folder / NAME, {**read_execution(folder), **notes})
