"""The RO-Crate in archives and publications, read back by its own library."""

import json
import sys
import tarfile
import time
from pathlib import Path

import pytest
from rocrate.rocrate import ROCrate

from bench.exchange.crate import CRATE, describe_files
from bench.record.records import load_records
from tests.data_recorded import recorded
from tests.made_once import copy_tiny_sweep


@pytest.fixture
def sweep(here):
    """A recorded sweep, of a run that failed, one with known code, and one of another session."""
    folder = recorded.write_sweep(here / "results", states={("cvae", 1): "failed"})
    known = {"bench": "0.9", "diff": "abc", "python": "3.11.4", "versions": {"torch": "2.11"}}
    known |= {"ended": "2026-01-03T00:00:00+00:00", "data_fingerprint": "f" * 64}
    path = min(folder.glob("00*/provenance.json"))
    path.write_text(json.dumps(json.loads(path.read_text()) | known))
    path = min(folder.glob("02*/provenance.json"))
    later = {"commit": "0ddba11", "started": "2026-02-01T00:00:00+00:00"}
    path.write_text(json.dumps(json.loads(path.read_text()) | {"continued": [later]}))
    return folder


def opened(folder):
    crate = ROCrate(folder)
    assert crate.metadata["conformsTo"] == "https://w3id.org/ro/crate/1.1"
    content = json.loads((Path(folder) / CRATE).read_text())
    ids = [entity["@id"] for entity in content["@graph"]]
    assert len(set(ids)) == len(ids)
    assert referred(content["@graph"]) <= {*ids, "https://w3id.org/ro/crate/1.1"}
    return crate


def referred(part):
    """Return all ids that entities refer to."""
    parts = part.values() if isinstance(part, dict) else part if isinstance(part, list) else ()
    own = {part["@id"]} if isinstance(part, dict) and set(part) == {"@id"} else set()
    return own.union(*map(referred, parts))


def actions(crate):
    return {action["name"]: action for action in crate.get_by_type("CreateAction")}


def unpacked(file):
    with tarfile.open(file) as archive:
        archive.extractall("unpacked", filter="data")
    return Path("unpacked")


def test_an_archive_describes_each_run_with_what_did_it_and_what_it_left(bench, here, sweep):
    status, _, err = bench("export", "quickstart", "--license", "CC-BY-4.0")
    assert status == 0, err
    folder = unpacked("quickstart.tar.gz")
    crate = opened(folder)
    assert crate.name == "The quickstart sweep"
    assert crate.license.id == "https://spdx.org/licenses/CC-BY-4.0"
    assert crate.datePublished.isoformat() == "2026-01-03T00:00:00+00:00"
    files = {file.id for file in crate.get_by_type("File")}
    there = {path.relative_to(folder).as_posix() for path in folder.rglob("*") if path.is_file()}
    assert files == there - {CRATE}
    found = actions(crate)
    assert len(found) == 7
    assert found == {action["name"]: action for action in crate.root_dataset["mentions"]}
    first = found["cvae, seed 0"]
    assert first["startTime"] == "2026-01-02T03:04:05+00:00"
    assert first["endTime"] == "2026-01-03T00:00:00+00:00"
    assert first["actionStatus"] == "http://schema.org/CompletedActionStatus"
    [software] = first["instrument"]
    assert (software["name"], software["softwareVersion"]) == ("bench", "0.9")
    assert software["identifier"] == "c0ffee+abc"
    needed = {one["name"]: one["softwareVersion"] for one in software["softwareRequirements"]}
    assert needed == {"Python": "3.11.4", "torch": "2.11"}
    data, *settings = first["object"]
    assert (data.type, data["name"], data["identifier"]) == ("Dataset", "digits", "f" * 64)
    assert {one["name"]: one["value"] for one in settings} == {
        **{"variant": "cvae", "model": "cvae", "seed": 0}
    }
    run = first.id.removeprefix("#run-")
    assert {file.id for file in first["result"]} == {
        n for n in there if n.startswith(f"runs/{run}")
    }
    assert f"runs/{run}/evaluation.jsonl" in there
    assert found["cvae, seed 1"]["actionStatus"] == "http://schema.org/FailedActionStatus"
    assert "endTime" not in found["cvae, seed 2"]
    assert [one["identifier"] for one in found["cvae, seed 2"]["instrument"]] == [
        "c0ffee",
        "0ddba11",
    ]
    assert "seed" not in {one["name"] for one in found["real test images"]["object"]}


def test_a_publication_describes_tables_figures_and_numbers(bench, here, sweep):
    (min(sweep.glob("01*/failed"))).unlink()
    for word in ("evaluation.jsonl", "done"):
        source = min(sweep.glob(f"00*/{word}"))
        (min(sweep.glob("01*")) / word).write_bytes(source.read_bytes())
    status, _, err = bench("publish", "quickstart")
    assert status == 0, err
    folder = here / "results" / "published" / "quickstart"
    crate = opened(folder)
    assert {file.id for file in crate.get_by_type("File")} == {
        path.name for path in folder.iterdir() if path.name != CRATE
    }
    assert crate.dereference("summary.md")["encodingFormat"] == "text/markdown"
    assert len(actions(crate)) == 7
    assert {file.id for file in actions(crate)["cvae, seed 0"]["result"]} >= {"measurements.csv"}
    assert "license" not in crate.root_dataset
    before = (folder / CRATE).read_bytes()
    bench("publish", "quickstart")
    assert (folder / CRATE).read_bytes() == before


def test_it_names_no_place_and_no_person(bench, here, monkeypatch):
    copy_tiny_sweep(here)
    monkeypatch.setenv("USER", "somebody")
    bench("export", "tiny", "--weights")
    folder = unpacked("tiny.tar.gz")
    crate = opened(folder)
    text = (folder / CRATE).read_text()
    assert not [word for word in (str(here), str(Path.home()), "somebody") if word in text]
    of_run = actions(crate)["cvae, seed 0"]
    assert of_run["startTime"] <= of_run["endTime"] <= crate.root_dataset["datePublished"]
    assert any(file.id.endswith("model.pt") for file in of_run["result"])


def test_archives_with_and_without_it_are_imported(bench, here):
    copy_tiny_sweep(here)
    bench("export", "tiny")
    for name, kept in (("new", True), ("old", False)):
        with tarfile.open("tiny.tar.gz") as one, tarfile.open(f"{name}.tar.gz", "w:gz") as to:
            for member in one:
                if kept or member.name != CRATE:
                    to.addfile(member, one.extractfile(member))
        status, out, err = bench("import", f"{name}.tar.gz", "--results", name)
        assert status == 0, err
        assert "3 added" in out
        assert not (here / name / "tiny" / CRATE).exists()


def test_results_leave_a_machine_without_the_package(bench, here, monkeypatch):
    copy_tiny_sweep(here)
    monkeypatch.setitem(sys.modules, "rocrate.rocrate", None)
    status, _, err = bench("export", "tiny")
    assert status == 0, err
    assert f"note: without {CRATE}, since the package rocrate" in err
    with tarfile.open("tiny.tar.gz") as archive:
        assert CRATE not in archive.getnames()


@pytest.mark.parametrize("text", ["CC BY", "", "../x", "ftp://x"])
def test_what_is_no_licence_is_refused(bench, here, sweep, text):
    for command in ("export", "publish"):
        status, _, err = bench(command, "quickstart", "--license", text)
        assert status == 2
        assert "give an SPDX id" in err
    assert not (here / "quickstart.tar.gz").exists()


def test_a_large_sweep_is_described_soon(tmp_path):
    many = {f"v{n}": {s: {"fid": ("p", 1.0)} for s in range(4)} for n in range(42)}
    recorded.write_sweep(tmp_path, variants=many)
    records = load_records(tmp_path)
    names = ("config.json", "rows.jsonl", "evaluation.jsonl", "samples.png", "done")
    files = {run: [f"runs/{run.id}/{n}" for n in names] for run in records.runs}
    sizes = {name: 1 for of_run in files.values() for name in of_run}
    began = time.process_time()
    content = describe_files(records, records.runs, sizes, files.__getitem__)
    assert time.process_time() - began < 10
    assert len(json.loads(content)["@graph"]) > 169 * 6
