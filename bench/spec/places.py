"""Places in the code of models and other plug-ins, for messages: `file:line, in function`."""

import inspect
import os
import re
import sys
import traceback
from collections.abc import Iterable, Sequence
from types import FrameType

OURS = {"bench", "torch"} | sys.stdlib_module_names
"""Packages whose lines are never named."""


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


def line_with(factory: type, method: str, text: str) -> str:
    """Return `file:line` of the last line of a method with a string literal, or of the method."""
    place = place_of(factory, method)
    function = getattr(factory, method, None)
    if not place or not inspect.isfunction(function) or is_ours(function.__module__):
        return place
    lines, first = inspect.getsourcelines(function)
    literal = re.compile(rf"""(["']){re.escape(text)}\1""")
    found = [first + n for n, line in enumerate(lines) if literal.search(line)]
    return f"{inspect.getsourcefile(function)}:{found[-1]}, in {method}" if found else place


def place_in_stack(stack: Iterable[traceback.FrameSummary]) -> str:
    """Return `file:line, in function` of the innermost frame of a summary that is not ours."""
    files = [str(sys.modules[name].__file__) for name in ("bench", "torch")]
    folders = tuple(os.path.dirname(file) + os.sep for file in files)
    named = [frame for frame in stack if not frame.filename.startswith(folders)]
    return f"{named[-1].filename}:{named[-1].lineno}, in {named[-1].name}" if named else ""


def place_in(error: BaseException) -> str:
    """Return `file:line, in function` of the innermost frame of an error that is not ours."""
    return _innermost(list(traceback.walk_tb(error.__traceback__)))


def place_below(file: str) -> str:
    """Return the place of the innermost present call that is not ours, if one of `file` made it."""
    frames = list(traceback.walk_stack(sys._getframe()))[::-1]
    first = next(n for n, (frame, _) in enumerate(frames) if frame.f_code.co_filename == file)
    return _innermost(frames[first:])


def place_at(frame: FrameType, line: int) -> str:
    """Return `file:line, in function`."""
    return f"{frame.f_code.co_filename}:{line}, in {frame.f_code.co_name}"


def is_ours(module: str) -> bool:
    """Return whether a module belongs to the harness, to torch or to Python."""
    return module.partition(".")[0] in OURS


def _innermost(frames: Sequence[tuple[FrameType, int]]) -> str:
    """Return the place of the last frame that is not ours; empty where there is none."""
    for frame, line in reversed(frames):
        if not is_ours(frame.f_globals.get("__name__", "")):
            return place_at(frame, line)
    return ""
