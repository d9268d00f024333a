"""The three sentences say what the statistics say, and no more."""

import pytest

from bench.record.records import load_records
from bench.reporting.summary import summary_sentences
from bench.reporting.tables.build import build_table, filled_tables
from tests.data_recorded import recorded
from tests.data_recorded.cases import SPECS, eight_seeds


def summary(results, **options):
    records = load_records(results)
    whole = build_table(SPECS["summary"], records, **options)
    return summary_sentences([whole, *filled_tables(SPECS, records, **options)], records)


def score(*values, metric="inception_score", protocol=recorded.IS):
    """The runs of a variant with these values, a seed each."""
    return {seed: {metric: (protocol, value)} for seed, value in enumerate(values)}


def write(results, variants, **options):
    models = {name: "cvae" for name in variants if name != "lr_livae"}
    return recorded.write_sweep(results, variants=variants, models=models, **options)


def test_what_is_significant_is_named_with_its_test(tmp_path):
    eight_seeds(tmp_path)
    done, leader, certainty = summary(tmp_path, reference="full")
    assert done == "35 of 35 runs done: 5 rows of 3 to 8 seeds (seeds 0-7), on Digits."
    assert leader == (
        "Inception Score is highest for better (8.72 ± 0.12), 0.50 ± 0.04 above full; Intra-class "
        "diversity is nearest to real for few (0.6442 ± 0.0593 (3), gap to real +0.1442 ± 0.0667), "
        "0.1292 ± 0.0112 nearer than full over 3 seeds in common."
    )
    assert certainty == (
        "Significantly different from full, by paired t tests over 8 seeds with Holm's correction "
        "(p < 0.05), are in Inception Score 1 better (better) and 1 worse (worse) of 3 rows and 1 "
        "without a test; in Intra-class diversity 1 better (better) and 1 worse (worse) of 3 rows "
        "and 1 without a test."
    )


def test_where_the_reference_leads_the_next_row_is_named(tmp_path):
    values = [8.0 + seed / 8 for seed in range(8)]
    lower = [value - 1 - 0.01 * (seed % 3) for seed, value in enumerate(values)]
    write(tmp_path, {"lr_livae": score(*values), "a": score(*lower), "b": score(*values[::-1])})
    _, leader, certainty = summary(tmp_path)
    assert "highest for Lr-LiVAE; b (8.44" in leader  # the same values in another order
    write(tmp_path / "two", {"lr_livae": score(*values), "a": score(*lower)})
    _, leader, certainty = summary(tmp_path / "two")
    assert "the reference row; next is a, 1.01 ± 0.01 below Lr-LiVAE" in leader
    assert "1 worse (a) of 1 row" in certainty


@pytest.mark.parametrize(
    ("variants", "options", "expected"),
    [
        (
            {"a": score(7.0), "b": score(8.0)},
            {"reference": "a"},
            "with 1 seed in common no difference from a can be significant, which takes 6",
        ),
        (
            {"a": score(7.0), "b": score(8.0)},
            {},
            "since no row is the reference (`--reference`, or `compare:` in the sweep); one seed",
        ),
        (
            {"a": score(7.0, 7.5, 7.25), "b": score(8.0, 8.5, 8.25)},
            {"reference": "a"},
            "No significant differences yet: with 3 seeds in common no difference from a",
        ),
        (
            {"a": score(*range(8)), "b": score(*range(7, -1, -1))},
            {"reference": "a"},
            "No significant differences from a by paired t tests over 8 seeds with Holm's "
            "correction (p < 0.05): in Inception Score none of 1 row.",
        ),
        ({"a": score(*range(8))}, {"reference": "a"}, "With one row nothing is compared."),
        ({"a": score(1.0)}, {}, "With one row nothing is compared; one seed gives no estimate"),
        (
            {"a": score(*range(8)), "b": score(*range(1, 9))},
            {"reference": "none"},
            "No difference is tested, since no row is the reference",
        ),
        (
            {
                "a": score(*range(8), metric="arc_coverage", protocol="c"),
                "b": score(*range(8), metric="arc_coverage", protocol="c"),
            },
            {"reference": "a"},
            "no standard error of the real value",
        ),
        (
            {"a": score(1.0, metric="fid", protocol="f"), "b": score(1.0, 2.0), "c": score(3.0)},
            {"reference": "a"},
            "since nothing here has a value and a seed in common with a",
        ),
    ],
)
def test_what_is_not_known_is_said(tmp_path, variants, options, expected):
    real = {**recorded.REAL_FIGURES, "arc_coverage": ("c", 9.0)}
    write(tmp_path, variants, real=real)
    said = summary(tmp_path, **options)
    assert len(said) == 3
    assert expected in said[2]
    assert all(sentence.endswith(".") and sentence.count(". ") == 0 for sentence in said)


def test_equal_rows_do_not_lead(tmp_path):
    write(tmp_path, {"a": score(1.0, 2.0), "b": score(1.0, 2.0)})
    assert "Inception Score is the same for all 2 rows (1.50 ± 6.35)" in summary(tmp_path)[1]


def test_a_difference_over_other_seeds_than_the_means_says_so(tmp_path):
    ours = {seed: {"inception_score": (recorded.IS, 7.9 + 4 * (seed > 7))} for seed in range(2, 12)}
    theirs = {seed: {"inception_score": (recorded.IS, 8.0)} for seed in range(8)}
    write(tmp_path, {"lr_livae": theirs, "b": ours})
    leader = summary(tmp_path)[1]
    assert "highest for b (9.50 ± 1.48)" in leader
    assert ", 0.10 ± 0.00 below Lr-LiVAE over 6 seeds in common." in leader


def test_rows_of_different_metrics_are_not_called_one_row(tmp_path):
    write(tmp_path, {"a": score(1.0, metric="fid", protocol="f"), "b": score(2.0)})
    _, leader, certainty = summary(tmp_path)
    assert "of a, the only row with a value, is 1.00; " in leader
    assert certainty.startswith("Where a metric has one row nothing is compared; one seed")


def test_only_what_is_done_is_counted(tmp_path):
    states = {("cvae", 1): "failed", ("cvae", 2): "missing"}
    recorded.write_sweep(tmp_path / "some", states=states)
    done, leader, _ = summary(tmp_path / "some")
    assert done == (
        "4 of 6 runs done (1 failed, 1 missing): 2 rows of 1 to 3 seeds (seeds 0-2), on Digits."
    )
    assert "highest for Lr-LiVAE (8.75 ± 0.62), the reference row; next is cVAE, 1.25 " in leader
    assert "1.25 below Lr-LiVAE over 1 seed in common; " in leader
    states = {(name, seed): "missing" for name in recorded.QUICKSTART for seed in range(3)}
    recorded.write_sweep(tmp_path / "none", states=states)
    said = summary(tmp_path / "none")
    assert said == ("Nothing has been measured yet: 0 of 6 runs done (6 missing).",)


def test_each_data_set_has_its_leader(tmp_path):
    recorded.write_sweep(tmp_path)
    recorded.write_sweep(tmp_path, "other", {"cgan": score(3.0, 4.0)}, data="cifar10")
    leader = summary(tmp_path)[1]
    assert "Inception Score on Digits is highest for Lr-LiVAE (quickstart)" in leader
    assert "on CIFAR-10 of cGAN (other), the only row with a value, is 3.50 ± 6.35; " in leader


def test_planned_comparisons_come_first(tmp_path):
    eight_seeds(tmp_path)
    path = tmp_path / "claims" / "sweep.json"
    plan = {"reference": "full", "variants": ["worse"], "metrics": ["class_accuracy"]}
    path.write_text(path.read_text()[:-1] + f', "compare": {recorded.json.dumps(plan)}}}')
    _, leader, certainty = summary(tmp_path)
    assert leader.startswith("Class accuracy (%) is highest for better")
    assert "Inception" not in leader + certainty
    assert "in Class accuracy (%) 1 worse (worse) of 1 row and 3 without a test." in certainty


def test_with_several_references_each_verdict_names_its_own(tmp_path):
    eight_seeds(tmp_path)
    path = tmp_path / "claims" / "sweep.json"
    plan = {"reference": "better", "references": {"few": "worse", "worse": "equal"}}
    path.write_text(path.read_text()[:-1] + f', "compare": {recorded.json.dumps(plan)}}}')
    _, leader, certainty = summary(tmp_path)
    assert "above worse" not in leader, "not the distance from the leader"
    assert certainty.startswith("Significantly different from the reference row, by paired")
    assert "worse than equal" in certainty
    assert "full than better" in certainty
