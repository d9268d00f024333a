"""A tuning file: a sweep file with `trials`, `objectives` and a `space`, checked as a whole."""

from collections.abc import Mapping, Sequence
from dataclasses import dataclass, field, replace
from pathlib import Path
from typing import Annotated, Any, ClassVar

from pydantic import Field

from bench.errors import SpecError, describe_unknown
from bench.record.quantities import Direction, Quantities, registered_metrics
from bench.reporting.tables.table_spec import load_names
from bench.spec.located import Located
from bench.spec.located_yaml import MOST_IN_NAME
from bench.spec.reserved_names import REAL, VALIDATION
from bench.spec.run_settings import Evaluation, Seed, as_component, at_most
from bench.spec.sweep_file import (
    SweepFile,
    check_variant_name,
    collecting,
    complete_variant,
    read_spec,
    variants_of,
)
from bench.tuning.space import SearchRange, TunedVariant, weights_space

TUNED = ", tuned"
"""What follows the name of a variant in the sweep that is proposed."""

FIXED = (*Evaluation.model_fields, "data", "seed")  # what trials must share to be comparable


class TuningFile(SweepFile):
    """The top level of a tuning file."""

    stand_ins: ClassVar[Mapping[str, Any]] = {
        **SweepFile.stand_ins,
        "trials": 1,
        "objectives": ["none"],
    }

    trials: Annotated[int, Field(gt=0), at_most(100_000, "each is a training")]
    """Trials of each variant."""
    objectives: Annotated[list[str], Field(min_length=1)]
    """The measurements on validation images that trials are compared by."""
    space: dict[str, dict[str, SearchRange]] = {}
    """Variant -> dotted key -> range; the loss weights of its model where a variant has none."""
    sampler_seed: Seed = 0
    """Seed of what is proposed."""
    storage: Annotated[str, Field(pattern=r"^$|^[A-Za-z][A-Za-z0-9+]*://")] = ""
    """Address of an Optuna database; a journal next to the results where empty."""


@dataclass(frozen=True)
class Criterion:
    """A measurement that trials are compared by."""

    metric: str
    title: str
    direction: Direction


@dataclass(frozen=True)
class Tuning:
    """A checked tuning file: its top level, and the variants in its order."""

    path: Path
    head: TuningFile
    objectives: tuple[Criterion, ...]
    variants: tuple[TunedVariant, ...] = field(repr=False)

    def select(self, variants: str) -> list[str]:
        """Return the variants that `--variants` names, with commas between them, or `all`."""
        known = [variant.name for variant in self.variants]
        if variants == "all":
            return known
        names = [variants] if variants in known else [name.strip() for name in variants.split(",")]
        for name in names:
            if name not in known:
                raise SpecError(
                    describe_unknown("variant", name, known), where=f"--variants {variants}"
                )
        return names


def load_tuning(path: Path, overrides: Sequence[str] = ()) -> Tuning:
    """Read a tuning file and check it with both ends of every range.

    `overrides` are `dotted.path=value`.
    """
    document, head, errors = read_spec(path, overrides, TuningFile)
    metrics = head.base.get("metrics") or [name.partition("/")[0] for name in head.objectives]
    objectives: list[Criterion] = []
    if head.objectives == document.value.get("objectives"):
        measured = _called(metrics)
        quantities = _quantities(measured)
        for index, metric in enumerate(head.objectives):
            with collecting(errors):
                objectives.append(_objective(document, metric, index, measured, quantities))
    on_validation = {"splits": [VALIDATION], "controls": [REAL], "metrics": metrics}
    variants: list[TunedVariant] = []
    known = []
    for name, settings, patch in variants_of(document, head):
        known.append(name)
        with collecting(errors):
            check_variant_name(document, name)
            if len(name) > MOST_IN_NAME - len(TUNED):
                where = ("variants", name) if name in head.variants else ("grid",)
                raise document.error(where, f"{name!r} leaves no room for {TUNED!r} behind it")
            settings = settings.merged(Located.of(on_validation))
            variants.append(_variant(document, head, name, settings, patch))
    for name in head.space:
        if name not in known:
            message = describe_unknown("variant", name, known)
            errors.append(document.error(("space", name), message))
    if head.compare:
        errors.append(document.error(("compare",), "is of a sweep; trials are not tested"))
    if errors:
        raise SpecError.all_of(errors)
    return Tuning(path, head, tuple(objectives), tuple(variants))


def _called(metrics: object) -> list[str]:
    """Return the names in a list of metrics that is not checked yet."""
    components = map(as_component, metrics if isinstance(metrics, list) else [])
    names = (component.get("name") for component in components if isinstance(component, dict))
    return [name for name in names if isinstance(name, str)]


def _quantities(metrics: Sequence[str]) -> Quantities:
    """Return what metrics measure, as their classes and the file of the tables describe it."""
    overrides = load_names().quantities
    known = registered_metrics()
    described = {n: q for m in metrics if m in known for n, q in known[m].quantities.items()}
    return Quantities(described, overrides)


def _objective(
    document: Located, metric: str, index: int, metrics: Sequence[str], quantities: Quantities
) -> Criterion:
    """Return an objective; its direction comes from the metric, or from the file of the tables."""
    quantity, path = quantities[metric], ("objectives", index)
    measured = {*metrics, *quantities.described}
    if metric.partition("/")[0] not in measured:
        raise document.error(path, describe_unknown("quantity", metric, measured))
    if quantity.direction is None:
        raise document.error(
            path,
            f"no direction is declared for {metric}; declare it in its metric, or under "
            "`metrics` in sweeps/tables.yaml",
        )
    return Criterion(metric, quantity.title, quantity.direction)


def _variant(
    document: Located, head: TuningFile, name: str, settings: Located, patch: Located
) -> TunedVariant:
    training = complete_variant(settings, name, head.seeds[0]).training
    tuned = {key: part for key, part in settings.content.items() if key != "sampling"}
    settings = replace(settings, content=tuned)  # trials are compared by the model's defaults
    space = head.space.get(name) or weights_space(training.objective)
    if not space:
        raise SpecError(
            f"{name!r} has no loss weight to tune, since each of its players descends only one "
            f"term; say what may vary, for example space: {{{name}: {{optimizers.default.rate: "
            "{low: 1e-4, high: 1e-3}}}",
            where=document.where(("variants", name)),
            key=f"space.{name}",
        )
    lines = {of: document.where(("space", name, of)) for of in space}
    variant = TunedVariant(name, settings, patch, space, lines)
    varied: dict[str, str] = {}
    for of in space:
        for key in variant.keys(of):
            if key in varied:
                raise SpecError(
                    f"{key} is varied by {varied[key]!r}, too, so one of the two has no effect",
                    where=lines[of],
                    key=f"space.{name}.{of}",
                )
            varied[key] = of
    for of, allowed in space.items():
        for key in variant.keys(of):
            if key.split(".")[0] in FIXED:
                raise SpecError(
                    f"{key} must be the same in all trials, which could not be compared otherwise",
                    where=lines[of],
                    key=f"space.{name}.{of}",
                )
        for value in allowed.extremes:
            variant.run({of: value}, head.seeds[0])
    return variant


def tuning_plan_text(tuning: Tuning) -> str:
    """Return what would be tried, for display."""
    head = tuning.head
    goals = ", ".join(f"{goal.title} ({goal.direction})" for goal in tuning.objectives)
    each = f"{head.trials} trials of {len(head.seeds)} seeds each, by {goals} on validation images"
    lines = [f"{head.name}: {len(tuning.variants)} studies; {each}"]
    for variant in tuning.variants:
        lines.append(f"  {variant.name}")
        default = variant.default or {}
        for name, allowed in variant.space.items():
            shown = f"one of {allowed.choices}"
            if not allowed.choices:
                low, high = (f"{bound:g}" for bound in allowed.bounds)
                shown = f"{low} to {high}" + (", log-uniform" if allowed.log else "")
            begins = f", begins with {default[name]}" if name in default else ""
            lines.append(f"    {name}: {shown}{begins}")
            if variant.keys(name) != [name]:
                lines.append(f"      {', '.join(variant.keys(name))}")
    return "\n".join(lines)
