"""Which snapshot a rule chooses, and what a table says about it."""

import pytest

from bench.errors import BenchError, UnknownName
from bench.record.jsonl import read_jsonl, write_jsonl
from bench.record.records import load_records
from bench.reporting.render.csv import render_csv
from bench.reporting.render.latex import render_latex
from bench.reporting.render.text import render_text
from bench.reporting.snapshot_selection import select_snapshots
from bench.reporting.tables.build import build_table
from bench.reporting.tables.table_spec import load_tables
from tests.data_recorded import recorded

TABLES = load_tables()
NAMES = TABLES["1"].names
STEPS = (200, 400, 800)

# Quantity -> its values after 200, 400 and 800 iterations, and that of the real images.
VALIDATION = {
    "inception_score": ((7.0, 9.0, 8.0), 9.5),  # higher is better: after 400
    "intra_class_diversity": ((0.51, 0.3, 0.7), 0.5),  # nearest to real: after 200
    "fid": ((3.0, 2.0, 2.0), 0.0),  # lower is better, the latest of equals: after 800
    "relevant_distance": ((0.5, 0.9, 1.2), 0.99),  # nearest to 1: after 400
}


def entries_of(step, split, place, real=False):
    return [
        {"step": 0 if real else step, "split": split, "metric": metric, "protocol": metric}
        | {"value": truth if real else values[place] + (split == "samples"), "reason": ""}
        for metric, (values, truth) in VALIDATION.items()
    ]


@pytest.fixture
def folder(tmp_path):
    folder = recorded.write_sweep(tmp_path, variants={"cvae": {0: {}, 1: {}}})
    for path in folder.glob("0*/evaluation.jsonl"):
        rows = [
            row
            for place, step in enumerate(STEPS)
            for split in ("samples", "validation")
            for row in entries_of(step, split, place)
        ]
        write_jsonl(path, rows)
    (path,) = folder.glob("real-*/evaluation.jsonl")
    write_jsonl(path, [*entries_of(0, "real", 0, True), *entries_of(0, "validation", 0, True)])
    return folder


def chosen(folder, rule):
    final = select_snapshots(load_records(folder.parent), rule, NAMES).final
    assert {entry.step for entry in final if entry.run.is_control} == {0}
    return {entry.step for entry in final if not entry.run.is_control}


@pytest.mark.parametrize(
    ("rule", "step"),
    [
        ("last", 800),
        ("val-inception_score", 400),
        ("val-intra_class_diversity", 200),
        ("val-fid", 800),
        ("val-relevant_distance", 400),
        ("oracle-inception_score", 400),
        ("oracle-intra_class_diversity", 400),  # 1.3 is the nearest of 1.51, 1.3, 1.7 to 0.5
    ],
)
def test_each_rule_chooses_by_its_own_measurements(folder, rule, step):
    assert chosen(folder, rule) == {step}


def test_each_run_chooses_for_itself(folder):
    path = next(iter(sorted(folder.glob("0*/evaluation.jsonl"))))
    rows = [
        row | {"value": 99.0} if (row["step"], row["split"]) == (200, "validation") else row
        for row in read_jsonl(path)
    ]
    write_jsonl(path, rows)
    final = select_snapshots(load_records(folder.parent), "val-inception_score", NAMES).final
    assert {e.run.seed: e.step for e in final if not e.run.is_control} == {0: 200, 1: 400}


def test_the_table_shows_test_values_and_names_the_rule(folder):
    records = load_records(folder.parent)
    text = render_text(
        build_table(TABLES["1"], select_snapshots(records, "val-inception_score", NAMES))
    )
    assert "10.00 ± 0.00 (2)" in text, "the test value after 400 iterations"
    told = " ".join(text.split())
    assert (
        "Selection: of the 3 snapshots of each run the one with the best Inception Score on" in told
    )
    assert "no selection" not in told
    assert "Warning" not in told
    oracle = select_snapshots(records, "oracle-inception_score", NAMES)
    table = build_table(TABLES["1"], oracle)
    for shown in (table, table.bare):  # also without notes
        told = " ".join(render_text(shown).split())
        assert "Warning: selected by an oracle" in told
        assert "on the test images themselves" in told
    assert "Warning: selected by an oracle" in render_latex(table)
    assert render_csv(table).splitlines()[1].endswith(",oracle-inception_score")
    assert "Weights: those of the last iteration (no selection)." in render_text(
        build_table(TABLES["1"], records)
    )


def test_rules_and_metrics_that_do_not_exist_are_answered_with_the_nearest(folder):
    records = load_records(folder.parent)
    with pytest.raises(UnknownName, match=r"selection rule 'val_fid' \(did you mean 'val-fid'\?\)"):
        select_snapshots(records, "val_fid", NAMES)
    with pytest.raises(
        BenchError, match=r"--select val-fib: unknown metric 'fib' \(did you mean 'fi"
    ):
        select_snapshots(records, "val-fib", NAMES)


def test_runs_without_validation_values_are_named_with_the_remedy(folder):
    path = next(iter(sorted(folder.glob("0*/evaluation.jsonl"))))
    write_jsonl(path, [r for r in read_jsonl(path) if r["split"] == "samples"])
    with pytest.raises(BenchError, match="1 of 2 measured runs have no such value") as caught:
        chosen(folder, "val-fid")
    assert "give its base snapshots: 4, splits: [test, validation]" in str(caught.value)


def test_a_direction_towards_the_real_images_needs_them(folder):
    (path,) = folder.glob("real-*/evaluation.jsonl")
    write_jsonl(path, [r for r in read_jsonl(path) if r["split"] == "real"])
    with pytest.raises(BenchError, match="nearer it is to the real images, which sweep quickstart"):
        chosen(folder, "val-intra_class_diversity")


def test_two_protocols_leave_the_choice_open(folder):
    for path in folder.glob("0*/evaluation.jsonl"):
        twice = [row | {"protocol": "another"} for row in read_jsonl(path)]
        write_jsonl(path, [*read_jsonl(path), *twice])
    with pytest.raises(BenchError, match=r"fid was measured by several protocols.*another; fid"):
        chosen(folder, "val-fid")
