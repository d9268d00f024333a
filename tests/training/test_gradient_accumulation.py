"""Batches in parts: the same gradients, recorded, and given up with a reason."""

import gc
import weakref
from types import SimpleNamespace

import pytest
import torch
from torch import nn

from baselines.cvae import CVAE
from bench.errors import RunFailed
from bench.record.provenance import note_execution, read_execution
from bench.spec import run_settings
from bench.spec.switches import SwitchSet
from bench.training.gradient_accumulation import (
    OutOfMemory,
    allocator_message,
    halved,
    out_of_memory_at,
    split,
)
from bench.training.interface import Batch, ConditionalGenerator, Stage
from bench.training.optimizers import PlayerOptimizer
from bench.training.passes import StagePass
from bench.training.trainer import Trainer
from tests.fake_graph import FakeGraph, use_fake_graphs
from tests.small import small

ALLOCATOR = (
    "[enforce fail at alloc_cpu.cpp:117] err == 0. DefaultCPUAllocator: can't allocate memory: you "
    "tried to allocate 8000000000000 bytes. Error code 12 (Cannot allocate memory)\nand more"
)


class Regression(ConditionalGenerator):
    """Two players on one layer each, who share a term; some examples may lack a label."""

    stages = (Stage("main", ("first", "second")),)
    objective = {"first": {"fit": 1.0, "labeled": 0.5}, "second": {"fit": 2.0}}

    def __init__(self):
        super().__init__()
        self.first, self.second = nn.Linear(3, 3), nn.Linear(3, 1)

    def players(self):
        return {"first": list(self.first.parameters()), "second": list(self.second.parameters())}

    def terms(self, stage, batch, wanted):
        hidden = self.first(batch.x).tanh()
        return {
            "fit": (self.second(hidden).squeeze(1) - batch.x.sum(1)).square().mean(),
            "labeled": (hidden[: batch.labeled].sum(1) - batch.y[: batch.labeled]).square().mean(),
        }

    def sample(self, y, generator=None):
        raise NotImplementedError("never sampled")


def moved(batch, size, kind=run_settings.SGD):
    """Return terms and parameters after three passes in parts of that size."""
    torch.manual_seed(0)
    model = Regression().double()
    settings = kind(name=kind.__name__.lower(), rate=0.05)
    optimizers = {
        player: PlayerOptimizer(parameters, settings, iterations=3, epoch=1)
        for player, parameters in model.players().items()
    }
    stage = StagePass(model, model.stages[0], model.objective, optimizers, micro_batch=size)
    values = [stage.play(batch) for _ in range(3)]
    return torch.stack(values), torch.cat([p.detach().flatten() for p in model.parameters()])


@pytest.mark.parametrize("kind", [run_settings.SGD, run_settings.Adam])
@pytest.mark.parametrize(
    ("size", "labeled", "part"), [(12, 12, 6), (11, 11, 3), (12, 12, 1), (12, 8, 3), (12, 4, 6)]
)
def test_parts_move_players_like_the_whole_batch(size, labeled, part, kind):
    generator = torch.Generator().manual_seed(1)
    x = torch.randn(size, 3, generator=generator, dtype=torch.float64)
    y = torch.where(torch.arange(size) < labeled, torch.arange(size) % 4, -1)
    whole, parts = (moved(Batch(x, y, labeled), s, kind) for s in (None, part))
    for a, b in zip(whole, parts, strict=True):
        torch.testing.assert_close(a, b, rtol=1e-9, atol=1e-12)


def test_parts_hold_every_example_once_in_their_proportion():
    x, y = torch.arange(24.0).view(24, 1), torch.arange(24)
    parts = split(Batch(x, y, 9), 8)
    assert [(len(part.x), part.labeled) for _, part in parts] == [(8, 3)] * 3
    assert sum(share for share, _ in parts) == pytest.approx(1)
    assert sorted(torch.cat([part.y for _, part in parts]).tolist()) == list(range(24))
    assert all((part.y[:3] < 9).all() and (part.y[3:] >= 9).all() for _, part in parts)


@pytest.mark.parametrize(("size", "labeled"), [(96, 96), (97, 97), (96, 48), (60, 36), (7, 3)])
def test_halving_comes_to_an_end_with_parts_of_equal_proportion(size, labeled):
    most = size
    while (fewer := halved(most, size, labeled)) is not None:
        assert fewer <= -(-most // 2)
        most = fewer
        whole = Batch(torch.zeros(size, 1), torch.zeros(size), labeled)
        sizes = {(len(part.x), part.labeled) for _, part in split(whole, most)}
        assert max(examples for examples, _ in sizes) == most
        assert len(sizes) == 1 or labeled == size
    assert most == 1 or labeled < size


def test_errors_of_allocators_are_told_from_others():
    assert allocator_message(torch.OutOfMemoryError("CUDA out of memory.\nMore")) == (
        "CUDA out of memory."
    )
    assert allocator_message(RuntimeError(ALLOCATOR)).endswith("(Cannot allocate memory)")
    assert allocator_message(MemoryError()) == "MemoryError"
    assert allocator_message(RuntimeError("shapes do not match")) is None
    with pytest.raises(RuntimeError, match="can't allocate memory") as real:
        torch.empty(2**50)
    assert allocator_message(real.value)


def test_a_capture_that_runs_out_of_memory_ends_in_another_error():
    def capture():
        try:
            raise torch.OutOfMemoryError("CUDA out of memory.")
        finally:
            raise RuntimeError("CUDA error: operation failed due to a previous error")

    with pytest.raises(OutOfMemory) as found, out_of_memory_at(3):
        capture()
    assert found.value.reason == "CUDA out of memory."


def test_the_error_that_goes_on_is_one_line():
    with pytest.raises(OutOfMemory, match="iteration 3") as found, out_of_memory_at(3):
        raise RuntimeError(ALLOCATOR)
    assert found.value.reason.endswith("(Cannot allocate memory)")


@pytest.fixture
def no_memory_in_captures(monkeypatch):
    """Let graphs be captured on a CPU, and memory run out there."""
    use_fake_graphs(monkeypatch)

    def capture(self, work):
        raise torch.OutOfMemoryError("CUDA out of memory.")

    monkeypatch.setattr(FakeGraph, "capture", capture)


@pytest.mark.usefixtures("no_memory_in_captures")
def test_a_run_that_cannot_be_captured_goes_on_in_eager_mode(under_test, tmp_path, capsys):
    switches = SwitchSet(graphs=True, channels_last=True)
    where = under_test.training, under_test.data, tmp_path, torch.device("cpu")
    trainer = Trainer(*where, switches=switches)
    trainer.train()
    assert (trainer.micro_batch, trainer.start) == (None, 0)
    notes = read_execution(tmp_path)
    assert notes["switches"]["on"] == ["channels_last"]
    assert "micro_batch" not in notes
    assert "without them: CUDA out of memory." in capsys.readouterr().err


@pytest.fixture
def under_test():
    return small()


@pytest.fixture
def small_memory(monkeypatch):
    """Let terms need memory for each example; return for how many there is memory."""
    terms = CVAE.terms
    limit = {"rows": 10**9, "from": 0, "calls": 0}

    def fake(self, stage, batch, wanted):
        limit["calls"] += 1
        if len(batch.x) > limit["rows"] and limit["calls"] > limit["from"]:
            raise RuntimeError(ALLOCATOR)
        return terms(self, stage, batch, wanted)

    monkeypatch.setattr(CVAE, "terms", fake)
    return limit


def trained(trainer, **options):
    return {name: value.clone() for name, value in trainer.train(**options).state_dict().items()}


def test_a_run_goes_on_with_half_and_half_again(under_test, small_memory, tmp_path, capsys):
    size = under_test.training.batch_size
    small_memory["rows"] = size // 4
    found = trained(under_test.trainer(tmp_path / "a"))
    assert read_execution(tmp_path / "a")["micro_batch"] == {"rows": size // 4, "batch_size": size}
    err = capsys.readouterr().err
    whole = f"the gradients of each batch of {size} are accumulated over parts of"
    assert f"{whole} {size // 2} from now on, not {size}" in err
    assert f"{whole} {size // 4} from now on, not {size // 2}" in err
    note_execution(tmp_path / "b", micro_batch={"rows": size // 4, "batch_size": size})
    again = trained(under_test.trainer(tmp_path / "b"))
    assert all(torch.equal(found[name], again[name]) for name in found), "begun again, in parts"
    assert capsys.readouterr().err == ""


def test_it_goes_back_to_the_last_checkpoint(under_test, small_memory, tmp_path):
    size = under_test.training.batch_size
    small_memory.update(rows=size // 2, **{"from": 4})  # as another program takes memory
    trainer = under_test.trainer(tmp_path)
    steps = []
    iterate = trainer.iterate
    trainer.iterate = lambda step: (steps.append(step), iterate(step))
    trainer.train(checkpoint_seconds=0)
    assert steps == [0, 1, 2, 3, 4, *range(4, under_test.training.iterations)]


def test_what_did_not_fit_is_let_go(under_test, small_memory, tmp_path):
    small_memory["rows"] = under_test.training.batch_size // 2
    trainer = under_test.trainer(tmp_path)
    before = weakref.ref(trainer.model)
    trainer.train()
    gc.collect()
    assert before() is None


def test_one_example_that_does_not_fit_is_the_end(under_test, small_memory, tmp_path):
    small_memory["rows"] = 0
    with pytest.raises(
        RunFailed,
        match=r"iteration 0 with 1 of \d+ examples at a time, which cannot be fewer: .*--jobs",
    ):
        under_test.trainer(tmp_path).train()


def test_labels_that_cannot_be_shared_out_are_named(tmp_path):
    trainer = small().trainer(tmp_path)
    trainer.training = SimpleNamespace(batch_size=96, labeled_rows=7)
    with pytest.raises(RunFailed, match=r"cannot be fewer \(each part needs its share of labeled"):
        trainer._use_smaller_parts(0, "no memory")


def test_notes_of_others_stay(tmp_path):
    notes = {"micro_batch": {"rows": 2, "batch_size": 4}, "compiled": True}
    for name, note in notes.items():
        note_execution(tmp_path, **{name: note})
    assert read_execution(tmp_path) == notes
    (tmp_path / "execution.json").write_text("{")
    assert read_execution(tmp_path) == {}


@pytest.mark.parametrize(("labeled", "others", "size"), [(5, 45, 20), (2, 18, 6), (3, 4, 3)])
def test_parts_have_the_same_share_of_labels(labeled, others, size):
    rows = labeled + others
    batch = Batch(torch.arange(rows).float().view(-1, 1), torch.zeros(rows), labeled)
    parts = split(batch, size)
    assert {part.labeled / len(part.x) for _, part in parts} == {labeled / rows}
    assert sum(share for share, _ in parts) == pytest.approx(1)
