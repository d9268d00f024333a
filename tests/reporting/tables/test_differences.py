from dataclasses import replace

import pytest

from bench.errors import UnknownName
from bench.record.quantities import Quantity
from bench.reporting.notes.significance import significance_notes
from bench.reporting.statistics import estimate, paired_difference
from bench.reporting.tables.differences import (
    add_differences,
    add_robust,
    corrected_tests,
    find_references,
)
from bench.reporting.tables.table import Cell, Column, Row
from tests.data_recorded import cases, recorded

NOISE = (0.1, -0.2, 0.15, 0.0, -0.1, 0.05, -0.05, 0.05)


def row(label, sweep="s", model="cvae", cells=()):
    return Row(label, sweep, label, tuple(cells), model)


def cell(values, target=None, error=0.0):
    interval = estimate(values)
    held = tuple(enumerate(values))
    known = {"target": target, "target_error": None if target is None else error}
    return Cell("mean", interval.mean, interval.half_width(), interval.n, held, **known)


def column(direction, **rest):
    return Column("set", "Set", "m", Quantity("M", direction, 2), "p", **rest)


def with_differences(rows, columns, references):
    corrected = corrected_tests(rows, columns, references, {})
    return add_differences(rows, columns, references, {}, corrected)


def compared(direction, values, target=None, reference="ref"):
    """Return the cells of a column by label; `values` has the mean of each row."""
    rows = [
        row(label, cells=[cell([mean + (1 + place) * noise for noise in NOISE], target)])
        for place, (label, mean) in enumerate(values.items())
    ]
    columns = [column(direction)]
    found = with_differences(rows, columns, find_references(rows, reference, must_exist=True))
    return {row.label: row.cells[0] for row in add_robust(found, columns)}


@pytest.mark.parametrize(
    ("direction", "target", "better", "worse"),
    [("higher", None, 9.0, 1.0), ("lower", None, 1.0, 9.0), ("real", 9.0, 8.0, 1.0)],
)
def test_better_and_worse_follow_the_direction(direction, target, better, worse):
    found = compared(direction, {"ref": 5.0, "up": better, "down": worse, "same": 5.0}, target)
    verdicts = [found[label].difference.verdict for label in ("up", "down", "same")]
    assert verdicts == ["better", "worse", ""]
    assert [found[label].bold for label in found] == [False, True, False, False]
    assert found["up"].robust.improvement == 1.0
    assert found["down"].robust.improvement == 0.0
    assert found["ref"].difference is None
    assert found["ref"].is_reference


def test_distances_to_the_target_are_compared_from_either_side():
    found = compared("real", {"ref": 8.0, "above": 11.0}, target=10.0)
    assert found["above"].difference.mean == pytest.approx(-1.0)
    assert found["above"].difference.verdict == "better"
    found = compared("one", {"ref": 0.5, "above": 1.5}, target=1.0)
    assert found["above"].difference.mean == pytest.approx(0.0, abs=1e-9)
    assert not found["above"].difference.verdict


def test_a_claim_holds_over_the_error_of_the_target_and_needs_that_it_is_known():
    noises = [[mean + noise for noise in NOISE] for mean in (4.0, 6.5)]
    for error, verdict in ((0.0, "better"), (0.05, "better"), (0.5, ""), (None, "")):
        rows = [row(n, cells=[cell(v, 6.0, error)]) for n, v in zip("ab", noises, strict=True)]
        columns = [column("real")]
        found = with_differences(rows, columns, find_references(rows, "a", must_exist=True))
        difference = found[1].cells[0].difference
        assert difference.mean == pytest.approx(-1.5)
        assert difference.verdict == verdict
        assert (difference.p is None) == (error is None)
        text = "\n".join(
            note.text for note in significance_notes(columns, found, {}, {"b": rows[0]})
        )
        assert ("Not tested, since the record has no standard error" in text) == (error is None)


def test_without_direction_a_difference_has_a_p_value_and_no_verdict():
    found = compared(None, {"ref": 5.0, "other": 9.0})
    assert found["other"].difference.adjusted < 1e-6
    assert found["other"].difference.verdict == ""
    assert found["other"].robust.improvement is None
    assert not found["other"].bold


def test_the_reference_is_bold_where_all_others_are_worse():
    assert compared("higher", {"ref": 9.0, "a": 5.0, "b": 6.0})["ref"].bold
    assert not compared("higher", {"ref": 9.0, "a": 5.0, "b": 9.0})["ref"].bold
    assert not compared("higher", {"ref": 9.0})["ref"].bold


def test_the_reference_is_not_bold_beside_a_row_that_could_not_be_compared():
    def seeded(mean, first):
        held = cell([mean + noise for noise in NOISE])
        return replace(held, values=tuple((seed + first, value) for seed, value in held.values))

    rows = [
        row(label, cells=[seeded(mean, first)])
        for label, mean, first in (("ref", 8.0, 0), ("worse", 5.0, 0), ("elsewhere", 20.0, 50))
    ]
    references = find_references(rows, "ref", must_exist=True)
    assert not with_differences(rows, [column("higher")], references)[0].cells[0].bold
    without = {label: to for label, to in references.items() if label != "elsewhere"}
    assert with_differences(rows, [column("higher")], without)[0].cells[0].bold


def test_p_values_are_corrected_for_the_rows_of_the_column():
    means = {"ref": 5.0, "a": 5.1, "b": 5.3, "c": 5.2}
    found = compared("higher", means)
    raw = {label: found[label].difference.p for label in "abc"}
    expected = paired_difference(dict(found["b"].values), dict(found["ref"].values))
    assert raw["b"] == expected.p
    order = sorted(raw, key=raw.get)
    corrected = [found[label].difference.adjusted for label in order]
    assert corrected[0] == pytest.approx(3 * raw[order[0]])
    assert corrected == sorted(corrected)


def test_five_seeds_claim_nothing_however_large_the_difference():
    rows = [
        row(label, cells=[cell([mean + noise for noise in noises[:5]])])
        for label, mean, noises in (("ref", 1.0, NOISE), ("far", 99.0, NOISE[::-1]))
    ]
    found = with_differences(rows, [column("higher")], {"far": rows[0]})
    difference = found[1].cells[0].difference
    assert difference.p < 1e-4
    assert (difference.adjusted, difference.verdict, found[1].cells[0].bold) == (None, "", False)
    [note] = significance_notes([column("higher")], found, {}, {"far": rows[0]})
    assert (
        "common seeds no difference from ref can be significant. Smallest detectable" in note.text
    )
    [item] = note.items
    assert item == f"{difference.detectable:.2f} in M on Set (median over rows, 5 seeds)"


def test_equal_differences_do_not_promise_to_find_a_difference_of_nothing():
    rows = [row("ref", cells=[cell([0.1, 0.2, 0.3])]), row("up", cells=[cell([1.1, 1.2, 1.3])])]
    columns = [column("higher")]
    found = with_differences(rows, columns, find_references(rows, "ref", must_exist=True))
    assert found[1].cells[0].difference.detectable is None
    [note] = significance_notes(columns, found, {}, {"up": rows[0]})
    assert note.text.endswith("no difference from ref can be significant.")
    assert not note.items


def test_costs_times_and_the_papers_numbers_are_not_compared():
    rows = [row(name, cells=[cell([1.0 + n for n in NOISE])] * 2) for name in ("ref", "b")]
    columns = [column(None, kind="timed"), column("higher", paper=True)]
    found = with_differences(rows, columns, {"b": rows[0]})
    assert found == rows
    assert significance_notes(columns, found, {}, {"b": rows[0]}) == []


@pytest.mark.parametrize(
    ("name", "expected"),
    [
        ("own", {"a": "own", "b": "own", "far": "own"}),
        ("lr_livae", {"a": "own", "b": "own", "far": "own"}),
        ("s/a", {"own": "a", "b": "a", "far": "a"}),
        ("", {}),
        ("none", {}),
    ],
)
def test_a_reference_is_a_label_a_variant_or_the_first_of_a_model(name, expected):
    rows = [
        Row("real test images", "", "real"),
        row("own", model="lr_livae"),
        row("a", model="lr_livae"),
        row("b"),
        row("far", sweep="t"),
        row("theirs", model="elsewhere"),
        row("kept", sweep="evaluations"),
        Row("cGAN", "", "cgan"),
    ]
    found = find_references(rows, name, must_exist=True)
    assert {label: reference.label for label, reference in found.items()} == expected


def test_rows_are_compared_within_their_sweep():
    rows = [row("x (s)", model="m"), row("y (s)"), row("x (t)", "t", "m"), row("y (t)", "t")]
    found = find_references(rows, "m", must_exist=True)
    assert {k: r.label for k, r in found.items()} == {"y (s)": "x (s)", "y (t)": "x (t)"}


def test_a_wrong_reference_gets_the_rows_that_are_there(tmp_path):
    recorded.write_sweep(tmp_path)
    with pytest.raises(UnknownName, match=r"row to compare with 'Lr-LiVEA' \(did you mean 'Lr-Li"):
        cases.build(tmp_path, reference="Lr-LiVEA")
    built = cases.build(tmp_path, "cost", reference="cvae", show=["difference"])
    assert all(column.view == "value" for column in built.columns)


def test_no_reference_means_no_comparison(tmp_path):
    cases.eight_seeds(tmp_path)
    built = cases.build(tmp_path, "summary", reference="none", show=["difference"])
    assert not any(cell.difference or cell.bold for row in built.rows for cell in row.cells)
    assert not any("Bold" in note.text for note in built.notes)


def test_rows_that_cannot_be_compared_say_why(tmp_path):
    recorded.write_sweep(tmp_path, real=None)
    kept = {"Their GAN": {seed: recorded.QUICKSTART["cvae"][seed] for seed in range(3)}}
    recorded.write_sweep(
        tmp_path, "evaluations", kept, models={"Their GAN": "elsewhere"}, real=None
    )
    built = cases.build(tmp_path, "summary")
    [note] = [note for note in built.notes if note.text.startswith("Not compared")]
    assert note.items == (
        "not from a sweep, so equal seeds have nothing in common: Their GAN",
        "Intra-class diversity of the real images is not known: cVAE",
    )


def test_a_reference_without_a_value_is_not_called_one_without_common_seeds(tmp_path):
    recorded.write_sweep(tmp_path, "near")
    recorded.write_sweep(
        tmp_path, "far", {"cvae": recorded.QUICKSTART["cvae"]}, data="cifar10", real=None
    )
    built = cases.build(tmp_path, "1", ["near", "far"])
    [note] = [note for note in built.notes if note.text.startswith("Not compared")]
    assert note.items == ("no Inception Score of Lr-LiVAE (near) on CIFAR-10: cVAE (far)",)


def test_a_table_knows_all_that_a_page_shows(tmp_path):
    cases.eight_seeds(tmp_path)
    built = cases.build(tmp_path, show=["difference"])
    better = next(row for row in built.rows if row.label == "better")
    assert better.model == "lr_livae"
    assert [seed for seed, _ in better.cells[0].values] == list(range(8))
    assert [column.view for column in built.columns][:2] == ["value", "difference"]
    assert better.cells[0] == better.cells[1]
    assert better.cells[0].bold
