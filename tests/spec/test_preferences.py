"""The user's file and the command line, and which of them wins."""

import pytest

from bench.errors import SpecError
from bench.spec.preferences import load_preferences, load_trackers, preferences_path
from bench.spec.switches import SwitchSet

INLINE = {"name": "inline"}
LOCAL = {"name": "local", "per_gpu": None}


@pytest.fixture
def write(tmp_path, monkeypatch):
    monkeypatch.setenv("XDG_CONFIG_HOME", str(tmp_path))

    def write(text):
        preferences_path().parent.mkdir(exist_ok=True)
        preferences_path().write_text(text)

    return write


@pytest.mark.parametrize(
    ("text", "given", "expected"),
    [
        ("", {}, (INLINE, None)),
        ("", {"jobs": 1}, (INLINE, 1)),
        ("", {"jobs": 2}, (LOCAL, 2)),
        ("", {"executor": "inline", "jobs": 2}, (INLINE, 2)),
        ("executor: local\njobs: 3\n", {}, (LOCAL, 3)),
        ("executor: local\njobs: 3\n", {"jobs": 2}, (LOCAL, 2)),
        ("executor: local\njobs: 3\n", {"executor": "inline"}, (INLINE, 3)),
        ("jobs: 3\n", {}, (LOCAL, 3)),
    ],
)
def test_the_command_line_overrides_the_file_and_several_jobs_are_local(
    write, text, given, expected
):
    if text:
        write(text)
    preferences = load_preferences(**given)
    assert (preferences.executor, preferences.jobs) == expected


def test_results_of_other_code_are_used_only_if_someone_says_so(write):
    assert not load_preferences().allow_code_change
    assert load_preferences(allow_code_change=True).allow_code_change
    write("allow_code_change: true\n")
    assert load_preferences().allow_code_change
    assert not load_preferences(allow_code_change=False).allow_code_change


def test_speed_is_read_from_the_file_too(write):
    assert load_preferences().switches is None
    write("speed: compile,channels_last\n")
    assert load_preferences().switches == SwitchSet(channels_last=True, compile=True)
    assert load_preferences(speed="eager").switches == SwitchSet()
    assert load_preferences(speed="auto").switches is None


@pytest.mark.parametrize(
    ("text", "message"),
    [
        ("jobs: 2\nexecuter: local\n", "config.yaml:2: executer: unknown key"),
        ("executor: lokal\n", "config.yaml:1: executor.name: unknown executor 'lokal' (did you"),
        ("executor:\n  name: local\n  gpus: 2\n", "config.yaml:3: executor.gpus: unknown key"),
        ("jobs: 0\n", "config.yaml:1: jobs: must be >= 1, got 0"),
        ("executor: {name: local, per_gpu: 0}\n", "executor.per_gpu: must be >= 1, got 0"),
        ("jobs: 2\nallow_code_change: maybe\n", "config.yaml:2: allow_code_change: "),
        ("jobs: 2\nspeed: fast\n", "config.yaml:2: speed: unknown switch 'fast'"),
        ("jobs: [\n", "config.yaml:2: is not valid YAML"),
        ("- local\n", "config.yaml:1: expected a mapping (key: value)"),
    ],
)
def test_mistakes_in_the_file_are_shown_in_place(write, text, message):
    write(text)
    with pytest.raises(SpecError) as caught:
        load_preferences()
    assert message in str(caught.value)


@pytest.mark.parametrize(
    ("text", "message"),
    [
        (
            "jobs: 2\ntracker: wandbb\n",
            "config.yaml:2: tracker.0.name: unknown tracker 'wandbb' (did",
        ),
        ("tracker:\n  - mlflow\n  - {name: wandb, mod: x}\n", ":3: tracker.1.mod: unknown key"),
        ("tracker:\n- 3\n", "config.yaml:2: tracker.0: "),
    ],
)
def test_mistakes_in_trackers_are_shown_in_place(write, text, message):
    write(text)
    with pytest.raises(SpecError) as caught:
        load_trackers(None)
    assert message in str(caught.value)


@pytest.mark.parametrize("text", ["lokal", "{name: local, gpus: 2}", "[", "3"])
def test_mistakes_on_the_command_line_are_named(write, text):
    with pytest.raises(SpecError) as caught:
        load_preferences(executor=text)
    assert f"command line, --executor {text}" in str(caught.value)
