"""The only training loop.

It owns everything that a model must not: data, seeds, precision, optimizers, averaging,
checkpoints and logs. To know what happens at step n, read `_iterate` downward.
"""

import time
from abc import ABC, abstractmethod
from collections.abc import Callable, Mapping, Sequence
from contextlib import ExitStack
from typing import Any, Protocol

import torch
from torch import Tensor

from bench.data.base import DataSet
from bench.errors import Interrupted, RunFailed
from bench.settings import optimizer_settings
from bench.training.average import MovingAverage
from bench.training.capture import AnyPass, rehearsed, restored
from bench.training.interface import Batch, ConditionalGenerator, Stage
from bench.training.journal import Journal
from bench.training.losses import StageLosses
from bench.training.microbatch import telling_memory
from bench.training.numerics import numerics
from bench.training.optimizers import PlayerOptimizer
from bench.training.passes import StagePass, draw_offsets, moving_rows
from bench.training.switches import EAGER, SwitchSet

LOG_POINTS = 50  # rows of a training curve


class Draws(Protocol):
    """Batches by their number."""

    draws_per_epoch: int

    def batch(self, draw: int) -> Batch:
        """Return one batch."""
        ...


class TrainingLoop(ABC):
    """Trains the runs whose journals it is given; all are at the same iteration.

    `Trainer` does that for one run, `ReplicaTrainer` for several that differ in their seed alone.

    Args:
        journals: Of each run.
        data: The loaded data set.
        device: Where to train.
        unlabeled: Examples of a further data set `[N, ...]`, without labels.
        switches: How it is executed; cannot change what is learned.
    """

    replicas: int | None = None
    """How many runs are trained as one; None where tensors have no dimension for that."""

    micro_batch: int | None = None
    """Rows at a time, where memory does not suffice for whole batches."""

    def __init__(
        self,
        journals: Sequence[Journal],
        data: DataSet,
        device: torch.device,
        unlabeled: Tensor | None = None,
        switches: SwitchSet = EAGER,
    ) -> None:
        switches.refuse(device.type)
        self.switches = switches
        self.journals = tuple(journals)
        self.training = journals[0].training
        self.device = device
        model, self.stream = self._build(data, unlabeled)
        self._begin(model)

    def _begin(self, model: ConditionalGenerator) -> None:
        """Stand before the first iteration, with a new model."""
        self.model = model
        if self.switches.channels_last:
            self.model.to(memory_format=torch.channels_last)
        self.optimizers = self._make_optimizers()
        self.average = self._make_average()
        passes, self.draws = draw_offsets(self.model.stages)
        self.passes = self._make_passes(passes)
        self.losses = {
            stage_pass.stage.name: StageLosses(
                stage_pass.stage.name, stage_pass.terms, self.replicas
            )
            for stage_pass, _ in self.passes
        }

    @abstractmethod
    def _build(self, data: DataSet, unlabeled: Tensor | None) -> tuple[ConditionalGenerator, Draws]:
        """Return the model before its first iteration, and the batches."""

    @abstractmethod
    def _reseed(self, step: int) -> None:
        """Seed the generators that an iteration draws from."""

    @abstractmethod
    def _each(self, act: Callable[..., None], *given: Any) -> None:
        """Call `act` with the number and the journal of every run, and what is given."""

    @abstractmethod
    def _part(self, state: dict[str, Any], place: int) -> dict[str, Any]:
        """Return the part of a state that belongs to one run."""

    def _run(self, stop: Callable[[], bool], checkpoint_seconds: float) -> None:
        """Run all iterations that are left; the arguments are those of `Trainer.train`."""
        iterations = self.training.iterations
        every = max(1, iterations // LOG_POINTS)
        if self.device.type == "cuda":  # whatever else this process did took other memory
            torch.cuda.reset_peak_memory_stats(self.device)
        with telling_memory(self.journals[0].start):
            self.prepare()
        with ExitStack() as stack:
            for journal in self.journals:
                stack.enter_context(journal.writing())
            began = saved = time.monotonic()
            for step in range(self.journals[0].start, iterations):
                with telling_memory(step):
                    self.iterate(step)
                done = step + 1
                due = done % every == 0 or done == iterations
                self._each(self._report, done, self._take_losses() if due else None)
                paused = time.monotonic()
                self._each(self._snapshot, done)
                now = time.monotonic()
                began += now - paused
                stopping = stop()
                if done < iterations and (stopping or now - saved >= checkpoint_seconds):
                    share = (now - began) / len(self.journals)
                    self._each(self._save, done, share)
                    saved = time.monotonic()
                    if stopping:
                        raise Interrupted(f"stopped after iteration {done}, checkpoint saved")
            share = (time.monotonic() - began) / len(self.journals)
        for journal in self.journals:
            journal.seconds += share

    def prepare(self) -> None:
        """Compile and capture what is to be; the state is as it was afterwards."""
        self.model.train()
        if self.switches.compile or self.switches.graphs:
            undone = restored(self.model, self.optimizers.values())
            with numerics(self.training, autotune=self.switches.autotune), undone:
                self.passes = rehearsed(self.passes, self._batch(0), self.switches)

    def iterate(self, step: int) -> None:
        """Do one iteration, by itself: without rows, checkpoints and the like."""
        with numerics(self.training, autotune=self.switches.autotune):
            self._iterate(step)

    def _batch(self, draw: int) -> Batch:
        batch = self.stream.batch(draw)
        if self.switches.channels_last and batch.x.ndim == 4:
            return batch._replace(x=batch.x.contiguous(memory_format=torch.channels_last))
        return batch

    def _iterate(self, step: int) -> None:
        self._reseed(step)
        for stage_pass, offset in self.passes:
            batch = self._batch(step * self.draws + offset)
            values = stage_pass.play(batch, step)
            self.losses[stage_pass.stage.name].add(values, step)
        if self.average:
            self.average.update(step)

    def _take_losses(self) -> list[dict[str, float]]:
        """Return the means of all terms since the last row, of each run."""
        of_stages = [losses.take() for losses in self.losses.values()]
        return [
            {metric: mean for means in of_run for metric, mean in means.items()}
            for of_run in zip(*of_stages, strict=True)
        ]

    def _report(
        self, place: int, journal: Journal, done: int, losses: list[dict[str, float]] | None
    ) -> None:
        if losses is not None:
            self._refuse_bad(place)
        journal.report(done, None if losses is None else losses[place])

    def _refuse_bad(self, place: int) -> None:
        """Stop a run if one of its terms stopped being a number."""
        for stage in self.losses.values():
            for term, step in zip(stage.terms, stage.bad()[place], strict=True):
                if step < 0:
                    continue
                row = self.training.objective
                players = [p for p in row if row[p].get(term)]
                raise RunFailed(
                    f"term {term!r} of stage {stage.stage!r} was not finite at iteration "
                    f"{step} (descended by {', '.join(players)}); a smaller rate, a weight "
                    "closer to the default, or clip_norm may help"
                )

    def _snapshot(self, place: int, journal: Journal, done: int) -> None:
        if done in journal.snapshots:
            journal.snapshot(done, self._part(self._sampling_weights(), place))
            journal.snapshots = [step for step in journal.snapshots if step != done]

    def _save(self, place: int, journal: Journal, done: int, seconds: float) -> None:
        self._refuse_bad(place)  # a checkpoint of a broken model would break every resumption
        journal.save(done, journal.seconds + seconds, self._part(self._state(), place))

    def _state(self) -> dict[str, Any]:
        """Return all that the next iteration depends on, of all runs together."""
        return {
            "model": self.model.state_dict(),
            "optimizers": {
                player: optimizer.torch_optimizer.state_dict()
                for player, optimizer in self.optimizers.items()
            },
            "average": self.average.averages if self.average else [],
            "losses": {name: losses.state() for name, losses in self.losses.items()},
        }

    def _load(self, state: Mapping[str, Any]) -> None:
        """Continue from what `_state` returned."""
        self.model.load_state_dict(state["model"])
        for player, optimizer in self.optimizers.items():
            optimizer.restore(state["optimizers"][player])
        if self.average:
            for average, saved in zip(self.average.averages, state["average"], strict=True):
                average.copy_(saved)
        for name, losses in self.losses.items():
            losses.restore(state["losses"][name])

    def _sampling_weights(self) -> dict[str, Tensor]:
        """Return the weights of `model` as they would be installed now, for reading only."""
        weights: dict[str, Tensor] = self.model.state_dict()
        if self.average:
            named = self.model.named_parameters(remove_duplicate=False)
            weights |= self.average.averaged(named)
        return weights

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
                replicas=self.replicas,
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
