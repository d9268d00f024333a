"""What commands print with `--json`: the numbers of the text, as the schema says."""

import importlib
import importlib.util
import json
import math

import pytest
from pydantic import TypeAdapter

from bench import output
from bench.cli import cli
from bench.commands.json_output import print_json
from bench.commands.list_ import LISTED
from bench.record.records import COLUMNS, load_records
from tests.data_recorded import cases, recorded

STATES = {("cvae", 1): "failed", ("cvae", 2): "missing", ("lr_livae", 2): "unfinished"}


@pytest.fixture
def sweep(here):
    return recorded.write_sweep(here / "results", states=STATES)


SHAPES = {
    "list": "Names",
    "status": "States",
    "report": "Report",
    "compare": "ComparisonOutput",
    "check": "Findings",
    "data": "DataOutput",
    "evaluate": "EvaluationOutput",
    "doctor": "Diagnoses",
}


@pytest.fixture
def printed(bench):
    """Run a command with `--json`, and return what it prints, which its schema allows."""

    def run(*words, status=0):
        found, out, err = bench(*words, "--json")
        assert found == status, err
        assert out.isascii()
        content = json.loads(out, parse_constant=lambda word: pytest.fail(f"{word} is not JSON"))
        adapter = TypeAdapter(getattr(output, SHAPES[words[0]]))
        adapter.validate_json(out, strict=True)
        if importlib.util.find_spec("jsonschema"):
            importlib.import_module("jsonschema").validate(content, schema_of(bench, words[0]))
        return content

    return run


def schema_of(bench, command):
    status, out, err = bench(command, "--json-schema")
    assert status == 0, err
    return json.loads(out)


def test_what_the_doctor_says_is_the_text(bench, printed):
    found = {one["check"]: one["text"] for one in printed("doctor")}
    text = bench("doctor")[1]
    assert all(found[check] in text for check in ("python", "packages"))


@pytest.mark.parametrize("what", LISTED)
def test_lists_are_those_of_the_text(bench, printed, what):
    found = printed("list", what)
    lines = bench("list", what)[1].splitlines()
    assert [line.split()[0] for line in lines] == [one["name"].split()[0] for one in found]
    assert all(one["summary"] in line for one, line in zip(found, lines, strict=True))
    if what == "models":
        assert "semi-supervised" in next(one["can"] for one in found if one["name"] == "lr_livae")


def test_sweeps_are_listed_by_paper(bench, here):
    folder = here / "sweeps"
    folder.mkdir()
    for name, paper in (("a", ""), ("b", "paper: Z, Table 1\n"), ("c", "paper: Y, Figure 2\n")):
        (folder / f"{name}.yaml").write_text(f"name: {name}\ntitle: of {name}\n{paper}")
    (folder / "d.yaml").write_text("name: [\n")
    listed = [line.split(maxsplit=1) for line in bench("list", "sweeps")[1].splitlines()]
    assert any(name.endswith("/quickstart.yaml") for name, _ in listed)  # those that ship, too
    lines = [line for line in listed if line[0].startswith("sweeps/")]
    assert [name for name, _ in lines] == [f"sweeps/{name}.yaml" for name in "cbad"]
    assert [text for _, text in lines[:3]] == ["Y, Figure 2: of c", "Z, Table 1: of b", "of a"]
    assert "d.yaml" in lines[3][1]


def test_states_are_those_of_the_text(printed, sweep):
    [found] = printed("status")
    assert found["counts"] == {
        "run": {"done": 3, "failed": 1, "missing": 1, "unfinished": 1},
        "sampling_row": {},
        "control": {"done": 1},
    }
    failed = next(run for run in found["runs"] if run["state"] == "failed")
    assert failed["failure"].endswith("main/reconstruct is nan at step 40")
    assert failed["command"].endswith("--retry-failed")
    assert set(COLUMNS["runs"]) - {"path"} <= failed.keys()
    assert printed("status", "quickstart") == [found]


def test_a_report_has_the_exact_numbers_of_the_record(bench, printed, here):
    third = {"cvae": {s: {"class_accuracy": (recorded.ACCURACY, s + 1 / 3)} for s in (0, 1)}}
    recorded.write_sweep(here / "results", variants=third)
    found = printed("report")
    records = load_records(here / "results")
    assert [row["value"] for row in found["measurements"]] == [e.value for e in records.final]
    assert list(found["measurements"][0].keys() ^ set(COLUMNS["measurements"])) == []
    [table] = found["tables"]
    rows = {row["label"]: row for row in table["rows"]}
    cell = next(c for c in rows["cVAE"]["cells"] if c["metric"] == "class_accuracy")
    assert cell["values"] == [{"seed": 0, "value": 1 / 3}, {"seed": 1, "value": 1 + 1 / 3}]
    assert (cell["mean"], cell["n"]) == ((1 / 3 + 4 / 3) / 2, 2)
    assert cell["protocol"] == recorded.ACCURACY
    assert cell["quantity"]["direction"] == "higher"
    shown = f"{cell['mean'] * cell['quantity']['scale']:.1f}"
    assert shown in bench("report")[1]


def test_a_report_tells_differences_as_the_table_does(printed, here):
    cases.eight_seeds(here / "results")
    found = printed("report", "claims", "--robust")
    cells = [cell for row in found["tables"][0]["rows"] for cell in row["cells"]]
    claimed = [c for c in cells if c["difference"] and c["difference"]["verdict"] == "better"]
    assert claimed
    assert all(c["bold"] and c["difference"]["adjusted"] < 0.05 for c in claimed)
    assert any(c["robust"] for c in cells)
    assert any(c["is_reference"] for c in cells)


@pytest.mark.parametrize("words", [["--all"], ["--variance"], ["--page"], ["--table", "2"]])
def test_every_kind_of_report_can_be_printed(printed, here, words):
    recorded.write_sweep(here / "results")
    found = printed("report", *words)
    assert found["tables"]
    assert (here / "results" / "report.html").exists() == (words == ["--page"])


def test_a_comparison_tells_settings_and_measurements(printed, here):
    recorded.write_sweep(here / "results")
    found = printed("compare", "quickstart/cvae", "quickstart/lr_livae")
    names = {"key": "model.name", "first": ["cvae"], "second": ["lr_livae"]}
    assert found["settings"] == [names]
    rows = {row["label"]: row for row in found["table"]["rows"]}
    changes = [cell["difference"]["mean"] for cell in rows["quickstart/lr_livae"]["cells"]]
    assert changes == pytest.approx([1.25, -0.140625])  # the second: nearer to the real images


ODD = """\
from bench.training.interface import ConditionalGenerator

class Odd(ConditionalGenerator):
    def __init__(self, spec, width=1):
        pass
"""


def test_findings_keep_their_keys(printed, install):
    install("odd", {"odd_model.py": ODD}, {"bench.models": {"odd": "odd_model:Odd"}})
    [found] = printed("check", "odd", status=1)
    assert list(found) == ["rule", "outcome", "text", "place", "sentence", "page"]
    assert found["outcome"] == "FAIL"


def test_data_keep_their_keys(bench, printed):
    found = printed("data", "blobs")
    assert found["splits"].keys() == {"train", "validation", "test"}
    assert len(found["fingerprint"]) == 64
    assert found["classes"][0]["name"]


MISTAKES = [
    ("report", "nothing"),
    ("status", "nothing"),
    ("compare", "a", "b"),
    ("check", "cvea"),
    ("data", "digitz"),
    ("list", "model"),
]


@pytest.mark.parametrize("words", MISTAKES, ids=" ".join)
def test_mistakes_are_told_on_standard_error_alone(bench, sweep, words):
    status, out, err = bench(*words, "--json")
    assert (status, out) == (2, "")
    assert "error: " in err.lower()


def test_any_text_and_any_number_make_valid_json(capsys):
    print_json("Names", [{"name": "a\u202eb\x9b", "summary": "ü"}])
    assert json.loads(capsys.readouterr().out)[0]["name"] == "a\u202eb\x9b"
    entry = {"metric": "m", "protocol": "p", "split": "samples", "value": math.nan, "reason": ""}
    print_json("EvaluationOutput", {"measurements": [entry], "real": []})
    assert json.loads(capsys.readouterr().out)["measurements"][0]["value"] is None


@pytest.mark.parametrize("command", SHAPES)
def test_every_object_of_a_schema_is_described(bench, command):
    schema = schema_of(bench, command)
    shapes = [*schema.get("$defs", {}).values(), schema]
    assert all(shape.get("description") for shape in shapes if shape.get("type") == "object")


def test_commands_print_the_types_of_the_schema():
    commands = {c.name: c for c in cli.commands.values() for p in c.params if p.name == "as_json"}
    assert commands.keys() == SHAPES.keys()
