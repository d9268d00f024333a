"""Bad input of every kind ends in plain words: no traceback, no hang, nothing half-written."""

from importlib import import_module

import pytest

from bench.record.quantities import registered_metrics
from tests.fuzz.generators import GENERATORS
from tests.fuzz.harness import failures

FEW, MANY = 56, 2300  # of each kind


@pytest.fixture(autouse=True, scope="module")
def warm():
    """Import what the commands import, which takes seconds that no case is to pay for."""
    for module in ("execution.run_sweep", "tuning.study", "evaluation.saved_rows"):
        import_module(f"bench.{module}")
    registered_metrics()


def check(kind, seeds, folder, capsys):
    found = failures(GENERATORS[kind], seeds, folder, capsys.readouterr)
    assert not found, f"{len(found)} of {len(seeds)}:\n\n" + "\n\n".join(found[:10])


@pytest.mark.parametrize("kind", GENERATORS)
def test_bad_input_ends_in_plain_words(kind, tmp_path, capsys):
    check(kind, range(FEW), tmp_path, capsys)


@pytest.mark.slow
@pytest.mark.parametrize("kind", GENERATORS)
def test_much_bad_input_ends_in_plain_words(kind, tmp_path, capsys):
    check(kind, range(FEW, FEW + MANY), tmp_path, capsys)
