"""Capturing an iteration, with a graph that runs the captured function again: all but CUDA."""

import pytest
import torch

from bench.errors import BenchError, Interrupted
from bench.spec.run_settings import Average
from bench.spec.switches import SwitchSet
from bench.training.cuda_graphs import state_kept
from bench.training.trainer import Trainer
from tests.fake_graph import rated, use_fake_graphs
from tests.small import small


@pytest.fixture(params=["cvae", "lr_livae"])
def under_test(request):
    return small(request.param)


def captured(under_test, folder, monkeypatch, **changes):
    use_fake_graphs(monkeypatch)
    training = under_test.training.model_copy(update=changes)
    folder.mkdir(exist_ok=True)
    cpu = torch.device("cpu")
    return Trainer(training, under_test.data, folder, cpu, "", SwitchSet(graphs=True))


def weights(trainer):
    moments = [
        value
        for optimizer in trainer.optimizers.values()
        for state in optimizer.torch_optimizer.state.values()
        for value in state.values()
        if isinstance(value, torch.Tensor)
    ]
    averages = trainer.average.averages if trainer.average else []
    return [*trainer.model.state_dict().values(), *averages, *moments]


@pytest.mark.parametrize("optimizer", ["adam", "sgd"])
def test_replays_train_as_eager_mode_does(under_test, tmp_path, monkeypatch, optimizer):
    changes = {
        "optimizers": rated(under_test, optimizer),
        "clip_norm": 0.5,
        "average": Average(decay=0.9, players=["decoder"]),
    }
    eager = under_test.trainer(tmp_path / "a", **changes)
    replayed = captured(under_test, tmp_path / "b", monkeypatch, **changes)
    eager.train(), replayed.train()
    (iteration,) = replayed._captured.values()
    assert iteration._graph.replays == under_test.training.iterations
    for a, b in zip(weights(eager), weights(replayed), strict=True):
        torch.testing.assert_close(a, b, rtol=1e-5, atol=1e-6)  # the rate is float32 on a device
    found = [trainer.losses.take() for trainer in (eager, replayed)]
    assert found[1] == pytest.approx(found[0], rel=1e-4)


def test_preparing_changes_nothing(under_test, tmp_path, monkeypatch):
    average = Average(decay=0.9, players=["decoder"])
    trainer = captured(under_test, tmp_path / "a", monkeypatch, average=average)
    before = [value.clone() for value in trainer._tensors()]
    trainer.prepare()
    after = list(trainer._tensors())
    assert len(after) > len(before), "the optimizers have their moments"
    known = {id(value): value for value in after}
    for old, new in zip(before, [*trainer.model.parameters()], strict=False):
        assert torch.equal(old, known.pop(id(new)))
    averages = [known.pop(id(value)) for value in trainer.average.averages]
    assert all(map(torch.equal, averages, trainer.average.parameters))
    buffers = {id(value) for value in trainer.model.buffers()}
    assert all(not value.any() for key, value in known.items() if key not in buffers)


def test_a_resumed_run_replays_to_the_same_end(under_test, tmp_path, monkeypatch):
    straight = captured(under_test, tmp_path / "a", monkeypatch)
    straight.train()
    halted = captured(under_test, tmp_path / "b", monkeypatch)
    steps = iter([False, False, True])
    with pytest.raises(Interrupted):
        halted.train(stop=lambda: next(steps))
    resumed = captured(under_test, tmp_path / "b", monkeypatch)
    resumed.train()
    for a, b in zip(weights(straight), weights(resumed), strict=True):
        assert torch.equal(a, b)
    curves = [(tmp_path / folder / "rows.jsonl").read_bytes() for folder in "ab"]
    assert curves[0] == curves[1]


def test_an_eager_checkpoint_goes_on_captured(under_test, tmp_path, monkeypatch):
    straight = under_test.trainer(tmp_path / "a").train()
    steps = iter([False, False, True])
    with pytest.raises(Interrupted):
        under_test.trainer(tmp_path / "b").train(stop=lambda: next(steps))
    trainer = captured(under_test, tmp_path / "b", monkeypatch)
    trainer.run_id = "contract"
    resumed = trainer.train()
    groups = [g for o in trainer.optimizers.values() for g in o.torch_optimizer.param_groups]
    assert all(group["capturable"] and isinstance(group["lr"], torch.Tensor) for group in groups)
    for a, b in zip(straight.state_dict().values(), resumed.state_dict().values(), strict=True):
        torch.testing.assert_close(a, b, rtol=1e-5, atol=1e-6)


def test_a_replay_reads_its_own_draws_and_returns_a_copy(under_test, tmp_path, monkeypatch):
    trainer = captured(under_test, tmp_path / "a", monkeypatch)
    trainer.prepare()
    (iteration,) = trainer._captured.values()
    ours = iteration._draws
    draws = trainer.stream.draws(0, trainer.timetable.draws)
    first = iteration(draws)
    kept = first.clone()
    other = trainer.stream.draws(trainer.timetable.draws, trainer.timetable.draws)
    iteration(other)
    assert torch.equal(first, kept)
    assert torch.equal(ours.indices, other.indices)
    assert not torch.equal(ours.indices, draws.indices)
    iteration(draws)
    assert not torch.equal(ours.indices, other.indices), "what was given is only read"


def test_state_kept_undoes_in_place(under_test, tmp_path):
    trainer = under_test.trainer(tmp_path / "a")
    trainer.iterate(0)
    before = [value.clone() for value in weights(trainer)]
    places = [value.data_ptr() for value in weights(trainer)]
    with state_kept(trainer._tensors):
        trainer.iterate(1)
    assert all(torch.equal(a, b) for a, b in zip(before, weights(trainer), strict=True))
    assert places == [value.data_ptr() for value in weights(trainer)]


def test_a_cpu_has_no_cuda_graphs(under_test, tmp_path):
    cpu = torch.device("cpu")
    where = under_test.training, under_test.data, tmp_path, cpu, ""
    with pytest.raises(BenchError, match="graphs needs a CUDA device, not cpu"):
        Trainer(*where, SwitchSet(graphs=True))
