"""Training of one run: the loop with one model, and what it does where memory runs out."""

import gc
from collections.abc import Callable, Collection
from pathlib import Path
from typing import Any

import torch
from torch import Tensor

from bench.config import RunConfig
from bench.data.base import DataSet
from bench.data.supervision import make_stream
from bench.errors import BenchError
from bench.seeding import seed_for
from bench.settings import Evaluation, Training
from bench.tracking.execution import read_execution
from bench.training.interface import ConditionalGenerator
from bench.training.journal import Journal, Progress
from bench.training.loop import Draws, TrainingLoop
from bench.training.microbatch import OutOfMemory, shrink
from bench.training.switches import EAGER, SwitchSet


class Trainer(TrainingLoop):
    """Trains one run, from its beginning or from its checkpoint.

    Args:
        training: The complete configuration.
        data: The loaded data set.
        folder: Folder of the run; rows and checkpoints go there.
        device: Where to train.
        run_id: Written into checkpoints, so that one cannot continue another run.
        unlabeled: Examples of a further data set `[N, ...]`, without labels.
        switches: How it is executed; cannot change what is learned.
    """

    def __init__(
        self,
        training: Training,
        data: DataSet,
        folder: Path,
        device: torch.device,
        run_id: str = "",
        unlabeled: Tensor | None = None,
        switches: SwitchSet = EAGER,
    ) -> None:
        self.journal = Journal(training, folder, run_id)
        self.data = data
        self.micro_batch = read_execution(folder).get("micro_batch", {}).get("rows")
        super().__init__([self.journal], data, device, unlabeled, switches)

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
            RunFailed: If a term became infinite or NaN, or memory does not suffice for one row.
        """
        self.journal.follow(progress, snapshots, snapshot)
        while True:
            if (state := self.journal.resume(self.device)) is not None:
                self._load(state)
            try:
                self._run(stop, checkpoint_seconds)
                break
            except OutOfMemory as error:
                trouble = OutOfMemory(error.step, error.reason)  # that error holds on to the memory
            self._shrink(trouble)
        if self.average:
            self.average.install()  # from now on this model is only sampled
        # As it is loaded later: what is measured now is what would be measured then.
        return self.model.to(memory_format=torch.contiguous_format).eval()

    def _shrink(self, trouble: OutOfMemory) -> None:
        """Go back to the beginning, or to the last checkpoint, with fewer rows at a time."""
        labeled = self.stream.batch(0).labeled
        self.micro_batch = shrink(self.journal, self.micro_batch, labeled, trouble)
        del self.model, self.optimizers, self.average, self.passes, self.losses
        gc.collect()
        if self.device.type == "cuda":
            torch.cuda.empty_cache()
        self._begin(build_model(self.training, self.data, self.device))

    def _build(self, data: DataSet, unlabeled: Tensor | None) -> tuple[ConditionalGenerator, Draws]:
        model = build_model(self.training, data, self.device)
        return model, make_stream(self.training, data, self.device, unlabeled, model.capabilities)

    def _reseed(self, step: int) -> None:
        """Seed the default generators; `torch.manual_seed` visits all devices."""
        seed = seed_for(self.training.seed, "train", step)
        torch.default_generator.manual_seed(seed)
        if self.device.type == "cuda":
            torch.cuda.manual_seed(seed)

    def _each(self, act: Callable[..., None], *given: Any) -> None:
        act(0, self.journal, *given)

    def _part(self, state: dict[str, Any], place: int) -> dict[str, Any]:
        return state


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
