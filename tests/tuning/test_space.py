"""What may vary, and what is wrong with a tuning file: file, line, key."""

import pytest

from bench.errors import SpecError
from bench.tuning.space import SearchRange, weights_space
from bench.tuning.tuning_file import load_tuning, tuning_plan_text


def variant_of(tuning, name="cvae"):
    return next(variant for variant in tuning.variants if variant.name == name)


def test_loss_weights_vary_where_nobody_says_what(write):
    found = variant_of(load_tuning(write()))
    assert {name: allowed.bounds for name, allowed in found.space.items()} == {
        "reconstruct": (1.0, 100.0),
        "kl": (0.1, 10.0),
    }
    training = found.run({"reconstruct": 20.0, "kl": 0.5}, 0).training
    assert training.objective == {
        "encoder": {"reconstruct": 20.0, "kl": 0.5},
        "decoder": {"reconstruct": 20.0},
    }


def test_one_term_with_two_weights_is_two_numbers():
    two = {"code": {"likely": 1.0, "kl": 1.0}, "prior": {"likely": 0.1, "sort": 1.0}}
    space = weights_space(two)
    assert space["likely of code"].keys == ["objective.code.likely"]
    assert space["likely of prior"].keys == ["objective.prior.likely"]


def test_weights_of_0_and_of_lonely_terms_do_not_vary():
    assert set(weights_space({"a": {"x": 1.0, "y": 2.0, "off": 0.0}, "b": {"z": 1.0}})) == {
        "x",
        "y",
    }
    assert weights_space({"a": {"x": 1.0, "off": 0.0}}) == {}


def test_trials_are_measured_on_validation_images_alone(write):
    evaluation = variant_of(load_tuning(write())).run({}, 0).evaluation
    assert evaluation.splits == ["validation"]
    assert evaluation.controls == ["real"]


def test_a_study_begins_with_what_the_variant_has(write):
    tuning = load_tuning(write())
    cvae, cgan = variant_of(tuning), variant_of(tuning, "cgan")
    assert cvae.default == {"reconstruct": 10.0, "kl": 1.0}
    assert cgan.default == {"optimizers.default.rate": 5e-4}
    assert cvae.run(cvae.default, 3).id == cvae.run({}, 3).id
    assert variant_of(load_tuning(write(("1e-4", "1e-3"))), "cgan").default is None


def test_numbers_are_tried_with_few_digits_but_for_the_first(write):
    odd = ("cvae: {}", "cvae: {objective: {encoder: {kl: 0.123456}}}")
    variant = variant_of(load_tuning(write(odd)))
    assert variant.tried({"reconstruct": 12.345678, "kl": 0.123456}) == {
        "reconstruct": 12.35,
        "kl": 0.123456,
    }
    assert variant.tried({"kl": 0.223456}) == {"kl": 0.2235}


def test_the_patch_keeps_what_the_variant_changed(write):
    found = variant_of(load_tuning(write()), "cgan")
    assert found.patch_of({"optimizers.default.rate": 2e-3}) == {
        "model": {"name": "cgan", "width": 0.25, "latent": 4},
        "optimizers": {"default": {"rate": 2e-3}},
    }


@pytest.mark.parametrize(
    ("allowed", "values", "inside"),
    [
        (SearchRange(low=1, high=10), (1, 10, 3.5), (0.5, 11, "3", None)),
        (SearchRange(choices=["a", "b"]), ("a", "b"), ("c", 1)),
    ],
)
def test_a_range_holds_what_lies_in_it(allowed, values, inside):
    assert all(allowed.contains(value) for value in values)
    assert not any(allowed.contains(value) for value in inside)


RATE = "optimizers.default.rate: {low: 1e-4, high: 1e-2}"


@pytest.mark.parametrize(
    ("old", "new", "message"),
    [
        ("trials: 4", "trails: 4", r":10: trails: unknown key 'trails' \(did you mean 'tri"),
        ("  cgan:\n    opt", "  cgam:\n    opt", r":16: space.cgam: unknown variant 'cgam' \(did"),
        ("high: 1e-2", "hihg: 1e-2", r":17: space.cgan.*hihg: unknown key 'hihg' \(did you"),
        ("high: 1e-2", "high: 1e-5", r":17: .*low must be below high, got 0.0001 and 1e-05"),
        ("low: 1e-4", "low: 0", r":17: .*low must be above 0, got 0.0; or set log: false"),
        ("low: 1e-4, high: 1e-2", "choices: [1]", r":17: .*choices must be at least two"),
        ("default.rate", "default.rata", r":17: .*unknown key 'rata' \(did you mean 'rate'"),
        (
            RATE,
            "objective.critik.discriminate: {low: 1, high: 2}",
            r":17: objective.critik: unknown player 'critik' \(did you mean 'critic'\?\)",
        ),
        (RATE, "data.noise: {low: 1, high: 2}", ":17: .*must be the same in all trials"),
        (RATE, "snapshots: {low: 1, high: 2}", ":17: .*must be the same in all trials"),
        ("  cgan:\n    " + RATE, "  {}", "'cgan' has no loss weight to tune, since each of its pl"),
        (
            "objectives: [class_accuracy, within",
            "objectives: [class_acuracy, within",
            r":11: objectives.0: unknown quantity 'class_acuracy' \(did you mean 'class_acc",
        ),
        (
            "data: blobs",
            "data: {name: blobs, validation_fraction: 0}",
            "splits: blobs has no validation split, since its validation_fraction is 0|"
            "splits.0: blobs has no validation split",
        ),
    ],
)
def test_mistakes_are_answered_with_file_line_key_and_remedy(write, old, new, message):
    with pytest.raises(SpecError, match=message):
        load_tuning(write((old, new)))


def test_models_are_chosen_by_name(write):
    tuning = load_tuning(write())
    assert tuning.select("all") == ["cvae", "cgan"]
    assert tuning.select("cgan, cvae") == ["cgan", "cvae"]
    with pytest.raises(
        SpecError, match=r"--variants cgam: unknown variant 'cgam' \(did you mean 'cg"
    ):
        tuning.select("cgam")


def test_a_dry_run_prints_the_space(bench, write):
    write()
    status, out, _ = bench("tune", "mini.yaml", "--dry-run")
    assert status == 0
    assert "mini: 2 studies; 4 trials of 2 seeds each, by Class accuracy (%) (higher)" in out
    assert "kl: 0.1 to 10, log-uniform, begins with 1.0" in out
    assert "optimizers.default.rate: 0.0001 to 0.01, log-uniform, begins with 0.0005" in out


def test_the_file_that_ships_is_sound():
    from pathlib import Path

    tuning = load_tuning(Path("sweeps/tune.yaml"))
    assert "all" not in tuning.select("all")
    assert tuning_plan_text(tuning).count("begins with") == sum(
        len(v.space) for v in tuning.variants
    )
