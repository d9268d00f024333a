"""How a run was done where that is not said by its configuration: `execution.json` in its folder.

Each key belongs to one feature, such as `micro_batch`. A resumed run goes on in the same way, and
reports say so. The configuration, and with it the id, says what is computed; this says how.
"""

import json
from pathlib import Path
from typing import Any

from bench.record.files import write_atomically

NAME = "execution.json"


def read_execution(folder: Path) -> dict[str, Any]:
    """Return what was noted in the folder of a run; nothing of a file that is not there or damaged.

    Args:
        folder: Folder of the run.

    Returns:
        Key -> plain data.
    """
    try:
        found = json.loads((folder / NAME).read_bytes())
    except (OSError, ValueError):
        return {}
    return found if isinstance(found, dict) else {}


def note_execution(folder: Path, **keys: object) -> None:
    """Note something; keys that others own stay.

    Args:
        folder: Folder of the run.
        **keys: Key -> plain data.
    """
    content = json.dumps({**read_execution(folder), **keys}, indent=2, sort_keys=True)
    write_atomically(folder / NAME, content.encode() + b"\n")
