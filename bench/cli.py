"""The command line: all commands, and how errors are shown."""

import codecs
import io
import os
import pkgutil
import sys
from collections.abc import Sequence
from importlib import import_module

from bench import commands
from bench.commands import cli, echo
from bench.errors import BenchError, describe_system_error, first_control, shortened

for module in pkgutil.iter_modules(commands.__path__):  # which add themselves to `cli`
    import_module(f"{commands.__name__}.{module.name}")


def main(arguments: list[str] | None = None) -> None:
    """Run the command line with the words after `bench`; those of the process where None."""
    _open_streams()
    try:
        words = sys.argv[1:] if arguments is None else arguments
        _check_words(words)
        _check_current_folder()
        cli.main(words, obj=words)
    except BenchError as error:
        _end_with(str(error))
    except OSError as error:
        if (description := describe_system_error(error)) is None:
            raise
        _end_with(description)


def _end_with(error: str) -> None:
    """Print an error, and exit."""
    echo(f"error: {error}", err=True)
    sys.exit(2)


def _check_words(words: Sequence[str]) -> None:
    """Refuse words that are not text: with control characters, or bytes that are not UTF-8."""
    for word in words:
        if wrong := first_control(word):
            if "\udc80" <= wrong <= "\udcff":
                text = "is not UTF-8, or the locale is not (LC_ALL)"
            else:
                text = f"contains the control character {wrong!r}"
            raise BenchError(f"command line: {shortened(word)!r} {text}")


def _check_current_folder() -> None:
    """Refuse to begin in a folder that was deleted, in which no path means anything."""
    try:
        os.getcwd()
    except FileNotFoundError as error:
        raise BenchError("the current folder was deleted; go to another one") from error


ASCII = str.maketrans("─│→←↑↓–—−…×·≤≥≈", "-|><^v---.x.<>~")  # noqa: RUF001
"""Characters of tables that a terminal may lack, and what stands for them in the same width."""


def spell_out(error: UnicodeError) -> tuple[str | bytes, int]:
    """Replace what an encoding lacks: an error handler of `codecs` for output."""
    assert isinstance(error, UnicodeEncodeError)
    wrong = error.object[error.start : error.end].translate(ASCII)
    return wrong.encode("ascii", "backslashreplace").decode(), error.end


codecs.register_error(spell_out.__name__, spell_out)


def _open_streams() -> None:
    """Connect streams that are closed (`2>&-`) to the null device, also for child processes.

    Otherwise the next file that is opened would take the place of stderr. Output never fails for
    want of a character in the terminal's encoding.
    """
    for number, name in enumerate(("stdin", "stdout", "stderr")):
        if getattr(sys, name) is None:
            opened = os.open(os.devnull, os.O_RDWR)
            if opened != number:
                os.dup2(opened, number)
                os.close(opened)
            os.set_inheritable(number, True)
            setattr(sys, name, open(number, "w" if number else "r", closefd=False))  # noqa: SIM115
    for stream in (sys.stdout, sys.stderr):
        if isinstance(stream, io.TextIOWrapper):
            stream.reconfigure(errors=spell_out.__name__)
