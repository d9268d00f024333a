"""The only training loop.

It owns everything that a model must not: data, seeds, precision, optimizers, averaging,
checkpoints and logs. To know what happens at step n, read `_iterate` downward.
"""

import logging
import time
from collections.abc import Callable, Collection, Iterator
from contextlib import contextmanager
from pathlib import Path
from typing import Protocol

import torch
from torch import Tensor

from bench.config import RunConfig
from bench.data.base import DataSet
from bench.data.supervision import make_stream
from bench.errors import BenchError, CheckpointError, Interrupted, RunFailed
from bench.seeding import seed_for
from bench.settings import Evaluation, Training, optimizer_settings
from bench.tracking.rows import RowWriter, truncate
from bench.training.average import MovingAverage
from bench.training.checkpoint import load_checkpoint, save_checkpoint
from bench.training.interface import ConditionalGenerator, Stage
from bench.training.losses import StageLosses
from bench.training.optimizers import PlayerOptimizer
from bench.training.passes import StagePass, draw_offsets, moving_rows

_log = logging.getLogger(__name__)

LOG_POINTS = 50  # rows of a training curve


class Progress(Protocol):
    """Shows how far a run is."""

    def update(self, step: int, losses: dict[str, float] | None = None) -> None:
        """Take notice that `step` iterations are done; losses come now and then."""
        ...


class Trainer:
    """Trains one run, from its beginning or from its checkpoint.

    Args:
        training: The complete configuration.
        data: The loaded data set.
        folder: Folder of the run; rows and checkpoints go there.
        device: Where to train.
        run_id: Written into checkpoints, so that one cannot continue another run.
        unlabeled: Examples of a further data set `[N, ...]`, without labels.
    """

    def __init__(
        self,
        training: Training,
        data: DataSet,
        folder: Path,
        device: torch.device,
        run_id: str = "",
        unlabeled: Tensor | None = None,
    ) -> None:
        self.training = training
        self.folder = folder
        self.device = device
        self.run_id = run_id
        self.checkpoint = folder / "checkpoint.pt"
        self.model = build_model(training, data, device)
        self.stream = make_stream(training, data, device, unlabeled, self.model.capabilities)
        self.optimizers = self._make_optimizers()
        self.average = self._make_average()
        passes, self.draws = draw_offsets(self.model.stages)
        self.passes = self._make_passes(passes)
        self.losses = {
            stage_pass.stage.name: StageLosses(stage_pass.stage.name, stage_pass.terms, device)
            for stage_pass, _ in self.passes
        }
        self.start = 0
        self.seconds = 0.0

    def train(
        self,
        *,
        progress: Progress | None = None,
        stop: Callable[[], bool] = lambda: False,
        checkpoint_seconds: float = 30.0,
        snapshots: Collection[int] = (),
        snapshot: Callable[[int, dict[str, Tensor]], None] = lambda step, weights: None,
    ) -> ConditionalGenerator:
        """Run all iterations that are left.

        Args:
            progress: Told about every iteration.
            stop: Asked after every iteration; True saves a checkpoint and raises `Interrupted`.
            checkpoint_seconds: Time between checkpoints. It cannot change the result.
            snapshots: Numbers of iterations after which `snapshot` is called. A checkpoint from
                after one of them is of no use: the training then begins anew.
            snapshot: Given the number of iterations and the weights that one would sample from
                then, which it must not change. Its time does not count as time of training.

        Returns:
            The model in evaluation mode, with averaged weights where the run averages.

        Raises:
            Interrupted: If `stop` said so.
            RunFailed: If a term became infinite or NaN.
        """
        offset = self._resume(snapshots)
        rows_path = self.folder / "rows.jsonl"
        truncate(rows_path, offset)
        every = max(1, self.training.iterations // LOG_POINTS)
        began = saved = time.monotonic()
        self.model.train()
        with RowWriter(rows_path) as rows:
            for step in range(self.start, self.training.iterations):
                with deterministic(self.training.deterministic):
                    self._iterate(step)
                done = step + 1
                losses = None
                if done % every == 0 or done == self.training.iterations:
                    losses = self._write_losses(rows, done)
                if progress:
                    progress.update(done, losses)
                if done in snapshots:
                    paused = time.monotonic()
                    snapshot(done, self._sampling_weights())
                    began += time.monotonic() - paused
                now = time.monotonic()
                stopping = stop()
                if done < self.training.iterations and (
                    stopping or now - saved >= checkpoint_seconds
                ):
                    self._save(done, rows, self.seconds + now - began)
                    saved = time.monotonic()
                    if stopping:
                        raise Interrupted(f"stopped after iteration {done}, checkpoint saved")
        self.seconds += time.monotonic() - began
        if self.average:
            self.average.install()  # from now on this model is only sampled
        return self.model.eval()

    def _iterate(self, step: int) -> None:
        self._reseed(seed_for(self.training.seed, "train", step))
        for stage_pass, offset in self.passes:
            batch = self.stream.batch(step * self.draws + offset)
            values = stage_pass.play(batch, step)
            self.losses[stage_pass.stage.name].add(values, step)
        if self.average:
            self.average.update(step)

    def _reseed(self, seed: int) -> None:
        """Seed the generators that this run draws from; `torch.manual_seed` visits all devices."""
        torch.default_generator.manual_seed(seed)
        if self.device.type == "cuda":
            torch.cuda.manual_seed(seed)

    def _write_losses(self, rows: RowWriter, done: int) -> dict[str, float]:
        self._refuse_bad()
        losses = {}
        for stage in self.losses.values():
            losses.update(stage.take())
        for metric, value in losses.items():
            rows.write(step=done, split="train", metric=metric, protocol="", value=value)
        return losses

    def _refuse_bad(self) -> None:
        """Stop the run if a term stopped being a number."""
        for stage in self.losses.values():
            for term, step in zip(stage.terms, stage.first_bad.tolist(), strict=True):
                if step < 0:
                    continue
                row = self.training.objective
                players = [p for p in row if row[p].get(term)]
                raise RunFailed(
                    f"term {term!r} of stage {stage.stage!r} was not finite at iteration "
                    f"{step} (descended by {', '.join(players)}); a smaller rate, a weight "
                    "closer to the default, or clip_norm may help"
                )

    def _save(self, done: int, rows: RowWriter, seconds: float) -> None:
        self._refuse_bad()  # a checkpoint of a broken model would break every resumption
        rows.flush()
        state = {
            "run": self.run_id,
            "step": done,
            "seconds": seconds,
            "rows_offset": rows.offset,
            "model": self.model.state_dict(),
            "optimizers": {
                player: optimizer.torch_optimizer.state_dict()
                for player, optimizer in self.optimizers.items()
            },
            "average": self.average.averages if self.average else [],
            "losses": {name: losses.state() for name, losses in self.losses.items()},
        }
        save_checkpoint(self.checkpoint, state)

    def _sampling_weights(self) -> dict[str, Tensor]:
        """Return the weights of `model` as they would be installed now, for reading only."""
        weights: dict[str, Tensor] = self.model.state_dict()
        if self.average:
            named = self.model.named_parameters(remove_duplicate=False)
            weights |= self.average.averaged(named)
        return weights

    def _resume(self, snapshots: Collection[int]) -> int:
        """Continue from the checkpoint, if there is one; return the size of the valid rows."""
        state = load_checkpoint(self.checkpoint, self.device)
        if state is None:
            return 0
        if state["step"] >= min(snapshots, default=self.training.iterations + 1):
            _log.warning("begins anew: iteration %d is past a snapshot", state["step"])
            return 0
        if state["run"] != self.run_id:
            raise CheckpointError(
                f"{self.checkpoint} belongs to run {state['run']}, not to {self.run_id}"
            )
        self.model.load_state_dict(state["model"])
        for player, optimizer in self.optimizers.items():
            optimizer.torch_optimizer.load_state_dict(state["optimizers"][player])
        if self.average:
            for average, saved in zip(self.average.averages, state["average"], strict=True):
                average.copy_(saved)
        for name, losses in self.losses.items():
            losses.restore(state["losses"][name])
        self.start = state["step"]
        self.seconds = state["seconds"]
        _log.info("resumed at iteration %d", self.start)
        return int(state["rows_offset"])

    def _make_optimizers(self) -> dict[str, PlayerOptimizer]:
        """Give an optimizer to every player that moves; the others stay as initialized."""
        moving = {
            p for stage in self.model.stages for p in moving_rows(stage, self.training.objective)
        }
        return {
            player: PlayerOptimizer(
                parameters,
                optimizer_settings(self.training.optimizers[player]),
                iterations=self.training.iterations,
                epoch=self.stream.draws_per_epoch,
            )
            for player, parameters in self.model.players().items()
            if player in moving
        }

    def _make_passes(self, passes: list[tuple[Stage, int]]) -> list[tuple[StagePass, int]]:
        made: dict[str, StagePass] = {}
        for stage, _ in passes:
            if stage.name not in made and moving_rows(stage, self.training.objective):
                made[stage.name] = StagePass(
                    self.model,
                    stage,
                    self.training.objective,
                    self.optimizers,
                    precision=self.training.precision,
                    clip_norm=self.training.clip_norm,
                )
        return [(made[stage.name], offset) for stage, offset in passes if stage.name in made]

    def _make_average(self) -> MovingAverage | None:
        settings = self.training.average
        if settings is None:
            return None
        players = self.model.players()
        chosen = {id(p): p for name in settings.players for p in players[name]}
        return MovingAverage(chosen.values(), settings.decay)


def build_model(training: Training, data: DataSet, device: torch.device) -> ConditionalGenerator:
    """Return the model as it stands before the first iteration.

    Args:
        training: The complete configuration.
        data: Its data set, for the shape.
        device: Where the model goes; it is initialized on the CPU, so that the device cannot
            change the numbers.

    Returns:
        The model.

    Raises:
        BenchError: If parameters belong to no player.
    """
    torch.manual_seed(seed_for(training.seed, "init"))
    run = RunConfig(training, Evaluation())
    model = run.model(data.spec).to(device)
    owned = {id(p) for parameters in model.players().values() for p in parameters}
    orphans = [name for name, p in model.named_parameters() if id(p) not in owned]
    if orphans:
        raise BenchError(
            f"{type(model).__name__}: these parameters belong to no player: {', '.join(orphans)}"
        )
    return model


@contextmanager
def deterministic(wanted: bool) -> Iterator[None]:
    """Demand deterministic kernels from torch for a while."""
    before = torch.are_deterministic_algorithms_enabled()
    torch.use_deterministic_algorithms(wanted or before)
    try:
        yield
    finally:
        torch.use_deterministic_algorithms(before)
