"""Reports in tests know the metrics of `recorded`, and need not import the real ones."""

import pytest
import recorded

from bench.record import quantities


@pytest.fixture(autouse=True)
def registered(monkeypatch):
    monkeypatch.setattr(quantities, "registered_metrics", recorded.registered_metrics)
