"""Signals that ask a process to stop, and messages without a reader."""

import io
import signal

import pytest

from bench.console import say
from bench.errors import Interrupted
from bench.process.stop_signal import STOPPING, StopSignal


@pytest.mark.parametrize("number", STOPPING)
def test_a_signal_interrupts_at_once(number):
    with StopSignal().listening() as stop:
        assert not stop()
        with pytest.raises(Interrupted):
            signal.raise_signal(number)
    assert stop()


def test_deferred_work_is_finished_unless_a_second_signal_comes(capsys):
    with StopSignal().listening() as stop:
        with pytest.raises(Interrupted), stop.deferred():
            assert [signal.raise_signal(signal.SIGINT), stop()] == [None, True]
        assert "press Ctrl-C again to stop at once" in capsys.readouterr().err
        with pytest.raises(KeyboardInterrupt):
            signal.raise_signal(signal.SIGINT)


def test_a_quiet_process_ignores_further_signals(capsys):
    with StopSignal(quiet=True).listening() as stop:
        with pytest.raises(Interrupted):
            signal.raise_signal(signal.SIGTERM)
        signal.raise_signal(signal.SIGTERM)
    assert stop()
    assert capsys.readouterr().err == ""


def test_earlier_handlers_are_restored():
    before = [signal.getsignal(number) for number in STOPPING]
    with StopSignal().listening():
        assert [signal.getsignal(number) for number in STOPPING] != before
    assert [signal.getsignal(number) for number in STOPPING] == before


def test_code_that_handles_any_exception_does_not_handle_an_interruption():
    def works(call):
        try:
            call()
        except Exception:
            return False
        return True

    with StopSignal().listening(), pytest.raises(Interrupted):
        works(lambda: signal.raise_signal(signal.SIGINT))


@pytest.mark.parametrize("error", [BrokenPipeError, OSError(5, "Input/output error"), ValueError])
def test_a_closed_terminal_does_not_stop_the_work(monkeypatch, error):
    class Gone(io.StringIO):
        def write(self, text):
            raise error

    monkeypatch.setattr("sys.stderr", Gone())
    say("one more run is done")
