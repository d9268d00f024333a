"""Data sets of the same name that are not the same are kept apart in all reports."""

import csv
import json

import pytest

from bench.record.records import load_records
from tests.data_recorded import cases, recorded

OLD, NEW, THIRD = (digit * 64 for digit in "abc")
REAL = "real test images"


def edit(path, **changes):
    path.write_text(json.dumps(json.loads(path.read_text()) | changes))


def place(run, data, found):
    """Let the run in a folder be on other data."""
    if data:
        config = json.loads((run / "config.json").read_text())["config"]
        edit(run / "config.json", config=config | {"data": data})
    if found:
        edit(run / "provenance.json", data_fingerprint=found)


def on(folder, **data):
    """Let the runs of a folder be on other data: `variant_seed` -> path and fingerprint."""
    plan = json.loads((folder / "sweep.json").read_text())
    for run in plan["runs"] + plan["controls"]:
        who = f"{run['variant']}_{run['seed']}" if "seed" in run else "real"
        path, found = data.get(who, data["others"])
        run |= {"data": "folder", "path": path} if path else {}
        if (folder / run["id"]).exists():
            place(folder / run["id"], {"name": "folder", "path": path} if path else {}, found)
    edit(folder / "sweep.json", **plan)


def cells(results, name="1", **options):
    """Return the values of a table: data set -> row -> (mean, number of seeds)."""
    table = cases.build(results, name, **options)
    found = {}
    for row in table.rows:
        for column, cell in zip(table.columns, row.cells, strict=True):
            if column.view == "value" and column.metric == "inception_score" and cell.mean:
                found.setdefault(column.data, {})[row.label] = (cell.mean, cell.n)
    return found


@pytest.fixture
def changed(here):
    """A sweep whose last seed of each model was trained after its images had changed."""
    folder = recorded.write_sweep(here / "results")
    later = {f"{model}_2": ("faces", NEW) for model in ("cvae", "lr_livae")}
    on(folder, others=("faces", OLD), **later)
    return here / "results"


def test_a_mean_is_never_over_two_versions_of_a_data_set(bench, changed):
    assert cells(changed) == {
        "faces@aaaaaaaa": {
            REAL: (9.625, 0),
            "cVAE": (7.375, 2),
            "Lr-LiVAE": (8.75, 2),
        },
        "faces@bbbbbbbb": {"cVAE": (7.75, 1), "Lr-LiVAE": (8.75, 1)},
    }
    for words in (["--table", "1"], ["--variance"]):
        status, out, err = bench("report", "quickstart", *words)
        assert status == 0, err
        text = " ".join(out.split())
        assert "What is called faces is not always the same data; nothing is averaged" in text
        assert f"faces@bbbbbbbb: fingerprint {NEW[:12]}" in text
    assert bench("report", "quickstart", "--page")[0] == 0
    page = (changed / "quickstart" / "report.html").read_text()
    assert "What is called faces is not always the same data" in page
    status, out, _ = bench("compare", "quickstart/cvae", "quickstart/lr_livae")
    assert status == 0
    assert "on faces@aaaaaaaa" in out
    assert "on faces@bbbbbbbb" in out
    status, out, err = bench("figure", "seeds", "quickstart")
    assert status == 0, err
    captions = sorted((changed / "quickstart" / "figures").glob("seeds-faces@*.txt"))
    assert len(captions) == 2
    assert "is not always the same" in captions[0].read_text()


def test_a_publication_tells_them_apart_as_well(bench, changed):
    status, _, err = bench("publish", "quickstart", "--to", "published")
    assert status == 0, err
    with (changed.parent / "published" / "quickstart" / "measurements.csv").open() as file:
        assert {row["data"] for row in csv.DictReader(file)} == {"faces@aaaaaaaa", "faces@bbbbbbbb"}
    assert cells(changed.parent / "published") == cells(changed)


@pytest.mark.parametrize(
    ("paths", "names"),
    [
        (("A/faces", "B/faces"), ["A/faces", "B/faces"]),
        (("/x/faces.v1", "/x/faces.v2"), ["faces.v1", "faces.v2"]),
        (("/x/A/faces", "/y/A/faces"), ["x/A/faces", "y/A/faces"]),
        (("faces", "/x/faces"), ["faces", "x/faces"]),
    ],
)
def test_two_data_sets_of_one_name_have_columns_and_real_images_of_their_own(here, paths, names):
    first, second = zip(paths, (OLD, NEW), strict=True)
    folder = recorded.write_sweep(
        here / "results", states={("cvae", 2): "missing", ("lr_livae", 2): "missing"}
    )
    on(folder, others=first, **{f"lr_livae_{seed}": second for seed in range(3)})
    plan = json.loads((folder / "sweep.json").read_text())
    real = [*plan["controls"], {"id": "real-b", "control": "real", "data": "folder"}]
    edit(folder / "sweep.json", controls=real)
    figures = {"inception_score": (recorded.IS, 1.0)}
    recorded.write_run(folder / "real-b", "real-b", {}, figures, curve=False)
    place(folder / "real-b", {"name": "folder", "path": second[0]}, NEW)
    found = cells(here / "results")
    assert found == {
        names[0]: {REAL: (9.625, 0), "cVAE": (7.375, 2)},
        names[1]: {REAL: (1.0, 0), "Lr-LiVAE": (8.75, 2)},
    }
    states = {(run.variant, run.data) for run in load_records(here / "results").runs}
    assert len(states) == 4, "those that have not begun are on one of these too"


def test_options_that_make_other_data_are_named(here):
    folder = recorded.write_sweep(here / "results")
    on(folder, others=("", OLD), **{f"lr_livae_{seed}": ("", NEW) for seed in range(3)})
    for run in json.loads((folder / "sweep.json").read_text())["runs"]:
        options = {"name": "digits", "test_per_class": 20 if run["variant"] == "cvae" else 10}
        place(folder / run["id"], options, "")
    text = cases.notes(cases.build(here / "results"))
    assert f"digits@aaaaaaaa: fingerprint {OLD[:12]}, test_per_class 20" in text
    assert f"digits@bbbbbbbb: fingerprint {NEW[:12]}, test_per_class 10" in text


def test_unlabeled_examples_count_within_a_row(here):
    folder = recorded.write_sweep(here / "results")
    more = {f"cvae_{seed}": ("", f"{OLD}+{NEW if seed else THIRD}") for seed in range(3)}
    on(folder, others=("", OLD), **more)
    found = cells(here / "results")
    assert found["digits@aaaaaaaa+bbbbbbbb"] == {"cVAE": (7.625, 2)}
    assert found["digits@aaaaaaaa+cccccccc"] == {"cVAE": (7.25, 1)}
    assert found["digits@aaaaaaaa"] == {
        REAL: (9.625, 0),
        "Lr-LiVAE": (8.75, 3),
    }


def test_sweeps_on_other_data_share_no_column(here):
    for sweep, found in (("first", OLD), ("second", NEW)):
        on(recorded.write_sweep(here / "results", sweep), others=("faces", found))
    assert list(cells(here / "results")) == ["faces@aaaaaaaa", "faces@bbbbbbbb"]
    assert list(cells(here / "results", sweeps=["second"])) == ["faces"]
    assert "What is called" not in cases.notes(cases.build(here / "results", sweeps=["second"]))


def test_old_records_without_fingerprints_stay_with_their_sweep(here):
    folder = recorded.write_sweep(here / "results")
    on(folder, others=("faces", ""), lr_livae_0=("faces", OLD))
    assert list(cells(here / "results")) == ["faces"]
    assert "What is called" not in cases.notes(cases.build(here / "results"))
    on(folder, others=("faces", ""), lr_livae_1=("faces", NEW))
    assert list(cells(here / "results")) == ["faces@aaaaaaaa", "faces@bbbbbbbb"]
    text = cases.notes(cases.build(here / "results"))
    assert f"fingerprint {OLD[:12]} (5 of the runs and controls have none on record)" in text
