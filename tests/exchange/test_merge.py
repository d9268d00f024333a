"""What an import adds to runs that are here, beside other commands."""

import json
import shutil
from pathlib import Path

import pytest

from bench.record.run_folder import RunFolder
from tests.made_once import RUN, copy_tiny_sweep


@pytest.fixture
def tiny(here):
    return copy_tiny_sweep(here)


def test_an_import_takes_nothing_from_commands_beside_it(bench, here, tiny, monkeypatch):
    bench("export", "tiny")
    there = here / "there" / "tiny"
    copy, begun = shutil.copytree, []

    def copy_beside_a_run(arrived, *places, **options):
        if not begun:  # what `bench run` writes
            begun.append(Path(arrived).name)
            assert RunFolder(there).is_locked(), "bench evaluate and another import wait"
            plan = json.loads((tiny / "sweep.json").read_text())
            plan["runs"] = [plan["runs"][0] | {"id": "another"}]
            (there / begun[0]).mkdir()
            (there / begun[0] / "log.txt").touch()
            (there / "sweep.json").write_text(json.dumps(plan))
        return copy(arrived, *places, **options)

    monkeypatch.setattr(shutil, "copytree", copy_beside_a_run)
    status, out, err = bench("import", "tiny.tar.gz", "--results", "there")
    assert (status, "3 added, 0 kept" in out) == (0, True), err
    assert (there / begun[0] / "done").exists(), "nobody was at work on it any more"
    planned = [run["id"] for run in json.loads((there / "sweep.json").read_text())["runs"]]
    assert (len(planned), planned[0]) == (3, "another")


def test_nothing_is_imported_onto_a_broken_link(bench, here, tiny):
    bench("export", "tiny")
    run = min(path.parent for path in tiny.glob("*/model.pt"))
    shutil.rmtree(run)
    run.symlink_to("/nowhere")
    status, _, err = bench("import", "tiny.tar.gz")
    text = f"{run.relative_to(here)} is a link to /nowhere, which is not there"
    assert (status, err) == (2, f"error: {text}; nothing was imported\n")


REASONS = {"losses": "its losses differ there", "nothing": "no loss or measurement that both have"}


@pytest.mark.parametrize("other", [None, *REASONS])
def test_what_was_made_of_other_weights_is_left_out_and_named(bench, here, tiny, other):
    there = here / "there" / "tiny"
    shutil.copytree(tiny, there)
    plan = json.loads((there / "sweep.json").read_text())
    run = there / next(entry["id"] for entry in plan["runs"] if entry["variant"] == "lr_livae")
    losses = run / "rows.jsonl"
    if other == "losses":
        losses.write_text(losses.read_text().replace('"value":', '"value":1', 1))
    elif other == "nothing":
        losses.write_text("")
        (run / "evaluation.jsonl").write_text("")
        (run / "done").write_text('{"evaluation": "e", "measurements": 0}')
    bench(*RUN, "base.metrics=[fid]", "variants.lr_livae.sampling.near.temperature=0.5")
    bench("export", "tiny")
    status, _, err = bench("import", "tiny.tar.gz", "--results", "there")
    assert status == 0, err
    text = "left out samples of relevant_from None, temperature 0.5, fid: " + REASONS.get(other, "")
    assert (f"note: {run.relative_to(here)}: {text}" in err) == bool(other), err
    assert (run / "sampling").exists() == (not other)
    rows = [row for row in json.loads((there / "sweep.json").read_text())["runs"] if "row" in row]
    assert bool(rows) == (not other), "no table waits for it"
    took = [path.parent for path in there.glob("*/rows.jsonl") if "fid" in _evaluation(path)]
    assert len(took) == (1 if other else 2)


def test_what_an_import_added_stays_when_a_run_is_measured_again(bench, here, tiny):
    there = here / "there" / "tiny"
    shutil.copytree(tiny, there)
    bench(*RUN, "base.metrics=[fid]")
    bench("export", "tiny")
    _, out, err = bench("import", "tiny.tar.gz", "--results", "there")
    assert "other weights" not in err, "the real images have none"
    assert "3 kept (with 3 more measurements)" in out + err
    for words in (["base.metrics=[kid]"], ["base.metrics=[fid]"]):
        _, _, err = bench(*RUN, *words, "--results", "there")
        assert "left out" not in err
        took = [path.parent for path in there.glob("*/rows.jsonl") if "fid" in _evaluation(path)]
        assert len(took) == 2


def _evaluation(path):
    return path.with_name("evaluation.jsonl").read_text()
