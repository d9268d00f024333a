"""Findings of the suite in a model: one for each mistake, with the line of the code."""

import traceback
from collections.abc import Iterator, Mapping
from typing import Any, NamedTuple

from bench import registry
from bench.conformance import suite
from bench.conformance.model_under_test import ModelUnderTest, Remark
from bench.errors import BenchError, NotApplicable
from bench.spec.declaration import ModelProblem
from bench.spec.places import place_in, place_of

METHODS: dict[suite.Check, str] = {
    **dict.fromkeys(suite.ON_TERMS, "terms"),
    suite.players_move_only_their_own: "terms",
    suite.frozen_modules_stay_as_they_are: "terms",
    suite.ten_iterations_lower_reconstruct: "terms",
    suite.examples_without_label_are_welcome: "terms",
    suite.attributes_are_welcome: "terms",
    suite.finishing_repeats_itself: "finish",
    suite.samples_are_a_function_of_the_generator: "sample",
    suite.samples_use_the_whole_range: "sample",
    suite.codes_fit_if_it_encodes: "encode",
    suite.posteriors_fit_if_it_infers: "posterior",
    suite.switching_changes_one_attribute: "switch",
}
"""Check -> the method of the model that it is about; once one fails, its others are left out."""


class Finding(NamedTuple):
    """What a check finds: `ok`, `FAIL`, `note` or `n/a`, a text, and the place in the code."""

    title: str
    outcome: str
    text: str = ""
    place: str = ""


def check_model(
    name: str, options: Mapping[str, Any] | None = None, data: Mapping[str, Any] | None = None
) -> Iterator[Finding]:
    """Yield what each check finds in a model.

    Checks that would find the same mistake again are left out: all others after a failed check of
    `ESSENTIAL`, and those of the same method after any failed one.
    """
    try:
        under_test = ModelUnderTest.of(name, options, data)
    except ModelProblem as problem:
        yield Finding(
            problem.rule or _title(suite.CHECKS[0]), "FAIL", problem.problem, problem.place
        )
        return
    factory = registry.load("model", name)
    failed: set[str] = set()
    for check in suite.CHECKS:
        method = METHODS.get(check, check.__name__)
        if method in failed or (failed and check is suite.stages_run_on_a_gpu):
            continue  # that last one calls all methods
        finding = _finding(check, under_test)
        if finding.outcome == "FAIL":
            failed.add(method)
            if not finding.place:
                finding = finding._replace(place=place_of(factory, method))
        yield finding
        if finding.outcome == "FAIL" and check in suite.ESSENTIAL:
            return


def _finding(check: suite.Check, under_test: ModelUnderTest) -> Finding:
    title = _title(check)
    try:
        check(under_test)
    except NotApplicable as reason:
        return Finding(title, "n/a", str(reason))
    except Remark as remark:
        return Finding(title, "note", str(remark))
    except BenchError as error:
        return Finding(title, "FAIL", str(error), getattr(error, "place", ""))
    except Exception as error:
        text = "".join(traceback.format_exception_only(error)).strip()
        return Finding(title, "FAIL", text, place_in(error))
    return Finding(title, "ok")


def _title(check: suite.Check) -> str:
    return str(check.__doc__).splitlines()[0].rstrip(".")
