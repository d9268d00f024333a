"""What the page shows, and that nothing in a record can break out of its place."""

import html
import json
import re
from html.parser import HTMLParser
from pathlib import Path

import numpy as np
import pytest
from PIL import Image

from bench.record.records import load_records
from bench.reporting.grouping import evenly_spaced
from bench.reporting.page import document
from bench.reporting.page.curves import POINTS
from bench.reporting.page.document import describe_page, render_page
from bench.reporting.page.tables import without_repeats
from bench.reporting.tables.build import build_table, filled_tables
from bench.reporting.tables.table_spec import load_tables
from tests.data_recorded import cases, recorded
from tests.data_recorded.page_records import HOSTILE, write_hostile, write_small

TABLES = Path(__file__).parents[2] / "sweeps" / "tables.yaml"


class Elements(HTMLParser):
    """Collects start tags, and the text of scripts."""

    def __init__(self):
        super().__init__()
        self.tags, self.scripts = [], []

    def handle_starttag(self, tag, attrs):
        self.tags.append((tag, dict(attrs)))
        if tag == "script":
            self.scripts.append("")

    def handle_data(self, data):
        if self.lasttag == "script" and self.scripts:
            self.scripts[-1] += data


def page_of(results, names=None):
    return render_page(description_of(results, names))


def description_of(results, names=None):
    records, specs = load_records(results, names), load_tables(TABLES)
    return describe_page(records, filled_tables(specs, records), specs["summary"].names)


@pytest.fixture
def small(tmp_path):
    """The description of the small record."""
    write_small(tmp_path)
    return description_of(tmp_path)


def parse(page):
    elements = Elements()
    elements.feed(page)
    return elements


def test_the_same_record_gives_the_same_bytes(tmp_path):
    for place in "ab":
        write_small(tmp_path / place)
    first, second = (page_of(tmp_path / place) for place in "ab")
    assert first == second


def test_the_description_in_the_file_is_the_description(tmp_path):
    write_hostile(tmp_path)
    elements = parse(page_of(tmp_path))
    description = json.loads(elements.scripts[0])
    assert description == json.loads(json.dumps(description_of(tmp_path)))
    assert HOSTILE in [variant["label"] for variant in description["variants"]]


def test_names_cannot_become_markup(tmp_path):
    write_small(tmp_path / "small")
    write_hostile(tmp_path / "hostile")
    harmless, hostile = (parse(page_of(tmp_path / place)) for place in ("small", "hostile"))
    assert hostile.tags == harmless.tags
    assert len(hostile.scripts) == 2
    assert "window.broken" not in hostile.scripts[1]


def test_a_title_is_escaped(tmp_path):
    folder = write_small(tmp_path)
    plan = json.loads((folder / "sweep.json").read_text())
    (folder / "sweep.json").write_text(json.dumps(plan | {"title": HOSTILE}))
    page = page_of(tmp_path)
    title = re.search(r"<title>(.*?)</title>", page, re.DOTALL)[1]
    assert "<" not in title
    assert html.unescape(title) == HOSTILE


def test_text_of_the_record_is_no_placeholder(tmp_path):
    names = ["{{ script }}", r"\1"]
    recorded.write_sweep(tmp_path, variants=dict.fromkeys(names, recorded.QUICKSTART["cvae"]))
    description = json.loads(parse(page_of(tmp_path)).scripts[0])
    assert [variant["label"] for variant in description["variants"]][1:] == names


def test_nothing_is_asked_of_a_network(tmp_path):
    write_small(tmp_path)
    elements = parse(page_of(tmp_path))
    policy = next(a["content"] for _, a in elements.tags if a.get("http-equiv"))
    assert policy.startswith("default-src 'none'; img-src data:; style-src 'sha256-")
    assert "unsafe" not in policy
    assert not {"link", "iframe", "object", "img"} & {tag for tag, _ in elements.tags}
    assert not [a for _, a in elements.tags if "src" in a]
    assert not [a for _, a in elements.tags if not a.get("href", "#").startswith("#")]


def test_tables_are_those_that_the_record_fills_without_repeats(small):
    assert [table["name"] for table in small["tables"]] == ["summary", "cost"]
    assert [topic["metrics"] for topic in small["topics"]] == [
        ["inception_score"],
        ["intra_class_diversity"],
    ]
    assert small["topics"][0]["title"] == "Table 1. Inception Score of the samples"
    row = small["tables"][0]["rows"][1]
    assert row["label"] == "cVAE"
    cell = {"number": "7.50", "rest": " ± 0.62 (3)", "bold": False, "sort": 7.5, "kind": "mean"}
    assert row["cells"][0] == cell
    assert small["tables"][0]["copies"]["latex"].startswith(r"\begin{table}")


def test_a_table_with_numbers_of_its_own_stays(tmp_path):
    write_small(tmp_path)
    records, specs = load_records(tmp_path), load_tables(TABLES)
    for options, names in (
        ({"paper": True}, ["2", "summary", "cost"]),  # the paper's column
        ({"reference": "cvae", "show": ["difference"]}, ["summary", "cost"]),
    ):
        tables = filled_tables(specs, records, **options)
        assert [table.name for table in without_repeats(tables)[0]] == names
        compared = build_table(specs["1"], records, reference="lr_livae", show=["difference"])
        kept, _ = without_repeats([compared, *(t for t in tables if t.name != "1")])
        assert compared in kept


def test_notes_of_all_tables_are_shown_once(small):
    shared = {note["text"] for note in small["notes"]}
    assert "Runs: 6 of 6 done, seeds 0-2." in shared
    for table in small["tables"]:
        assert not shared & {note["text"] for note in table["notes"]}


def test_every_seed_has_its_dot(small):
    column = small["seeds"][0]
    assert column["title"] == "Inception Score"
    assert column["real"] == 9.625
    assert [row["values"] for row in column["rows"]] == [
        [[0, 7.25], [1, 7.5], [2, 7.75]],
        [[0, 8.5], [1, 9.0], [2, 8.75]],
    ]


def test_there_is_no_line_for_real_images_where_sweeps_measured_different_ones(tmp_path):
    recorded.write_sweep(tmp_path, "first")
    recorded.write_sweep(tmp_path, "second", real={"inception_score": (recorded.IS, 5.0)})
    seeds = description_of(tmp_path)["seeds"]
    assert {column["metric"]: column["real"] for column in seeds} == {
        "inception_score": None,
        "intra_class_diversity": 0.5,
    }


def test_values_are_in_the_unit_that_is_printed(small):
    cell = small["tables"][-1]["rows"][0]["cells"][0]
    assert (cell["number"], cell["sort"]) == ("0.368", pytest.approx(0.367552))


def test_controls_come_first(small):
    labels = [variant["label"] for variant in small["variants"]]
    assert labels == ["real test images", "cVAE", "Lr-LiVAE"]
    panels = small["pictures"][0]["panels"]
    assert [panel["variant"] for panel in panels] == [0, 1, 1, 1, 2, 2, 2]


def test_runs_have_what_differs_and_why_they_failed(tmp_path):
    write_hostile(tmp_path)
    sweep = description_of(tmp_path)["runs"][0]
    assert ("iterations", "800") in sweep["shared"]
    assert sweep["differing"]["rows"] == [{"key": "model.name", "values": ['"cvae"', '"plain"']}]
    [failed] = [run for run in sweep["runs"] if run["state"] == "failed"]
    assert failed["failure"] == recorded.TRACEBACK.strip()
    assert failed["command"].endswith("--retry-failed")
    assert failed["folder"].startswith("quickstart/")
    assert str(tmp_path) not in page_of(tmp_path)


def test_long_curves_are_thinned_the_same_way_every_time():
    kept = evenly_spaced(10_001, POINTS)
    assert len(kept) == POINTS
    assert kept == sorted(set(kept))
    assert (kept[0], kept[-1]) == (0, 10_000)


def test_runs_without_anything_make_a_page(tmp_path):
    states = {(variant, seed): "missing" for variant in recorded.QUICKSTART for seed in range(3)}
    recorded.write_sweep(tmp_path, states=states | {"real": "missing"})
    page = description_of(tmp_path)
    assert page["sweeps"][0]["states"]["missing"] == 7
    assert page["sweeps"][0]["progress"] == "6 missing; controls: 1 missing"
    assert page["tables"] == page["seeds"] == page["pictures"] == page["curves"]["charts"] == []
    assert "<!doctype html>" in page_of(tmp_path)


def test_points_are_shown_as_their_drawing(tmp_path, capsys):
    folder = recorded.write_sweep(tmp_path)
    for run in folder.glob("0*"):
        points = np.zeros((3, 5, 2), dtype=np.float32)
        np.savez_compressed(run / "samples.npz", x=points, names=np.array(["a", "b", "c"]))
        Image.new("RGB", (960, 400), "white").save(run / "samples.png")
    panel = description_of(tmp_path)["pictures"][0]["panels"][0]
    assert panel["size"] == [480, 200]
    assert not panel["pixels"]
    (run / "samples.png").write_bytes(b"\x89PNG nothing")
    assert len(description_of(tmp_path)["pictures"][0]["panels"]) == 5
    assert f"left out: {run / 'samples.png'} is damaged" in capsys.readouterr().err


def test_further_pictures_are_shown_by_name(tmp_path):
    folder = write_small(tmp_path)
    images = np.zeros((2, 5, 4, 4, 3), dtype=np.uint8)
    np.savez(min(folder.glob("0*")) / "pictures.npz", some_new_view=images, numbers=np.arange(3))
    groups = {group["name"]: group for group in description_of(tmp_path)["pictures"]}
    assert list(groups) == ["samples", "reconstruction", "swaps", "some_new_view"]
    assert groups["some_new_view"]["title"] == "Some new view"
    panel = groups["some_new_view"]["panels"][0]
    assert (panel["rows"], panel["columns"], panel["size"]) == (2, 5, [20, 8])


def test_a_reconstruction_stands_below_its_original(small):
    groups = {group["name"]: group for group in small["pictures"]}
    assert "originals" not in groups
    assert groups["reconstruction"]["panels"][0]["rows"] == 2


def test_a_damaged_picture_file_is_named_and_left_out(tmp_path, capsys):
    path = min(write_small(tmp_path).glob("0*")) / "pictures.npz"
    path.write_bytes(b"PK nothing")
    groups = {group["name"]: group for group in description_of(tmp_path)["pictures"]}
    assert len(groups["swaps"]["panels"]) == 5
    assert f"left out: {path} is damaged" in capsys.readouterr().err


def test_every_file_of_the_template_is_used():
    folder = Path(document.__file__).parent / "template"
    used = {"page.html", *document.STYLES, *document.SCRIPTS}
    assert {path.name for path in folder.iterdir()} == used
    for path in folder.iterdir():
        assert len(path.read_text().splitlines()) < 300
        assert "innerHTML" not in path.read_text()


def test_the_command_writes_the_page_beside_the_results(bench, here):
    write_small(here)
    status, out, err = bench("report", "quickstart", "--page", "--results", str(here))
    page = here / "quickstart" / "report.html"
    assert (status, out, err) == (0, "", f"written to {page}\n")
    assert page.read_text(encoding="utf-8").startswith("<!doctype html>")


def test_what_is_significant_is_bold_and_differences_stand_beside_the_seeds(tmp_path):
    cases.eight_seeds(tmp_path)
    page = description_of(tmp_path)
    cells = [cell for table in page["tables"] for row in table["rows"] for cell in row["cells"]]
    assert {cell["bold"] for cell in cells} == {True, False}
    rows = [row for column in page["seeds"] for row in column["rows"] if row["difference"]]
    assert any(", p " in row["difference"] and row["to"] for row in rows)
