"""A metric from a user's own package is printed, compared and bold everywhere a built-in one is."""

import csv
import io
import os
import subprocess
import sys

import pytest

from bench.record.records import load_records
from bench.reporting.compare import compare_sides, comparison_text, find_runs
from bench.reporting.page.document import describe_page
from bench.reporting.render import RENDERERS
from bench.reporting.tables.build import build_table, filled_tables
from tests.data_recorded import cases
from tests.packages import write_package

METRIC = '''
"""The darkness of samples."""
from bench.metrics.base import Measurement, Metric, Quantity


class Darkness(Metric):
    name = "darkness"
    quantities = {"darkness": Quantity("Darkness (%)", "lower", 1)}

    def measure(self, samples, context):
        is_cvae = type(context.model).__name__ == "CVAE"
        value = 100 * (1 - samples.x.float().mean().item() / 255) + 50 * is_cvae
        parts = [Measurement(f"darkness/{part}", "pixels", value) for part in ("left", "right")]
        return [Measurement("darkness", "pixels", value), *parts]
'''
SWEEP = """\
name: mine
base: {data: blobs, iterations: 2, batch_size: 8, samples_per_class: 3, metrics: [darkness]}
seeds: [0, 1, 2, 3, 4, 5]
variants:
  cvae: {model: {name: cvae, width: 0.25, latent: 4}}
  cgan: {model: {name: cgan, width: 0.25, latent: 4}}
"""


@pytest.fixture(scope="module")
def results(tmp_path_factory):
    """Run a sweep where the package is installed; reports below are made where it is not."""
    here = tmp_path_factory.mktemp("external")
    points = {"bench.metrics": {"darkness": "mine:Darkness"}}
    write_package(here / "site", "mine", {"mine.py": METRIC}, points)
    (here / "mine.yaml").write_text(SWEEP)
    ran = subprocess.run(
        [sys.executable, "-m", "bench", "run", "mine.yaml", "--no-mlflow"],
        env={**os.environ, "PYTHONPATH": f"{os.environ.get('PYTHONPATH', '')}:{here / 'site'}"},
        cwd=here,
        capture_output=True,
        text=True,
    )
    assert ran.returncode == 0, ran.stderr
    return here / "results"


@pytest.fixture
def records(results):
    return load_records(results)


@pytest.fixture
def rendered(records):
    table = build_table(cases.SPECS["summary"], records, reference="cvae")
    return {form: render(table) for form, render in RENDERERS.items()}


def test_it_has_its_title_arrow_and_bold_in_every_form(rendered):
    for form, arrow in (("text", "↓"), ("markdown", "↓"), ("latex", r"$\downarrow$")):
        text = rendered[form].replace("\\\\", " ").replace("\\%", "%")
        for title in ("Darkness (%)", "Darkness (%), left", "Darkness (%), right"):
            assert f"{title} {arrow}" in text, form
    [row] = [line for line in rendered["text"].splitlines() if line.startswith("cGAN")]
    assert row.count("(6) *") == 3
    assert "| cGAN | **" in rendered["markdown"]
    assert r"cGAN & \textbf{" in rendered["latex"]
    assert "Darkness (%): lower is better." in rendered["text"]


def test_its_comparisons_are_in_the_csv_file(rendered):
    cells = list(csv.DictReader(io.StringIO(rendered["csv"])))
    verdicts = {(cell["row"], cell["metric"]): cell["verdict"] for cell in cells}
    assert verdicts["cGAN", "darkness"] == verdicts["cGAN", "darkness/left"] == "better"


def test_it_fills_tables_and_the_page(records):
    specs = cases.SPECS
    assert [table.name for table in filled_tables(specs, records)] == ["summary", "cost"]
    tables = filled_tables(specs, records, reference="cvae")
    page = describe_page(records, tables, specs["summary"].names)
    column = page["tables"][0]["columns"][0]
    assert (column["title"], column["arrow"], column["decimals"]) == ("Darkness (%)", "↓", 1)
    assert [row["cells"][0]["bold"] for row in page["tables"][0]["rows"]] == [False, False, True]
    assert page["seeds"][0]["title"] == "Darkness (%)"


def test_two_variants_are_compared_by_it(records):
    sides = find_runs(records, "mine/cvae"), find_runs(records, "mine/cgan")
    text = comparison_text(compare_sides(records, *sides))
    [line] = [line for line in text.splitlines() if line.startswith("Darkness (%) ↓ ")]
    assert "p < 0.001" in line
