"""YAML to runs: expansion and ids."""

from pathlib import Path

import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from bench.errors import SpecError
from bench.spec import run_config
from bench.spec.sweep_file import find_sweeps, load_sweep
from tests.shipped_data import make_shipped_data, overrides_for
from tests.spec.good_sweep import GOOD


def test_variants_and_seeds_multiply(write):
    sweep = load_sweep(write(GOOD))
    cells = [(run.variant, run.config.training.seed) for run in sweep.runs]
    assert cells == [("a", 0), ("a", 1), ("b", 0), ("b", 1)]
    assert sweep.runs[2].config.training.model["width"] == 0.5


def test_configuration_is_complete(write):
    training = load_sweep(write(GOOD)).runs[0].config.training
    assert training.model["backbone"] == "auto"
    assert training.data["split_seed"] == 0
    assert training.objective["decoder"] == {"reconstruct": 10.0}
    assert training.optimizers["decoder"]["betas"] == [0.0, 0.9]


def test_a_variant_is_completed_once_whatever_the_number_of_seeds(write, monkeypatch):
    built, construct = [], run_config.construct

    def count(kind, component, *supplied):
        built.append(kind)
        return construct(kind, component, *supplied)

    monkeypatch.setattr(run_config, "construct", count)
    sweep = load_sweep(write(GOOD.replace("[0, 1]", "[0, 1, 2, 3]")))
    assert len({run.config.id for run in sweep.runs}) == 8
    assert built.count("model") == 2


def test_long_values_of_a_grid_are_told_apart(write):
    same = "/data/" + 30 * "preprocessed/"
    grid = f"grid: {{data.path: [{same}a{same}.npz, {same}b{same}.npz]}}"
    text = GOOD.replace("data: digits", "data: {name: npz}").split("variants:")[0] + grid
    with pytest.raises(SpecError) as caught:
        load_sweep(write(text))
    assert "listed twice" not in str(caught.value)


def test_grid_is_a_product(write):
    text = GOOD + "grid: {batch_size: [8, 16], model.latent: [2, 3]}\n"
    sweep = load_sweep(write(text))
    assert len(sweep.runs) == 2 * 2 * 2 * 2
    assert sweep.runs[0].variant == "a, batch_size=8, latent=2"
    rates = "{optimizers.encoder.rate: [0.1], optimizers.decoder.rate: [0.2]}"
    [run, *_] = load_sweep(write(f"{GOOD}grid: {rates}\n")).runs
    assert run.variant == "a, encoder.rate=0.1, decoder.rate=0.2"


def test_adding_a_seed_or_a_metric_keeps_ids(write):
    before = {run.config.id for run in load_sweep(write(GOOD)).runs}
    more = GOOD.replace("[0, 1]", "[0, 1, 2]").replace("[inception_score]", "[class_accuracy]")
    after = {run.config.id for run in load_sweep(write(more)).runs}
    assert before < after


def test_anything_that_is_trained_changes_the_id(write):
    ids = {run.config.id for run in load_sweep(write(GOOD)).runs}
    for change in ("base.iterations=11", "base.batch_size=8", "base.model.latent=3"):
        assert ids.isdisjoint(run.config.id for run in load_sweep(write(GOOD), [change]).runs)


@settings(max_examples=20, deadline=None)
@given(order=st.permutations(range(6)))
def test_key_order_does_not_change_ids(tmp_path_factory, order):
    lines = GOOD.splitlines()
    base = lines[2:8]
    shuffled = [*lines[:2], *(base[i] for i in order), *lines[8:]]
    folder = tmp_path_factory.mktemp("order")
    ids = []
    for name, text in (("x", GOOD), ("y", "\n".join(shuffled))):
        (folder / f"{name}.yaml").write_text(text)
        ids.append([run.config.id for run in load_sweep(folder / f"{name}.yaml").runs])
    assert ids[0] == ids[1]


def test_numbers_and_words_are_what_people_mean(write):
    text = GOOD.replace("iterations: 10", "iterations: 52_000").replace(
        "b: {model: {width: 0.5}}", "no: {optimizers: {default: {rate: 1e-3}}}"
    )
    run = load_sweep(write(text)).runs[-1]
    assert run.variant == "no"
    assert run.config.training.iterations == 52_000
    assert run.config.training.optimizers["encoder"]["rate"] == 0.001


def test_another_model_drops_the_options_of_the_first(write):
    text = GOOD.replace("model: cvae", "model: {name: cvae, latent: 4}").replace(
        "{model: {width: 0.5}}", "{model: lr_livae}"
    )
    assert load_sweep(write(text)).runs[-1].config.training.model["name"] == "lr_livae"


def test_options_without_a_name_in_the_base_reach_every_model(write):
    text = (
        GOOD.replace("model: cvae", "model: {width: 0.25}")
        .replace("a: {}", "a: {model: cvae}")
        .replace("{model: {width: 0.5}}", "{model: {name: lr_livae, relevant: 4}}")
    )
    models = [run.config.training.model for run in load_sweep(write(text)).runs]
    assert {(model["name"], model["width"]) for model in models} == {
        ("cvae", 0.25),
        ("lr_livae", 0.25),
    }


def test_overrides_name_variants_that_exist_and_keys_with_dots(write):
    text = GOOD + "  v0.5: {model: {width: 0.25}}\ngrid: {model.latent: [2]}\n"
    with pytest.raises(SpecError, match=r"unknown variant 'aa' \(did you mean 'a'\?\)"):
        load_sweep(write(text), ["variants.aa.batch_size=4"])
    sweep = load_sweep(write(text), ["variants.v0.5.batch_size=4", "grid.model.latent=[3]"])
    last = sweep.runs[-1]
    assert (last.variant, last.config.training.batch_size) == ("v0.5, latent=3", 4)
    assert (
        load_sweep(write(text), ["variants.new={batch_size: 4}"]).runs[-1].variant.startswith("new")
    )


def supervision(write, **keys):
    settings = "".join(f"  {key}: {value}\n" for key, value in keys.items())
    text = GOOD.replace("  model: cvae\n", f"  model: lr_livae\n{settings}")
    training = load_sweep(write(text)).runs[0].config.training
    return training.labeled_fraction, training.labeled_rows, training.unlabeled


def test_half_of_a_batch_carries_labels_by_default(write):
    assert supervision(write) == (1.0, 16, None)
    assert supervision(write, labeled_fraction=0.1) == (0.1, 8, None)
    assert supervision(write, labeled_fraction=0.1, labeled_rows=3) == (0.1, 3, None)
    fraction, rows, extra = supervision(write, unlabeled="{name: digits, split_seed: 1}")
    assert (fraction, rows, extra["name"], extra["split_seed"]) == (1.0, 8, "digits", 1)


def test_without_labeled_examples_terms_that_need_them_are_dropped(write):
    settings = "labeled_rows: 0\n  unlabeled: digits"
    text = GOOD.replace("  model: cvae\n", f"  model: lr_livae\n  {settings}\n")
    training = load_sweep(write(text)).runs[0].config.training
    assert training.labeled_rows == 0
    left = {
        player: {term for term, weight in weights.items() if weight}
        for player, weights in training.objective.items()
    }
    assert left == {
        **{"prior": set(), "prior_scale": set(), "adversary": set()},
        "encoder_s": {"reconstruct", "gm_likelihood"},
        "encoder_u": {"reconstruct", "kl"},
        "decoder": {"reconstruct", "fool"},
        "critic": {"discriminate"},
    }


def test_any_model_may_use_the_labeled_examples_alone(write):
    text = GOOD.replace("iterations: 10", "iterations: 10\n  labeled_fraction: 0.5")
    sweep = load_sweep(write(text.replace("16", "16\n  labeled_rows: 16")))
    assert sweep.runs[0].config.training.labeled_rows == 16


def test_overrides_reach_everything(write):
    sweep = load_sweep(write(GOOD), ["seeds=[7]", "base.model=lr_livae", "name=other"])
    assert sweep.name == "other"
    assert {run.config.training.seed for run in sweep.runs} == {7}
    assert {run.config.training.model["name"] for run in sweep.runs} == {"lr_livae"}


SHIPPED = {
    **{"quickstart": 18, "digits": 168, "toy": 30, "swiss_roll": 21, "semi": 42, "attributes": 24},
    **{"calibration": 9, "critic": 12, "table1": 42, "table2": 24, "ablation": 30, "fashion": 60},
    **{"attribute_switching": 24, "equal_images": 48, "equal_arithmetic": 48, "price": 75},
    **{"longer": 66},
    **{
        "semi_attributes": 36,
        "faces": 12,
        "cub": 12,
        "cifar100": 12,
        "pretrain": 3,
        "finetune": 12,
        "narrow": 66,
        "fashion_narrow": 48,
    },
}


def test_every_shipped_sweep_validates(tmp_path, monkeypatch):
    make_shipped_data(tmp_path)
    monkeypatch.chdir(tmp_path)
    sizes = {}
    for path in find_sweeps(Path(__file__).parents[2] / "sweeps"):
        sweep = load_sweep(path, overrides_for(path))
        assert sweep.name == path.stem
        assert path.read_text().startswith("#"), f"{path} needs a header: cost, expected, command"
        sizes[path.stem] = len(sweep.runs)
    assert sizes == SHIPPED
