"""Settings of glibc for freed memory."""

import ctypes
import sys

_TRIM_THRESHOLD, _MMAP_THRESHOLD = -1, -3  # names of malloc.h
KEPT_BYTES = 2**31 - 1
LARGEST_BYTES = 32 << 20  # the largest block that glibc takes from what is kept


def keep_freed_memory() -> bool:
    """Let this process keep freed memory for its next operation; return whether that is possible.

    By default glibc returns large blocks to the system at once, which then clears the same pages
    again for the next operation.
    """
    if not sys.platform.startswith("linux"):
        return False
    try:
        mallopt = ctypes.CDLL(None).mallopt
    except (OSError, AttributeError):  # musl has none
        return False
    return bool(mallopt(_MMAP_THRESHOLD, LARGEST_BYTES)) and bool(
        mallopt(_TRIM_THRESHOLD, KEPT_BYTES)
    )
