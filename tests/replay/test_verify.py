"""A run done again beside its record."""

import json
import re
import shutil

import pytest

from bench.replay.agreement import compare_rows

RUN = ("run", "tiny.yaml", "--no-mlflow", "--device", "cpu", "seeds=[0]")
ACCURACY = "base.metrics=[class_accuracy]"
CPU = ("--device", "cpu")


def edited(path, change):
    """Change one JSON file, or the last row of a file of rows."""
    lines = path.read_text().splitlines()
    if path.suffix == ".jsonl":
        path.write_text("\n".join([*lines[:-1], change(json.loads(lines[-1]))]) + "\n")
    else:
        path.write_text(change(json.loads(path.read_text())))


def row(value, **more):
    return {"step": 1, "split": "train", "metric": "kl", "protocol": "", "value": value, **more}


@pytest.mark.parametrize(
    ("then", "now", "largest", "agrees"),
    [
        ([row(2.0)], [row(2.0)], 0, True),
        ([row(2.0)], [row(2.001)], 5e-4, True),
        ([row(2.0)], [row(2.1)], 0.05, False),
        ([row(1e-6)], [row(3e-6)], 2e-4, True),
        ([row(None)], [row(None)], 0, True),
        ([row(None)], [row(1.0)], float("inf"), False),
        ([row(1.0), row(1.0, step=2)], [row(1.0)], 0, False),
        ([row(1.0, protocol="a")], [row(1.0, protocol="b")], 0, False),
    ],
)
def test_deviations_are_relative(then, now, largest, agrees):
    found = compare_rows("losses", then, now)
    assert found.largest == pytest.approx(largest)
    assert found.agrees(1e-3) == agrees


def test_the_same_machine_and_code_give_the_same_bits(bench, here):
    bench(*RUN, ACCURACY)
    before = {p: p.read_bytes() for p in here.glob("results/tiny/*/*") if p.is_file()}
    status, out, err = bench("verify", "tiny", "--figures", *CPU)
    assert status == 0, out + err
    assert out.count("losses of the first 1 of 12 iterations: all ") == 2
    assert out.count("bit-identical") == 4
    assert "2 of 2 runs agree" in out
    assert before == {p: p.read_bytes() for p in here.glob("results/tiny/*/*") if p.is_file()}


def test_losses_that_come_out_otherwise_are_told_with_what_may_be_the_cause(bench, here):
    bench(*RUN, ACCURACY)
    folder = next(here.glob("results/tiny/*/model.pt")).parent

    def more(held):
        return json.dumps(held | {"value": held["value"] * 1.5})

    edited(folder / "rows.jsonl", more)
    assert bench("verify", str(folder), *CPU)[0] == 0, "the first losses are as they were"
    status, out, _ = bench("verify", f"tiny/{folder.name}", "--steps", "12", *CPU)
    assert status == 1
    assert "DIFFERS" in out
    assert re.search(r"largest deviation 3\.\de-01 \(.* at 12: .* then, .* now\), beyond", out)
    assert "so something here is not reproducible" in out
    edited(
        folder / "provenance.json",
        lambda held: json.dumps(
            held
            | {
                "threads": 3,
                "versions": held["versions"] | {"torch": "1.0"},
                "sources": {"model": {}, "harness": {}},
            }
        ),
    )
    (folder / "execution.json").write_text('{"micro_batch": 4}')
    status, out, _ = bench("verify", folder.name[:6], "--steps", "12", "--threads", "1", *CPU)
    assert status == 1
    assert "threads: 3 then, 1 now" in out
    assert "done with micro_batch then: 4" in out
    assert "torch: 1.0 then, " in out
    assert "baselines/cvae.py" in out or "models/lr_livae.py" in out
    edited(folder / "evaluation.jsonl", more)
    status, out, _ = bench("verify", folder.name[:6], "--figures", *CPU)
    assert status == 1
    assert "figures: " in out


def test_what_cannot_be_done_again_is_named(bench, here):
    bench(*RUN)
    (here / "bare").mkdir()
    shutil.copy(next(here.glob("results/tiny/[0-9a-f]*/config.json")), here / "bare")
    (here / "real").mkdir()
    (here / "real" / "config.json").write_text('{"config": {"control": "x"}}')
    for name, told in {
        "nothing": "unknown variant or run 'nothing'",
        "real": "does not describe a run that was trained",
        "bare": "has no losses on record to compare with",
    }.items():
        status, _, err = bench("verify", name)
        assert status == 2
        assert told in err


def test_a_run_is_done_again_from_its_config_alone(bench, here):
    bench(*RUN, ACCURACY)
    configs = here.glob("results/tiny/*/config.json")
    folder = next(path.parent for path in configs if '"name": "lr_livae"' in path.read_text())
    (here / "tiny.yaml").unlink()
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


def test_figures_of_snapshots_without_weights_are_left_out(bench, here):
    bench(*RUN, "base.metrics=[class_accuracy]", "base.snapshots=2")
    for weights in here.glob("results/tiny/*/snapshots/*/model.pt"):
        weights.unlink()
    status, out, err = bench("verify", "tiny/cvae", "--figures", *CPU)
    assert status == 0, out + err
    assert "figures: all 1 bit-identical" in out


def test_what_was_done_again_by_other_code_is_no_answer(bench, here):
    bench(*RUN)
    bench("rerun", "tiny/cvae", *CPU)
    [origin] = here.glob("results/reruns/*/provenance.json")
    held = json.loads(origin.read_text())
    held["sources"]["model"]["baselines/cvae.py"] = "other"
    origin.write_text(json.dumps(held))
    status, _, err = bench("rerun", "tiny/cvae", *CPU)
    assert status == 2
    assert "was done by other code (baselines/cvae.py changed since); delete it, or name" in err


def test_what_failed_when_it_was_done_again_is_tried_again(bench, here):
    bench(*RUN)
    [folder] = [
        p.parent for p in here.glob("results/tiny/*/config.json") if "cvae" in p.read_text()
    ]
    failed = here / "results" / "reruns" / folder.name / "failed"
    failed.parent.mkdir(parents=True)
    failed.write_text("no space\n")
    status, out, _ = bench("rerun", "tiny/cvae", *CPU)
    assert status == 0, out
    assert not failed.exists()
