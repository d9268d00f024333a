"""Findings of the suite in a model: one for each mistake, with the line of the code."""

from collections.abc import Iterator, Mapping
from typing import Any, NamedTuple

from bench import registry
from bench.conformance import suite
from bench.conformance.model_under_test import ModelUnderTest
from bench.conformance.outcomes import Remark
from bench.errors import BenchError, NotApplicable, describe_error
from bench.spec import declaration
from bench.spec.components import SUPPLIED, OptionsProblem, options_schema
from bench.spec.declaration import ModelProblem
from bench.spec.places import place_in, place_of

PAGE = "docs/guide/rules.md"

REMEDIES = {
    "NVIDIA": "make tensors where the batch is: device=batch.x.device, not 'cuda'",
    "CUDA": "make tensors where the batch is: device=batch.x.device, not 'cuda'",
}
"""Words of an error of the model's code -> what helps."""


class Finding(NamedTuple):
    """What a check finds: `ok`, `FAIL`, `note` or `n/a`, a text, and the place in the code."""

    rule: str
    outcome: str
    text: str = ""
    place: str = ""

    @property
    def sentence(self) -> str:
        """What the rule demands."""
        return suite.RULES[self.rule]

    @property
    def page(self) -> str:
        """Where the rule is explained."""
        return f"{PAGE}#{self.rule}"


def check_model(
    name: str, options: Mapping[str, Any] | None = None, data: Mapping[str, Any] | None = None
) -> Iterator[Finding]:
    """Yield what each check finds in a model.

    Checks that would find the same mistake again are left out: all others after a failed check of
    `ESSENTIAL`, those about the same after any failed one, and those that call all methods.
    """
    factory: Any = registry.load("model", name)
    try:
        options_schema(factory, SUPPLIED["model"])
        under_test = ModelUnderTest.of(name, options, data)
    except OptionsProblem as problem:
        yield Finding(declaration.OPTIONS, "FAIL", problem.problem, problem.place)
        return
    except ModelProblem as problem:
        yield Finding(problem.rule, "FAIL", problem.problem, problem.place)
        return
    yield from (Finding(rule, "ok") for rule in declaration.RULES)
    failed: set[str] = set()
    said: set[str] = set()
    for check, about in suite.CHECKS.items():
        if {about, suite.NEEDS.get(about)} & failed or (failed and about not in suite.METHODS):
            continue
        finding = _finding(check, under_test)
        if finding.outcome == "note":  # checks run again on other data; a remark is made once
            if said.issuperset(lines := finding.text.splitlines()):
                finding = Finding(finding.rule, "ok")
            said.update(lines)
        elif finding.outcome == "FAIL":
            failed.add(about)
            if not finding.place:
                finding = finding._replace(place=place_of(factory, about))
        yield finding
        if finding.outcome == "FAIL" and check in suite.ESSENTIAL:
            return


def _finding(check: suite.Check, under_test: ModelUnderTest) -> Finding:
    rule = suite.rule_of(check)
    try:
        check(under_test)
    except NotApplicable as reason:
        return Finding(rule, "n/a", str(reason))
    except Remark as remark:
        return Finding(rule, "note", str(remark), remark.place)
    except BenchError as error:
        return Finding(rule, "FAIL", str(error), getattr(error, "place", ""))
    except Exception as error:
        text = describe_error(error)
        remedy = next((f"; {remedy}" for words, remedy in REMEDIES.items() if words in text), "")
        return Finding(rule, "FAIL", text + remedy, place_in(error))
    return Finding(rule, "ok")
