"""The records of a sweep travel as one file."""

import io
import json
import os
import shutil
import subprocess
import tarfile
import tempfile
from pathlib import Path

import pytest

from bench.exchange import unpack
from bench.record.jsonl import read_entries
from bench.record.run_folder import RunFolder
from tests.made_once import METRICS, RUN, copy_mlflow_database, copy_tiny_sweep


@pytest.fixture
def tiny(here):
    return copy_tiny_sweep(here)


def names(file):
    with tarfile.open(file) as archive:
        return archive.getnames()


def measured(folder):
    return sorted(path.read_bytes() for path in folder.glob("*/evaluation.jsonl"))


def test_results_of_another_machine_join_the_table(bench, here, tiny, monkeypatch):
    status, out, _ = bench("export", "tiny")
    assert status == 0
    assert "runs and controls: 3, classifiers: 1, " in out
    first = (here / "tiny.tar.gz").read_bytes()
    os.utime(tiny / "sweep.json", (0, 0))
    bench("export", "tiny", "--to", "again.tar.gz")
    assert (here / "again.tar.gz").read_bytes() == first, "the same records, the same bytes"
    held = names("tiny.tar.gz")
    assert held[0] == "manifest.json"
    assert not [name for name in held if name.endswith(("model.pt", "lock"))]
    assert {name.split("/")[-1] for name in held} >= {
        *("config.json", "provenance.json", "rows.jsonl", "evaluation.jsonl", "timings.jsonl"),
        *("done", "samples.png", "samples.npz"),
    }
    data = Path(os.environ["BENCH_DATA"])
    monkeypatch.setenv("BENCH_DATA", str(here / "elsewhere"))
    status, out, err = bench("import", "tiny.tar.gz", "--results", "there")
    assert status == 0, err
    assert "3 added, 0 kept, in there/tiny" in out
    assert measured(here / "there" / "tiny") == measured(tiny)
    (classifier,) = (here / "elsewhere" / "extractors").iterdir()
    original = data / "extractors" / classifier.name
    assert classifier.read_bytes() == original.read_bytes()
    status, _, err = bench(*RUN, METRICS, "--results", "there", "seeds=[0, 1]")
    assert status == 0, err
    assert "2 finished, 2 kept" in err
    assert "training the classifier" not in err
    _, out, _ = bench("report", "tiny", "--results", "there")
    assert "Runs: 4 of 4 done, seeds 0, 1." in out
    plan = json.loads((here / "there" / "tiny" / "sweep.json").read_text())
    (here / "there" / "tiny" / "sweep.json").write_text(
        json.dumps(plan | {"quantities": {"x": {"title": "X"}}})
    )
    _, out, err = bench("import", "tiny.tar.gz", "--results", "there")
    assert "0 added, 3 kept" in out
    merged = json.loads((here / "there" / "tiny" / "sweep.json").read_text())
    assert merged == plan | {"quantities": plan["quantities"] | {"x": {"title": "X"}}}
    _, out, _ = bench("import", "tiny.tar.gz", "--results", "there", "--into", "theirs")
    assert "3 added, 0 kept, in there/theirs" in out
    copy_mlflow_database(here / "there")
    status, _, err = bench("mirror", "theirs", "--results", "there")
    assert "3 runs written" in err


def test_other_measurements_of_the_same_run_are_refused(bench, here, tiny):
    bench("export", "tiny")
    shutil.copytree(tiny, here / "there" / "tiny")
    shutil.rmtree(next((here / "there").glob("tiny/real-*")))
    path = next(p.parent for p in here.glob("there/tiny/*/model.pt")) / "evaluation.jsonl"
    first, *rest = path.read_text().splitlines()
    row = json.loads(first)
    path.write_text("\n".join([json.dumps(row | {"value": 0.5}), *rest, ""]))
    status, _, err = bench("import", "tiny.tar.gz", "--results", "there")
    assert status == 2
    assert "has other measurements of runs that are here; nothing was imported" in err
    assert f"class_accuracy is 0.5 here, {row['value']} there" in err
    assert "--into ANOTHER_NAME" in err
    assert not list(here.glob("there/tiny/real-*")), "not even what is in no conflict"


def test_a_row_of_two_configurations_is_refused(bench, here, tiny):
    bench("export", "tiny")
    bench(*RUN, METRICS, "seeds=[1]", "base.iterations=2", "--results", "there")
    status, _, err = bench("import", "tiny.tar.gz", "--results", "there")
    assert status == 2
    assert "has other configurations of rows that are in there/tiny" in err
    assert ": cvae, lr_livae; nothing was imported; to keep both: --into ANOTHER_NAME" in err
    status, _, err = bench("import", "tiny.tar.gz", "--results", "there", "--into", "other")
    assert status == 0
    assert "bench report other --results there; for trackers: bench mirror other --results" in err


def test_only_what_has_ended_is_packed_and_what_has_not_gives_way(bench, here, tiny):
    one, other = sorted(path.parent for path in tiny.glob("*/model.pt"))
    snapshot = one / "snapshots" / "6"
    snapshot.mkdir(parents=True)
    (snapshot / "done").write_text('{"evaluation": "e", "measurements": 1}')
    shutil.copy(one / "evaluation.jsonl", snapshot)
    bench("export", "tiny", "--to", "whole.tar.gz")
    (one / "done").unlink()
    (snapshot / "done").unlink()
    with RunFolder(other).locked():
        _, out, err = bench("export", "tiny")
    assert "runs and controls: 1" in out
    assert "left out, unfinished or in use: " in err
    assert one.name in err
    assert other.name in err
    (one / "checkpoint.pt").write_text("of a training that was killed here")
    with RunFolder(other).locked():
        _, out, err = bench("import", "whole.tar.gz")
    assert "1 added, 2 kept" in out
    assert (one / "done").exists()
    assert (snapshot / "done").exists()
    assert not (one / "checkpoint.pt").exists()
    (other / "done").unlink()
    with RunFolder(other).locked():
        _, out, err = bench("import", "whole.tar.gz")
    assert f"{other.relative_to(here)} is not done here, and was left as it is" in err


def test_weights_come_if_asked(bench, here, tiny):
    bench("export", str(tiny), "--weights", "--checkpoints")
    assert sum(name.endswith("model.pt") for name in names("tiny.tar.gz")) == 2
    bench("import", "tiny.tar.gz", "--results", "there")
    _, out, err = bench("verify", "tiny", "--results", "there", "--measurements", "--device", "cpu")
    assert "2 of 2 runs agree" in out, err


@pytest.mark.parametrize(
    ("name", "kind"),
    [
        ("/etc/evil", tarfile.REGTYPE),
        ("../evil", tarfile.REGTYPE),
        ("runs/../../evil", tarfile.REGTYPE),
        ("runs/evil", tarfile.SYMTYPE),
        ("runs/evil", tarfile.LNKTYPE),
        ("runs/.hidden", tarfile.REGTYPE),
        ("runs/evil", tarfile.CHRTYPE),
    ],
)
def test_files_that_would_leave_their_folder_are_refused(bench, here, name, kind):
    with tarfile.open(here / "evil.tar.gz", "w:gz") as archive:
        entry = tarfile.TarInfo(name)
        entry.type, entry.linkname = kind, "/etc/passwd"
        archive.addfile(entry, io.BytesIO())
    status, _, err = bench("import", "evil.tar.gz")
    assert status == 2
    assert f"holds {name!r}, which is not a plain file below its own folder" in err
    assert not (here / "results").exists()


@pytest.mark.parametrize(
    ("change", "text"),
    [
        *(({"runs": runs}, "or damaged") for runs in (["../../evil"], ["absent"], "text", [3])),
        ({"judges": ["judges/../evil.pt"]}, "or damaged"),
        ({"judges": ["judges/classifier-0123456789abcdef.pt"]}, "or damaged"),
        ({"sweep": "../evil"}, "or damaged"),
        ({"format": 2}, "odd.tar.gz has format 2, this program reads format 1"),
    ],
)
def test_a_manifest_of_something_else_is_refused(bench, here, change, text):
    content = {
        "manifest.json": {"format": 1, "sweep": "s", "runs": [], "judges": []} | change,
        "sweep.json": {"runs": [], "controls": []},
    }
    with tarfile.open(here / "odd.tar.gz", "w:gz") as archive:
        for name, held in content.items():
            entry = tarfile.TarInfo(name)
            entry.size = len(data := json.dumps(held).encode())
            archive.addfile(entry, io.BytesIO(data))
    status, _, err = bench("import", "odd.tar.gz")
    assert status == 2
    assert text in err
    assert not (here / "results").exists()


@pytest.mark.parametrize(
    ("name", "text"),
    [("evaluations", "`bench evaluate` keeps its rows"), ("mlflow.db", "MLflow has its database")],
)
def test_a_name_that_no_sweep_can_have_is_refused(bench, here, tiny, name, text):
    bench("export", "tiny")
    status, _, err = bench("import", "tiny.tar.gz", "--into", name)
    assert (status, f"--into {name}: " in err, text in err) == (2, True, True), err
    assert not (here / "results" / name).exists()


def test_an_archive_is_not_written_over(bench, tiny):
    bench("export", "tiny", "--weights")
    status, _, err = bench("export", "tiny")
    assert (status, err) == (2, "error: --to tiny.tar.gz: already exists; name a new one\n")
    assert any(name.endswith("model.pt") for name in names("tiny.tar.gz"))


@pytest.mark.parametrize("place", ["results", "scratch"])
def test_a_full_disk_is_no_damage_of_the_archive(bench, here, tiny, monkeypatch, place):
    bench("export", "tiny")
    (here / place / "elsewhere").mkdir(parents=True)
    mount = ["mount", "-t", "tmpfs", "-o", "size=20k", "tmpfs", place + "/elsewhere"]
    if subprocess.run(mount, cwd=here, capture_output=True).returncode:
        pytest.skip("only root may mount")
    if place == "scratch":
        monkeypatch.setattr(tempfile, "tempdir", str(here / "scratch/elsewhere"))
    status, _, err = bench("import", "tiny.tar.gz", "--results", "results/elsewhere")
    subprocess.run(["umount", place + "/elsewhere"], cwd=here, check=True)
    assert status != 0
    assert "No space left on device" in err
    assert "damaged" not in err
    assert "Traceback" not in err


def test_what_is_no_export_is_named(bench, here):
    (here / "half.tar.gz").write_bytes(b"\x1f\x8b\x08")
    (here / "text").write_text("no")
    for name in ("half.tar.gz", "text"):
        status, _, err = bench("import", name)
        assert status == 2
        assert f"{name} is not a file of bench export, or damaged" in err
    status, _, err = bench("export", "tini")
    assert status == 2
    assert "unknown sweep 'tini'" in err


def repack(source, target, change):
    """Write an archive again with other files: `change` gets them by name."""
    with tarfile.open(source) as archive:
        held = {member.name: archive.extractfile(member).read() for member in archive}
    change(held)
    with tarfile.open(target, "w:gz") as archive:
        for name, data in held.items():
            entry = tarfile.TarInfo(name)
            entry.size = len(data)
            archive.addfile(entry, io.BytesIO(data))


def edited(held, name, change):
    """Change the JSON of the first run's file of that name."""
    path = min(key for key in held if key.endswith(name) and "/real-" not in key)
    content = json.loads(held[path])
    change(content)
    held[path] = json.dumps(content).encode()


FOREIGN = {
    "config.json": lambda content: content["config"].update(iterations=13),
    "sweep.json": lambda content: content["runs"][0].update(seed=5),
    "manifest.json": lambda content: content["runs"].pop(),
}


@pytest.mark.parametrize("name", FOREIGN)
def test_a_run_that_is_not_what_its_name_says_is_refused(bench, here, tiny, name):
    bench("export", "tiny")
    repack("tiny.tar.gz", "odd.tar.gz", lambda held: edited(held, name, FOREIGN[name]))
    status, _, err = bench("import", "odd.tar.gz", "--results", "there")
    assert status == 2
    assert "nothing was imported" in err
    assert not (here / "there").exists()


def test_programs_are_refused_unless_they_are_accepted(bench, here, tiny):
    def add(content):
        content["evaluation"]["metrics"].append({"name": "fid", "extractor": {"path": "net.pt2"}})

    bench("export", "tiny")
    repack("tiny.tar.gz", "odd.tar.gz", lambda held: edited(held, "config.json", add))
    status, _, err = bench("import", "odd.tar.gz", "--results", "there")
    assert status == 2
    assert "net.pt2" in err
    assert "--accept-programs" in err
    assert not (here / "there").exists()
    status, _, err = bench("import", "odd.tar.gz", "--results", "there", "--accept-programs")
    assert status == 0
    assert "note: measuring these runs again runs the program net.pt2" in err


BOMBS = {
    "a record": lambda run: {f"{run}/rows.jsonl": b"0" * (9 << 20)},
    "weights": lambda run: {f"{run}/model.pt": b"\0" * (80 << 20)},
    "many": lambda run: {f"{run}/a{n}.txt": b"\0" * (8 << 20) for n in range(9)},
}


@pytest.mark.parametrize("bomb", BOMBS)
def test_what_unpacks_to_far_more_than_records_is_refused(bench, here, tiny, monkeypatch, bomb):
    monkeypatch.setattr(unpack, "ALWAYS", 8 << 20)
    bench("export", "tiny")

    def add(held):
        run = min(name for name in held if name.endswith("done")).rpartition("/")[0]
        held.update(BOMBS[bomb](run))

    repack("tiny.tar.gz", "bomb.tar.gz", add)
    status, _, err = bench("import", "bomb.tar.gz", "--results", "there")
    assert status == 2, err
    assert not (here / "there").exists()


def test_a_damaged_run_here_gives_way_to_a_whole_one(bench, here, tiny):
    bench("export", "tiny")
    run = min(path.parent for path in tiny.glob("*/model.pt"))
    before = (run / "evaluation.jsonl").read_bytes()
    (run / "evaluation.jsonl").unlink()
    _, _, err = bench("export", "tiny", "--to", "less.tar.gz")
    assert f"left out: {run.relative_to(here) / 'evaluation.jsonl'} is lost" in err
    _, out, _ = bench("import", "tiny.tar.gz")
    assert "1 added, 2 kept" in out
    assert (run / "evaluation.jsonl").read_bytes() == before


def test_further_measurements_of_a_run_that_is_here_are_added(bench, here, tiny):
    bench("export", "tiny", "--weights")
    bench("import", "tiny.tar.gz", "--results", "there")
    run = min(path.parent for path in tiny.glob("*/model.pt"))
    bench("evaluate", str(run), "--metric", "intra_class_diversity", "--device", "cpu", "--record")
    bench("export", "tiny", "--to", "more.tar.gz")
    _, out, _ = bench("import", "more.tar.gz", "--results", "there")
    assert "0 added, 3 kept" in out
    assert measured(here / "there" / "tiny") == measured(tiny)
    bench(*RUN, "base.metrics=[class_accuracy, inception_score, fid]")
    bench("export", "tiny", "--to", "most.tar.gz")
    bench("import", "most.tar.gz", "--results", "there")
    arrived = read_entries(here / "there" / "tiny" / run.name / "evaluation.jsonl")
    assert arrived[-1]["metric"] == "fid"
    status, out, err = bench("verify", run.name, "--measurements", "--results", "there")
    assert status == 0, out + err
