"""What tests of sweep files share."""

import pytest


@pytest.fixture
def write(tmp_path):
    """Return a function that writes a text to s.yaml and returns the path."""

    def write(text):
        path = tmp_path / "s.yaml"
        path.write_text(text)
        return path

    return write
