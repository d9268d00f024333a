"""`log.txt` in the folder of a run."""

import logging
from collections.abc import Iterator
from contextlib import contextmanager, suppress
from pathlib import Path

FORMAT = "%(asctime)s %(levelname)s %(name)s: %(message)s"

_log = logging.getLogger("bench")


class _LogFile(logging.FileHandler):
    """A log that ends no run where it cannot be written."""

    def handleError(self, record: logging.LogRecord) -> None:  # noqa: N802 (name of logging's)
        """Leave the line out."""


@contextmanager
def logging_to(path: Path) -> Iterator[None]:
    """Append what is logged to a file."""
    handler = _LogFile(path, encoding="utf-8")
    handler.setFormatter(logging.Formatter(FORMAT))
    _log.setLevel(logging.INFO)
    _log.addHandler(handler)
    try:
        yield
    finally:
        _log.removeHandler(handler)
        with suppress(OSError):  # the last lines may not fit on a full disk
            handler.close()
