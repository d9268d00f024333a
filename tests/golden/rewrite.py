"""Compute, and on demand rewrite, the stored numbers: `make golden`.

Five iterations on blobs in float64 on one CPU thread. A refactoring must leave them alone; a
change that moves them is listed in CHANGELOG.md under "Numbers that changed".
"""

import json
import tempfile
from pathlib import Path

import torch

from bench import registry
from bench.conformance.model_under_test import ModelUnderTest

FOLDER = Path(__file__).parent
ITERATIONS = 5


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


if __name__ == "__main__":
    torch.set_num_threads(1)
    for model in registry.BUILT_IN["model"]:
        path = FOLDER / f"{model}.json"
        path.write_text(json.dumps(first_iterations(model), indent=1) + "\n")
        print(path)
