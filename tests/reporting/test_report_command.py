import errno
from pathlib import Path

import pytest

from bench.record import files
from tests.data_recorded import cases, recorded


@pytest.fixture
def results(here):
    cases.eight_seeds(here / "results")
    return here / "results"


def test_tables_are_printed_and_written_in_every_form(bench, results):
    status, out, err = bench("report", "claims", "--table", "1", "--differences")
    assert status == 0, err
    assert "+0.50 ± 0.04, p < 0.001" in out
    folder = results / "claims" / "tables"
    assert {path.suffix for path in folder.glob("table-1.*")} == {".txt", ".csv", ".md", ".tex"}
    assert (folder / "table-1.txt").read_text() in out


def test_all_prints_what_the_sweeps_fill_and_says_what_is_left_out(bench, results):
    status, out, err = bench("report", "claims", "--all", "--format", "markdown")
    assert status == 0, err
    written = {path.stem for path in (results / "claims" / "tables").iterdir()}
    expected = ("1", "2", "ablation", "summary", "cost")
    assert written == {f"table-{name}" for name in expected}  # 5 and 6 would repeat 1 and 2
    left = "5, 6, calibration, disentanglement, switching, toy, swiss_roll"
    assert f"left out, empty or the same as these: {left}" in err
    assert "**All metrics**" in out


def test_a_table_of_ones_own_stands_beside_those_that_are_shipped(bench, here, results):
    (here / "sweeps").mkdir()
    own = "models: {cvae: CVAE}\ntables: {mine: {title: My table, metrics: [inception_score]}}"
    (here / "sweeps" / "tables.yaml").write_text(own)
    for words in ((), ("--table", "mine"), ("--table", "1"), ("--page",)):
        status, out, err = bench("report", "claims", *words)
        assert status == 0, err
        assert ("My table" in out) == ("mine" in words)
    assert "My table" in (results / "claims" / "report.html").read_text()
    assert bench("compare", "claims/full", "claims/worse")[0] == 0
    assert bench("list", "tables")[1].startswith("mine ")


def test_a_misspelled_metric_of_ones_own_table_is_named(bench, here, results):
    (here / "sweeps").mkdir()
    path = here / "sweeps" / "tables.yaml"
    path.write_text("tables:\n  mine:\n    title: T\n    metrics: [inception_scor, fid]")
    problem = (
        "sweeps/tables.yaml:4: tables.mine.metrics: unknown metric 'inception_scor' "
        "(did you mean 'inception_score'?)"
    )
    status, out, err = bench("report", "claims", "--table", "mine")
    assert (status, out) == (2, "")
    assert f"error: {problem}" in err
    assert "Inception Score" in bench("report", "claims", "--table", "1")[1], "it is not asked for"
    status, _, err = bench("report", "claims", "--all")
    assert status == 0
    assert f"left out: {problem}" in err
    path.write_text("tables: {mine: {title: T, metrics: [leakage]}}")
    _, _, err = bench("report", "claims", "--table", "mine")
    assert "unknown metric 'leakage' (did you mean 'leakage_linear'?)" in err, "it measures two"


def test_a_misspelled_metric_that_is_to_be_printed_otherwise_is_named(bench, here, results):
    (here / "sweeps").mkdir()
    path = here / "sweeps" / "tables.yaml"
    path.write_text("metrics:\n  fidd: {title: FID}\n  fid: {title: FID}\ntables: {}")
    problem = "sweeps/tables.yaml:2: metrics: unknown metric 'fidd' (did you mean 'fid'?)"
    status, _, err = bench("report", "claims", "--table", "1")
    assert (status, err) == (2, f"error: {problem}; known: {err.rpartition('known: ')[2]}")
    status, _, err = bench("report", "claims", "--all")
    assert (status, err.count(problem)) == (0, 1)


def test_what_a_metric_measures_and_what_the_record_holds_are_known(bench, here):
    (here / "sweeps").mkdir()
    own = "tables: {mine: {title: T, metrics: [leakage_linear, fid/rare, darkness, train_seconds]}}"
    (here / "sweeps" / "tables.yaml").write_text(own)
    seeds = {0: {"darkness/left": ("of a package that is not installed", 1.0)}}
    recorded.write_sweep(here / "results", variants={"cvae": seeds}, real=None)
    status, _, err = bench("report", "quickstart", "--table", "mine")
    assert status == 0, err
    assert "unknown" not in err


def test_a_table_that_was_asked_for_is_printed_though_nothing_fills_it(bench, results):
    status, out, _ = bench("report", "claims", "--all", "--table", "toy")
    assert status == 0
    assert "Fit of the toy arcs" in out


def test_robust_statistics_are_shown_on_request(bench, results):
    _, out, _ = bench("report", "claims", "--table", "1", "--robust")
    assert "IQM" in out
    assert "P(better)" in out
    _, out, _ = bench("report", "claims", "--table", "1")
    assert "IQM" not in out


def test_the_reference_can_be_chosen_and_a_wrong_one_is_named(bench, results):
    _, out, _ = bench("report", "claims", "--table", "1", "--reference", "worse", "--differences")
    assert "significantly better than worse" in out
    status, _, err = bench("report", "claims", "--reference", "bettr")
    assert status == 2
    assert "unknown row to compare with 'bettr' (did you mean 'better'?)" in err


def test_comparisons_can_be_chosen_on_the_command_line(bench, results):
    plan = "{reference: full, variants: [better], metrics: [inception_score]}"
    status, out, err = bench("report", "claims", "--compare", plan)
    assert status == 0, err
    assert "over 1 comparison together, chosen on the command line" in " ".join(out.split())
    for wrong, message in (
        ("{refernce: full}", "did you mean 'reference'"),
        ("{variants: [bettr]}", "did you mean 'better'"),
        ("[1", "--compare: is not valid YAML"),
        ("ful", "did you mean 'full'"),
    ):
        status, _, err = bench("report", "claims", "--compare", wrong)
        assert (status, message in err) == (2, True)
    status, _, err = bench("report", "claims", "--compare", plan, "--reference", "worse")
    assert (status, "is not the reference of --compare" in err) == (2, True)


def test_metrics_can_be_chosen_without_a_change_of_what_is_tested(bench, results):
    plain = ("report", "claims", "--table", "ablation", "--format", "csv")
    whole = bench(*plain)[1].splitlines()
    status, out, err = bench(*plain, "--metric", "class_accuracy", "--metric", "inception_score")
    assert status == 0, err
    chosen = out.splitlines()
    assert set(chosen) < set(whole)
    assert chosen[1].split(",")[5] == "class_accuracy"
    _, out, _ = bench("report", "claims", "--metric", "train_seconds", "--no-notes")
    assert out.startswith("Chosen metrics\n")
    assert "Training" in out
    assert "Runs:" not in out
    assert "wall-clock" in bench("report", "claims", "--metric", "train_seconds")[1]


@pytest.mark.parametrize(
    ("words", "message"),
    [
        (("--metric", "inception_scor"), "did you mean 'inception_score'"),
        (("--metric", "fid"), "unknown metric 'fid'"),
        (
            ("--table", "1", "--metric", "class_accuracy"),
            "table 1 has none of these metrics; it shows inception_score",
        ),
    ],
)
def test_a_metric_that_is_not_there_is_refused(bench, results, words, message):
    status, _, err = bench("report", "claims", *words)
    assert (status, message in err) == (2, True)


def test_a_page_of_one_metric_begins_with_what_it_shows(bench, results):
    status, _, err = bench("report", "claims", "--page", "--metric", "class_accuracy")
    assert status == 0, err
    page = (results / "claims" / "report.html").read_text()
    assert '"summary":["35 of 35 runs done' in page
    assert "in Class accuracy (%) " in page
    assert "Inception Score is highest" not in page


def test_rows_of_the_paper_are_shown_on_request(bench, results):
    assert "0.0157" not in bench("report", "claims", "--table", "2")[1]
    assert "0.0157" in bench("report", "claims", "--table", "2", "--paper")[1]


def test_variance_is_a_table_of_its_own(bench, results):
    status, out, _ = bench("report", "claims", "--variance")
    assert status == 0
    assert out.startswith("Where the spread comes from")
    assert "bench evaluate results/claims/" in out
    assert (results / "claims" / "tables" / "table-variance.csv").exists()


def test_compare_prints_settings_and_figures(bench, results):
    status, out, _ = bench("compare", "claims/full", "claims/worse")
    assert status == 0
    assert "model.name" in out
    assert "-0.51 ± 0.04, p < 0.001" in out


@pytest.mark.parametrize(
    ("names", "message"),
    [
        (("claims/full", "claims/ful"), "did you mean 'claims/full'"),
        (("claims/full", "claims/full"), "are the same"),
    ],
)
def test_compare_refuses_what_cannot_be_compared(bench, results, names, message):
    status, _, err = bench("compare", *names)
    assert status == 2
    assert message in err


def test_a_variant_is_not_compared_with_its_own_run(bench, results):
    [first] = (path.name for path in (results / "claims").glob("00*"))
    status, _, err = bench("compare", "claims/full", first)
    assert status == 2
    assert f"overlap: both have the run {first}" in err


def test_one_seed_and_no_reference_are_fine(bench, here):
    one = {"cvae": {4: {"inception_score": (recorded.IS, 7.0)}}}
    recorded.write_sweep(here / "results", variants=one)
    for words in (("--all", "--differences", "--robust"), ("--variance",)):
        status, out, err = bench("report", "quickstart", *words)
        assert status == 0, err
        assert "7" in out


@pytest.fixture
def read_only(here, monkeypatch):
    """Results on a disk that nobody can write to, as far as our own writer goes."""
    write = files.write_atomically

    def refuse(path, content):
        if Path("results").resolve() in Path(path).resolve().parents:
            raise OSError(errno.EROFS, "Read-only file system", str(path))
        write(path, content)

    recorded.write_sweep(here / "results")
    monkeypatch.setattr("bench.reporting.figures.files.write_atomically", refuse)
    monkeypatch.setattr(files, "write_atomically", refuse)  # after that import, which copies it


def test_tables_are_printed_from_a_disk_that_cannot_be_written(bench, read_only):
    status, out, err = bench("report", "quickstart")
    assert (status, "Lr-LiVAE" in out) == (0, True)
    assert "warning: cannot write to results/quickstart/tables: Read-only file sys" in err
    assert "--to names another place" in err
    status, _, err = bench("report", "quickstart", "--to", "elsewhere", "--page")
    assert (status, err) == (0, "written to elsewhere/report.html\n")


def test_figures_of_a_disk_that_cannot_be_written_go_elsewhere(bench, here, read_only):
    status, _, err = bench("figure", "seeds", "quickstart")
    assert status == 2
    assert "--to names another place" in err
    status, _, err = bench("figure", "seeds", "quickstart", "--to", "elsewhere")
    assert status == 0, err
    assert (here / "elsewhere" / "seeds.pdf").exists()
