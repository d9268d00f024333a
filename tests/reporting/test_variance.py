import pytest

from bench.record.jsonl import read_jsonl, write_jsonl
from bench.record.records import load_records
from bench.reporting.render.text import render_text
from bench.reporting.snapshot_selection import select_snapshots
from bench.reporting.variance import variance_table
from tests.data_recorded import cases, recorded


def parts(results, label):
    table = variance_table(load_records(results), cases.NAMES)
    [row] = [row for row in table.rows if row.title == label]
    return table, [cell.mean for cell in row.cells]


def test_samples_drawn_again_give_the_variance_of_sampling(tmp_path):
    cases.redrawn(tmp_path)
    # over seeds 7, 7.25, 7.5: variance 1/16; drawn again 7, 7.125, 7.25: 1/64
    _, found = parts(tmp_path, "cVAE, Inception Score")
    assert found == pytest.approx([7.25, 0.25, (3 / 64) ** 0.5, 0.125, 75.0, None])


def test_errors_over_images_stand_in_where_nothing_was_drawn_again(tmp_path):
    cases.redrawn(tmp_path)
    _, found = parts(tmp_path, "cVAE, Intra-class diversity")
    assert found == pytest.approx([17 / 64, 1 / 64, 3**0.5 / 128, 1 / 128, 75.0, None])


def test_training_is_never_less_than_nothing(tmp_path):
    cases.redrawn(tmp_path)
    _, found = parts(tmp_path, "cVAE, Class accuracy (%)")
    assert found[:5] == [82.0, 2.0, 0.0, 3.0, 0.0]


def test_classifiers_of_one_kind_are_told_apart_by_their_hash(tmp_path):
    cases.redrawn(tmp_path)
    table, found = parts(tmp_path, "cVAE, Class accuracy (%)")
    assert found[5] == pytest.approx(2**0.5)  # means 82 and 84
    assert [row.title for row in table.rows].count("cVAE, Class accuracy (%)") == 1


def test_rows_name_their_variant(tmp_path):
    cases.redrawn(tmp_path)
    table = variance_table(load_records(tmp_path), cases.NAMES)
    assert {row.variant for row in table.rows if row.label.startswith("cVAE")} == {"cvae"}
    assert {row.variant for row in table.rows} == {"cvae", "alone"}


def test_classifiers_are_compared_on_the_runs_that_all_of_them_saw(tmp_path):
    other = recorded.ACCURACY.replace("0a0a0a0a", "1b1b1b1b")
    accuracy = {seed: {"class_accuracy": (recorded.ACCURACY, 10.0 * seed)} for seed in range(3)}
    accuracy[2] = {"class_accuracy": [(recorded.ACCURACY, 20.0), (other, 22.0)]}
    recorded.write_sweep(tmp_path, variants={"cvae": accuracy})
    _, found = parts(tmp_path, "cVAE, Class accuracy (%)")
    assert found[0] == 10.0
    assert found[-1] == pytest.approx(2**0.5)


def test_the_table_fits_a_screen_and_has_a_section_for_each_quantity(tmp_path):
    labels = [f"a variant with a name of fifty characters, number {n}" for n in range(20)]
    measured = {
        "inception_score": (recorded.IS, 7.0, 0.1),
        "class_accuracy": (recorded.ACCURACY, 80.0, 0.5),
    }
    recorded.write_sweep(tmp_path, variants={label: {0: measured, 1: measured} for label in labels})
    lines = render_text(variance_table(load_records(tmp_path), cases.NAMES)).splitlines()
    notes = next(n for n, line in enumerate(lines) if line.startswith("Seeds, s.d.:"))
    assert max(map(len, lines[:notes])) <= 100
    first, second = (lines.index(title) for title in ("Inception Score", "Class accuracy (%)"))
    assert [line[:52].strip() for line in lines[first + 1 : second - 1]] == labels
    assert sum("Training" in line for line in lines[:notes]) == 1  # one heading


def test_what_is_not_known_is_named_with_the_command_that_measures_it(tmp_path):
    accuracy = {seed: {"class_accuracy": (recorded.ACCURACY, 80.0 + seed)} for seed in range(2)}
    recorded.write_sweep(tmp_path, variants={"cvae": accuracy})
    table, found = parts(tmp_path, "cVAE, Class accuracy (%)")
    assert found == [80.5, pytest.approx(0.5**0.5)]  # no column for what is known of no row
    assert [column.metric for column in table.columns] == ["Mean", "Seeds, s.d."]
    commands = [note.command for note in table.notes if note.command]
    assert ["--sample-seed 1001" in commands[0], "extractor_seed: 1" in commands[1]] == [True, True]
    texts = [note.text for note in table.notes if note.command]
    assert all("Not known of all rows: Class accuracy (%)." in text for text in texts)


def test_one_seed_has_no_spread(tmp_path):
    cases.redrawn(tmp_path)
    table, found = parts(tmp_path, "alone, Inception Score")
    assert found == [8.0, None, None, None, None, None]
    assert any(note.text.startswith("One seed has no spread") for note in table.notes)


def test_a_sweep_without_measurements_is_an_empty_table(tmp_path):
    recorded.write_sweep(tmp_path, variants={"cvae": {0: {}}}, states={("cvae", 0): "failed"})
    assert variance_table(load_records(tmp_path), cases.NAMES).rows == ()


def test_metrics_can_be_chosen(tmp_path):
    cases.redrawn(tmp_path)
    records = load_records(tmp_path)
    rows = variance_table(records, cases.NAMES, ["inception_score"]).rows
    assert len(rows)
    assert all(row.title.endswith(", Inception Score") for row in rows)


def test_samples_of_the_last_weights_say_nothing_of_a_snapshot(tmp_path):
    cases.redrawn(tmp_path)
    for path in tmp_path.glob("quickstart/0*/evaluation.jsonl"):
        [score] = [e for e in read_jsonl(path) if e["metric"] == "inception_score"]
        halfway = score | {"step": 400, "value": score["value"] - 3}
        judged = [halfway | {"split": "validation"}, score | {"split": "validation", "value": 0.0}]
        write_jsonl(path, [score, halfway, *judged])
    records = select_snapshots(load_records(tmp_path), "val-inception_score", cases.NAMES)
    table = variance_table(records, cases.NAMES)
    assert {row.cells[0].mean for row in table.rows} == {4.25, 5.0}, "of the snapshots"
    assert "Samples, s.d." not in [column.metric for column in table.columns]
