"""`bench perf` measures what it says; how fast a machine is, tests do not ask."""

import errno
import gc
import json
import time
import weakref
from contextlib import nullcontext
from dataclasses import replace
from functools import partial

import pytest
import torch

from bench.data.base import to_float
from bench.errors import BenchError
from bench.metrics.extractors import small_classifier
from bench.perf import ceilings, limits, timed_modes, training_times
from bench.perf.plain_loop import PlainLoop
from bench.perf.training_times import Mode
from bench.record import files
from bench.training.device import seconds_per_iteration
from tests.small import small

SMALL = ("--data", "{name: blobs, image_size: 8, per_class: 30, test_per_class: 10}")
FEW = ("--samples-per-class", "10", "--device", "cpu", *SMALL)


@pytest.fixture(autouse=True)
def quick(monkeypatch):
    monkeypatch.setattr(small_classifier, "STEPS", 1)
    monkeypatch.setattr(small_classifier, "EPOCHS", 0)
    monkeypatch.setattr(training_times, "ROUNDS", 2)
    monkeypatch.setattr(timed_modes, "TURN_SECONDS", 0.0)
    monkeypatch.setattr(ceilings, "SIDES", {"cpu": 64})
    monkeypatch.setattr(ceilings, "BLOCK_SECONDS", 0.0)


def test_every_metric_is_timed_and_absent_ones_have_a_reason(bench):
    status, out, err = bench("perf", "metrics", *FEW, "--json")
    assert status == 0, err
    found = json.loads(out)
    assert found["samples"] == 30
    rows = {row["what"]: row for row in found["metrics"]}
    assert rows["arc_fit"]["reason"] == "blobs has no arcs"
    assert rows["intra_class_diversity"]["reason"] == ""
    assert all(row["seconds"] > 0 for row in rows.values())
    for kind in ("seconds", "cpu_seconds"):
        total = sum(row[kind] for row in rows.values())
        assert found["total"][kind] == pytest.approx(total)
    assert [row["what"] for row in found["setup"]] == [
        "training the domain classifier",
        "drawing 30 samples",
    ]


def test_metrics_are_a_table(bench):
    words = ("--metric", "class_accuracy", "--metric", "arc_fit", "--threads", "1")
    status, out, err = bench("perf", "metrics", *FEW, *words)
    assert status == 0, err
    title, _, head, *lines = out.splitlines()
    assert title == "30 samples of blobs, model lr_livae without training, cpu, 1 threads"
    assert head.split() == ["wall", "s", "CPU", "s"]
    assert lines[2] == lines[5] == ""
    assert [line.split()[0] for line in lines[3:5]] == ["class_accuracy", "arc_fit"]
    assert lines[4].endswith("n/a: blobs has no arcs")
    assert lines[6].startswith("total ")


def test_points_have_no_classifier_to_train(bench):
    words = ("--data", "{name: moons, per_class: 50}", "--metric", "arc_fit", "--json")
    status, out, err = bench("perf", "metrics", "--samples-per-class", "10", *words)
    assert status == 0, err
    found = json.loads(out)
    assert [row["what"] for row in found["setup"]] == ["drawing 30 samples"]
    assert [row["what"] for row in found["metrics"]] == ["arc_fit"]


TRAIN = ("perf", "train", "--device", "cpu", *SMALL, "--batch-size", "8", "--no-compile")


@pytest.mark.parametrize(
    "words",
    [("perf", "metrics", *FEW, "--model", "cvea"), (*TRAIN, "cvea")],
    ids=["metrics", "train"],
)
def test_a_wrong_model_is_an_error(bench, words):
    status, _, err = bench(*words)
    assert status == 2
    assert "command line: model.name: unknown model 'cvea'" in err
    assert "cvae" in err


def test_every_mode_of_training_is_timed(bench, here, monkeypatch):
    used = set()  # but not set: two threads wait for each other where other programs want cores
    monkeypatch.setattr(training_times, "cpu_threads", lambda n: used.add(n) or nullcontext())
    monkeypatch.setattr(training_times, "usable_cores", lambda: 2)
    words = ("{name: cvae, width: 0.25}", "--json", "out/speed.json")
    status, out, err = bench(*TRAIN, *words)
    assert status == 0, err
    found = json.loads((here / "out" / "speed.json").read_text())
    assert {"date", "versions", "device_name", "commit"} <= found.keys()
    assert found["unfinished"] == []
    (model,) = found["models"]
    rows = {row["mode"]: row for row in model["rows"]}
    assert list(rows) == [
        *("plain loop", "plain loop, bfloat16", "eager", "channels_last", "eager, bfloat16"),
        *("channels_last, bfloat16", "2 threads", "two processes"),
    ]
    assert not any(row["reason"] for row in rows.values())
    assert rows["eager"]["times_eager"] == rows["plain loop"]["times_plain_loop"] == 1
    assert rows["two processes"]["times_one_process"] > 0
    assert used == {1, 2}
    eager = rows["eager"]
    assert eager["rounds"] == 2
    assert eager["images_per_second"] == pytest.approx(8 / eager["seconds_per_iteration"])
    ceilings = {
        ceiling["precision"]: ceiling["flop_per_second"]
        for ceiling in found["ceilings"]
        if ceiling["threads"] == model["threads"]
    }
    for mode, precision in (("eager", "float32"), ("plain loop, bfloat16", "bfloat16")):
        speed = model["flop_per_iteration"] / rows[mode]["seconds_per_iteration"]
        assert rows[mode]["share_of_ceiling"] == pytest.approx(speed / ceilings[precision])
    assert all(name in out for name in rows)
    (line,) = (line for line in out.splitlines() if line.startswith("  eager  "))
    assert line.split()[-2] == "1.00", "times as fast as eager mode, below its title"
    assert line.split()[-1] == f"{eager['share_of_ceiling']:.1%}"


@pytest.mark.parametrize("after", [1, 3, 5])
def test_a_kill_leaves_what_was_measured(bench, here, monkeypatch, after):
    modes = [Mode(name, training_times.start_trainer) for name in ("plain loop", "eager")]
    monkeypatch.setattr(training_times, "modes_of", lambda *what: [replace(m) for m in modes])
    monkeypatch.setattr(training_times, "usable_cores", lambda: 1)
    calls = []

    def begin(self, *what):
        calls.append(self.name)
        if len(calls) == after:
            raise KeyboardInterrupt
        self.reason = "slow"

    monkeypatch.setattr(Mode, "begin", begin)
    names = ("cvae", "cgan", "{name: cvae, width: 0.5}")
    status, _, _ = bench(*TRAIN, *names, "--json", "speed.json")
    assert status
    found = json.loads((here / "speed.json").read_text())
    done = (after - 1) // 2
    assert found["unfinished"] == list(names[done:])
    reasons = [[row["reason"] for row in model["rows"]] for model in found["models"]]
    assert reasons == [["slow", "slow"]] * done


def test_a_file_that_cannot_be_written_is_said_before_anything_is_measured(bench, monkeypatch):
    def full(path, value):
        raise OSError(errno.ENOSPC, "No space left on device", str(path))

    monkeypatch.setattr(files, "write_json", full)
    monkeypatch.setattr(ceilings, "measure_ceilings", None)
    status, _, err = bench(*TRAIN, "cvae", "--json", "speed.json")
    assert (status, err) == (
        2,
        "error: No space left on device: speed.json; free some space there\n",
    )


def test_a_mode_that_cannot_begin_is_named_with_its_reason(bench, here, monkeypatch):
    def broken(*what):
        raise RuntimeError("no such kernel\nat line 3")

    modes = [
        Mode("plain loop", training_times.PlainLoop),
        Mode("eager", training_times.start_trainer),
        Mode("warp", broken),
        Mode("hang", lambda *what: time.sleep(60)),
    ]
    monkeypatch.setattr(training_times, "modes_of", lambda *what: modes)
    monkeypatch.setattr(training_times, "times_one_process", lambda *what: 1.5)
    monkeypatch.setattr(training_times, "usable_cores", lambda: 2)
    status, out, err = bench(*TRAIN, "{name: cvae, width: 0.25}", "--seconds", "1")
    assert status == 0, err
    assert "n/a: RuntimeError: no such kernel\n" in out
    assert "n/a: OutOfTime: not ready after 1 s; more --seconds may help\n" in out
    assert "1.50\n" in out


def test_time_is_up_also_for_who_swallows_it(monkeypatch):
    monkeypatch.setattr(limits, "AGAIN_SECONDS", 0.05)
    swallowed = []

    def stubborn():
        with limits.time_limit(0.05):
            try:
                time.sleep(5)
            except limits.OutOfTime:
                swallowed.append(True)
            time.sleep(5)

    with pytest.raises(limits.OutOfTime, match="not ready after"):
        stubborn()
    assert swallowed
    time.sleep(0.1)  # and nothing comes afterwards


class FakeLoop:
    """A loop that takes a given time for an iteration."""

    device, draws = torch.device("cpu"), 2

    def __init__(self, clock, seconds):
        self.clock, self.seconds = clock, seconds

    def iterate(self, step):
        self.clock[0] += self.seconds


@pytest.fixture
def fake(monkeypatch):
    """Make a mode of an iteration of so many seconds, begun."""
    clock = [0.0]
    monkeypatch.setattr(timed_modes.time, "monotonic", lambda: clock[0])
    monkeypatch.setattr(
        training_times,
        "seconds_per_iteration",
        lambda *what: seconds_per_iteration(*what, clock=lambda: clock[0]),
    )
    monkeypatch.setattr(timed_modes, "TURN_SECONDS", 0.5)

    def fake(name, seconds, limit=100.0):
        mode = Mode(name, lambda *what: FakeLoop(clock, seconds))
        mode.begin(partial(mode.started, None, None, None), limit)
        return mode

    return fake


def test_every_mode_has_its_own_count_and_slow_ones_sit_out(fake):
    modes = [fake("plain loop", 4.0), fake("eager", 0.125), fake("graphs", 0.001)]
    assert [mode.count for mode in modes] == [1, 4, 500]
    assert [mode.spent for mode in modes] == pytest.approx([24, 0.75, 0.006])
    for _ in range(5):
        for mode in modes:
            mode.take_turn(33.0)
    slow, eager, graphs = modes
    assert slow.seconds == [4.0, 4.0, None, None, None]
    assert len(eager.seconds) == len(graphs.seconds) == 5
    assert None not in eager.seconds + graphs.seconds
    timed = {"images_per_iteration": 16, "threads": 1, "flop_per_iteration": None}
    rows = {mode.name: training_times._row(mode, modes, timed, ()) for mode in modes}
    assert rows["plain loop"]["rounds"] == 2
    assert rows["graphs"]["times_plain_loop"] == pytest.approx(4000)
    assert rows["graphs"]["times_eager"] == pytest.approx(125)


def test_a_mode_takes_at_least_one_turn(fake):
    mode = fake("compile", 1.0)
    for _ in range(3):
        mode.take_turn(0.5)
    assert mode.seconds == [1.0, None, None]


def test_ratios_are_taken_within_rounds():
    def mode(name, *seconds):
        return Mode(name, None, seconds=list(seconds), reason="")

    modes = [mode("plain loop", 4.0, 40.0, 8.0), mode("eager", 2.0, 20.0, 2.0)]
    modes.append(mode("graphs", 1.0, 10.0, 4.0))
    timed = {"images_per_iteration": 16, "threads": 1, "flop_per_iteration": 80}
    ceilings = [
        {"precision": "bfloat16", "threads": 1, "flop_per_second": 1},
        {"precision": "float32", "threads": 2, "flop_per_second": 1},
        {"precision": "float32", "threads": 1, "flop_per_second": 40},
    ]
    row = training_times._row(modes[2], modes, timed, ceilings)
    assert (row["times_plain_loop"], row["times_eager"]) == (4, 2)
    assert row["seconds_per_iteration"] == 4
    assert row["images_per_second"] == 16 / 4
    assert row["share_of_ceiling"] == 0.5


def test_a_gpu_has_more_modes():
    cuda = torch.device("cuda")
    names = [mode.name for mode in training_times.modes_of(cuda, compiling=True)]
    assert names[:5] == [
        *("plain loop", "plain loop, torch's default of tf32", "plain loop, bfloat16"),
        *("eager", "graphs"),
    ]
    assert names[-2:] == ["graphs, autotune, channels_last, compile, bfloat16", "compile"]
    few = [mode.name for mode in training_times.modes_of(cuda, False)]
    assert few == [name for name in names if "compile" not in name]


def test_a_ceiling_is_of_random_numbers_in_the_precision(monkeypatch):
    monkeypatch.setattr(ceilings, "SIDES", {"cpu": 64})
    monkeypatch.setattr(ceilings, "BLOCK_SECONDS", 0.0)
    seen, mm = [], torch.mm
    monkeypatch.setattr(torch, "mm", lambda a, b, out: seen.append(a) or mm(a, b, out=out))
    found = ceilings.measure_ceilings(torch.device("cpu"), {1})
    assert [(row["precision"], row["threads"]) for row in found] == [
        ("float32", 1),
        ("bfloat16", 1),
    ]
    assert all(row["flop_per_second"] > 0 for row in found)
    assert {a.dtype for a in seen} == {torch.float32, torch.bfloat16}
    assert all(len(a.unique()) > 100 for a in seen)


@pytest.mark.parametrize(
    ("line", "units"),
    [
        ("flags\t\t: avx512_bf16 amx_bf16 avx512f", ["amx_bf16", "avx512_bf16"]),
        ("flags\t\t: avx2 avx512f", []),
        ("Features\t: asimd bf16 i8mm", ["bf16"]),
    ],
)
def test_instructions_for_bfloat16_are_named(tmp_path, line, units):
    (tmp_path / "cpuinfo").write_text(f"processor\t: 0\n{line}\n")
    assert ceilings.bfloat16_units(tmp_path / "cpuinfo") == units
    assert ceilings.bfloat16_units(tmp_path / "none") == []


def test_plain_loops_round_as_they_say(monkeypatch):
    under_test, seen = small(), []
    matmul, cudnn = torch.backends.cuda.matmul, torch.backends.cudnn
    monkeypatch.setattr(cudnn, "deterministic", True)
    for tf32 in (False, True):
        loop = PlainLoop(under_test.training, under_test.data, torch.device("cpu"), tf32=tf32)
        terms = loop.model.terms

        def watched(*what, terms=terms):
            seen.append((matmul.allow_tf32, cudnn.allow_tf32, cudnn.deterministic))
            return terms(*what)

        loop.model.terms = watched
        loop.iterate(0)
    assert seen == [(False, False, False), (False, True, False)]
    assert cudnn.deterministic


def test_plain_loops_are_freed_without_the_garbage_collector(bench, monkeypatch):
    """It, and the end of a program, wait five seconds for each loader worker."""
    loaders = []

    def start(*what):
        loop = PlainLoop(*what)
        loaders.append(weakref.ref(loop._loader))
        return loop

    monkeypatch.setattr(training_times, "modes_of", lambda *what: [Mode("plain loop", start)])
    monkeypatch.setattr(training_times, "usable_cores", lambda: 1)
    gc.disable()
    try:
        status, _, err = bench(*TRAIN, "{name: cvae, width: 0.25}")
        assert status == 0, err
        assert [loader() for loader in loaders] == [None]
    finally:
        gc.enable()


def test_a_plain_loop_needs_a_full_batch():
    large = small().changed(batch_size=10_000)
    with pytest.raises(BenchError, match="examples make no batch of 10000"):
        PlainLoop(large.training, large.data, torch.device("cpu"))


def test_the_plain_loop_learns_what_we_learn_from_batches_of_its_own():
    under_test = small("lr_livae")
    loop = PlainLoop(under_test.training, under_test.data, torch.device("cpu"))
    ours = under_test.model()
    for plain, own in zip(loop.model.parameters(), ours.parameters(), strict=True):
        assert torch.equal(plain, own)
    size, epoch = len(under_test.data.train), loop._batches
    batches = [next(epoch) for _ in range(size // 16)]
    assert all(batch.x.dtype == torch.float32 for batch in batches)
    stored = to_float(under_test.data.train.x)
    seen = [(stored == x).flatten(1).all(1).nonzero() for batch in batches for x in batch.x]
    assert all(len(found) for found in seen), "images of the training split"
    assert len({int(found[0]) for found in seen}) == 16 * len(batches), "each once an epoch"
    assert loop.draws == 3, "one for each pass of the prior, none for the main one"
    before = [p.detach().clone() for p in loop.model.parameters()]
    loop.iterate(0)
    moved = [not torch.equal(a, b) for a, b in zip(before, loop.model.parameters(), strict=True)]
    assert all(moved)
