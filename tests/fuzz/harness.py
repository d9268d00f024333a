"""Run a case of bad input through the command line, and judge how it ends.

A case ends well where it is accepted, or refused in plain words: one message that names the place,
of few lines, within seconds; no traceback, no control character.
"""

import os
import signal
import traceback
from contextlib import contextmanager
from dataclasses import dataclass
from random import Random

from bench.cli import main
from bench.errors import shortened

MOST_SECONDS = 2  # of computing
MOST_WAITING = 20  # for whatever else the machine does
MOST_LINES = 20
MOST_CHARACTERS = 6000


@dataclass(frozen=True)
class Case:
    """A command whose files are written.

    `accepts` are the exit statuses that it may have. A refusal says one of `names`; without one,
    all of `prints` are printed.
    """

    words: tuple
    names: tuple = ("",)
    accepts: tuple = (0, 2)
    prints: tuple = ()


class Slow(BaseException):
    """A case takes too long."""


TIMERS = (
    (signal.ITIMER_PROF, signal.SIGPROF, MOST_SECONDS),
    (signal.ITIMER_REAL, signal.SIGALRM, MOST_WAITING),
)


@contextmanager
def limited():
    """Raise `Slow` where the body computes or waits too long, wherever it is."""

    def stop(number, frame):
        raise Slow("".join(traceback.format_stack(frame)[-6:]))

    before = [signal.signal(number, stop) for _, number, _ in TIMERS]
    for timer, _, seconds in TIMERS:
        signal.setitimer(timer, seconds)
    try:
        yield
    finally:
        for (timer, number, _), handler in zip(TIMERS, before, strict=True):
            signal.setitimer(timer, 0)
            signal.signal(number, handler)


def problem_of(case, captured):
    """Run a case; return what is wrong with how it ended, or None."""
    status = 0
    try:
        with limited():
            main(list(case.words))
    except SystemExit as end:
        status = end.code or 0
    except Slow as slow:
        captured()
        return f"takes more than {MOST_SECONDS} s:\n{slow}"
    except BaseException:
        captured()
        return traceback.format_exc()
    out, err = captured()
    if "Traceback (most recent call last)" in out + err:
        return f"prints a traceback:\n{out}{err}"
    if any(c.isascii() and not c.isprintable() and c not in "\n\t" for c in out + err):
        return f"prints control characters: {out + err!r}"
    if status not in case.accepts:
        return f"ends with status {status}:\n{err}"
    if not status:
        absent = [text for text in case.prints if text not in out]
        return f"does not print {absent}:\n{out}" if absent else None
    if err.count("\n") > MOST_LINES or len(err) > MOST_CHARACTERS:
        return f"says {err.count(chr(10))} lines, {len(err)} characters:\n{err}"
    if not any(name in err for name in case.names):
        return f"says none of {case.names}:\n{err}"
    return None


def failures(generator, seeds, folder, captured):
    """Return what is wrong with the cases of a generator, each in a folder of its own."""
    found, here, before = [], os.getcwd(), dict(os.environ)
    for seed in seeds:
        place = folder / f"{generator.__name__}-{seed}"
        place.mkdir()
        os.chdir(place)
        try:
            case = generator(Random(seed), place)
            if problem := problem_of(case, captured):
                words = shortened(repr(case.words), 300)
                found.append(f"{generator.__name__}, seed {seed}, {words} {problem}")
        finally:
            os.chdir(here)
            os.environ.clear()
            os.environ.update(before)
    return found
