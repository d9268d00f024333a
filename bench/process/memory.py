"""What glibc does with memory that was freed."""

import ctypes
import sys

_TRIM_THRESHOLD, _MMAP_THRESHOLD = -1, -3  # names of malloc.h
KEPT = 2**31 - 1
LARGEST = 32 << 20
"""Bytes of the largest block that glibc lets one take from what is kept."""


def keep_freed_memory() -> bool:
    """Let this process keep freed memory for its next operation.

    By default glibc hands large blocks back to the system at once, which must then clear the same
    pages again for the next operation. The process stays as large as it was at its largest.

    Returns:
        Whether it took effect: on Linux with glibc.
    """
    if not sys.platform.startswith("linux"):
        return False
    try:
        mallopt = ctypes.CDLL(None).mallopt
    except (OSError, AttributeError):  # musl has none
        return False
    return bool(mallopt(_MMAP_THRESHOLD, LARGEST)) and bool(mallopt(_TRIM_THRESHOLD, KEPT))
