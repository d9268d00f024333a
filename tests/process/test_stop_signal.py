"""When work is asked to stop."""

from bench.process.stop_signal import StopSignal


def test_conditions_of_blocks_around_each_other_all_count():
    stop, outer, inner = StopSignal(), [], []
    with stop.stop_when(lambda: bool(outer)):
        with stop.stop_when(lambda: bool(inner)):
            assert not stop()
            outer.append("asked")
            assert stop(), "that of the block around it"
        assert stop()
        outer.clear()
        assert not stop()
    inner.append("asked")
    assert not stop()
