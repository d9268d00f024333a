"""What tables promise, checked in experiments of which the truth is known."""

import numpy as np
import pytest

from bench.record.quantities import Quantity
from bench.record.records import load_records
from bench.reporting.statistics import detectable_effect, estimate, paired_difference
from bench.reporting.summary import summary_sentences
from bench.reporting.tables.differences import add_differences, corrected_tests
from bench.reporting.tables.table import Cell, Column, Row, Table
from tests.data_recorded import recorded

pytestmark = pytest.mark.slow

COLUMN = Column("set", "Set", "m", Quantity("M", "higher", 2), "p")
LAWS = {
    "normal": lambda draw, size: draw.normal(size=size),
    "skewed": lambda draw, size: draw.lognormal(size=size),
    "heavy tails": lambda draw, size: draw.standard_t(3, size=size),
    "collapses": lambda draw, size: draw.normal(size=size) - 8.0 * (draw.random(size) < 0.1),
}


@pytest.mark.parametrize("n", [3, 5, 10])
def test_the_default_interval_covers_94_to_96_percent(n):
    draw = np.random.default_rng(n)
    covered = 0
    for values in draw.normal(7.0, 0.5, size=(20_000, n)).tolist():
        interval = estimate(values)
        covered += abs(interval.mean - 7.0) <= interval.half_width()
    assert 0.94 <= covered / 20_000 <= 0.96


@pytest.mark.parametrize("law", LAWS)
@pytest.mark.parametrize("n", [3, 5, 6, 8, 10])
def test_five_comparisons_together_claim_falsely_in_5_percent_of_sweeps_at_most(n, law):
    draw = np.random.default_rng(n)
    sweeps, false = 2_000, 0
    for sweep in LAWS[law](draw, (sweeps, 6, n)):
        found = compared(sweep)
        verdicts = [row.cells[0].difference.verdict for row in found[1:]]
        false += any(verdicts)
    assert false / sweeps <= 0.05
    if n < 6:
        assert false == 0


def compared(values):
    """Rows of one column with these values, [rows, seeds], compared with the first one."""
    rows = [
        Row(str(place), "s", str(place), (cell,), model="m")
        for place, of_row in enumerate(values.tolist())
        for cell in [
            Cell("mean", float(np.mean(of_row)), 1.0, len(of_row), tuple(enumerate(of_row)))
        ]
    ]
    references = {row.label: rows[0] for row in rows[1:]}
    corrected = corrected_tests(rows, [COLUMN], references, {})
    return add_differences(rows, [COLUMN], references, {}, corrected)


@pytest.mark.parametrize(("effect", "least", "most"), [(0.0, 0.0, 0.05), (4.0, 0.95, 1.0)])
def test_the_summary_names_a_better_row_where_there_is_one(tmp_path, effect, least, most):
    """Of six rows one is better by `effect` standard deviations of a seed, or none is."""
    recorded.write_sweep(tmp_path)
    records, draw, sweeps, named = load_records(tmp_path), np.random.default_rng(0), 1_000, 0
    better = effect * (np.arange(6) == 3)[:, None]
    for values in draw.normal(size=(sweeps, 6, 8)) + better:
        table = Table("t", "T", (COLUMN,), tuple(compared(values)), ())
        *_, certainty = summary_sentences([table], records)
        is_claim = certainty.startswith("Significantly different from 0")
        assert is_claim != certainty.startswith("No significant differences from 0")
        named += "1 better (3)" in certainty if effect else is_claim
    assert least <= named / sweeps <= most


@pytest.mark.parametrize(("near", "far"), [(-2, -2), (2, -2), (0, 0), (1, -1)])
def test_equally_near_rows_are_claimed_to_differ_in_5_percent_of_experiments_at_most(near, far):
    """The target is drawn anew for each experiment, with its standard error."""
    draw, false, experiments, error = np.random.default_rng(0), 0, 4_000, 0.3
    for target in draw.normal(0.0, error, size=experiments):
        ours, theirs = (dict(enumerate(draw.normal(mean, 1.0, 8))) for mean in (near, far))
        false += paired_difference(ours, theirs, target, error).p < 0.05
    assert false / experiments <= 0.055


@pytest.mark.parametrize("n", [2, 3, 8])
@pytest.mark.parametrize("error", [0.1, 0.5, 2.0])
def test_the_interval_of_the_gap_covers_the_truth_though_the_target_is_measured(n, error):
    draw, covered, experiments = np.random.default_rng(0), 0, 10_000
    for target in draw.normal(3.0, error, size=experiments):
        gap = estimate([*draw.normal(5.0, 1.0, n) - target], error)
        covered += abs(gap.mean - 2.0) <= gap.half_width()
    assert 0.945 <= covered / experiments <= 0.99


@pytest.mark.parametrize("n", [3, 5, 10])
def test_the_detectable_effect_is_found_in_80_percent_of_experiments(n):
    draw = np.random.default_rng(n)
    experiments = draw.normal(detectable_effect(n), 1.0, size=(4_000, n)).tolist()
    none = dict.fromkeys(range(n), 0.0)
    found = sum(paired_difference(dict(enumerate(row)), none).p < 0.05 for row in experiments)
    assert found / 4_000 == pytest.approx(0.8, abs=0.02)
