"""Files among options: what looks like a path but cannot be one is a text like any other."""

import pytest
from pydantic import create_model

from bench.spec.option_files import hash_files


@pytest.mark.parametrize("text", ["a/" * 4000, "~nobody-here/net.pt", "a\0b/net.pt", "none/net.pt"])
def test_a_text_that_is_no_path_has_no_hash(text):
    options = create_model("Options", weights=(str, ...))(weights=text)
    assert hash_files(options) == {}


def test_a_text_that_is_the_path_of_a_file_is_hashed(tmp_path):
    (tmp_path / "net.pt").write_bytes(b"")
    options = create_model("Options", weights=(str, ...))(weights=str(tmp_path / "net.pt"))
    assert hash_files(options)["weights"].startswith("e3b0c44298fc")
