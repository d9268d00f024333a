"""The user's file and the command line, and which of them wins."""

import pytest

from bench.errors import SpecError
from bench.spec.preferences import (
    allows_code_change,
    choose_executor,
    choose_speed,
    preferences_path,
)
from bench.spec.switches import SwitchSet

LOCAL = {"name": "local", "per_gpu": None}


@pytest.fixture
def write(tmp_path, monkeypatch):
    monkeypatch.setenv("XDG_CONFIG_HOME", str(tmp_path))

    def write(text):
        preferences_path().parent.mkdir(exist_ok=True)
        preferences_path().write_text(text)

    return write


def test_without_a_file_several_jobs_are_local(write):
    assert choose_executor(None, None) == ({"name": "inline"}, None)
    assert choose_executor(None, 1) == ({"name": "inline"}, 1)
    assert choose_executor(None, 2) == (LOCAL, 2)
    assert choose_executor("inline", 2) == ({"name": "inline"}, 2)


def test_the_file_says_what_the_command_line_does_not(write):
    write("executor: local\njobs: 3\n")
    assert choose_executor(None, None) == (LOCAL, 3)
    assert choose_executor(None, 2) == (LOCAL, 2)
    assert choose_executor("inline", None) == ({"name": "inline"}, 3)
    write("jobs: 3\n")
    assert choose_executor(None, None) == (LOCAL, 3)


def test_results_of_other_code_are_used_only_if_someone_says_so(write):
    assert not allows_code_change(None)
    assert allows_code_change(True)
    write("allow_code_change: true\n")
    assert allows_code_change(None)
    assert not allows_code_change(False)
    write("jobs: 2\nallow_code_change: maybe\n")
    with pytest.raises(SpecError, match=r"config.yaml:2: allow_code_change: "):
        allows_code_change(None)


@pytest.mark.parametrize(
    ("text", "message"),
    [
        ("jobs: 2\nexecuter: local\n", "config.yaml:2: executer: unknown key"),
        ("executor: lokal\n", "config.yaml:1: executor.name: unknown executor 'lokal' (did you"),
        ("executor:\n  name: local\n  gpus: 2\n", "config.yaml:3: executor.gpus: unknown key"),
        ("jobs: 0\n", "config.yaml:1: jobs: must be >= 1, got 0"),
        ("jobs: [\n", "config.yaml:2: is not valid YAML"),
        ("- local\n", "config.yaml:1: expected a mapping (key: value)"),
    ],
)
def test_mistakes_in_the_file_are_shown_in_place(write, text, message):
    write(text)
    with pytest.raises(SpecError) as caught:
        choose_executor(None, None)
    assert message in str(caught.value)


@pytest.mark.parametrize("text", ["lokal", "{name: local, gpus: 2}", "[", "3"])
def test_mistakes_on_the_command_line_are_named(write, text):
    with pytest.raises(SpecError) as caught:
        choose_executor(text, None)
    assert f"command line, --executor {text}" in str(caught.value)


def test_speed_is_read_from_the_file_too(write):
    assert choose_speed(None) is None
    write("speed: compile,channels_last\n")
    assert choose_speed(None) == SwitchSet(channels_last=True, compile=True)
    assert choose_speed("eager") == SwitchSet()
    assert choose_speed("auto") is None
    write("jobs: 2\nspeed: fast\n")
    with pytest.raises(SpecError, match=r"config.yaml:2: speed: unknown switch 'fast'"):
        choose_speed(None)
