"""Runs done again, beside their records."""

import json
import re
import shutil
from pathlib import Path

import pytest
import torch

from bench.replay.comparison import ReplayReport, changes_since, compare_entries, compare_weights
from bench.spec.switches import EAGER, SwitchSet
from bench.training.trainer import Trainer
from tests.made_once import RUN, copy_tiny_sweep

CPU = ("--device", "cpu")


@pytest.fixture
def tiny(here):
    return copy_tiny_sweep(here)


def run_of(sweep, model):
    """Return the folder of the run of a model."""
    configs = sweep.glob("*/config.json")
    [folder] = [path.parent for path in configs if f'"name": "{model}"' in path.read_text()]
    return folder


def edit(path, **changes):
    """Change keys of a JSON file, or of the last entry of a file of entries."""
    *others, last = path.read_text().splitlines() if path.suffix == ".jsonl" else [path.read_text()]
    path.write_text("\n".join([*others, json.dumps(json.loads(last) | changes)]) + "\n")


def entry(value, **more):
    return {"step": 1, "split": "train", "metric": "kl", "protocol": "", "value": value, **more}


@pytest.mark.parametrize(
    ("then", "now", "largest", "agrees", "text"),
    [
        ([entry(2.0)], [entry(2.0)], 0, True, "all 1 bit-identical"),
        ([entry(2.0)], [entry(2.001)], 5e-4, True, "largest deviation 5.0e-04 (kl at 1: 2.0 then"),
        ([entry(2.0)], [entry(2.1)], 0.05, False, "2.1 now), beyond the tolerance of 0.001"),
        ([entry(1e-6)], [entry(3e-6)], 2e-4, True, "3e-06 now), within the tolerance of 0.001"),
        ([entry(None)], [entry(None)], 0, True, "all 1 bit-identical"),
        ([entry(None)], [entry(1.0)], float("inf"), False, "None then, 1.0 now"),
        ([entry(1.0), entry(1.0, step=2)], [entry(1.0)], 0, False, "same values: kl only then"),
        ([entry(1.0, protocol="a")], [entry(1.0, protocol="b")], 0, False, "kl a only then; kl b"),
    ],
)
def test_deviations_are_relative(then, now, largest, agrees, text):
    deviation = compare_entries("losses", then, now)
    assert deviation.largest == pytest.approx(largest)
    assert deviation.is_within(1e-3) == agrees
    assert text in deviation.text(1e-3)


def test_the_same_machine_and_code_give_the_same_bits(bench, tiny):
    before = {p: p.read_bytes() for p in tiny.glob("*/*") if p.is_file()}
    status, out, err = bench("verify", "tiny", "--measurements", *CPU)
    assert status == 0, out + err
    assert out.count("losses of the first 1 of 12 iterations: all ") == 2
    assert out.count("bit-identical") == 4
    assert "2 of 2 runs agree" in out
    assert before == {p: p.read_bytes() for p in tiny.glob("*/*") if p.is_file()}


@pytest.mark.parametrize(
    ("recorded", "used"),
    [
        ({"on": ["channels_last"], "device": "cpu"}, ["channels_last"]),
        ({"on": ["graphs"], "device": "cuda"}, []),
        (None, []),
    ],
    ids=["same device", "other device", "not recorded"],
)
@pytest.mark.parametrize("words", [("verify", "--iterations", "12"), ("rerun",)])
def test_a_run_is_repeated_as_it_was_executed(words, recorded, used, bench, tiny, monkeypatch):
    folder = run_of(tiny, "cvae")
    edit(folder / "rows.jsonl", value=1e9)  # so that causes are listed
    edit(folder / "execution.json", switches=recorded and recorded | {"why": ["measured"]})
    seen = []

    class Watched(Trainer):
        def __init__(self, *arguments, **options):
            super().__init__(*arguments, **options)
            seen.append(self.switches.names)

    monkeypatch.setattr("bench.replay.replay.Trainer", Watched)
    monkeypatch.setattr("bench.execution.run_one.Trainer", Watched)
    status, out, err = bench(*words, str(folder), *CPU)
    assert status == 1, err
    assert seen == [used]
    is_elsewhere = recorded is not None and recorded["device"] == "cuda"
    assert ("done with switches then: graphs" in out) == is_elsewhere
    is_lost = recorded is None
    lost = "with which switches it was done is not on record in execution.json"
    assert (lost in out) == is_lost
    assert ("threads and switches are the same" in out) == (not is_elsewhere and not is_lost)


@pytest.mark.parametrize("damage", [Path.unlink, lambda file: file.write_text("{")])
def test_a_lost_record_of_how_a_run_was_executed_is_no_sameness(damage, tiny):
    folder = run_of(tiny, "cvae")
    now = json.loads((folder / "provenance.json").read_text())
    assert changes_since(folder, now, EAGER) == ()
    damage(folder / "execution.json")
    (found,) = changes_since(folder, now, SwitchSet(channels_last=True))
    assert found == "with which switches it was done is not on record in execution.json"


def test_autotune_may_be_the_cause_of_a_difference(tiny):
    folder = run_of(tiny, "cvae")
    edit(folder / "execution.json", switches={"on": ["autotune"], "device": "cuda"})
    now = json.loads((folder / "provenance.json").read_text())
    found = changes_since(folder, now, SwitchSet(autotune=True))
    assert found == ("done with switches then: autotune",)


def test_other_losses_are_reported_with_what_may_be_the_cause(bench, tiny):
    folder = run_of(tiny, "cvae")
    last = json.loads((folder / "rows.jsonl").read_text().splitlines()[-1])
    edit(folder / "rows.jsonl", value=last["value"] * 1.5)
    assert bench("verify", str(folder), *CPU)[0] == 0, "the first losses are as they were"
    status, out, _ = bench("verify", f"tiny/{folder.name}", "--iterations", "12", *CPU)
    assert status == 1
    assert "DIFFERS" in out
    assert re.search(r"largest deviation 3\.\de-01 \(.* at 12: .* then, .* now\), beyond", out)
    assert "so something here is not reproducible" in out
    origin = json.loads((folder / "provenance.json").read_text())
    edit(
        folder / "provenance.json",
        threads=3,
        versions=origin["versions"] | {"torch": "1.0"},
        sources={"model": {}, "harness": {}},
    )
    (folder / "execution.json").write_text('{"micro_batch": {"rows": 4, "batch_size": 16}}')
    status, out, _ = bench("verify", folder.name[:6], "--iterations", "12", "--threads", "1", *CPU)
    assert status == 1
    assert "threads: 3 then, 1 now" in out
    assert "done with micro_batch then: " in out
    assert "torch: 1.0 then, " in out
    assert "baselines/cvae.py" in out
    edit(folder / "evaluation.jsonl", value=0.5)
    status, out, _ = bench("verify", folder.name[:6], "--measurements", *CPU)
    assert status == 1
    assert "measurements: 2 compared, largest deviation " in out


def test_what_cannot_be_done_again_is_named(bench, here, tiny):
    (here / "bare").mkdir()
    shutil.copy(run_of(tiny, "cvae") / "config.json", here / "bare")
    (here / "real").mkdir()
    (here / "real" / "config.json").write_text('{"config": {"control": "x"}}')
    for name, text in {
        "nothing": "unknown variant or run 'nothing'",
        "real": "does not describe a run that was trained",
        "bare": "has no losses on record to compare with",
    }.items():
        status, _, err = bench("verify", name)
        assert status == 2
        assert text in err


@pytest.mark.parametrize("command", ["verify", "rerun"])
def test_data_that_are_not_here_are_named_in_place_of_the_record(command, bench, here, tiny):
    folder = run_of(tiny, "cvae")
    config = json.loads((folder / "config.json").read_text())["config"]
    edit(folder / "config.json", config=config | {"data": {"name": "npz", "path": "gone.npz"}})
    status, _, err = bench(command, "tiny/cvae", *CPU)
    assert status == 2
    assert (
        f"results/tiny/{folder.name} cannot be repeated here: data: there is no file gone.npz"
        in err
    )
    assert "paths in its config.json are from the folder where bench was started" in err
    assert "does not describe" not in err
    (here / "gone.npz").write_text("no archive")
    assert "cannot be repeated here: data: gone.npz: " in bench(command, "tiny/cvae", *CPU)[2]


@pytest.mark.parametrize("words", [("rerun",), ("verify", "--measurements")])
def test_a_file_of_weights_that_does_not_fit_is_refused_before_anything_is_done(
    words, bench, here, tiny
):
    (here / "net.pth").write_text("no weights")
    given = ("--inception-weights", "net.pth", *CPU)
    status, _, err = bench(*words, "tiny/cvae", *given)
    assert status == 2
    assert "error: --inception-weights: net.pth " in err
    assert not (here / "results" / "reruns").exists()


def test_other_data_than_then_are_refused(bench, tiny):
    folder = run_of(tiny, "cvae")
    edit(folder / "provenance.json", data_fingerprint="0" * 64)
    for command in ("verify", "rerun"):
        status, _, err = bench(command, "tiny/cvae", *CPU)
        assert status == 2
        assert f"the data set 'blobs' is not the one that results/tiny/{folder.name} was" in err


def test_an_old_record_that_names_no_metrics_is_done_again_for_its_losses(bench, tiny):
    folder = run_of(tiny, "cvae")
    document = json.loads((folder / "config.json").read_text())
    del document["evaluation"]
    (folder / "config.json").write_text(json.dumps(document))
    status, _, err = bench("verify", "tiny/cvae", "--measurements", *CPU)
    assert status == 2
    assert "config.json names no metrics; leave out --measurements" in err
    status, out, err = bench("rerun", "tiny/cvae", *CPU)
    assert status == 0, out + err
    assert "losses: all " in out
    assert "weights: all " in out
    assert "measurements: " not in out


def test_a_run_is_done_again_from_its_config_alone(bench, here, tiny):
    folder = run_of(tiny, "lr_livae")
    status, out, err = bench("rerun", "tiny/lr_livae", "--into", "again", *CPU)
    assert status == 0, out + err
    assert out.count("bit-identical") == 3
    assert f"done again, in again/{folder.name}" in err
    for name in ("rows.jsonl", "evaluation.jsonl", "cost.jsonl", "config.json"):
        assert (here / "again" / folder.name / name).read_bytes() == (folder / name).read_bytes()
    (here / "alone").mkdir()
    shutil.copy(folder / "config.json", here / "alone")
    status, out, err = bench("rerun", "alone", *CPU)
    assert status == 0, out + err
    assert (here / "results" / "reruns" / folder.name / "evaluation.jsonl").exists()
    _, _, err = bench("rerun", "alone", *CPU)
    assert "was done again before, in results/reruns/" in err
    status, _, err = bench("rerun", "tiny/lr_livae", "--into", "results/tiny", *CPU)
    assert status == 2
    assert "is the run itself; name another folder with --into" in err


def test_measurements_of_snapshots_without_weights_are_left_out(bench, here):
    bench(*RUN, "base.metrics=[class_accuracy]", "base.snapshots=2")
    for weights in here.glob("results/tiny/*/snapshots/*/model.pt"):
        weights.unlink()
    status, out, err = bench("verify", "tiny/cvae", "--measurements", *CPU)
    assert status == 0, out + err
    assert "measurements: all 1 bit-identical" in out


def test_a_rerun_by_other_code_is_refused_and_a_failed_one_tried_again(bench, here, tiny):
    target = here / "results" / "reruns" / run_of(tiny, "cvae").name
    target.mkdir(parents=True)
    (target / "failed").write_text("no space\n")
    status, out, _ = bench("rerun", "tiny/cvae", *CPU)
    assert status == 0, out
    assert not (target / "failed").exists()
    origin = json.loads((target / "provenance.json").read_text())
    origin["sources"]["model"]["baselines/cvae.py"] = "other"
    (target / "provenance.json").write_text(json.dumps(origin))
    status, _, err = bench("rerun", "tiny/cvae", *CPU)
    assert status == 2
    assert "was done by other code (baselines/cvae.py changed since); delete it, or name" in err


def test_other_metrics_are_not_other_code(bench, here, tiny):
    more = "base.metrics=[class_accuracy, intra_class_diversity]"
    status, _, err = bench(*RUN, more)
    assert status == 0, err
    status, out, err = bench("verify", "tiny/cvae", *CPU)
    assert status == 0, out + err
    assert "OTHER CODE" not in out


def test_a_weight_that_is_no_number_is_no_equal_weight(tmp_path):
    weights = {"a": torch.ones(2), "b": torch.ones(2), "c": torch.ones(2)}
    torch.save(weights, tmp_path / "then.pt")
    torch.save({**weights, "b": torch.tensor([1.0, float("nan")])}, tmp_path / "now.pt")
    found = compare_weights(tmp_path / "then.pt", tmp_path / "now.pt")
    assert (found.largest, found.is_identical) == (float("inf"), False)


def test_the_first_line_says_where_the_code_is_another():
    same = (compare_entries("losses", [entry(2.0)], [entry(2.0)]),)
    near = (compare_entries("losses", [entry(2.0)], [entry(2.001)]),)
    code = ("code, commit 1 then: mine.py",)
    first = {
        name: ReplayReport(Path("run"), deviations, changes).text(1e-3).splitlines()[0]
        for name, deviations, changes in (
            ("same", same, ()),
            ("near", near, ()),
            ("same by other code", same, code),
            ("near by other code", near, code),
        )
    }
    assert first == {
        "same": "agrees   run",
        "near": "agrees   run: near, but not bit-identical",
        "same by other code": "agrees   run: done by OTHER CODE than is here now",
        "near by other code": "agrees   run: done by OTHER CODE than is here now",
    }
