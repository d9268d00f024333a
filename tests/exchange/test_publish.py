import json
import os
import time
from dataclasses import replace
from pathlib import Path

import pytest
from PIL import Image, ImageChops

from bench.errors import BenchError, UnknownName
from bench.exchange.publish import machine_paths, publish_sweep
from bench.record.records import load_records
from tests.data_recorded import cases, recorded


@pytest.fixture
def claims(tmp_path):
    cases.eight_seeds(tmp_path / "results")
    return load_records(tmp_path / "results", ["claims"])


@pytest.fixture
def published(claims, tmp_path):
    publish_sweep(claims, cases.SPECS, tmp_path / "published" / "claims")
    return load_records(tmp_path / "published")


def test_a_publication_is_read_as_the_sweep_itself(claims, published):
    def plain(entries):
        return [entry._replace(run=entry.run.key) for entry in entries]

    for name in ("measurements", "timings", "cost"):
        assert plain(getattr(published, name)) == plain(getattr(claims, name))
    nowhere = Path()
    assert [replace(run, path=nowhere) for run in published.runs] == [
        replace(run, path=nowhere) for run in claims.runs
    ]
    assert published.sweeps == claims.sweeps


def test_configurations_and_origins_are_kept_once_for_all_seeds(claims, published):
    for run in claims.runs:
        assert published.config(run) == claims.config(run)
        kept, whole = published.provenance(run), claims.provenance(run)
        assert kept == whole
    origins = json.loads((published.results / "claims" / "origins.json").read_text())
    assert len(origins["config"]) < len(claims.runs) / 2
    assert len(origins["provenance"]) == 2  # the case has two versions of the code


@pytest.mark.parametrize("words", [["--all", "--differences"], ["--variance"], ["--page"]])
def test_reports_of_a_publication_are_those_of_the_sweep(bench, here, words):
    cases.eight_seeds(here / "results")
    bench("publish", "claims", "--to", "published")
    told = [bench("report", "claims", *words, "--results", r) for r in ("results", "published")]
    assert told[0][1] == told[1][1].replace("published/", "results/")
    assert not told[1][0]
    if "--page" not in words:
        assert told[0][1]


def test_paths_of_the_machine_in_a_publication_are_said(bench, here):
    folder = recorded.write_sweep(here / "results")
    _, _, err = bench("publish", "quickstart", "--to", "first")
    assert "a path of yours" not in err
    for path in folder.glob("0*/config.json"):
        content = json.loads(path.read_text())
        content["config"]["data"] = {"name": "folder", "path": str(here / "faces")}
        recorded.write_json(path, content)
    plan = json.loads((folder / "sweep.json").read_text())
    recorded.write_json(folder / "sweep.json", plan | {"spec": str(here / "mine" / "faces.yaml")})
    _, _, err = bench("publish", "quickstart", "--to", "second")
    assert (
        json.loads((here / "second/quickstart/sweep.json").read_text())["spec"] == "mine/faces.yaml"
    )
    assert f"note: origins.json: a sweep file or a command named a path of yours, {here}/fac" in err


def test_paths_are_found_whole_wherever_they_are(tmp_path):
    command = (
        "bench run '/mnt/my sweeps/a.yaml' 'base.data={name: folder, path: /data/faces}' "
        "--inception-weights=/opt/net.pth --storage sqlite:////var/db https://a.org/b results/c/d"
    )
    recorded.write_json(tmp_path / "a.json", {"command": command, "path": ["/data/my faces"]})
    (tmp_path / "b.csv").write_text(f'x,command\n1,"{command}"\n')
    (tmp_path / "c.md").write_text("Images / s, and/or 1/2 of `/home/anna/x`, ~/mine. See /home.")
    (tmp_path / "d.png").write_bytes(b"a /home/picture")
    of_command = ("/mnt/my sweeps/a.yaml", "/data/faces", "/opt/net.pth", "/var/db")
    assert machine_paths(sorted(tmp_path.iterdir())) == {
        **{path: ["a.json", "b.csv"] for path in of_command},
        "/data/my faces": ["a.json"],
        **{path: ["c.md"] for path in ("/home/anna/x", "/home")},
    }


def test_a_folder_that_begins_like_that_of_the_results_keeps_its_name(here, bench):
    recorded.write_sweep(here / "elsewhere")
    plan = here / "elsewhere" / "quickstart" / "sweep.json"
    weights = f"--inception-weights {here}/elsewhere2/net.pth"
    plan.write_text(plan.read_text().replace("quickstart.yaml", f"quickstart.yaml {weights}"))
    _, _, err = bench("publish", "quickstart", "--results", str(here / "elsewhere"))
    kept = (here / "results" / "published" / "quickstart" / "sweep.json").read_text()
    assert weights in kept
    assert f"a path of yours, {here}/elsewhere2/net.pth" in err


def test_the_command_says_what_it_wrote(bench, here):
    recorded.write_sweep(here / "results")
    figure = here / "results" / "quickstart" / "figures" / "seeds.png"
    figure.parent.mkdir()
    figure.write_bytes(b"a picture")
    status, _, err = bench("publish", "quickstart", "--figure", "seeds")
    folder = here / "results" / "published" / "quickstart"
    names = {path.name for path in folder.iterdir()}
    assert status == 0
    assert f"{len(names)} files written to results/published/quickstart" in err
    expected = {
        "ro-crate-metadata.json",
        "sweep.json",
        "origins.json",
        "measurements.csv",
        "runs.csv",
        "cost.csv",
        "timings.csv",
    }
    assert names == expected | {"summary.md", "cost.md", "seeds.png"}, "not 1.md and 2.md"
    assert (folder / "seeds.png").read_bytes() == b"a picture"


def test_a_publication_is_not_written_over(bench, here):
    recorded.write_sweep(here / "results")
    bench("publish", "quickstart", "--to", "out")
    before = {path.name: path.read_bytes() for path in (here / "out" / "quickstart").iterdir()}
    status, _, err = bench("mirror", "quickstart", "--results", "out")
    assert status == 2
    assert "out/quickstart is a publication" in err
    assert before == {p.name: p.read_bytes() for p in (here / "out" / "quickstart").iterdir()}


def test_what_is_not_filled_any_more_does_not_stay(claims, tmp_path):
    (tmp_path / "to").mkdir()
    for name in ("toy.md", "mine.md", "seeds.png", "seeds.txt", "mine.png"):
        (tmp_path / "to" / name).write_text("old")
    publish_sweep(claims, cases.SPECS, tmp_path / "to")
    assert not (tmp_path / "to" / "toy.md").exists()
    assert not [*(tmp_path / "to").glob("seeds.*")]
    assert (tmp_path / "to" / "mine.png").exists(), "it is not a picture of ours"
    assert (tmp_path / "to" / "mine.md").exists(), "it is not a table of ours"


def test_nobody_learns_where_the_results_were(here, bench):
    recorded.write_sweep(here / "elsewhere")
    plan = here / "elsewhere" / "quickstart" / "sweep.json"
    command = f"bench run {here}/elsewhere/tuned.yaml --results {here}/elsewhere"
    plan.write_text(plan.read_text().replace("bench run sweeps/quickstart.yaml", command))
    elsewhere = ("--results", str(here / "elsewhere"))
    assert bench("figure", "seeds", "quickstart", *elsewhere)[0] == 0
    status, _, err = bench("publish", "quickstart", "--figure", "seeds", *elsewhere)
    assert status == 0, err
    folder = here / "results" / "published" / "quickstart"
    kept = (folder / "sweep.json").read_text()
    assert '"bench run results/tuned.yaml --results results"' in kept
    assert not [path for path in folder.iterdir() if str(here).encode() in path.read_bytes()]
    assert "Made by: bench figure seeds" in (folder / "seeds.txt").read_text()
    drawn = here / "elsewhere" / "quickstart" / "figures" / "seeds.png"
    with Image.open(drawn) as before, Image.open(folder / "seeds.png") as after:
        assert str(here) in before.text["Description"]
        assert after.text["Description"] == before.text["Description"].replace(
            f"{here}/elsewhere", "results"
        )
        assert ImageChops.difference(before, after).getbbox() is None
        assert after.info["dpi"] == pytest.approx(before.info["dpi"])


def test_unfinished_runs_and_missing_figures_are_refused(tmp_path):
    recorded.write_sweep(tmp_path, states={("cvae", 1): "failed"})
    records = load_records(tmp_path, ["quickstart"])
    with pytest.raises(BenchError, match=r"1 of 7 runs of quickstart are not done; .*bench run"):
        publish_sweep(records, {}, tmp_path / "to")
    recorded.write_sweep(tmp_path, "whole")
    whole = load_records(tmp_path, ["whole"])
    draw = rf"draw it: bench figure swaps whole --results {tmp_path}"
    with pytest.raises(BenchError, match=rf"no .*swaps\.png; {draw}"):
        publish_sweep(whole, {}, tmp_path / "to", ["swaps"])
    with pytest.raises(UnknownName, match=r"unknown figure 'swap' .did you mean 'swaps'"):
        publish_sweep(whole, {}, tmp_path / "to", ["swap"])
    assert not (tmp_path / "to").exists()


def test_a_damaged_file_is_named(published):
    (published.results / "claims" / "measurements.csv").write_text("sweep,run\na,b\n")
    message = r"cannot read .*claims/measurements\.csv: it lacks .*value"
    with pytest.raises(BenchError, match=message):
        load_records(published.results)


def test_a_sweep_does_not_become_its_own_publication(claims):
    with pytest.raises(BenchError, match="claims is the sweep itself; publish it elsewhere"):
        publish_sweep(claims, {}, claims.results / "claims")


@pytest.mark.parametrize(
    ("change", "text"),
    [
        (lambda text: text[: text.rindex(".") + 2], "when ro-crate-metadata.json was written"),
        (lambda text: text + text.splitlines()[-1] + "\n", "the publication was edited or cut"),
        (lambda text: text + "claims,x,y,1,2,3,4,5,6,7,8,9,10,11,12\n", "not as many fields"),
    ],
    ids=["cut within a value", "a line twice", "a line of something else"],
)
def test_numbers_that_are_not_those_that_were_published_are_refused(published, change, text):
    path = published.results / "claims" / "measurements.csv"
    path.write_text(change(path.read_text()))
    with pytest.raises(BenchError, match=text):
        load_records(published.results)


def test_line_ends_of_another_system_are_no_change(published):
    for path in (published.results / "claims").glob("*.csv"):
        path.write_bytes(path.read_bytes().replace(b"\n", b"\r\n"))
    assert load_records(published.results).measurements


def test_a_run_that_a_publication_lacks_is_missing(published):
    folder = published.results / "claims"
    (folder / "ro-crate-metadata.json").unlink()
    lost = published.runs[0].id
    for path in folder.glob("*.csv"):
        lines = path.read_text().splitlines(keepends=True)
        path.write_text("".join(line for line in lines if f",{lost}," not in line))
    states = {run.id: run.state for run in load_records(published.results).runs}
    assert len(states) == len(published.runs)
    assert states[lost] == "missing"


def test_a_publication_and_a_live_sweep_never_share_a_folder(claims, published, here, bench):
    (here / "claims.yaml").write_text(
        "name: claims\nbase: {data: blobs, iterations: 2}\nseeds: [0]\n"
        "variants: {cvae: {model: cvae}}\n"
    )
    status, _, err = bench("run", "claims.yaml", "--results", str(published.results))
    assert (status, "claims is a publication of `bench publish`" in err) == (2, True), err
    recorded.write_sweep(here / "results", "live")
    with pytest.raises(BenchError, match="live holds the runs of a sweep; publish elsewhere"):
        publish_sweep(claims, {}, here / "results" / "live")


def test_a_figure_of_earlier_results_is_refused(bench, here):
    folder = recorded.write_sweep(here / "results")
    assert bench("figure", "seeds", "quickstart")[0] == 0
    done = next(folder.glob("0*/done"))
    os.utime(done, (time.time() + 60, time.time() + 60))
    status, _, err = bench("publish", "quickstart", "--figure", "seeds")
    assert status == 2
    assert "seeds.png is older than the last results; draw it again: bench figure seeds" in err
