"""The conformance suite: what every registered model must do, the user's own included.

A check is a function that raises a `Violation` if the model breaks a rule, or a `Remark`. Its name
is that of the rule, the first line of its docstring the rule's sentence. A new one is such a
function, a line of `CHECKS`, and a section of docs/guide/rules.md. The suite runs in this
repository's tests and behind `bench check NAME`.
"""

from collections.abc import Callable, Iterable
from contextlib import suppress

from bench.conformance.model_under_test import ModelUnderTest
from bench.conformance.outcomes import Remark, Violation
from bench.conformance.rules_of_codes import (
    class_logits_fit_the_data,
    codes_fit_the_data,
    codes_have_no_noise,
    posteriors_fit_their_codes,
    switching_changes_one_attribute,
)
from bench.conformance.rules_of_samples import (
    samples_are_drawn_on_the_generators_device,
    samples_can_be_drawn_in_every_way,
    samples_fit_the_data,
    samples_follow_their_generator,
    samples_ignore_each_other,
    samples_leave_no_trace,
    samples_use_the_whole_range,
)
from bench.conformance.rules_of_terms import (
    terms_are_scalars,
    terms_draw_from_torch,
    terms_ignore_what_else_is_wanted,
    terms_leave_no_trace,
    terms_reach_their_players,
    terms_use_only_parameters_of_the_model,
)
from bench.conformance.rules_of_training import (
    finishing_repeats_itself,
    frozen_modules_stay_as_they_are,
    models_start_equal,
    players_get_the_gradients_of_their_own_terms,
    players_move_in_a_stage,
    players_move_only_their_own,
    resume_is_exact,
    training_lowers_reconstruct,
)
from bench.conformance.rules_on_a_gpu import (
    everything_runs_on_a_gpu,
    no_stage_waits_for_a_gpu,
    stages_compile_as_one_graph,
)
from bench.errors import BenchError, NotApplicable
from bench.spec.declaration import RULES as DECLARATION_RULES
from bench.spec.places import place_of

Check = Callable[[ModelUnderTest], None]


def examples_without_label_are_welcome(under_test: ModelUnderTest) -> None:
    """If it is semi-supervised, half of the examples may lack a label, or all if it says so."""
    if "semi-supervised" not in under_test.model().capabilities:
        raise NotApplicable("the model needs a label for every example")
    half = under_test.changed(labeled_fraction=0.5)
    checks = [check for check, about in CHECKS.items() if about in ("terms", "gpu")]
    checks.remove(training_lowers_reconstruct)  # which takes longer on few labels
    _check_all(checks, half)
    if under_test.model().label_terms is not None:
        _check_all(checks, under_test.changed(labeled_fraction=0.5, labeled_rows=0))


def attributes_are_welcome(under_test: ModelUnderTest) -> None:
    """If it is made for attributes, it conforms on data that has them."""
    if "attributes" not in under_test.model().capabilities or under_test.data.spec.attributes:
        raise NotApplicable("the model is not made for attributes, or was given them above")
    data = {"name": "digit_attributes"}
    try:
        attributed = under_test.changed(data=data)
    except BenchError:  # options for one label, say the size of its code
        attributed = ModelUnderTest.of(under_test.training.model["name"], data=data)
    _check_all([check for check, about in CHECKS.items() if about != "compilation"], attributed)


def _check_all(checks: Iterable[Check], under_test: ModelUnderTest) -> None:
    """Raise the first violation, or all remarks as one."""
    remarks = []
    for check in checks:
        with suppress(NotApplicable):
            try:
                check(under_test)
            except Remark as remark:
                remarks.append(str(remark))
            except Violation as violation:
                place = violation.place or place_of(under_test.factory, CHECKS[check])
                raise Violation(f"{rule_of(check)}: {violation}", place) from violation
    if remarks:
        raise Remark("\n".join(remarks))


CHECKS: dict[Check, str] = {
    models_start_equal: "__init__",
    players_move_in_a_stage: "players",
    terms_are_scalars: "terms",
    terms_draw_from_torch: "terms",
    terms_leave_no_trace: "terms",
    terms_ignore_what_else_is_wanted: "terms",
    terms_use_only_parameters_of_the_model: "terms",
    terms_reach_their_players: "terms",
    players_get_the_gradients_of_their_own_terms: "terms",
    resume_is_exact: "terms",
    players_move_only_their_own: "terms",
    frozen_modules_stay_as_they_are: "terms",
    training_lowers_reconstruct: "terms",
    finishing_repeats_itself: "finish",
    samples_fit_the_data: "sample",
    samples_leave_no_trace: "sample",
    samples_follow_their_generator: "sample",
    samples_can_be_drawn_in_every_way: "sample",
    samples_are_drawn_on_the_generators_device: "sample",
    samples_use_the_whole_range: "sample",
    samples_ignore_each_other: "sample",
    codes_fit_the_data: "encode",
    codes_have_no_noise: "encode",
    posteriors_fit_their_codes: "posterior",
    switching_changes_one_attribute: "switch",
    class_logits_fit_the_data: "class_logits",
    everything_runs_on_a_gpu: "gpu",
    no_stage_waits_for_a_gpu: "gpu",
    stages_compile_as_one_graph: "compilation",
    examples_without_label_are_welcome: "unlabeled",
    attributes_are_welcome: "attributes",
}
"""Check -> what it is about: a method of the model, or its use as a whole. Once a check fails, the
others about the same are left out."""

NEEDS = {"posterior": "encode", "switch": "encode"}
"""What checks are about -> what they use besides."""

METHODS = (
    *("__init__", "players", "terms", "finish", "sample"),
    *("encode", "posterior", "switch", "class_logits"),
)
"""What checks can be about that has a line of its own; checks of other things need them all."""

ESSENTIAL = (models_start_equal, players_move_in_a_stage, terms_are_scalars)
"""Checks without which no other one makes sense."""


def rule_of(check: Check) -> str:
    """Return the name of the rule that a check is for."""
    return check.__name__.replace("_", "-")


RULES: dict[str, str] = {
    **DECLARATION_RULES,
    **{rule_of(check): str(check.__doc__).splitlines()[0].rstrip(".") for check in CHECKS},
}
"""Rule -> its sentence."""
