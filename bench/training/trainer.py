"""The only training loop, and all that models leave to it: data, seeds, optimizers, checkpoints."""

import gc
import logging
import time
from collections.abc import Callable, Collection, Iterator, Mapping, Sequence
from contextlib import AbstractContextManager
from dataclasses import replace
from functools import partial
from pathlib import Path

import torch
from torch import Tensor

from bench.console import warn
from bench.data.base import DataSet
from bench.data.stream import Draws, TrainingExamples, make_stream
from bench.errors import CheckpointError, Interrupted, RunFailed
from bench.record.jsonl import JsonlWriter, is_intact_until, truncate
from bench.record.provenance import note_execution, note_switches, read_execution
from bench.seeding import seed_for
from bench.spec.declaration import check_declaration
from bench.spec.run_config import RunConfig
from bench.spec.run_settings import Evaluation, Training, optimizer_settings
from bench.spec.switches import EAGER, SwitchSet
from bench.training.checkpoint import load_checkpoint, save_checkpoint
from bench.training.cuda_graphs import CapturedIteration, state_kept
from bench.training.device import numerics, torch_warnings_settled
from bench.training.gradient_accumulation import OutOfMemory, halved, out_of_memory_at
from bench.training.interface import Batch, ConditionalGenerator, begin_training, overrides_finish
from bench.training.losses import Losses
from bench.training.optimizers import MovingAverage, PlayerOptimizer
from bench.training.passes import StagePass, make_passes, stage_weights
from bench.training.pretrained import take_weights
from bench.training.timetable import Timetable

LOG_POINTS = 50  # of a training curve

_log = logging.getLogger(__name__)


class Trainer:
    """The training of one run, from its beginning or from its checkpoint.

    Curves and checkpoints go to `folder`; `run_id` is written into checkpoints, so that none can
    continue another run. `timetable` says which `passes` an iteration plays, on which draws of the
    stream. `micro_batch` is the number of examples at a time, if memory does not suffice for
    batches. `start` is the first iteration, `seconds` all time of training.
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
        switches.check_device(device.type)
        self.training = training
        self.data = data
        self.folder = folder
        self.device = device
        self.run_id = run_id
        self.switches = switches
        self.checkpoint = folder / "checkpoint.pt"
        self.curves = folder / "rows.jsonl"
        self.micro_batch: int | None = read_execution(folder).get("micro_batch", {}).get("rows")
        self._build()

    def _build(self) -> None:
        """Make model, optimizers and passes as they are before the first iteration."""
        training = self.training
        self.start, self.seconds, self._curves_offset = 0, 0.0, 0
        self.model = build_model(training, self.data, self.device)
        if training.start_from:
            take_weights(self.model, training.start_from)
        if self.switches.channels_last:
            self.model.to(memory_format=torch.channels_last)
        self.stream = make_stream(training, self.data, self.device, self.model.capabilities)
        players = self.model.players()
        self.timetable = Timetable(self.model.stages, training.iterations)
        stages, objective = self.model.stages, training.objective
        moving = {player for stage in stages for player in stage_weights(stage, objective)}
        spans = {player: self.timetable.span(player) for player in moving}
        self.optimizers = {
            player: PlayerOptimizer(
                parameters,
                optimizer_settings(training.optimizers[player]),
                start=spans[player][0],
                iterations=spans[player][1] - spans[player][0],
                epoch=self.stream.draws_per_epoch,
                # On a GPU always, so that graphs and eager mode step by the same bits.
                capturable=self.switches.graphs or self.device.type == "cuda",
            )
            for player, parameters in players.items()
            if player in moving
        }
        self.average: MovingAverage | None = None
        if training.average:
            averaged = {id(p): p for player in training.average.players for p in players[player]}
            starts = [spans[p][0] for p in training.average.players if p in spans]
            self.average = MovingAverage(
                averaged.values(),
                training.average.decay,
                start=max(starts, default=0),  # of who begins last
                capturable=self.switches.graphs,
            )
        self.passes = make_passes(
            self.model,
            objective,
            self.optimizers,
            precision=training.precision,
            clip_norm=training.clip_norm,
            micro_batch=self.micro_batch,
            compile=self.switches.compile,
        )
        self.losses = Losses(self.passes)
        self._captured: dict[tuple[int, ...], CapturedIteration] = {}

    def train(
        self,
        *,
        stop: Callable[[], bool] = lambda: False,
        checkpoint_seconds: float = 30.0,
        on_iteration: Callable[[int, Mapping[str, float] | None], None] = lambda done, losses: None,
        snapshots: Collection[int] = (),
        on_snapshot: Callable[[int, dict[str, Tensor]], None] = lambda done, weights: None,
    ) -> ConditionalGenerator:
        """Train all iterations that are left; return the model, with averaged weights if any.

        If `stop`, asked after every iteration, returns True, a checkpoint is saved and
        `Interrupted` raised. `on_iteration` is called with the number of iterations done, and with
        the mean of every term since the last point of the curves if one is due. `on_snapshot` is
        called after the numbers of iterations in `snapshots`, with the number done and the weights
        to sample from, which it must not change; its time is not of the training, and a checkpoint
        from after it is not used. A term that is not finite, or too little memory for one example,
        is a `RunFailed`, another run's checkpoint a `CheckpointError`.
        """
        pending = set(snapshots)
        while True:
            self._resume(min(pending, default=self.training.iterations + 1))
            try:
                self._loop(stop, checkpoint_seconds, on_iteration, pending, on_snapshot)
                break
            except OutOfMemory as error:  # which itself holds on to the memory
                where = error.step, error.reason, error.in_capture
            self._make_room(*where)
        if self.average:
            self.average.install()  # from now on this model is only sampled
        # As it is loaded later: what is measured now is what would be measured then.
        self.model.to(memory_format=torch.contiguous_format)
        began = time.monotonic()
        self.finish(self.model, stop)
        self.seconds += time.monotonic() - began
        return self.model

    def _loop(
        self,
        stop: Callable[[], bool],
        checkpoint_seconds: float,
        on_iteration: Callable[[int, Mapping[str, float] | None], None],
        pending: set[int],
        on_snapshot: Callable[[int, dict[str, Tensor]], None],
    ) -> None:
        iterations = self.training.iterations
        every = max(1, iterations // LOG_POINTS)
        if self.device.type == "cuda":  # whatever else this process did took other memory
            torch.cuda.reset_peak_memory_stats(self.device)
        with out_of_memory_at(self.start):
            self.prepare()
        truncate(self.curves, self._curves_offset)
        with JsonlWriter(self.curves) as curves:
            began = saved = time.monotonic()
            for step in range(self.start, iterations):
                with out_of_memory_at(step):
                    self.iterate(step)
                done = step + 1

                losses = None
                if done % every == 0 or done == iterations:
                    losses = self.losses.take()
                    for name, mean in losses.items():
                        curves.write(step=done, split="train", metric=name, protocol="", value=mean)
                on_iteration(done, losses)

                if done in pending:
                    paused = time.monotonic()
                    on_snapshot(done, self._sampling_weights())
                    pending.remove(done)  # it stays as it was measured, whatever is trained again
                    began += time.monotonic() - paused

                now = time.monotonic()
                stopping = stop()
                is_due = stopping or now - saved >= checkpoint_seconds
                if done == iterations:  # killed in `finish`, the run goes on from here
                    is_due = overrides_finish(self.model)
                if is_due:
                    self._save(done, self.seconds + now - began, curves)
                    saved = time.monotonic()
                    if stopping:
                        raise Interrupted(f"stopped after iteration {done}, checkpoint saved")
            self.seconds += time.monotonic() - began

    def prepare(self) -> None:
        """Compile and capture an iteration as the switches say; the state stays as it is.

        On a GPU the iteration is tried in any case.
        """
        begin_training(self.model)
        if self.switches.compile or self.switches.graphs or self.device.type == "cuda":
            draws = self.stream.draws(0, self.timetable.draws)
            with self._numerics(), torch_warnings_settled(), state_kept(self._tensors):
                for numbers, *_ in self.timetable.kinds():
                    work = partial(self._play, self.moving_passes(numbers))
                    for _ in range(2):  # the plans of backwards, then what is compiled by them
                        work(draws)
                    if self.switches.graphs:
                        with out_of_memory_at(self.start, in_capture=True):
                            self._captured[numbers] = CapturedIteration(work, draws)

    def iterate(self, step: int) -> None:
        """Do one iteration, without curves and checkpoints."""
        numbers, iterations = self.timetable.passes_of(step), self.training.iterations
        with self._numerics():
            seed = seed_for(self.training.seed, "train", step)
            torch.default_generator.manual_seed(seed)  # `torch.manual_seed` visits all devices
            if self.device.type == "cuda":
                torch.cuda.manual_seed(seed)
            self.model.progress.set(step, iterations)
            for optimizer in self.optimizers.values():
                optimizer.set_rate(step)
            epoch = self.stream.draws_per_epoch
            for stage_pass in self.passes.values():
                stage_pass.set_weights(step, iterations=iterations, epoch=epoch)
            if self.average:
                self.average.set_step(step)
            draws = self.stream.draws(step * self.timetable.draws, self.timetable.draws)
            moving = self.moving_passes(numbers)
            values = (self._captured.get(numbers) or partial(self._play, moving))(draws)
            self.losses.add(step, [stage_pass for stage_pass, _ in moving], values)

    def moving_passes(self, numbers: Collection[int]) -> list[tuple[StagePass, int]]:
        """Return those of some passes in which somebody moves, each with its first draw."""
        chosen = map(self.timetable.passes.__getitem__, numbers)
        passes = self.passes
        return [(passes[s.name], draw) for s, draw in chosen if s.name in passes]

    def _play(self, moving: Sequence[tuple[StagePass, int]], draws: Draws) -> Tensor:
        """Do what an iteration computes on the device; return the terms of all its passes."""
        values = [draws.indices.new_zeros(0, dtype=torch.float32)]  # nobody may move
        assembled = None
        for stage_pass, draw in moving:
            if assembled != (draw, stage_pass.stage.batch):
                assembled = draw, stage_pass.stage.batch
                batch = self._batch(draws, *assembled)
            values.append(stage_pass.play(batch))
        if self.average:
            self.average.update()
        return torch.cat(values)

    def _batch(self, draws: Draws, number: int, size: float = 1) -> Batch:
        batch = self.stream.assemble(draws, number, size)
        if self.switches.channels_last and batch.x.ndim == 4:
            return batch._replace(x=batch.x.contiguous(memory_format=torch.channels_last))
        return batch

    def _numerics(self) -> AbstractContextManager[None]:
        return numerics(self.training, self.device, autotune=self.switches.autotune)

    def _tensors(self) -> Iterator[Tensor]:
        """Yield all that an iteration changes."""
        yield from self.model.parameters()
        yield from self.model.buffers()
        for optimizer in self.optimizers.values():
            for state in optimizer.torch_optimizer.state.values():
                yield from (value for value in state.values() if isinstance(value, Tensor))
        if self.average:
            yield from self.average.averages

    def _sampling_weights(self) -> dict[str, Tensor]:
        """Return the weights that samples would come from now, which may only be read."""
        weights: dict[str, Tensor] = self.model.state_dict()
        if self.average:
            named = self.model.named_parameters(remove_duplicate=False)
            weights |= self.average.averaged(named)
        if not overrides_finish(self.model):
            return weights
        finished = build_model(self.training, self.data, self.device)
        finished.load_state_dict(weights)
        self.finish(finished)
        return finished.state_dict()

    def finish(self, model: ConditionalGenerator, stop: Callable[[], bool] = lambda: False) -> None:
        """Let a trained model see the training data once more; it is in evaluation mode after."""
        model.progress.set(self.training.iterations, self.training.iterations)
        torch.manual_seed(seed_for(self.training.seed, "finish"))
        with torch.no_grad(), self._numerics():
            model.eval().finish(TrainingExamples(self.stream, self.training.batch_size, stop))
        model.eval()

    def _save(self, done: int, seconds: float, curves: JsonlWriter) -> None:
        # Refused if a loss is not finite: a broken model would break every resumption.
        losses = self.losses.state()
        curves.flush()
        state = {
            "run": self.run_id,
            "step": done,
            "seconds": seconds,
            "rows_offset": curves.offset,
            "model": self.model.state_dict(),
            "optimizers": {p: o.torch_optimizer.state_dict() for p, o in self.optimizers.items()},
            "average": self.average.averages if self.average else [],
            "losses": losses,
        }
        save_checkpoint(self.checkpoint, state)

    def _resume(self, first_snapshot: int) -> None:
        """Load the last checkpoint, unless it is of no use."""
        state = load_checkpoint(self.checkpoint, self.device)
        if state is None:
            return
        if state["step"] >= first_snapshot:
            _log.warning("restarting the run: iteration %d is past a snapshot", state["step"])
            return
        if state["run"] != self.run_id:
            raise CheckpointError(
                f"{self.checkpoint} belongs to run {state['run']}, not to {self.run_id}"
            )
        if not is_intact_until(self.curves, state["rows_offset"]):
            path = self.curves
            warn(
                f"{path} lacks entries from before the checkpoint, or is damaged: restarting the "
                "run"
            )
            return
        self.start, self.seconds = state["step"], state["seconds"]
        self._curves_offset = int(state["rows_offset"])
        self.model.load_state_dict(state["model"])
        for player, optimizer in self.optimizers.items():
            optimizer.restore(state["optimizers"][player])
        if self.average:
            for average, saved in zip(self.average.averages, state["average"], strict=True):
                average.copy_(saved)
        self.losses.restore(state["losses"])
        _log.info("resumed at iteration %d", self.start)

    def _make_room(self, step: int, reason: str, in_capture: bool) -> None:
        """Begin again in a way that needs less memory."""
        if in_capture:
            self._use_no_graphs(reason)
        else:
            self._use_smaller_parts(step, reason)
        del self.stream, self.model, self.optimizers, self.average
        del self.passes, self.losses, self._captured
        gc.collect()
        if self.device.type == "cuda":
            torch.cuda.empty_cache()
        self._build()

    def _use_no_graphs(self, reason: str) -> None:
        """Go on in eager mode: a graph has memory of its own, and batches stay whole without it."""
        warn(f"run {self.run_id}: no memory for CUDA graphs, it is executed without them: {reason}")
        self.switches = replace(self.switches, graphs=False)
        why = ["no memory for graphs"]
        note_switches(self.folder, self.switches.names, self.device.type, why)

    def _use_smaller_parts(self, step: int, reason: str) -> None:
        """Take fewer examples at a time, after memory ran out."""
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


def build_model(training: Training, data: DataSet, device: torch.device) -> ConditionalGenerator:
    """Return a new model; a `ModelProblem` says what is wrong with what it declares.

    It is initialized on the CPU, so that the device cannot change the numbers.
    """
    torch.manual_seed(seed_for(training.seed, "init"))
    model = RunConfig(training, Evaluation()).model(data.spec).to(device)
    model.progress.set(training.iterations, training.iterations)
    check_declaration(model, ("model",))
    return model
