"""The only training loop.

It owns everything that a model must not: data, seeds, precision, optimizers, averaging,
checkpoints and curves. To know what happens at step n, read `_run` and `_iterate` downward.
"""

import gc
import logging
import time
from collections.abc import Callable, Collection, Mapping
from pathlib import Path

import torch
from torch import Tensor

from bench.console import warn
from bench.data.base import DataSet
from bench.data.supervision import make_stream
from bench.errors import BenchError, CheckpointError, Interrupted, RunFailed
from bench.record.execution_notes import note_execution, read_execution
from bench.record.jsonl import JsonlWriter, holds, truncate
from bench.seeding import seed_for
from bench.spec.run_config import RunConfig
from bench.spec.run_settings import Evaluation, Training, optimizer_settings
from bench.spec.switches import EAGER, SwitchSet
from bench.training.average import MovingAverage
from bench.training.checkpoint import load_checkpoint, save_checkpoint
from bench.training.cuda_graphs import AnyPass, rehearsed, restored
from bench.training.gradient_accumulation import OutOfMemory, halved, telling_memory
from bench.training.interface import Batch, ConditionalGenerator, Stage
from bench.training.losses import StageLosses
from bench.training.numerics import numerics
from bench.training.optimizers import PlayerOptimizer
from bench.training.passes import StagePass, draw_offsets, moving_rows

LOG_POINTS = 50
"""Points of a training curve."""

_log = logging.getLogger(__name__)


class Trainer:
    """Trains one run, from its beginning or from its checkpoint.

    Args:
        training: The complete configuration.
        data: The loaded data set.
        folder: Folder of the run; curves and checkpoints go there.
        device: Where to train.
        run_id: Written into checkpoints, so that one cannot continue another run.
        switches: How it is executed; cannot change what is learned.

    Attributes:
        model: The model being trained.
        optimizers: Player -> its optimizer, for every player that moves.
        passes: The passes of an iteration, each with the number of its draw in the iteration.
        draws: Batches that an iteration takes from the stream.
        micro_batch: Examples at a time, where memory does not suffice for whole batches.
        start: Iterations that were done before.
        seconds: Wall-clock time of all training so far, that before a checkpoint included.
    """

    def __init__(
        self,
        training: Training,
        data: DataSet,
        folder: Path,
        device: torch.device,
        run_id: str = "",
        switches: SwitchSet = EAGER,
    ) -> None:
        switches.refuse(device.type)
        self.training = training
        self.data = data
        self.folder = folder
        self.device = device
        self.run_id = run_id
        self.switches = switches
        self.checkpoint = folder / "checkpoint.pt"
        self.micro_batch: int | None = read_execution(folder).get("micro_batch", {}).get("rows")
        self._build()

    def _build(self) -> None:
        """Make everything that moves, as it stands before the first iteration."""
        training = self.training
        self.start, self.seconds, self._curves_size = 0, 0.0, 0
        self.model = build_model(training, self.data, self.device)
        self.stream = make_stream(training, self.data, self.device, self.model.capabilities)
        if self.switches.channels_last:
            self.model.to(memory_format=torch.channels_last)
        self.optimizers = self._make_optimizers()
        self.average = self._make_average()
        passes, self.draws = draw_offsets(self.model.stages)
        self.passes = self._make_passes(passes)
        self.losses = {p.stage.name: StageLosses(p.stage.name, p.terms) for p, _ in self.passes}

    def train(
        self,
        *,
        stop: Callable[[], bool] = lambda: False,
        checkpoint_seconds: float = 30.0,
        on_iteration: Callable[[int, Mapping[str, float] | None], None] = lambda done, losses: None,
        snapshots: Collection[int] = (),
        on_snapshot: Callable[[int, dict[str, Tensor]], None] = lambda done, weights: None,
    ) -> ConditionalGenerator:
        """Run all iterations that are left.

        Args:
            stop: Asked after every iteration; True saves a checkpoint and raises `Interrupted`.
            checkpoint_seconds: Time between checkpoints. It cannot change the result.
            on_iteration: Called after every iteration with the number done, and with the mean of
                every term since the last point of the curves where one is due.
            snapshots: Numbers of iterations after which `on_snapshot` is called. A checkpoint from
                after one of them is of no use: the training then begins anew.
            on_snapshot: Called with the number of iterations done and the weights that one would
                sample from then, which it must not change. Its time does not count as training.

        Returns:
            The model in evaluation mode, with averaged weights where the run averages.

        Raises:
            Interrupted: If `stop` said so.
            RunFailed: If a term became infinite or NaN, or memory does not suffice for one example.
            CheckpointError: If the checkpoint is that of another run.
        """
        while True:
            self._resume(min(snapshots, default=self.training.iterations + 1))
            try:
                self._run(stop, checkpoint_seconds, on_iteration, snapshots, on_snapshot)
                break
            except OutOfMemory as error:
                step, reason = error.step, error.reason  # the error itself holds on to the memory
            self._use_smaller_parts(step, reason)
        if self.average:
            self.average.install()  # from now on this model is only sampled
        # As it is loaded later: what is measured now is what would be measured then.
        return self.model.to(memory_format=torch.contiguous_format).eval()

    def _run(
        self,
        stop: Callable[[], bool],
        checkpoint_seconds: float,
        on_iteration: Callable[[int, Mapping[str, float] | None], None],
        snapshots: Collection[int],
        on_snapshot: Callable[[int, dict[str, Tensor]], None],
    ) -> None:
        iterations = self.training.iterations
        every = max(1, iterations // LOG_POINTS)
        if self.device.type == "cuda":  # whatever else this process did took other memory
            torch.cuda.reset_peak_memory_stats(self.device)
        with telling_memory(self.start):
            self.prepare()
        path = self.folder / "rows.jsonl"
        truncate(path, self._curves_size)
        with JsonlWriter(path) as curves:
            began = saved = time.monotonic()
            for step in range(self.start, iterations):
                with telling_memory(step):
                    self.iterate(step)
                done = step + 1
                losses = None
                if done % every == 0 or done == iterations:
                    self._refuse_non_finite()
                    losses = {
                        n: v for stage in self.losses.values() for n, v in stage.take().items()
                    }
                    for metric, value in losses.items():
                        curves.write(
                            step=done, split="train", metric=metric, protocol="", value=value
                        )
                on_iteration(done, losses)
                if done in snapshots:
                    paused = time.monotonic()
                    on_snapshot(done, self._sampling_weights())
                    began += time.monotonic() - paused
                now = time.monotonic()
                stopping = stop()
                if done < iterations and (stopping or now - saved >= checkpoint_seconds):
                    self._save(done, self.seconds + now - began, curves)
                    saved = time.monotonic()
                    if stopping:
                        raise Interrupted(f"stopped after iteration {done}, checkpoint saved")
            self.seconds += time.monotonic() - began

    def prepare(self) -> None:
        """Compile and capture what is to be; the state is as it was afterwards."""
        self.model.train()
        if self.switches.compile or self.switches.graphs:
            undone = restored(self.model, self.optimizers.values())
            with numerics(self.training, autotune=self.switches.autotune), undone:
                self.passes = rehearsed(self.passes, self._batch(0), self.switches)

    def iterate(self, step: int) -> None:
        """Do one iteration alone: no curves, no checkpoint."""
        with numerics(self.training, autotune=self.switches.autotune):
            self._iterate(step)

    def _iterate(self, step: int) -> None:
        seed = seed_for(self.training.seed, "train", step)
        torch.default_generator.manual_seed(seed)  # `torch.manual_seed` visits all devices
        if self.device.type == "cuda":
            torch.cuda.manual_seed(seed)
        for stage_pass, offset in self.passes:
            batch = self._batch(step * self.draws + offset)
            self.losses[stage_pass.stage.name].add(stage_pass.play(batch, step), step)
        if self.average:
            self.average.update(step)

    def _batch(self, draw: int) -> Batch:
        batch = self.stream.batch(draw)
        if self.switches.channels_last and batch.x.ndim == 4:
            return batch._replace(x=batch.x.contiguous(memory_format=torch.channels_last))
        return batch

    def _refuse_non_finite(self) -> None:
        for stage in self.losses.values():
            for term, step in stage.non_finite().items():
                table = self.training.objective
                players = [player for player in table if table[player].get(term)]
                raise RunFailed(
                    f"term {term!r} of stage {stage.stage!r} was not finite at iteration "
                    f"{step} (descended by {', '.join(players)}); a smaller rate, a weight "
                    "closer to the default, or clip_norm may help"
                )

    def _save(self, done: int, seconds: float, curves: JsonlWriter) -> None:
        self._refuse_non_finite()  # a checkpoint of a broken model would break every resumption
        curves.flush()
        optimizers = {p: o.torch_optimizer.state_dict() for p, o in self.optimizers.items()}
        state = {
            "run": self.run_id,
            "step": done,
            "seconds": seconds,
            "rows_offset": curves.offset,
            "model": self.model.state_dict(),
            "optimizers": optimizers,
            "average": self.average.averages if self.average else [],
            "losses": {name: losses.state() for name, losses in self.losses.items()},
        }
        save_checkpoint(self.checkpoint, state)

    def _resume(self, first_snapshot: int) -> None:
        """Load the last checkpoint, if there is one that this training can go on from."""
        state = load_checkpoint(self.checkpoint, self.device)
        if state is None:
            return
        if state["step"] >= first_snapshot:
            _log.warning("begins anew: iteration %d is past a snapshot", state["step"])
            return
        if state["run"] != self.run_id:
            raise CheckpointError(
                f"{self.checkpoint} belongs to run {state['run']}, not to {self.run_id}"
            )
        path = self.folder / "rows.jsonl"
        if not holds(path, state["rows_offset"]):
            warn(f"{path} lacks rows from before the checkpoint, or is damaged: begins anew")
            return
        self.start, self.seconds = state["step"], state["seconds"]
        self._curves_size = int(state["rows_offset"])
        self.model.load_state_dict(state["model"])
        for player, optimizer in self.optimizers.items():
            optimizer.restore(state["optimizers"][player])
        if self.average:
            for average, saved in zip(self.average.averages, state["average"], strict=True):
                average.copy_(saved)
        for name, losses in self.losses.items():
            losses.restore(state["losses"][name])
        _log.info("resumed at iteration %d", self.start)

    def _use_smaller_parts(self, step: int, reason: str) -> None:
        """Go back to the beginning with fewer examples at a time, after memory ran out."""
        size, labeled = self.training.batch_size, self.training.labeled_rows
        before = self.micro_batch or size
        fewer = halved(before, size, labeled)
        if fewer is None:
            share = " (each part needs its share of labeled examples)" if labeled < size else ""
            raise RunFailed(
                f"out of memory at iteration {step} with {before} of {size} examples at a "
                f"time, which cannot be fewer{share}: {reason}; a smaller model, fewer runs at "
                "a time (--jobs) or a larger device may help"
            )
        warn(
            f"run {self.run_id}: out of memory at iteration {step}, so the gradients of each batch "
            f"of {size} are accumulated over parts of {fewer} from now on, not {before}"
        )
        note_execution(self.folder, micro_batch={"rows": fewer, "batch_size": size})
        self.micro_batch = fewer
        del self.model, self.optimizers, self.average, self.passes, self.losses
        gc.collect()
        if self.device.type == "cuda":
            torch.cuda.empty_cache()
        self._build()

    def _sampling_weights(self) -> dict[str, Tensor]:
        """Return the weights of `model` as they would be installed now, for reading only."""
        weights: dict[str, Tensor] = self.model.state_dict()
        if self.average:
            named = self.model.named_parameters(remove_duplicate=False)
            weights |= self.average.averaged(named)
        return weights

    def _make_optimizers(self) -> dict[str, PlayerOptimizer]:
        """Give an optimizer to every player that moves; the others stay as initialized."""
        stages, objective = self.model.stages, self.training.objective
        moving = {player for stage in stages for player in moving_rows(stage, objective)}
        return {
            player: PlayerOptimizer(
                parameters,
                optimizer_settings(self.training.optimizers[player]),
                iterations=self.training.iterations,
                epoch=self.stream.draws_per_epoch,
                capturable=self.switches.graphs,
            )
            for player, parameters in self.model.players().items()
            if player in moving
        }

    def _make_passes(self, passes: list[tuple[Stage, int]]) -> list[tuple[AnyPass, int]]:
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
                    micro_batch=self.micro_batch,
                    compile=self.switches.compile,
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
