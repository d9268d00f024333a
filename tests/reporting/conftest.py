import sys
from pathlib import Path

import pytest

RECORDED = Path(__file__).parents[1] / "data_recorded"
sys.path.insert(0, str(RECORDED))


@pytest.fixture
def golden():
    """Compare text with a stored file, byte for byte."""

    def compare(name, text):
        assert text.encode() == (RECORDED / "golden" / name).read_bytes()

    return compare
