"""Controls of a sweep: from the YAML to rows of a table below that of the real images."""

import re

import pytest

from tests.made_once import METRICS, RUN, copy_tiny_sweep

ALL = "base.controls=[noise, real, class_means, shuffled_labels]"


def evaluations(here):
    return {path: path.stat().st_mtime_ns for path in here.glob("results/tiny/*/evaluation.jsonl")}


def test_controls_are_rows_below_the_real_images(bench, here):
    copy_tiny_sweep(here)
    before = evaluations(here)
    status, _, err = bench(*RUN, METRICS, ALL)
    assert status == 0, err
    assert "2 kept, 3 controls measured; results in" in err
    after = evaluations(here)
    assert {path: after[path] for path in before} == before  # nothing was measured again
    assert len(after) == len(before) + 3
    _, out, _ = bench("report", "tiny", "--table", "summary")
    rows = [line.split("  ")[0] for line in out.splitlines()]
    start = rows.index("real test images")
    assert rows[start : start + 6] == [
        *("real test images", "noise", "class means", "real, labels shuffled"),
        *("cVAE", "Lr-LiVAE"),
    ]
    assert re.search(r"^class means +100.0 ", out, re.MULTILINE)
    assert "Runs: 2 of 2 done, seed 0." in out
    assert "of the paper" not in out
    _, out, _ = bench("status", "tiny")
    assert out.startswith("tiny: 2 done; controls: 4 done")
    runs = (here / "results/tiny/runs.csv").read_text()
    assert ",noise,noise,blobs,,done," in runs
    assert (here / "results/tiny/samples-blobs.png").exists()


def test_the_same_controls_for_all_variants_are_measured_once(bench, here):
    copy_tiny_sweep(here)
    bench(*RUN, METRICS, ALL, "variants.cvae.controls=[noise, noise]")
    assert len(list(here.glob("results/tiny/noise-*"))) == 1


def test_a_control_that_does_not_apply_says_why(bench, here, monkeypatch):
    from bench.errors import NotApplicable
    from bench.evaluation.controls import Noise

    def none(*arguments):
        raise NotApplicable("there is no noise here")

    copy_tiny_sweep(here)
    monkeypatch.setattr(Noise, "samples", none)
    status, _, err = bench(*RUN, METRICS, ALL)
    assert status == 0, err
    _, out, _ = bench("report", "tiny", "--table", "summary")
    assert "there is no noise here: noise (Class accuracy (%), Inception Score) on Blobs" in out


@pytest.mark.parametrize(
    ("words", "text"),
    [
        ("base.controls=[noize]", "unknown control 'noize' (did you mean 'noise'?)"),
        ("base.controls=noise", "expected a list"),
        ("variants.noise={}", "'noise' is the name of a control row"),
    ],
)
def test_mistakes_are_answered(bench, words, text):
    status, _, err = bench("run", "tiny.yaml", "--dry-run", words)
    assert status == 2
    assert text in err
