"""Freed memory is kept, where glibc is."""

import platform
import subprocess
import sys

import pytest

COUNT = """
import resource, sys, torch
from bench.execution.allocator import keep_freed_memory
if sys.argv[1] == "keep":
    assert keep_freed_memory()
torch.set_num_threads(1)
for turn in range(25):
    if turn == 15:
        before = resource.getrusage(resource.RUSAGE_SELF).ru_minflt
    blocks = [torch.ones(2_000_000) for _ in range(8)]
    del blocks
print(resource.getrusage(resource.RUSAGE_SELF).ru_minflt - before)
"""


@pytest.mark.skipif(platform.libc_ver()[0] != "glibc", reason="another C library")
def test_pages_are_not_asked_for_again():
    """Eight blocks of 8 MB at a time, more than glibc keeps by itself."""
    faults = {}
    for mode in ("keep", "default"):
        words = [sys.executable, "-c", COUNT, mode]
        faults[mode] = int(subprocess.run(words, check=True, capture_output=True).stdout)
    assert 10 * faults["keep"] < faults["default"], faults
