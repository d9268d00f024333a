"""What a model need not do, but gains from: `bench check` remarks on it, and nothing fails."""

import tempfile
from collections.abc import Callable
from pathlib import Path

import torch
from torch import Tensor

from bench.settings import SGD
from bench.subject import CPU, Subject, Violation
from bench.training.journal import Journal
from bench.training.replicas import ReplicaTrainer

SEEDS = (0, 1)


def seeds_can_be_trained_as_one_program(subject: Subject) -> None:
    """Several seeds can be trained as one program, each as if alone (bench run --replicas)."""
    plain = SGD(name="sgd", rate=1e-3).model_dump(mode="json")
    optimizers = dict.fromkeys(subject.training.optimizers, plain)
    changes = {"iterations": 2, "optimizers": optimizers}
    weights: dict[int, dict[str, Tensor]] = {}
    with tempfile.TemporaryDirectory() as folder:
        journals = []
        for seed in SEEDS:
            training = subject.training.model_copy(update={**changes, "seed": seed})
            journals.append(Journal(training, Path(folder) / f"replica {seed}"))
        try:
            trainer = ReplicaTrainer(journals, subject.data, CPU)
            trainer.train([None, None], finished=weights.__setitem__, failed=_refuse)
        except Exception as error:
            lines = str(error).strip().splitlines() or [type(error).__name__]
            raise Violation(f"seeds are trained one by one, since {lines[0]}") from error
        for place, seed in enumerate(SEEDS):
            alone = subject.trainer(Path(folder) / f"alone {seed}", seed=seed, **changes)
            before = {name: value.clone() for name, value in alone.model.state_dict().items()}
            for name, expected in alone.train().state_dict().items():
                old, new = before[name].double(), expected.double()
                atol = 1e-5 + 1e-2 * (new - old).abs().max().item()
                if not torch.allclose(weights[place][name].double(), new, rtol=1e-3, atol=atol):
                    raise Violation(
                        f"{name} of seed {seed} comes out otherwise beside another seed; is there "
                        "a tensor that is neither parameter nor buffer? Do not use --replicas"
                    )


def _refuse(place: int, error: Exception) -> None:
    raise error


REMARKS: tuple[Callable[[Subject], None], ...] = (seeds_can_be_trained_as_one_program,)
