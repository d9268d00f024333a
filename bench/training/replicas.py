"""Several runs that differ in their seed alone, trained as one program.

Parameters, buffers, batches and optimizer states of `R` runs are stacked along a first dimension,
`terms` is mapped over it by `torch.func.vmap`, and the sum of the losses has each run's own
gradient with respect to its own part. So the passes, the optimizers and the loop are those of a run
alone, and each run draws the numbers, writes the files and fails as it does alone. That pays where
one run leaves a device idle.
"""

import time
from collections.abc import Callable, Sequence
from dataclasses import replace
from typing import Any

import torch
from torch import Tensor, nn
from torch.func import functional_call, vmap
from torch.utils._pytree import KeyPath, MappingKey, tree_map_only, tree_map_with_path

from bench.data.base import DataSet
from bench.data.supervision import make_stream
from bench.errors import BenchError, NotApplicable
from bench.seeding import seed_for
from bench.training.interface import Batch, ConditionalGenerator
from bench.training.journal import Journal
from bench.training.loop import Draws, TrainingLoop
from bench.training.noise import Drawn, Handing, Recording
from bench.training.timing import wait
from bench.training.trainer import build_model


class Replicas(ConditionalGenerator):
    """Models of one configuration as one model, whose terms are `[R]` and not 0-d.

    Args:
        models: The models, on their device; the first of them becomes the stack.
    """

    def __init__(self, models: Sequence[ConditionalGenerator]) -> None:
        super().__init__()
        stacked = models[0]
        for of_kind in ("named_parameters", "named_buffers"):
            for parts in zip(*(dict(getattr(m, of_kind)()).values() for m in models), strict=True):
                parts[0].data = torch.stack([part.detach() for part in parts])
        self._alone = _Alone(stacked)
        self._tensors = {
            **dict(self._alone.named_parameters()),
            **dict(self._alone.named_buffers()),
        }
        self.stages, self.objective = stacked.stages, stacked.objective
        device = next(stacked.parameters()).device
        self.generators = [torch.Generator(device) for _ in models]
        self._random: dict[tuple[str, frozenset[str]], list[Drawn]] = {}

    def players(self) -> dict[str, list[nn.Parameter]]:
        """Return who owns which parameters `[R, ...]`."""
        players: dict[str, list[nn.Parameter]] = self._alone.model.players()
        return players

    def terms(self, stage: str, batch: Batch, wanted: frozenset[str]) -> dict[str, Tensor]:
        """Return the terms of one pass.

        Args:
            stage: Name of the stage.
            batch: The draws, `[R, B, ...]`.
            wanted: The terms to return.

        Returns:
            The wanted terms, `[R]`.

        Raises:
            NotApplicable: If the model draws random numbers in a way that is not known here.
        """
        if (calls := self._random.get((stage, wanted))) is None:
            first = Batch(batch.x[0], batch.y[0], batch.labeled)
            calls = self._record(stage, first, wanted)
            self._random[stage, wanted] = calls
        noise = [call.draw(self.generators) for call in calls]

        def of_one(tensors: Any, x: Tensor, y: Tensor, noise: list[Tensor]) -> dict[str, Tensor]:
            with Handing(noise):
                given = (stage, Batch(x, y, batch.labeled), wanted)
                found: dict[str, Tensor] = functional_call(self._alone, tensors, given)
            return {term: found[term] for term in wanted if term in found}

        # Numbers are handed out; whatever else is random must not pass unnoticed.
        mapped = vmap(of_one, randomness="error")
        found: dict[str, Tensor] = mapped(self._tensors, batch.x, batch.y, noise)
        return found

    def sample(self, y: Tensor, generator: torch.Generator | None = None) -> Tensor:
        """Not for replicas: they are sampled one by one."""
        raise BenchError("replicas are sampled one by one")

    def named_parameters(self, *args: Any, **kwargs: Any) -> Any:
        """Return parameters `[R, ...]` by the names that they have in a run alone."""
        return self._alone.model.named_parameters(*args, **kwargs)

    def state_dict(self, *args: Any, **kwargs: Any) -> Any:
        """Return parameters and buffers `[R, ...]` by the names that they have in a run alone."""
        return self._alone.model.state_dict(*args, **kwargs)

    def load_state_dict(self, *args: Any, **kwargs: Any) -> Any:
        """Take over what `state_dict` returned."""
        return self._alone.model.load_state_dict(*args, **kwargs)

    @torch.no_grad()
    def _record(self, stage: str, batch: Batch, wanted: frozenset[str]) -> list[Drawn]:
        """Return which random numbers a stage asks for, by playing it once on copies."""
        device = batch.x.device
        torch.default_generator.manual_seed(0)
        default = torch.default_generator
        if device.type == "cuda":
            torch.cuda.manual_seed(0)
            default = torch.cuda.default_generators[device.index or torch.cuda.current_device()]
        before = {name: tensor[0].clone() for name, tensor in self._tensors.items()}
        given = dict(before)
        with Recording() as recording:
            functional_call(self._alone, given, (stage, batch, wanted))
        calls: list[Drawn] = recording.calls
        recording.refuse_others(0, default)
        if moved := [name for name, tensor in before.items() if given[name] is not tensor]:
            raise NotApplicable(
                f"its terms assign {moved[0].removeprefix('model.')} anew; buffers must be "
                "changed in place"
            )
        return calls


class _Alone(nn.Module):
    """A model whose call are its terms, so that `functional_call` can replace its tensors."""

    def __init__(self, model: ConditionalGenerator) -> None:
        super().__init__()
        self.model = model

    def forward(self, stage: str, batch: Batch, wanted: frozenset[str]) -> dict[str, Tensor]:
        return self.model.terms(stage, batch, wanted)


class _Streams:
    """The batches of several runs, `[R, B, ...]`."""

    def __init__(self, streams: Sequence[Draws]) -> None:
        self.streams = streams
        self.draws_per_epoch = streams[0].draws_per_epoch

    def batch(self, draw: int) -> Batch:
        batches = [stream.batch(draw) for stream in self.streams]
        x, y = (torch.stack(parts) for parts in zip(*(b[:2] for b in batches), strict=True))
        return Batch(x, y, batches[0].labeled)


class ReplicaTrainer(TrainingLoop):
    """Trains several runs of one configuration, all at the same iteration, as one program.

    What goes wrong with one of them, be it a loss that is not finite or a folder that cannot be
    written, ends that one alone.

    Args:
        journals: Of each run.
        data: The loaded data set, one copy of which serves all runs.
        device: Where to train.
        unlabeled: Examples of a further data set `[N, ...]`, without labels.

    Attributes:
        failures: Run, by its number -> what ended it.

    Raises:
        NotApplicable: If `precision` is bfloat16: autocast looks at whole operations, and under
            `vmap` at what these are made of, so other numbers would be rounded.
    """

    def __init__(
        self,
        journals: Sequence[Journal],
        data: DataSet,
        device: torch.device,
        unlabeled: Tensor | None = None,
    ) -> None:
        if journals[0].training.precision == "bfloat16":
            raise NotApplicable("bfloat16 would round other numbers than in a run alone")
        self.failures: dict[int, Exception] = {}
        self.replicas = len(journals)
        super().__init__(journals, data, device, unlabeled)

    def train(
        self,
        states: Sequence[dict[str, Any] | None],
        *,
        finished: Callable[[int, dict[str, Tensor]], None],
        failed: Callable[[int, Exception], None],
        stop: Callable[[], bool] = lambda: False,
        checkpoint_seconds: float = 30.0,
    ) -> None:
        """Run all iterations that are left.

        Args:
            states: What the journals resume from, all at the same iteration.
            finished: Given the number of a run and the weights to sample from, at the end.
            failed: Given the number of a run and what ended it, as soon as that happens.
            stop: Asked after every iteration; True saves all runs and raises `Interrupted`.
            checkpoint_seconds: Time between checkpoints. It cannot change the result.

        Raises:
            Interrupted: If `stop` said so.
            NotApplicable: If the model cannot be trained so.
        """
        self._failed = failed
        held = [state for state in states if state is not None]
        if held:
            self._load(_stacked(held))
        try:
            self._run(stop, checkpoint_seconds)
            weights = self._sampling_weights()
            self._each(lambda place, _: finished(place, self._part(weights, place)))
        except _NobodyLeft:
            pass

    def _build(self, data: DataSet, unlabeled: Tensor | None) -> tuple[ConditionalGenerator, Draws]:
        trainings = [journal.training for journal in self.journals]
        if unlabeled is None and self.training.labeled_fraction == 1:  # one copy serves all runs
            data = replace(data, train=replace(data.train, x=data.train.x.to(self.device)))
        models = [build_model(training, data, self.device) for training in trainings]
        can = models[0].capabilities
        streams = [make_stream(each, data, self.device, unlabeled, can) for each in trainings]
        return Replicas(models), _Streams(streams)

    def _reseed(self, step: int) -> None:
        assert isinstance(self.model, Replicas)
        for generator, journal in zip(self.model.generators, self.journals, strict=True):
            generator.manual_seed(seed_for(journal.training.seed, "train", step))

    def _each(self, act: Callable[..., None], *given: Any) -> None:
        for place, journal in enumerate(self.journals):
            if place in self.failures:
                continue
            try:
                act(place, journal, *given)
            except Exception as error:
                self.failures[place] = error
                self._failed(place, error)
        if len(self.failures) == len(self.journals):
            raise _NobodyLeft

    def _part(self, state: dict[str, Any], place: int) -> dict[str, Any]:
        part: dict[str, Any] = tree_map_only(
            Tensor, lambda t: t[place].clone() if t.ndim else t, state
        )
        return part


def _stacked(states: Sequence[dict[str, Any]]) -> dict[str, Any]:
    """Return the states of runs alone as one; `ReplicaTrainer._part` gives them back."""

    def stack(path: KeyPath, *leaves: Any) -> Any:
        shared = path[0] == MappingKey("optimizers") and path[-1] == MappingKey("step")
        return torch.stack(leaves) if isinstance(leaves[0], Tensor) and not shared else leaves[0]

    found: dict[str, Any] = tree_map_with_path(stack, *states)
    return found


class _NobodyLeft(Exception):
    """All runs have failed."""


def speedup(
    alone: Callable[[], TrainingLoop], together: Callable[[], TrainingLoop], seconds: float = 2.0
) -> float:
    """Measure how many times as much runs get done in a while if they are trained as one.

    Args:
        alone: Makes the training of a run alone, as it would be executed.
        together: Makes that of several as one. Each has the memory to itself.
        seconds: How long to look at each way.

    Returns:
        The ratio of iterations a second, those of all runs counted.
    """
    first, second = (_iterations_per_second(make(), seconds) for make in (alone, together))
    return second / first


def _iterations_per_second(loop: TrainingLoop, seconds: float) -> float:
    loop.prepare()
    for step in range(3):  # which plan backwards, allocate and choose kernels
        loop.iterate(step)
    wait(loop.device)
    began, steps = time.perf_counter(), 0
    while steps < 3 or time.perf_counter() - began < seconds:
        loop.iterate(steps)
        wait(loop.device)
        steps += 1
    return len(loop.journals) * steps / (time.perf_counter() - began)
