"""A tuning file: a sweep file with `trials`, `objectives` and a `space`, checked as a whole."""

from collections.abc import Iterator, Sequence
from dataclasses import dataclass, field
from pathlib import Path
from typing import Annotated

from pydantic import Field

from bench.errors import SpecError, describe_unknown
from bench.record.quantities import Direction, Quantities, registered_metrics
from bench.reporting.tables.table_spec import load_tables
from bench.spec.located_yaml import Located
from bench.spec.reserved_names import REAL, VALIDATION
from bench.spec.run_settings import Evaluation
from bench.spec.sweep_file import SweepFile, complete_variant, read_spec, variants_of
from bench.tuning.space import Range, Subject, weights_space

FIXED = (*Evaluation.model_fields, "data", "seed")  # what trials must share to be comparable


class TuningFile(SweepFile):
    """The top level of a tuning file.

    Attributes:
        trials: How many settings are tried of each variant, in all.
        objectives: Figures by which they are judged, on validation images.
        space: Variant -> name -> what may vary, and between which values.
        sampler_seed: Seed of what is proposed.
        storage: Address of an Optuna database; a journal beside the results where empty.
    """

    trials: Annotated[int, Field(gt=0)]
    objectives: Annotated[list[str], Field(min_length=1)]
    space: dict[str, dict[str, Range]] = {}
    sampler_seed: Annotated[int, Field(ge=0)] = 0
    storage: str = ""


@dataclass(frozen=True)
class Objective:
    """One figure that trials are judged by.

    Attributes:
        metric: The name of the figure.
        title: Its name for people.
        direction: Which values are better.
    """

    metric: str
    title: str
    direction: Direction


@dataclass(frozen=True)
class Tuning:
    """A checked tuning file.

    Attributes:
        path: Where it stands.
        head: Its top level.
        document: All of it.
        objectives: The figures to improve, in order.
        subjects: The variants in the order of the file.
    """

    path: Path
    head: TuningFile
    document: Located = field(repr=False)
    objectives: tuple[Objective, ...]
    subjects: tuple[Subject, ...] = field(repr=False)

    def wanted(self, models: str) -> list[str]:
        """Return the variants that `--models` names.

        Args:
            models: Names with commas between them, or `all`.

        Returns:
            Names of variants.

        Raises:
            SpecError: If there is no such variant; suggests the nearest.
        """
        known = [subject.variant for subject in self.subjects]
        if models == "all":
            return known
        names = [models] if models in known else [name.strip() for name in models.split(",")]
        for name in names:
            if name not in known:
                raise SpecError(
                    describe_unknown("variant", name, known), where=f"--models {models}"
                )
        return names


def load_tuning(path: Path, overrides: Sequence[str] = ()) -> Tuning:
    """Read and check a tuning file: every end of every range of every variant.

    Args:
        path: The YAML file.
        overrides: `dotted.path=value` from the command line, values in YAML.

    Returns:
        The tuning.

    Raises:
        SpecError: With file, line, key, and what would be right.
    """
    document, head = read_spec(path, overrides, TuningFile)
    metrics = head.base.get("metrics") or [name.partition("/")[0] for name in head.objectives]
    called = [metric["name"] if isinstance(metric, dict) else metric for metric in metrics]
    objectives = tuple(_objectives(document, head, called))
    on_validation = {"splits": [VALIDATION], "controls": [REAL], "metrics": metrics}
    cells = {
        variant: settings.merged(Located.of(on_validation))
        for variant, settings in variants_of(document, head)
    }
    for name in head.space:
        if name not in cells:
            where = document.where(("space", name))
            raise SpecError(describe_unknown("variant", name, cells), where=where, key="space")
    subjects = [_subject(document, head, variant, settings) for variant, settings in cells.items()]
    return Tuning(path, head, document, objectives, tuple(subjects))


def _objectives(document: Located, head: TuningFile, metrics: Sequence[str]) -> Iterator[Objective]:
    """Return the objectives; a direction comes from the metric, or from the file of the tables."""
    overrides = next(iter(load_tables().values())).names.quantities
    known = registered_metrics()
    described = {n: q for m in metrics if m in known for n, q in known[m].quantities().items()}
    quantities = Quantities(described, overrides)
    measured = {*metrics, *described}
    for index, metric in enumerate(head.objectives):
        found = quantities[metric]
        where = document.where(("objectives", index))
        if metric.partition("/")[0] not in measured:
            raise SpecError(
                describe_unknown("figure", metric, measured), where=where, key="objectives"
            )
        if found.direction is None:
            raise SpecError(
                f"no direction is declared for {metric}; declare it in its metric, or under "
                "`metrics` in tables.yaml",
                where=where,
                key="objectives",
            )
        yield Objective(metric, found.title, found.direction)


def _subject(document: Located, head: TuningFile, variant: str, settings: Located) -> Subject:
    patch = document.at(("variants", variant)) if variant in head.variants else Located.of({})
    training = complete_variant(settings, variant, head.seeds[0]).training
    space = head.space.get(variant) or weights_space(training.objective)
    if not space:
        raise SpecError(
            f"{variant!r} has no loss weight to tune, since each of its players descends one term "
            f"alone; say what may vary, for example space: {{{variant}: {{optimizers.default.rate: "
            "{low: 1e-4, high: 1e-3}}}",
            where=document.where(("variants", variant)),
            key=f"space.{variant}",
        )
    places = {name: document.where(("space", variant, name)) for name in space}
    subject = Subject(variant, settings, patch, space, places)
    for name, allowed in space.items():
        for key in subject.keys(name):
            if key.split(".")[0] in FIXED:
                raise SpecError(
                    f"{key} must be the same in all trials, which could not be compared otherwise",
                    where=document.where(("space", variant, name)),
                    key=f"space.{variant}.{name}",
                )
        for end in allowed.ends:
            subject.run({name: end}, head.seeds[0])
    return subject


def plan_text(tuning: Tuning) -> str:
    """Return what would be tried, for people."""
    head = tuning.head
    goals = ", ".join(f"{goal.title} ({goal.direction})" for goal in tuning.objectives)
    each = f"{head.trials} trials of {len(head.seeds)} seeds each, by {goals} on validation images"
    lines = [f"{head.name}: {len(tuning.subjects)} studies; {each}"]
    for subject in tuning.subjects:
        lines.append(f"  {subject.variant}")
        now = subject.default or {}
        for name, allowed in subject.space.items():
            shown = f"one of {allowed.choices}"
            if not allowed.choices:
                low, high = (f"{bound:g}" for bound in allowed.bounds)
                shown = f"{low} to {high}" + (", log-uniform" if allowed.log else "")
            begins = f", begins with {now[name]}" if name in now else ""
            lines.append(f"    {name}: {shown}{begins}")
            if subject.keys(name) != [name]:
                lines.append(f"      {', '.join(subject.keys(name))}")
    return "\n".join(lines)
