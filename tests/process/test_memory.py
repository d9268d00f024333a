"""Freed memory is kept, where glibc is."""

import platform
import subprocess
import sys

import pytest

COUNT = """
import sys, torch
from bench.process.memory import keep_freed_memory

def held():  # MB of this process in memory
    with open("/proc/self/statm") as file:
        return int(file.read().split()[1]) * 4096 >> 20

if sys.argv[1] == "keep":
    assert keep_freed_memory()
before = held()
blocks = [torch.ones(2_000_000) for _ in range(16)]
del blocks
print(held() - before)
"""


@pytest.mark.skipif(platform.libc_ver()[0] != "glibc", reason="another C library")
def test_a_process_keeps_what_it_freed():
    """Sixteen blocks of 8 MB."""
    kept = {}
    for mode in ("keep", "default"):
        words = [sys.executable, "-c", COUNT, mode]
        kept[mode] = int(subprocess.run(words, check=True, capture_output=True).stdout)
    assert kept["keep"] > 100 > 50 > kept["default"], kept
