"""Edits of what a model declares: objective, stages, optimizers, average."""

from collections.abc import Collection, Mapping, Sequence
from dataclasses import replace
from typing import TYPE_CHECKING, Any

from bench.errors import describe_unknown
from bench.spec.completion.schedule_functions import check_schedule
from bench.spec.declaration import STAGES, ModelProblem, times_problem
from bench.spec.places import place_of
from bench.spec.run_settings import (
    SGD,
    Adam,
    AdamW,
    Average,
    Optimizer,
    RunSettings,
    ScheduledWeight,
    StageEdit,
    Weight,
    WeightEdit,
)
from bench.spec.validation import KeyPath, KeyProblem, validate

if TYPE_CHECKING:
    from bench.training.interface import ConditionalGenerator, Stage


def refuse_unknown(kind: str, name: str, known: Collection[str], path: KeyPath) -> None:
    """Raise a `KeyProblem` with the nearest known name, unless a name is known."""
    if name not in known:
        raise KeyProblem(path, describe_unknown(kind, name, known))


def edited_objective(
    model: "ConditionalGenerator", settings: RunSettings
) -> dict[str, dict[str, Weight]]:
    """Return the weights of a model with the edits of a sweep."""
    objective: dict[str, dict[str, Weight]] = {
        player: {
            term: validate(ScheduledWeight, weight, ("objective", player, term))
            if isinstance(weight, Mapping)
            else float(weight)
            for term, weight in weights.items()
        }
        for player, weights in model.objective.items()
    }
    terms = {term for weights in objective.values() for term in weights}
    if price := settings.price_per_nat:
        if not model.nats:
            problem = f"{settings.model['name']} declares no terms as nats (`nats` of its class)"
            raise KeyProblem(("price_per_nat",), problem)
        for declared in objective.values():
            for term, size in model.nats.items():
                if isinstance(weight := declared.get(term), ScheduledWeight):
                    declared[term] = weight.model_copy(update={"weight": price * size})
                elif weight:
                    declared[term] = price * size
    unusable = _terms_without_examples(model, settings)
    for player, term in unusable:
        objective[player][term] = 0.0
    for player, edits in settings.objective.items():
        refuse_unknown("player", player, objective, ("objective", player))
        for term, edit in edits.items():
            path = ("objective", player, term)
            refuse_unknown("term", term, terms, path)
            if (player, term) in unusable and edit:
                raise KeyProblem(path, "needs labeled examples, and labeled_rows is 0")
            if isinstance(edit, WeightEdit):
                objective[player][term] = _changing(edit, objective[player].get(term), path)
            else:
                objective[player][term] = edit
    for player, weights in objective.items():
        for term, weight in weights.items():
            if isinstance(weight, ScheduledWeight):
                place = ("objective", player, term, "schedule")
                schedule = check_schedule(weight.schedule, settings.iterations, place)
                weights[term] = weight.model_copy(update={"schedule": schedule})
    if not any(weight for weights in objective.values() for weight in weights.values()):
        raise KeyProblem(("objective",), "every weight is 0: nobody would learn anything")
    return objective


def _terms_without_examples(
    model: "ConditionalGenerator", settings: RunSettings
) -> set[tuple[str, str]]:
    """Return players and terms that need labeled examples, of which the run has none."""
    if settings.labeled_rows != 0:
        return set()
    if model.label_terms is None:
        name = settings.model["name"]
        raise KeyProblem(
            ("labeled_rows",),
            f"is 0, but {name} does not say which of its terms need labels (label_terms)",
        )
    return {(player, term) for player, terms in model.label_terms.items() for term in terms}


def _changing(edit: WeightEdit, before: Weight | None, path: KeyPath) -> Weight:
    """Return an edited weight that changes; its schedule may be that of the model."""
    given = edit.model_dump(mode="json", exclude_none=True)
    if isinstance(before, ScheduledWeight):
        given = before.model_dump(mode="json") | given
    weight: Weight = validate(ScheduledWeight, given, path)
    return weight


def edited_stages(stages: "Sequence[Stage]", edits: Mapping[str, StageEdit]) -> "tuple[Stage, ...]":
    """Return the stages of a model with the edits of a sweep."""

    def edited(stage: "Stage") -> "Stage":
        edit = edits.get(stage.name, StageEdit())
        return replace(stage, **{name: value for name, value in edit if value is not None})

    return tuple(map(edited, stages))


def checked_stages(model: "ConditionalGenerator", settings: RunSettings) -> dict[str, StageEdit]:
    """Return the edits of stages, checked together with what the model declares."""
    names = [stage.name for stage in model.stages]
    for name in settings.stages:
        refuse_unknown("stage", name, names, ("stages", name))
        for index, player in enumerate(settings.stages[name].players or []):
            path = ("stages", name, "players", index)
            refuse_unknown("player", player, model.players(), path)
    stages = edited_stages(model.stages, settings.stages)
    if found := times_problem(stages, settings.iterations, settings.batch_size):
        name, problem = found
        if settings.stages:
            where = ("stages", name) if name in settings.stages else ("stages",)
            raise KeyProblem(where, f"stage {name!r} {problem}")
        factory = type(model)
        text = f"{factory.__name__}: stage {name!r} {problem}"
        raise ModelProblem(("model",), text, place_of(factory, "stages"), STAGES)
    return settings.stages


def edited_optimizers(
    model: "ConditionalGenerator", settings: RunSettings
) -> dict[str, dict[str, Any]]:
    """Return the optimizer of each player as plain data, with the edits of a sweep."""
    players, edits = model.players(), settings.optimizers
    for player in edits:
        refuse_unknown("player", player, ("default", *players), ("optimizers", player))
    optimizers = {}
    for player in players:
        chosen: dict[str, Any] = {"name": "adam"}
        for name in ("default", player):
            for edit in (model.optimizers.get(name, {}), edits.get(name, {})):
                if edit.get("name", chosen["name"]) != chosen["name"]:  # its options are others
                    chosen = {key: chosen[key] for key in {"rate", "schedule"} & chosen.keys()}
                chosen = {**chosen, **edit}
        path = ("optimizers", player if player in edits else "default")
        optimizer: Adam | AdamW | SGD = validate(Optimizer, chosen, path)
        schedule = check_schedule(optimizer.schedule, settings.iterations, (*path, "schedule"))
        optimizer = optimizer.model_copy(update={"schedule": schedule})
        optimizers[player] = optimizer.model_dump(mode="json")
    return optimizers


def chosen_average(declared: "ConditionalGenerator", settings: RunSettings) -> Average | None:
    """Return the average of a sweep, which may also be none, or else that of the model."""
    average, players = settings.average, declared.players()
    if "average" not in settings.model_fields_set and declared.average:
        average = validate(Average, dict(declared.average), ("average",))
    if average is None:
        return None
    for index, player in enumerate(average.players):
        refuse_unknown("player", player, players, ("average", "players", index))
    return average.model_copy(update={"players": average.players or list(players)})
