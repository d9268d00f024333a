"""Settings of glibc for freed memory."""

import ctypes

_TRIM_THRESHOLD, _MMAP_THRESHOLD = -1, -3  # names of malloc.h
KEPT_BYTES = 2**31 - 1
LARGEST_BYTES = 32 << 20  # the largest block that glibc takes from what is kept


def keep_freed_memory() -> bool:
    """Let this process keep freed memory for its next operation; return whether that is possible.

    By default glibc returns large blocks at once, and the system clears the same pages again.
    """
    try:
        mallopt = ctypes.CDLL(None).mallopt
    except (OSError, TypeError, AttributeError):  # only glibc has it
        return False
    settings = {_MMAP_THRESHOLD: LARGEST_BYTES, _TRIM_THRESHOLD: KEPT_BYTES}
    return all([mallopt(name, value) for name, value in settings.items()])
