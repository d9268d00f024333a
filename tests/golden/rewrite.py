"""Compute, and on demand rewrite, the stored numbers: `make golden`.

`make golden MODELS="cvae vae"` looks at these models alone. A file whose numbers agree with those
of today stays as it is, so that another processor's last digits are no change.

Five iterations on blobs in float64 on one CPU thread. A refactoring must leave them alone; a
change that moves them is listed in CHANGELOG.md under "Numbers that changed".
"""

import json
import sys
import tempfile
from collections.abc import Iterable, Iterator, Mapping, Sequence
from pathlib import Path

import pytest
import torch

from bench import registry
from bench.conformance.model_under_test import ModelUnderTest
from bench.errors import describe_unknown

FOLDER = Path(__file__).parent
ITERATIONS = 5
TOLERANCE = {"rel": 1e-7, "abs": 1e-9}

Values = Mapping[str, Sequence[float]]


def first_iterations(name):
    """Return term -> its values in the first iterations, one a pass."""
    under_test = ModelUnderTest.of(name, {"width": 0.25})
    with tempfile.TemporaryDirectory() as folder:
        trainer = under_test.trainer(Path(folder) / "run")
    trainer.model.double()
    values: dict[str, list[float]] = {}
    for step in range(ITERATIONS):
        torch.manual_seed(step)
        for optimizer in trainer.optimizers.values():
            optimizer.set_rate(step)
        for stage_pass, offset in trainer.moving_passes(trainer.timetable.passes_of(step)):
            batch = trainer.stream.batch(step * trainer.timetable.draws + offset)
            found = stage_pass.play(batch._replace(x=batch.x.double()))
            for term, value in zip(stage_pass.terms, found.tolist(), strict=True):
                values.setdefault(f"{stage_pass.stage.name}/{term}", []).append(value)
    return values


def stored_iterations(name, folder=FOLDER):
    """Return the stored values of a model, or None where there are none yet."""
    path = folder / f"{name}.json"
    return json.loads(path.read_text()) if path.exists() else None


def differing_terms(found: Values, stored: Values) -> list[str]:
    """Return the terms that only one has, or whose values differ by more than the tolerance."""
    return [
        term
        for term in {**stored, **found}
        if found.get(term, []) != pytest.approx(stored.get(term, []), **TOLERANCE)
    ]


def rewrite(names: Iterable[str], folder: Path = FOLDER) -> Iterator[str]:
    """Write the files of models whose values are not what they were; yield a line for each."""
    for name in names:
        path, found = folder / f"{name}.json", first_iterations(name)
        stored = stored_iterations(name, folder)
        differing = differing_terms(found, stored or {})
        if stored is None or differing:
            path.write_text(json.dumps(found, indent=1) + "\n")
        yield f"{path.name}: {', '.join(differing) if differing else 'unchanged'}"


if __name__ == "__main__":
    torch.set_num_threads(1)
    models = registry.BUILT_IN["model"]
    if unknown := [name for name in sys.argv[1:] if name not in models]:
        sys.exit(describe_unknown("model", unknown[0], models))
    for line in rewrite(sys.argv[1:] or models):
        print(line)
