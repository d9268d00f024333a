"""Lines of code that is not the harness's own, for messages about it."""

import inspect
import re
import sys
import traceback

OURS = {"bench", "torch"} | sys.stdlib_module_names


def place_of(factory: type, attribute: str = "__init__") -> str:
    """Return `file:line` of the class that has an attribute; of the class itself if none has."""
    owners = [owner for owner in factory.__mro__ if attribute in vars(owner)]
    owner = owners[0] if owners and not is_ours(owners[0].__module__) else factory
    try:
        file, (lines, first) = inspect.getsourcefile(owner), inspect.getsourcelines(owner)
    except (OSError, TypeError):  # made without a file
        return ""
    form = re.compile(rf"\s+(async )?(def {attribute}\b|{attribute}\s*[:=])")
    offset = next((n for n, line in enumerate(lines) if form.match(line)), 0)
    return f"{file}:{first + offset}"


def place_in(error: BaseException) -> str:
    """Return `file:line, in function` of the innermost frame of an error that is not ours."""
    frames = [
        (frame, line)
        for frame, line in traceback.walk_tb(error.__traceback__)
        if not is_ours(frame.f_globals.get("__name__", ""))
    ]
    if not frames:
        return ""
    frame, line = frames[-1]
    return f"{frame.f_code.co_filename}:{line}, in {frame.f_code.co_name}"


def is_ours(module: str) -> bool:
    """Return whether a module belongs to the harness, to torch or to Python."""
    return module.partition(".")[0] in OURS
