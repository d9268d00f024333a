import pytest

from bench.spec import run_config
from bench.spec.run_config import complete_settings, recorded_training

PLAIN = {"model": "cvae", "data": "digits", "seed": 0, "iterations": 10}


def completed(**settings):
    return complete_settings(PLAIN | settings)


@pytest.mark.parametrize(
    ("setting", "default", "other"), [("clip_norm", None, 1.0), ("batch_size", 96, 12)]
)
def test_a_later_setting_changes_no_id_where_it_has_its_default(
    monkeypatch, setting, default, other
):
    monkeypatch.setattr(run_config, "LATER_SETTINGS", (setting,))
    plain, same, changed = (
        completed(),
        completed(**{setting: default}),
        completed(**{setting: other}),
    )
    assert setting not in plain.canonical
    assert plain.id == same.id != changed.id
    for run in (plain, changed):  # an old `config.json` lacks the key
        assert recorded_training(run.canonical) == run.training


def test_the_id_of_a_plain_run_stays():
    assert completed().id == "667eea873b8b"
