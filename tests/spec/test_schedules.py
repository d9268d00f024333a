"""Schedules: their factors, their messages, and functions of the user's own package."""

import math

import pytest

from bench.execution.source_files import sources_of
from bench.spec.completion import schedule_functions
from bench.spec.completion.schedule_functions import check_schedule
from bench.spec.run_config import complete_settings
from bench.spec.run_settings import Schedule
from bench.spec.validation import KeyProblem, validate
from bench.training.optimizers import schedule_factor

STEPS, EPOCH = 100, 20

RATES = """\
import itertools
from my_rates.shape import bump

calls = itertools.count()
number = 3


def one_cycle(step, *, iterations: int, epoch: int, top: float = 0.5, names: list[str] = []):
    return bump(step / iterations, top)


def positional(step, iterations, epoch):
    return step / (iterations + epoch)


def swallowing(step, **rest):
    return 1


def needs(step, iterations, epoch, must):
    return must


def odd(step, iterations, epoch, calls: type(calls) = None):
    return 1


def no_epoch(step, iterations):
    return 1


def negative(step, iterations, epoch):
    return 1 - 2 * (step == iterations - 1)


def nothing(step, iterations, epoch):
    return None


def broken(step, iterations, epoch):
    return 1 / step


def moving(step, iterations, epoch):
    return next(calls)
"""


@pytest.fixture
def rates(install):
    files = {
        "my_rates/__init__.py": "",
        "my_rates/rates.py": RATES,
        "my_rates/shape.py": "def bump(x, top):\n    return min(x, top)\n",
        "my_rates/broken.py": "import no_such_package\n",
    }
    install("my-rates", files, {})
    schedule_functions._function.cache_clear()
    schedule_functions._options_schema.cache_clear()


def factors(steps, schedule):
    path = ("schedule",)
    parsed = check_schedule(validate(Schedule, schedule, path), STEPS, path)
    return [schedule_factor(parsed, step, iterations=STEPS, epoch=EPOCH) for step in steps]


def completed(schedule):
    settings = {"model": "cvae", "data": "digits", "seed": 0, "iterations": STEPS}
    return complete_settings(settings | {"optimizers": {"default": {"schedule": schedule}}})


@pytest.mark.parametrize(
    ("schedule", "at"),
    [
        ({"name": "constant", "warmup": 10}, {0: 0, 5: 0.5, 10: 1, 99: 1}),
        ({"name": "constant", "warmup": 0.1, "unit": "share"}, {0: 0, 5: 0.5, 10: 1}),
        ({"name": "constant", "warmup": 2, "unit": "epochs"}, {0: 0, 10: 0.25, 40: 1}),
        ({"name": "drop", "at": 20, "factor": 0.1, "warmup": 40}, {10: 0.25, 30: 0.075, 50: 0.1}),
        ({"name": "drop", "at": 0.5, "factor": 0.1, "unit": "share"}, {49: 1, 50: 0.1}),
        ({"name": "staircase", "every": 0.25, "factor": 0.5, "unit": "share"}, {24: 1, 75: 0.125}),
        ({"name": "linear", "start": 0.5, "unit": "share"}, {50: 1, 75: 0.5, 100: 0}),
        ({"name": "linear", "start": 50, "final": 0.1}, {0: 1, 50: 1, 75: 0.55, 100: 0.1}),
        ({"name": "linear", "final": 3}, {0: 1, 50: 2}),
        ({"name": "linear", "start": 500}, {0: 1, 99: 1}),
        ({"name": "cosine"}, {0: 1, 50: 0.5, 25: (1 + math.sqrt(0.5)) / 2, 100: 0}),
        (
            {"name": "cosine", "start": 2, "final": 0.2, "unit": "epochs"},
            {40: 1, 70: 0.6, 100: 0.2},
        ),
        ({"name": "cosine", "start": 10, "warmup": 10}, {0: 0, 5: 0.5, 10: 1, 55: 0.5}),
        (
            {"name": "piecewise", "points": [[10, 0], [20, 2], [40, 1]]},
            {0: 0, 10: 0, 15: 1, 20: 2, 30: 1.5, 40: 1, 99: 1},
        ),
        (
            {"name": "piecewise", "points": [[0, 1], [1, 0]], "unit": "share"},
            {0: 1, 25: 0.75, 99: 0.01},
        ),
        ({"name": "piecewise", "points": [[0, 1], [1, 0]], "unit": "epochs"}, {10: 0.5, 30: 0}),
    ],
)
def test_factors_follow_the_schedule(schedule, at):
    assert factors(at, schedule) == pytest.approx(list(at.values()))


@pytest.mark.parametrize(
    ("function", "options", "at"),
    [
        ("one_cycle", {}, {0: 0, 20: 0.2, 80: 0.5}),
        ("one_cycle", {"top": 1}, {80: 0.8}),
        ("positional", {}, {60: 0.5}),
        ("swallowing", {}, {60: 1}),
        ("needs", {"must": 0.25}, {7: 0.25}),
    ],
)
def test_a_function_of_the_users_package_gives_factors(rates, function, options, at):
    schedule = {"name": "function", "function": f"my_rates.rates:{function}", "options": options}
    assert factors(at, schedule) == pytest.approx(list(at.values()))
    warm = [factor * step / 200 for step, factor in at.items()]
    assert factors(at, schedule | {"warmup": 200}) == pytest.approx(warm)


@pytest.mark.parametrize(
    ("schedule", "key", "words"),
    [
        ({"name": "cosin"}, "", ["'cosine'", "'piecewise'", "'function'"]),
        ({"name": "cosine", "warmup": -1}, "warmup", [">= 0"]),
        ({"name": "cosine", "warm_up": 1}, "warm_up", ["warmup"]),
        ({"name": "cosine", "unit": "steps"}, "unit", ["'share'"]),
        *(
            ({"name": name, "unit": "share", **others, key: 5}, key, ["at most 1", "share"])
            for name, key, others in [
                ("constant", "warmup", {}),
                ("drop", "at", {"factor": 1}),
                ("staircase", "every", {"factor": 1}),
                ("linear", "start", {}),
                ("cosine", "start", {}),
            ]
        ),
        *(
            ({"name": "function", "function": given, key: value}, key, words)
            for given, key, value, words in [
                ("a:b", "warmup", -1, [">= 0"]),
                ("a:b", "warm_up", 1, ["'warmup'"]),
                ("a:b", "options", 3, ["a mapping"]),
                ({"a": "b"}, "warmup", -1, [">= 0"]),
            ]
        ),
        ({"name": "function", "function": {"a": "b"}}, "function", ["a string"]),
        ({"name": "function"}, "function", ["required"]),
        ({"name": "piecewise", "points": [[0, 1]]}, "points", ["2"]),
        ({"name": "piecewise", "points": [[5, 1], [5, 0]]}, "points", ["increase"]),
        ({"name": "piecewise", "points": [[0, 1], [2, 0]], "unit": "share"}, "points", ["share"]),
        ({"name": "piecewise", "points": [[0, 1], [2, -1]]}, "points.1.1", [">= 0"]),
    ],
)
def test_wrong_keys_are_named(schedule, key, words):
    with pytest.raises(KeyProblem) as caught:
        completed(schedule)
    paths = [".".join(map(str, part.path)) for part in caught.value.parts]
    assert ".".join(filter(None, ["optimizers.default.schedule", key])) in paths
    assert all(word in str(caught.value) for word in words)


@pytest.mark.parametrize(
    ("function", "options", "key", "words"),
    [
        ("one_cycle", {}, "function", ["my_package.rates:one_cycle", "one_cycle"]),
        ("no_package:f", {}, "function", ["no_package cannot be imported"]),
        ("my_rates.broken:f", {}, "function", ["no_such_package"]),
        ("my_rates.rates:one_cicle", {}, "function", ["did you mean 'one_cycle'"]),
        ("my_rates.rates:number", {}, "function", ["int, not a function"]),
        ("my_rates.rates:no_epoch", {}, "function", ["(step, iterations=..., epoch=...", "epoch"]),
        ("my_rates.rates:odd", {}, "function", ["rates:odd: ", "types that YAML can hold"]),
        ("my_rates.rates:negative", {}, "function", ["returned -1 at iteration 99", ">= 0"]),
        ("my_rates.rates:nothing", {}, "function", ["returned None", "number"]),
        ("my_rates.rates:broken", {}, "function", ["ZeroDivisionError", "rates.py:"]),
        ("my_rates.rates:moving", {}, "function", ["only on its arguments"]),
        ("my_rates.rates:one_cycle", {"tap": 1}, "options.tap", ["did you mean 'top'", "names"]),
        ("my_rates.rates:one_cycle", {"top": "a"}, "options.top", ["a number"]),
        ("my_rates.rates:needs", {}, "options.must", ["required"]),
    ],
)
def test_a_function_is_tried_before_anything_starts(rates, function, options, key, words):
    schedule = {"name": "function", "function": function, "options": options}
    with pytest.raises(KeyProblem) as caught:
        completed(schedule)
    path = ".".join(map(str, caught.value.parts[0].path))
    assert path == f"optimizers.default.schedule.{key}"
    assert all(word in str(caught.value) for word in words)


def test_options_of_a_function_are_completed_and_its_files_are_code_of_the_run(rates):
    schedule = {"name": "function", "function": "my_rates.rates:one_cycle"}
    plain, changed = completed(schedule), completed(schedule | {"options": {"top": 1}})
    recorded = plain.training.optimizers["decoder"]["schedule"]
    assert recorded["options"] == {"top": 0.5, "names": []}
    assert plain.id != changed.id
    files = sources_of(plain)["model"]
    assert {"my_rates/rates.py", "my_rates/shape.py", "baselines/cvae.py"} <= files.keys()
    assert not {"my_rates/rates.py"} & sources_of(completed({"name": "cosine"}))["model"].keys()


def test_no_warmup_is_left_out_of_the_canonical_form():
    ids = [
        completed(schedule).id
        for schedule in ({"name": "constant"}, {"name": "constant", "warmup": 0})
    ]
    assert ids[0] == ids[1]
    schedule = completed({"name": "linear", "warmup": 0}).training.optimizers["decoder"]["schedule"]
    assert schedule == {"name": "linear", "start": 0.0, "final": 0.0, "unit": "iterations"}
    warm = completed({"name": "constant", "warmup": 3}).training.optimizers["decoder"]["schedule"]
    assert warm["warmup"] == 3
