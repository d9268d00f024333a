"""Comparisons that a sweep plans, or a user chooses, are corrected together, and no others."""

import json
import shutil

import pytest

from bench.errors import UnknownName
from bench.record.records import load_records
from bench.reporting.statistics import holm, paired_difference
from bench.reporting.tables.families import Family
from bench.spec.comparisons import Comparisons
from tests.data_recorded import cases, recorded

METRICS = ("inception_score", "class_accuracy")


def planned(results, **asked):
    """Write eight seeds of five rows in a sweep that planned comparisons."""
    cases.eight_seeds(results)
    path = results / "claims" / "sweep.json"
    content = json.loads(path.read_text())
    path.write_text(json.dumps(content | {"compare": asked}))


def adjusted(table):
    """Return the corrected p values by row and metric."""
    return {
        (row.variant, column.metric): row.cells[index].difference.adjusted
        for row in table.rows
        for index, column in enumerate(table.columns)
        if row.cells[index].difference and row.cells[index].difference.adjusted is not None
    }


def expected(results, variants, metrics):
    """Return Holm's p values over exactly these comparisons, from the record."""
    values = {}
    for entry in load_records(results).final:
        values.setdefault((entry.run.variant, entry.metric), {})[entry.run.seed] = entry.value
    p_values = {
        (variant, metric): paired_difference(values[variant, metric], values["full", metric]).p
        for variant in variants
        for metric in metrics
    }
    return dict(zip(p_values, holm(list(p_values.values()))[0], strict=True))


@pytest.mark.parametrize("name", ["summary", "1"])
def test_what_a_sweep_planned_is_corrected_together_also_where_a_part_is_shown(tmp_path, name):
    planned(tmp_path, reference="full", variants=["better", "worse"], metrics=METRICS)
    table = cases.build(tmp_path, name, show=["difference"])
    whole = expected(tmp_path, ["better", "worse"], METRICS)
    shown = {column.metric for column in table.columns}
    assert adjusted(table) == pytest.approx({k: p for k, p in whole.items() if k[1] in shown})
    said = cases.notes(table)
    assert (
        "over common seeds (8), corrected by Holm over 4 comparisons together, planned in" in said
    )
    assert "the sweep claims: better; worse, with full, in inception_score, class_accuracy" in said
    [equal] = [row for row in table.rows if row.variant == "equal"]
    assert equal.cells[0].difference.mean is not None
    assert not equal.cells[0].bold


@pytest.mark.parametrize("kept", [0, 4])
def test_what_is_unfinished_makes_nothing_significant(tmp_path, kept):
    planned(tmp_path, reference="full", metrics=METRICS, variants=["better", "worse", "equal"])
    whole = adjusted(cases.build(tmp_path, "summary", show=["difference"]))
    plan = json.loads((tmp_path / "claims" / "sweep.json").read_text())
    for run in [run for run in plan["runs"] if run["variant"] == "equal"][kept:]:
        shutil.rmtree(tmp_path / "claims" / run["id"])
    table = cases.build(tmp_path, "summary", show=["difference"])
    partial = adjusted(table)
    assert {key[0] for key in partial} == {"better", "worse"}
    assert all(partial[key] >= whole[key] for key in partial)
    assert "over 6 comparisons together" in cases.notes(table)


def test_a_planned_metric_that_nobody_measured_counts(tmp_path):
    planned(tmp_path, reference="full", metrics=[*METRICS, "fid"], variants=["better", "worse"])
    table = cases.build(tmp_path, "summary", show=["difference"])
    assert "over 6 comparisons together" in cases.notes(table)
    assert "2 of them cannot be tested yet" in cases.notes(table)


def test_without_a_plan_the_comparisons_of_a_column_are_corrected_and_that_is_said(tmp_path):
    cases.eight_seeds(tmp_path)
    table = cases.build(tmp_path, reference="full")
    assert adjusted(table) == pytest.approx(
        expected(tmp_path, ["better", "worse", "equal"], ["inception_score"])
    )
    assert "over the comparisons of a column (3); they were not planned" in cases.notes(table)


def test_a_user_overrides_a_plan(tmp_path):
    planned(tmp_path, reference="full", variants=["better"])
    chosen = Family(Comparisons(reference="full", metrics=[*METRICS]), "chosen")
    table = cases.build(tmp_path, "summary", compare=chosen)
    assert adjusted(table) == pytest.approx(
        expected(tmp_path, ["better", "worse", "equal"], METRICS)
    )
    assert "chosen: all rows, with full, in inception_score, class_accuracy" in cases.notes(table)
    # with another reference row, other comparisons are made than those planned
    other = cases.build(tmp_path, reference="equal")
    assert "they were not planned" in cases.notes(other)


@pytest.mark.parametrize(
    "asked",
    [
        {"variants": ["bettr"]},
        {"metrics": ["inception_scor"]},
        {"references": {"bettr": "worse"}},
        {"references": {"better": "wors"}},
    ],
)
def test_a_wrong_name_is_not_compared_in_silence(tmp_path, asked):
    cases.eight_seeds(tmp_path)
    with pytest.raises(UnknownName, match="did you mean"):
        cases.build(tmp_path, compare=Family(Comparisons(reference="full", **asked), "chosen"))


def test_a_row_is_compared_with_a_reference_of_its_own(tmp_path):
    planned(tmp_path, reference="full", references={"worse": "better"}, metrics=METRICS)
    table = cases.build(tmp_path, "summary", show=["difference"])
    values = {}
    for entry in load_records(tmp_path).final:
        values.setdefault((entry.run.variant, entry.metric), {})[entry.run.seed] = entry.value
    own = {"worse": "better"}
    p_values = {
        (row.variant, metric): paired_difference(
            values[row.variant, metric], values[own.get(row.variant, "full"), metric]
        ).p
        for row in table.rows
        if row.model and row.variant != "full" and row.cells[0].n >= 6
        for metric in METRICS
    }
    pending = [1.0] * len(METRICS)  # of the row with three seeds
    corrected, _ = holm([*p_values.values(), *pending])
    expected = dict(zip(p_values, corrected, strict=False))
    assert adjusted(table) == pytest.approx(expected)
    said = cases.notes(table)
    assert "over 8 comparisons together" in said
    assert "2 of them cannot be tested yet, for want of 6 common seeds or of the real" in said
    cells = {row.variant: row.cells[0] for row in table.rows}
    assert cells["worse"].difference.to == "better"
    assert cells["better"].difference.to == "full"
    assert cells["better"].bold
    assert not cells["better"].is_reference
    assert cells["full"].is_reference
    assert "planned in the sweep claims: all rows, with full (for worse: better), in ince" in said
    assert "Bold, or * in plain text: significantly better than full (for worse: better); " in said
    assert "full itself where it is significantly better than every row tested" in said


def test_the_sentence_on_bold_names_no_reference_that_is_compared_itself(tmp_path):
    asked = {"better": "full", "equal": "full", "worse": "better"}
    planned(tmp_path, reference="few", references=asked, metrics=METRICS)
    said = cases.notes(cases.build(tmp_path))
    assert "itself" not in said
    own = "its reference row (for better: full; for worse: better; for equal: full)"
    assert f"significantly better than {own}." in said


def test_a_plan_stays_within_its_sweep_and_a_choice_need_not(tmp_path):
    planned(tmp_path, reference="full", references={"worse": "other/better"})
    shutil.copytree(tmp_path / "claims", tmp_path / "other")
    path = tmp_path / "other" / "sweep.json"
    path.write_text(json.dumps(json.loads(path.read_text()) | {"sweep": "other"}))
    asked = Comparisons(reference="full", references={"claims/worse": "other/better"})
    for chosen, to in ((None, None), (Family(asked, "chosen"), "better (other)")):
        table = cases.build(tmp_path, compare=chosen)
        [worse] = [row for row in table.rows if (row.sweep, row.variant) == ("claims", "worse")]
        assert (worse.cells[0].difference and worse.cells[0].difference.to) == to


@pytest.mark.parametrize("name", ["full", "claims/full"])
def test_another_name_of_the_planned_reference_keeps_the_plan(tmp_path, name):
    planned(tmp_path, reference="full", variants=["better"])
    assert "planned in the sweep claims" in cases.notes(cases.build(tmp_path, reference=name))


def test_without_its_own_reference_a_row_is_not_compared(tmp_path):
    planned(tmp_path, reference="full", references={"worse": "better"})
    path = tmp_path / "claims" / "sweep.json"
    content = json.loads(path.read_text())
    runs = [run for run in content["runs"] if run["variant"] != "better"]
    path.write_text(json.dumps(content | {"runs": runs}))
    table = cases.build(tmp_path)
    [worse] = [row for row in table.rows if row.variant == "worse"]
    assert worse.cells[0].difference is None
    assert "its own reference row, better, is missing: worse" in cases.notes(table)


@pytest.mark.parametrize(
    ("asked", "text"),
    [
        ("{reference: full, references: {worse: worse}}", "references.worse: is compared with its"),
        ("{reference: full, references: {full: worse}}", "references.full: is the reference itse"),
        ("{reference: full, references: {worse: few}, variants: [few]}", "is not among 'variants'"),
        ("{reference: full, references: {worse: few, few: worse}}", "is in the end compared with"),
    ],
)
def test_comparisons_that_contradict_themselves_are_refused(here, bench, asked, text):
    cases.eight_seeds(here / "results")
    status, _, err = bench("report", "claims", "--compare", asked)
    assert status == 2
    assert text in err


def test_a_reference_has_no_reference_of_its_own(here, bench):
    cases.eight_seeds(here / "results")
    asked = ("--reference", "worse", "--compare", "{references: {worse: better}}")
    status, _, err = bench("report", "claims", *asked)
    assert status == 2
    assert "--reference worse has another reference in --compare" in err


def test_results_of_other_data_change_no_correction(tmp_path):
    planned(tmp_path, reference="full", metrics=METRICS, variants=["better", "worse"])
    alone = adjusted(cases.build(tmp_path, "summary", show=["difference"]))
    elsewhere = {"stray": {0: {"inception_score": ("another protocol", 5.0)}}}
    recorded.write_sweep(tmp_path, "elsewhere", variants=elsewhere, models={"stray": "cvae"})
    table = cases.build(tmp_path, "summary", show=["difference"])
    assert len({column.protocol for column in table.columns}) > 2
    found = {key: p for key, p in adjusted(table).items() if key in alone}
    assert found == pytest.approx(alone)
    assert "over 4 comparisons together" in cases.notes(table)
