"""Reports in tests know the metrics of `recorded`, and need not import the real ones."""

import pytest

from bench.record import quantities
from tests.data_recorded import recorded


@pytest.fixture(autouse=True)
def registered(monkeypatch):
    monkeypatch.setattr(quantities, "registered_metrics", recorded.registered_metrics)
