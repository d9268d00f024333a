import json
import shutil
from pathlib import Path

import pytest

from bench.errors import BenchError, UnknownName
from bench.record.records import load_records
from bench.reporting.compare import compare_sides, comparison_text, find_runs
from tests.data_recorded import cases, recorded


def text(results, first, second):
    records = load_records(results)
    sides = find_runs(records, first), find_runs(records, second)
    return comparison_text(compare_sides(records, *sides))


def test_two_variants_are_compared_seed_by_seed(tmp_path):
    cases.eight_seeds(tmp_path)
    lines = text(tmp_path, "claims/full", "claims/better").splitlines()
    assert lines[0] == "claims/full and claims/better: the configurations are the same"
    [line] = [line for line in lines if line.startswith("Inception Score ↑ [a]")]
    assert line.split("  ")[-1].strip() == "+0.50 ± 0.04, p < 0.001"
    assert "8.22 ± 0.13 (8)" in line
    assert "8.72 ± 0.12 (8) *" in line
    assert "worse" not in "\n".join(lines)  # nothing of the other variants


def test_p_values_are_corrected_over_all_metrics_that_are_printed(bench, here):
    cases.eight_seeds(here / "results")
    _, out, _ = bench("compare", "claims/full", "claims/better")
    assert "corrected by Holm over 3 comparisons together" in " ".join(out.split())
    metrics = "{metrics: [inception_score]}"
    _, out, _ = bench("compare", "claims/full", "claims/better", "--compare", metrics)
    assert "corrected by Holm over 1 comparison together" in " ".join(out.split())
    status, _, err = bench("compare", "claims/full", "claims/better", "--compare", "worse")
    assert (status, "accepts only `metrics` here" in err) == (2, True)


def test_rows_on_different_data_have_no_empty_column(tmp_path):
    cases.two_sweeps(tmp_path)
    assert "Δ" not in text(tmp_path, "quickstart/lr_livae", "table2/lr_livae").split("\n\n")[1]


def test_the_settings_that_differ_are_told(tmp_path):
    folder = recorded.write_sweep(tmp_path)
    for path in folder.glob("0[345]*/config.json"):
        content = json.loads(path.read_text())
        content["config"]["objective"]["encoder_u"]["kl"] = 0.5
        content["config"]["extra"] = [1, 2]
        path.write_text(json.dumps(content))
    lines = text(tmp_path, "quickstart/cvae", "quickstart/lr_livae").splitlines()
    assert [line.split() for line in lines[:5]] == [
        ["quickstart/cvae", "quickstart/lr_livae"],
        ["extra", "—", "[1,", "2]"],
        ["model.name", "cvae", "lr_livae"],
        ["objective.encoder_u.kl", "1.0", "0.5"],
        [],
    ]


def test_runs_are_named_by_folder_id_or_its_beginning(tmp_path):
    folder = recorded.write_sweep(tmp_path)
    first, second = sorted(path.name for path in folder.glob("0[03]*"))
    records = load_records(tmp_path)
    names = (first, first[:6], f"quickstart/{first}", str(folder / first))
    assert {find_runs(records, name) for name in names} == {find_runs(records, first)}
    lines = text(tmp_path, first, second)
    assert f"quickstart/{first}" in lines
    assert "+1.25" in lines  # 8.5 - 7.25, both of seed 0
    assert "can be significant" in lines


def test_an_id_in_two_sweeps_is_answered_with_both(tmp_path):
    folder = recorded.write_sweep(tmp_path)
    shutil.copytree(folder, tmp_path / "copied")
    first = min(path.name for path in folder.glob("0*"))
    with pytest.raises(BenchError, match=rf"several runs; name one: .*copied/{first}, quickstart/"):
        find_runs(load_records(tmp_path), first)


def test_what_evaluate_kept_is_no_training(bench, here):
    cases.redrawn(here / "results")
    for command in ("verify", "rerun"):
        status, _, err = bench(command, "evaluations")
        assert status == 2
        assert "what `bench evaluate` kept was not trained by a sweep" in err


def test_runs_of_different_seeds_are_shown_and_not_compared(tmp_path):
    folder = recorded.write_sweep(tmp_path)
    first, second = sorted(path.name for path in folder.glob("0[01]*"))
    lines = text(tmp_path, first, second)
    assert "Not compared with a reference row:" in lines
    assert f"no seed in common with quickstart/{first}: quickstart/{second}" in lines
    assert "seed" in lines.splitlines()[1]


def test_variants_of_two_sweeps_stand_side_by_side(tmp_path):
    cases.two_sweeps(tmp_path)
    lines = text(tmp_path, "quickstart/lr_livae", "table2/lr_livae")
    assert "data.name" in lines
    assert "on Digits" in lines
    assert "on CIFAR-10" in lines


@pytest.mark.parametrize("name", ["quickstart/cvea", "0", str(Path("nowhere"))])
def test_a_wrong_name_gets_those_that_are_there(tmp_path, name):
    recorded.write_sweep(tmp_path)
    with pytest.raises(UnknownName, match=r"unknown variant or run .*known: quickstart/cvae"):
        find_runs(load_records(tmp_path), name)


def test_a_wrong_variant_of_a_sweep_gets_those_of_that_sweep(tmp_path):
    cases.two_sweeps(tmp_path)
    with pytest.raises(
        UnknownName, match=r"did you mean 'table2/cvae_gan'.*known: table2/"
    ) as error:
        find_runs(load_records(tmp_path), "table2/cvae_gam")
    assert "quickstart" not in str(error.value)


def test_a_run_that_is_a_link_to_itself_costs_no_other_one(tmp_path):
    recorded.write_sweep(tmp_path)
    records = load_records(tmp_path)
    first, *_, last = records.runs
    shutil.rmtree(last.path, ignore_errors=True)
    last.path.symlink_to(last.path.name)
    assert find_runs(load_records(tmp_path), str(first.path)).runs == (first.key,)
