"""The line that says which file of the record was left out, and why."""

from bench.console import say

_said: set[str] = set()


def say_left_out(problem: Exception) -> None:
    """Say once in this process that a file was left out; the rest goes on without it."""
    if (text := str(problem)) not in _said:
        _said.add(text)
        say(f"warning: left out: {text}")
