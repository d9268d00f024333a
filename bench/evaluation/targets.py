"""What `bench evaluate` is pointed at: images from anywhere, or a finished run to draw from."""

from collections.abc import Mapping
from dataclasses import dataclass, replace
from pathlib import Path
from typing import Any

from bench import registry
from bench.errors import BenchError, SpecError, describe_unknown
from bench.evaluation.foreign_images import read_foreign
from bench.evaluation.measuring import draw_samples, load_trained
from bench.evaluation.request import Wanted
from bench.metrics.base import Context, SampleSet
from bench.process.worker import Worker
from bench.record.files import read_json
from bench.record.run_folder import RunFolder
from bench.spec.components import construct
from bench.spec.reserved_names import ELSEWHERE, REAL
from bench.spec.run_config import recorded_training
from bench.spec.run_settings import Evaluation, Training


@dataclass(frozen=True)
class Target:
    """Samples that are to be measured, and where they are from.

    Attributes:
        path: What the user named.
        wanted: What to measure.
        data: The data set, complete.
        context: Its data, and the model of a run.
        samples: The sample set.
        per_class: How many real images of each class stand beside them.
        model: Name of the model; `elsewhere` for images of another program.
        seed: Seed of the training, if it is known.
        step: Iterations of the model.
        origin: For the record: path, hash, counts; or run and sample seed.
        training: The training configuration of a run.
        notices: What the user should know.
    """

    path: Path
    wanted: Wanted
    data: dict[str, Any]
    context: Context
    samples: SampleSet
    per_class: int
    model: str
    seed: int | None
    step: int
    origin: dict[str, Any]
    training: Training | None = None
    notices: tuple[str, ...] = ()

    def check_recordable(self) -> None:
        """Refuse to add figures to the record of a run that a reader would take wrongly."""
        if self.training is None:
            raise SpecError("is for runs; use --name to keep a row of images", where="--record")
        if self.origin["sample_seed"] != self.training.seed:
            raise SpecError(
                "figures of other samples than the run's own have no place in its record; use "
                "--name to keep them as a row",
                where="--record and --sample-seed",
            )


def open_target(path: Path, wanted: Wanted, worker: Worker) -> Target:
    """Find out what a path is, and read or draw its samples.

    Args:
        path: Folder of a run, folder of images, or an `.npz`.
        wanted: What to measure.
        worker: Device and caches.

    Returns:
        The target.

    Raises:
        BenchError: If it is none of these, or cannot be measured; says what would be right.
    """
    if not path.exists():
        beside = [p.name for p in path.parent.iterdir()] if path.parent.is_dir() else []
        raise BenchError(f"{path}: {describe_unknown('file or folder', path.name, beside)}")
    if path.is_file() and path.suffix != ".npz":
        raise BenchError(
            f"{path}: expected a folder of images with one sub-folder a class, an .npz with x and "
            "y, or the folder of a run"
        )
    if (path / "sweep.json").exists():
        runs = sorted(p.parent.name for p in path.glob("*/model.pt"))
        named = f", for example {path / runs[0]}" if runs else ""
        raise BenchError(f"{path} is the folder of a whole sweep; name one of its runs{named}")
    config = read_json(path / "config.json") if (path / "config.json").exists() else None
    if config is None:
        return _images(path, wanted, worker)
    config = config.get("config") if isinstance(config, dict) else None
    if not isinstance(config, dict) or "model" not in config or "evaluated" in config:
        raise BenchError(f"{path} holds figures, but no model; name the folder of a run")
    return _run(path, config, wanted, worker)


def _images(path: Path, wanted: Wanted, worker: Worker) -> Target:
    if wanted.sample_seed is not None:
        raise SpecError("is for runs; these images are there already", where="--sample-seed")
    if wanted.data is None:
        known = ", ".join(registry.registered("dataset"))
        raise BenchError(
            f"{path}: say which data set these images imitate, --data NAME, where NAME is one of "
            f"{known}; or in YAML, as in a sweep: --data '{{name: folder, path: faces}}'"
        )
    spec = construct("dataset", wanted.data).spec
    found = read_foreign(path, spec, wanted.per_class)
    size = found.samples.per_class
    origin = {
        "path": str(path.resolve()),
        "sha256": found.sha256,
        "found": list(found.counts),
        "per_class": size,
    }
    return Target(
        path,
        wanted,
        wanted.data,
        worker.context_of(wanted.data),
        found.samples,
        size,
        ELSEWHERE,
        wanted.seed,
        0,
        origin,
        notices=found.notices,
    )


def _run(path: Path, config: Mapping[str, Any], wanted: Wanted, worker: Worker) -> Target:
    for value, option in ((wanted.data, "--data"), (wanted.seed, "--seed")):
        if value is not None:
            raise SpecError("is for images; a run knows its own", where=option)
    folder = RunFolder(path)
    if not folder.model.exists():
        raise BenchError(f"{path} holds no trained model; finish it with: bench run SWEEP")
    training = recorded_training(config)
    context = worker.context_of(training.data)
    refuse_other_data(path, context)
    per_class = wanted.per_class or _drawn_before(path, training)
    seed = training.seed if wanted.sample_seed is None else wanted.sample_seed
    with worker.computing(context.data.spec):
        model = load_trained(training, context.data, folder.model, worker.device)
        samples = draw_samples(model, context.data.spec, per_class, seed, worker.device)
    return Target(
        path,
        wanted,
        training.data,
        replace(context, model=model),
        samples,
        per_class,
        training.model["name"],
        training.seed,
        training.iterations,
        {"run": str(path.resolve()), "sample_seed": seed, "per_class": per_class},
        training,
    )


def _drawn_before(path: Path, training: Training) -> int:
    """Return how many samples of each class the sweep of a run drew, as far as that is known."""
    held = set()
    for file in path.parent.glob(f"{REAL}-*/config.json"):
        config = read_json(file)["config"]
        if config["data"] == training.data:
            held.add(int(config["samples_per_class"]))
    return held.pop() if len(held) == 1 else int(Evaluation().samples_per_class)


def refuse_other_data(path: Path, context: Context) -> None:
    """Raise a `BenchError` if a run was trained on other data than these."""
    origin = path / "provenance.json"
    if not origin.exists():
        return
    before = str(read_json(origin)["data_fingerprint"]).split("+")[0]
    if before != context.data.fingerprint:
        raise BenchError(
            f"the data set {context.data.spec.name!r} is not the one that {path} was trained on "
            f"(fingerprint {context.data.fingerprint[:12]}, recorded {before[:12]})"
        )
