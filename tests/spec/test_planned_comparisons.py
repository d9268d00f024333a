"""`compare:` in a sweep: which rows are compared, and messages that point at the line."""

import pytest

from bench.errors import SpecError
from bench.spec.sweep_file import load_sweep

ROWS = """\
name: s
base: {model: cvae, data: blobs, iterations: 5, metrics: [inception_score]}
seeds: [0]
variants:
  a: {}
  b: {model: cgan}
  l: {model: lr_livae, sampling: {moments: {relevant_from: moments}}}
"""
PLAN = "compare: {reference: a, variants: [b], metrics: [inception_score]}\n"


def test_planned_comparisons_are_kept_and_change_no_id(write):
    plain, planned = load_sweep(write(ROWS)), load_sweep(write(ROWS + PLAN))
    assert planned.compare.model_dump() == {
        "reference": "a",
        "references": {},
        "variants": ["b"],
        "metrics": ["inception_score"],
    }
    assert plain.compare is None
    assert plain.runs == planned.runs
    assert load_sweep(write(ROWS + "compare: {reference: b}\n")).compare.variants == []


@pytest.mark.parametrize(
    ("old", "new", "text"),
    [
        ("reference: a", "reference: c", "compare.reference: unknown row 'c'"),
        ("reference: a", "refrence: a", "unknown key 'refrence' (did you mean 'reference'?)"),
        ("reference: a, ", "", "compare: names no 'reference'"),
        ("[b]", "[b, bb]", "compare.variants.1: unknown row 'bb' (did you mean 'b'?)"),
        ("[b]", "b", "compare.variants: expected a list"),
        ("[b]", "[b], references: {b: aa}", "compare.references.b: unknown row 'aa' (did you"),
        ("[b]", "[b], references: {bb: a}", "compare.references.bb: unknown row 'bb' (did you"),
        ("[b]", "[b], references: {b: b}", "compare.references.b: is compared with itself"),
        ("[b]", "[b], references: {a: b}", "compare.references.a: is the reference itself"),
        ("[b]", "[b], references: {b: l, m}", "got nothing (a text with a comma needs quotes)"),
        ("variants: [b]", "references: {b: [a]}", "compare.references.b: expected a string"),
        ("[b]", "[a]", "compare.variants.0: is the reference itself"),
        ("[inception_score]", "[inception_scor]", "(did you mean 'inception_score'?)"),
        ("[inception_score]", "[fid]", "compare.metrics.0: unknown quantity 'fid'"),
    ],
)
def test_a_mistake_in_planned_comparisons_is_named(write, old, new, text):
    with pytest.raises(SpecError) as caught:
        load_sweep(write(ROWS + PLAN.replace(old, new)))
    assert text in str(caught.value)
    assert "s.yaml:8" in str(caught.value)


def test_rows_of_sampling_can_be_compared_and_be_references(write):
    named = "{b: 'l, moments'}, variants: [b, 'l, moments']"
    sweep = load_sweep(write(f"{ROWS}compare: {{reference: a, references: {named}}}\n"))
    assert sweep.compare.references == {"b": "l, moments"}
    named = "{b: l, l: 'l, moments', 'l, moments': b}"
    with pytest.raises(
        SpecError, match=r"references\.b: is compared with 'l', which is in the end"
    ):
        load_sweep(write(f"{ROWS}compare: {{reference: a, references: {named}}}\n"))
    named = "{'l, moments': l}, variants: [b]"
    with pytest.raises(SpecError, match=r"references\.l, moments: is not among 'variants'"):
        load_sweep(write(f"{ROWS}compare: {{reference: a, references: {named}}}\n"))
