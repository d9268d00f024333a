"""The first iterations of every model are what they were."""

import json

import pytest

from bench import registry
from tests.golden.rewrite import FOLDER, first_iterations


@pytest.mark.parametrize("name", list(registry.BUILT_IN["model"]))
def test_first_iterations_are_what_they_were(name):
    stored = json.loads((FOLDER / f"{name}.json").read_text())
    found = first_iterations(name)
    assert found.keys() == stored.keys()
    for term, values in stored.items():
        assert found[term] == pytest.approx(values, rel=1e-7, abs=1e-9), term
