"""How a process is asked to stop."""

import io
import signal

import pytest

from bench.console import say
from bench.errors import Interrupted
from bench.process.stop_signal import STOPPING, StopSignal


@pytest.mark.parametrize("number", STOPPING)
def test_what_can_be_done_again_is_left_at_once(number):
    with StopSignal().listening() as stop:
        assert not stop()
        with pytest.raises(Interrupted):
            signal.raise_signal(number)
    assert stop()


def test_what_is_deferred_comes_to_its_end_unless_asked_twice(capsys):
    with StopSignal().listening() as stop:
        with pytest.raises(Interrupted), stop.deferred():
            assert [signal.raise_signal(signal.SIGINT), stop()] == [None, True]
        assert "press Ctrl-C again to stop at once" in capsys.readouterr().err
        with pytest.raises(KeyboardInterrupt):
            signal.raise_signal(signal.SIGINT)


def test_a_worker_takes_many_requests_for_one(capsys):
    with StopSignal(quiet=True).listening() as stop:
        with pytest.raises(Interrupted):
            signal.raise_signal(signal.SIGTERM)
        signal.raise_signal(signal.SIGTERM)
    assert stop()
    assert capsys.readouterr().err == ""


def test_the_handlers_of_before_come_back():
    before = [signal.getsignal(number) for number in STOPPING]
    with StopSignal().listening():
        assert [signal.getsignal(number) for number in STOPPING] != before
    assert [signal.getsignal(number) for number in STOPPING] == before


def test_code_that_answers_any_error_does_not_answer_a_request_to_stop():
    def works(call):
        try:
            call()
        except Exception:
            return False
        return True

    with StopSignal().listening(), pytest.raises(Interrupted):
        works(lambda: signal.raise_signal(signal.SIGINT))


@pytest.mark.parametrize("error", [BrokenPipeError, OSError(5, "Input/output error"), ValueError])
def test_a_terminal_that_is_gone_ends_no_work(monkeypatch, error):
    class Gone(io.StringIO):
        def write(self, text):
            raise error

    monkeypatch.setattr("sys.stderr", Gone())
    say("one more run is done")
