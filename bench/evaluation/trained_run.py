"""A trained run, opened to draw from it."""

import json
import os
import shlex
from collections.abc import Mapping
from dataclasses import dataclass
from pathlib import Path
from typing import Any

from bench.errors import BenchError, SpecError, describe_unknown, first_line
from bench.evaluation.sampling import draw_samples
from bench.evaluation.trained_weights import load_trained, refuse_other_data, trained_settings
from bench.metrics.base import Context, SampleSet
from bench.process.worker import Worker
from bench.record.run_folder import SAMPLING_ROWS, RunFolder, read_config
from bench.spec.components import complete_sampling
from bench.spec.located import Located
from bench.spec.located_yaml import parse_value
from bench.spec.run_settings import Evaluation, Training
from bench.training.interface import ConditionalGenerator


@dataclass(frozen=True)
class TrainedRun:
    """The folder of a trained run, with the data that it was trained on."""

    path: Path
    training: Training
    context: Context

    def drawn_before(self) -> int:
        """Return how many samples of each class its sweep drew; the default where not recorded."""
        measured = read_config(self.path).get("evaluation") or {}
        return int(measured.get("samples_per_class") or Evaluation().samples_per_class)

    def parse_sampling(self, text: str | None) -> dict[str, Any]:
        """Return the complete sampling options in a text; none where they are the defaults."""
        if text is None:
            return {}
        where = f"command line, --sampling {text}"
        given = parse_value(text, where)
        if not isinstance(given, dict):
            raise SpecError("expected options, {name: value, ...}", where=where)
        with Located({}, where).locating_errors():
            options = complete_sampling(self.training.model, given)
        return options if options != complete_sampling(self.training.model, {}) else {}

    def draw(
        self,
        per_class: int,
        seed: int,
        sampling: Mapping[str, Any],
        worker: Worker,
        weights: Path | None = None,
    ) -> tuple[ConditionalGenerator, SampleSet]:
        """Return the model with its last, or other, weights, and samples that it draws."""
        data = self.context.data
        weights = weights or RunFolder(self.path).model
        with worker.computing(data.spec):
            model = load_trained(self.training, data, weights, worker.device)
            try:
                samples = draw_samples(model, data.spec, per_class, seed, worker.device, sampling)
            except ValueError as error:
                if not sampling:
                    raise
                raise SpecError(first_line(error), where="--sampling") from error
        return model, samples


def open_run(path: Path, worker: Worker) -> TrainedRun:
    """Open the folder of a run with weights; refuse any other path, and other data than then."""
    refuse_absent(path)
    refuse_sweep(path)
    if not (path / "config.json").exists():
        raise BenchError(f"{path} is not the folder of a run, results/SWEEP/ID")
    document = read_config(path)
    config = document["config"]
    run = path.resolve().parent.parent
    if path.resolve().parent.name == SAMPLING_ROWS and RunFolder(run).model.exists():
        options = json.dumps(document.get("sampling", {}))
        raise BenchError(
            f"{path} holds the samples of other sampling options; name the run itself: "
            f"{os.path.relpath(run)} --sampling {shlex.quote(options)}"
        )
    if not config.get("model") or "evaluated" in config:
        raise BenchError(f"{path} holds measurements, but no model; name the folder of a run")
    if not RunFolder(path).model.exists():
        remedy = "finish it with: bench run SWEEP"
        if (path / "done").exists():
            remedy = (
                "it was lost or left out; to train it again, delete that folder and run the sweep"
            )
        raise BenchError(f"{path} holds no trained model; {remedy}")
    training = trained_settings(path)
    context = worker.context_of(training.data)
    refuse_other_data(path, context.data)
    return TrainedRun(path, training, context)


def refuse_absent(path: Path) -> None:
    """Refuse a path at which nothing is."""
    if not os.path.exists(path):
        neighbors = [p.name for p in path.parent.iterdir()] if path.parent.is_dir() else []
        message = describe_unknown("file or folder", path.name, neighbors)
        raise SpecError(message, where=str(path))


def refuse_sweep(path: Path) -> None:
    """Refuse the folder of a sweep where that of a run is meant."""
    if (path / "sweep.json").exists():
        runs = sorted(p.parent.name for p in path.glob("*/model.pt"))
        named = f", for example {path / runs[0]}" if runs else ""
        raise BenchError(f"{path} is the folder of a whole sweep; name one of its runs{named}")
