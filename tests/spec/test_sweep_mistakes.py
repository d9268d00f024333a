"""Mistakes in a sweep file: messages point at the line, and say what was probably meant."""

import pytest

from bench.errors import SpecError
from bench.spec.sweep_file import load_sweep
from tests.spec.good_sweep import GOOD

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
    "value of a grid twice": (
        ("seeds: [0, 1]", "seeds: [0, 1]\ngrid: {objective.decoder.reconstruct: [0.1, 1e-1]}"),
        10,
        "0.1 is listed twice",
    ),
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


def test_overrides_point_at_the_command_line(write):
    with pytest.raises(SpecError, match=r"command line, base\.iterations=no: .*whole number"):
        load_sweep(write(GOOD), ["base.iterations=no"])
    with pytest.raises(SpecError, match=r"base\.iterations=5"):
        load_sweep(write(GOOD), ["iterations=5"])
    with pytest.raises(SpecError, match="path=value"):
        load_sweep(write(GOOD), ["--iterations"])
    with pytest.raises(SpecError, match=r"line, base\.referenc=\[\]: referenc: unknown key"):
        load_sweep(write(GOOD), ["base.referenc=[]"])


def test_missing_file_suggests_a_neighbor(write, tmp_path):
    write(GOOD)
    with pytest.raises(SpecError, match=r"did you mean 's\.yaml'"):
        load_sweep(tmp_path / "t.yaml")
