import pytest

from baselines.cvae import CVAE
from bench.spec.run_config import complete_settings, recorded_training
from bench.spec.run_settings import Average, Training
from bench.spec.validation import KeyProblem

PLAIN = {"model": "cvae", "data": "digits", "seed": 0, "iterations": 10}


def completed(**settings):
    return complete_settings(PLAIN | settings)


@pytest.mark.parametrize(
    ("setting", "default", "other"), [("clip_norm", None, 1.0), ("batch_size", 96, 12)]
)
def test_a_later_setting_changes_no_id_where_it_has_its_default(
    monkeypatch, setting, default, other
):
    monkeypatch.setattr(Training, "later_fields", (setting,))
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


BOTH, DECODER = ["encoder", "decoder"], ["decoder"]


@pytest.mark.parametrize(
    ("declared", "settings", "decay", "players"),
    [
        (None, {}, None, None),
        (None, {"average": {"decay": 0.9}}, 0.9, BOTH),
        ({"decay": 0.99}, {}, 0.99, BOTH),
        ({"decay": 0.99, "players": ("decoder",)}, {}, 0.99, DECODER),
        ({"decay": 0.99, "players": ["decoder"]}, {"average": {"decay": 0.9}}, 0.9, BOTH),
        ({"decay": 0.99}, {"average": {"decay": 0.9, "players": ["decoder"]}}, 0.9, DECODER),
        ({"decay": 0.99}, {"average": None}, None, None),
    ],
)
def test_an_average_is_that_of_the_sweep_or_else_of_the_model(
    monkeypatch, declared, settings, decay, players
):
    monkeypatch.setattr(CVAE, "average", declared)
    run = completed(**settings)
    average = run.training.average
    assert average == (Average(decay=decay, players=players) if decay else None)
    again = complete_settings(recorded_training(run.canonical).model_dump(mode="json"))
    assert again.id == run.id
    monkeypatch.setattr(CVAE, "average", {"decay": 0.5})  # a record says what was trained
    assert complete_settings(recorded_training(run.canonical).model_dump(mode="json")) == run


@pytest.mark.parametrize(
    ("declared", "words"),
    [
        (0.999, "CVAE: average is 0.999, not None or {"),
        ({"decay": 2}, "CVAE: average.decay: must be < 1.0, got 2"),
        ({"decay": 0.9, "player": ["decoder"]}, "did you mean 'players'"),
        ({"decay": 0.9, "players": "decoder"}, "average.players: expected a list"),
        ({"decay": 0.9, "players": ["critic"]}, "['critic'], which are not players; the players"),
    ],
)
def test_a_declared_average_is_checked(monkeypatch, declared, words):
    monkeypatch.setattr(CVAE, "average", declared)
    with pytest.raises(KeyProblem) as caught:
        completed()
    assert words in str(caught.value)
    assert "cvae.py:" in str(caught.value)
