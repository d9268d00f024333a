"""YAML to runs: expansion, ids, and messages that point at the line."""

from pathlib import Path

import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from bench.errors import SpecError
from bench.spec import run_config
from bench.spec.sweep_file import find_sweeps, load_sweep
from tests.shipped_data import make_shipped_data, overrides_for

GOOD = """\
name: demo
base:
  model: cvae
  data: digits
  iterations: 10
  batch_size: 16
  samples_per_class: 5
  metrics: [inception_score]
seeds: [0, 1]
variants:
  a: {}
  b: {model: {width: 0.5}}
"""


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


ERRORS = {
    "misspelled key": (("iterations: 10", "iteratoins: 10"), 5, "did you mean 'iterations'"),
    "misspelled model": (("model: cvae", "model: cvea"), 3, "did you mean 'cvae'"),
    "misspelled option": (("{width: 0.5}", "{widht: 0.5}"), 12, "did you mean 'width'"),
    "misspelled data set": (("data: digits", "data: digitz"), 4, "did you mean 'digits'"),
    "misspelled metric": (("[inception_score]", "[inception_scor]"), 8, "'inception_score'"),
    "misspelled player": (
        ("a: {}", "a: {objective: {decodr: {reconstruct: 1}}}"),
        11,
        "did you mean 'decoder'",
    ),
    "misspelled term": (
        ("a: {}", "a: {objective: {decoder: {reconstrct: 1}}}"),
        11,
        "did you mean 'reconstruct'",
    ),
    "negative weight": (
        ("a: {}", "a: {objective: {decoder: {reconstruct: -1}}}"),
        11,
        "must be >= 0",
    ),
    "wrong type": (("iterations: 10", "iterations: ten"), 5, 'expected a whole number, got "ten"'),
    "fraction": (("iterations: 10", "iterations: 1.5"), 5, "expected a whole number"),
    "number as text": (("batch_size: 16", 'batch_size: "16"'), 6, "expected a whole number"),
    "zero": (("batch_size: 16", "batch_size: 0"), 6, "must be > 0"),
    "empty seeds": (("seeds: [0, 1]", "seeds: []"), 9, "at least 1 item"),
    "seed twice": (("seeds: [0, 1]", "seeds: [1, 1]"), 9, "seeds: seeds must be distinct"),
    "negative seed": (("seeds: [0, 1]", "seeds: [-1]"), 9, "must be >= 0"),
    "seed in base": (("iterations: 10", "iterations: 10\n  seed: 1"), 6, "'seeds' of the sweep"),
    "optimizer": (
        ("a: {}", "a: {optimizers: {decoder: {name: adamm}}}"),
        11,
        "did you mean 'adam'",
    ),
    "optimizer key": (
        ("a: {}", "a: {optimizers: {decoder: {rat: 1}}}"),
        11,
        "did you mean 'rate'",
    ),
    "optimizer player": (("a: {}", "a: {optimizers: {decode: {rate: 1}}}"), 11, "'decoder'"),
    "same run twice": (("b: {model: {width: 0.5}}", "b: {}"), 12, "same run as 'a'"),
    "broken YAML": (("seeds: [0, 1]", "seeds: [0, 1"), 9, "the [ of this line is not closed"),
    "key twice": (("batch_size: 16", "iterations: 16"), 6, "duplicate key"),
    "tab": (("  model: cvae", "\tmodel: cvae"), 3, "not valid YAML"),
    "no name": (("name: demo\n", ""), 1, "is required"),
    "metric as number": (("[inception_score]", "[3]"), 8, "expected a mapping"),
    "average of nobody": (
        ("a: {}", "a: {average: {decay: 0.9, players: [decodr]}}"),
        11,
        "did you mean 'decoder'",
    ),
    "labels taken from a model that needs them": (
        ("iterations: 10", "iterations: 10\n  labeled_fraction: 0.5"),
        6,
        "cvae needs a label for every example; models that do not: lr_livae",
    ),
    "labels taken from nobody": (
        ("iterations: 10", "iterations: 10\n  labeled_rows: 4"),
        6,
        "set labeled_fraction below 1, or name an unlabeled data set",
    ),
    "more labels than examples": (
        ("batch_size: 16", "batch_size: 16\n  labeled_rows: 17"),
        7,
        "at most batch_size, 16; got 17",
    ),
    "no example left without label": (
        ("a: {}", "a: {model: lr_livae, unlabeled: digits, labeled_rows: 16}"),
        11,
        "leaves none for the examples of digits",
    ),
    "only examples without label for a model that needs some": (
        ("a: {}", "a: {model: ccvae, unlabeled: digits, labeled_rows: 0}"),
        11,
        "is 0, but ccvae does not say which of its terms need labels",
    ),
    "one labeled example to compare with itself": (
        ("a: {}", "a: {model: lr_livae, unlabeled: digits, labeled_rows: 1}"),
        11,
        "must be at least 2 for lr_livae, since batch norm",
    ),
    "an unlabeled set for a model that needs labels": (
        ("a: {}", "a: {unlabeled: digits}"),
        11,
        "or leave out unlabeled",
    ),
    "no examples at all": (
        ("a: {}", "a: {model: lr_livae, labeled_rows: 0}"),
        11,
        "is 0 of 16 in a batch, but all examples carry labels",
    ),
    "a term of labels that nobody has": (
        (
            "a: {}",
            "a: {model: lr_livae, unlabeled: digits, labeled_rows: 0, "
            "objective: {encoder_u: {confuse: 1}}}",
        ),
        11,
        "needs labeled examples, and labeled_rows is 0",
    ),
    "misspelled unlabeled set": (
        ("a: {}", "a: {model: lr_livae, unlabeled: digitz}"),
        11,
        "did you mean 'digits'",
    ),
    "unlabeled set of another shape": (
        ("a: {}", "a: {model: lr_livae, unlabeled: cifar10}"),
        11,
        "cifar10 has examples of shape (3, 32, 32), digits of (1, 8, 8)",
    ),
    "all labels for a model that could do without": (
        ("a: {}", "a: {labeled_fraction: 1.5}"),
        11,
        "must be <= 1",
    ),
    "seed beyond 64 bits": (
        ("seeds: [0, 1]", "seeds: [9223372036854775808]"),
        9,
        "is beyond 2^63 - 1, the largest whole number",
    ),
    "years of training": (
        ("iterations: 10", "iterations: 10_000_000_000"),
        5,
        "must be at most 1_000_000_000, since more would take years",
    ),
    "more samples than memory": (
        ("samples_per_class: 5", "samples_per_class: 1_000_001"),
        7,
        "since all samples are held in memory",
    ),
    "batch of one with batch norm": (("batch_size: 16", "batch_size: 1"), 6, "at least 2 for cvae"),
    "model beyond memory": (
        ("{model: {width: 0.5}}", "{model: {width: 20000}}"),
        12,
        "parameters with gradients and optimizers need",
    ),
    "model beyond integers": (("{width: 0.5}", "{width: 1e9}"), 12, "too large for any memory"),
    "weight beyond float32": (
        ("a: {}", "a: {objective: {decoder: {reconstruct: 1e39}}}"),
        11,
        "must be at most 1e+30, since trainings compute in float32",
    ),
    "not a number": (
        ("a: {}", "a: {objective: {decoder: {reconstruct: .nan}}}"),
        11,
        ".nan is not a finite number",
    ),
    "list for a name": (("name: demo", "name: [demo]"), 1, 'expected a string, got ["demo"]'),
    "number for a name": (("name: demo", "name: 7"), 1, "got 7 (in quotes it is one: '7')"),
    "list for a model": (("model: cvae", "model: {name: [cvae]}"), 3, 'got ["cvae"]'),
    "empty grid": (("seeds: [0, 1]", "seeds: [0]\ngrid: {iterations: []}"), 10, "at least 1 item"),
    "number for variants": (
        ("variants:\n  a: {}\n  b: {model: {width: 0.5}}", "variants: 1.5"),
        10,
        "expec",
    ),
    "list in metrics": (("[inception_score]", "[[a]]"), 8, "expected a mapping"),
    "endless grid": (
        ("seeds: [0, 1]", f"seeds: [0]\ngrid: {{a: {[*range(200)]}, b: {[*range(200)]}}}"),
        10,
        "describes 80000 runs; at most 10000 are possible",
    ),
    "grid over a variant": (
        ("{width: 0.5}}", "{width: 0.5}}\ngrid: {model.width: [1, 2]}"),
        12,
        "the grid gives other values to model.width, which it sets",
    ),
    "grid over a model": (
        ("{width: 0.5}}", "{width: 0.5}}\ngrid: {model: [cvae, cgan]}"),
        12,
        "the grid gives other values to model, which it sets",
    ),
    "blank name": (("a: {}", "' ': {}"), 11, "the key ' ' is empty"),
    "name of two lines": (("a: {}", '"a\\nb": {}'), 11, "is not one line of plain text"),
    "title of two lines": (("name: demo", 'name: demo\ntitle: "a\\nb"'), 2, "must be one line"),
    "name of a control": (("a: {}", "noise: {}"), 11, "is the name of a control row"),
    "home of nobody": (("data: digits", "data: {name: folder, path: ~nouser/x}"), 4, "data: "),
    "impossible size": (("data: digits", "data: {name: blobs, image_size: 9}"), 3, "9"),
}


@pytest.mark.parametrize(("change", "line", "text"), ERRORS.values(), ids=ERRORS)
def test_a_mistake_is_named_with_file_line_and_remedy(write, change, line, text):
    assert change[0] in GOOD
    path = write(GOOD.replace(*change, 1))
    with pytest.raises(SpecError) as caught:
        load_sweep(path)
    message = str(caught.value)
    assert f"{path}:{line}" in message
    assert text in message


def test_all_problems_are_told_at_once_unknown_names_first(write):
    text = (
        GOOD.replace("cvae", "cvea")
        .replace("batch_size: 16", "batch_size: 0\n  batch_siez: 3")
        .replace("iterations: 10", "iterations: ten")
        .replace("a: {}", "a: {metrics: [fidd], objective: {x: {y: -1}}}")
        .replace("[0, 1]", "[-1]")
    )
    path = write(text)
    with pytest.raises(SpecError) as caught:
        load_sweep(path, ["base.controls=[nois]", "seads=3"])
    head, *lines = [line.strip() for line in str(caught.value).splitlines()]
    assert head == f"{len(lines)} problems:"
    expected = [
        "command line, seads=3: unknown key 'seads'",
        f"{path}:7: batch_siez: unknown key",
        f"{path}:12: metrics.0.name: unknown metric 'fidd'",
        "command line, base.controls=[nois]: controls.0: unknown control 'nois'",
        f"{path}:3: model.name: unknown model 'cvea'",
        f"{path}:10: seeds.0: must be >= 0",
        f"{path}:5: iterations: expected a whole number",
        f"{path}:6: batch_size: must be > 0",
        f"{path}:12: objective.x.y: must be >= 0",
    ]
    assert len(lines) == len(expected)
    assert all(any(line.startswith(text) for line in lines) for text in expected), lines
    is_unknown = ["unknown" in line for line in lines]
    assert is_unknown == sorted(is_unknown, reverse=True)


def test_a_message_is_never_longer_than_a_screen(write):
    many = "".join(f"  v{n}: {{wrong{n}: 1}}\n" for n in range(50))
    with pytest.raises(SpecError) as caught:
        load_sweep(write(GOOD + many))
    lines = str(caught.value).splitlines()
    assert lines[0] == "50 problems:"
    assert len(lines) == 20
    assert lines[-1].strip() == "and 32 more"


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


def test_overrides_point_at_the_command_line(write):
    with pytest.raises(SpecError, match=r"command line, base\.iterations=no: .*whole number"):
        load_sweep(write(GOOD), ["base.iterations=no"])
    with pytest.raises(SpecError, match=r"base\.iterations=5"):
        load_sweep(write(GOOD), ["iterations=5"])
    with pytest.raises(SpecError, match="path=value"):
        load_sweep(write(GOOD), ["--iterations"])
    with pytest.raises(SpecError, match=r"line, base\.referenc=\[\]: referenc: unknown key"):
        load_sweep(write(GOOD), ["base.referenc=[]"])


def test_overrides_reach_everything(write):
    sweep = load_sweep(write(GOOD), ["seeds=[7]", "base.model=lr_livae", "name=other"])
    assert sweep.name == "other"
    assert {run.config.training.seed for run in sweep.runs} == {7}
    assert {run.config.training.model["name"] for run in sweep.runs} == {"lr_livae"}


def test_missing_file_suggests_a_neighbor(write, tmp_path):
    write(GOOD)
    with pytest.raises(SpecError, match=r"did you mean 's\.yaml'"):
        load_sweep(tmp_path / "t.yaml")


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
