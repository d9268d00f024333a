"""What the class of a model declares, checked without training it."""

import math
import traceback
from collections.abc import Iterator, Mapping, Sequence
from contextlib import contextmanager
from typing import TYPE_CHECKING, Any

from bench.errors import BenchError, describe_error, first_line, shortened
from bench.spec.components import sampling_arguments
from bench.spec.places import place_in, place_of
from bench.spec.run_settings import Average
from bench.spec.validation import KeyPath, KeyProblem, validate

if TYPE_CHECKING:
    from bench.data.base import DataSpec
    from bench.training.interface import ConditionalGenerator, Stage

RULES = {
    "options-are-annotated": "Every option is a named parameter with an annotation",
    "model-can-be-built": "It can be built from the shape of the data, without looking at values",
    "players-own-what-is-trained": "Every parameter that is trained belongs to a player",
    "stages-name-players": "Stages name the players that move",
    "objective-names-players": "The objective gives terms weights for each player",
    "average-names-players": "If it has a moving average, that has a decay and names players",
}
"""What a class has to declare: rule -> its sentence."""
OPTIONS, BUILT, PLAYERS, STAGES, OBJECTIVE, AVERAGE = RULES

LONGEST_CYCLE = 100_000  # iterations after which stages of any `every` come together again

OPERATIONS = 300
"""Operations of a model's `sample` that are tried before a training."""

REMEDIES = {
    "before Module.__init__() call": "begin __init__ with super().__init__()",
    "meta tensor": "a constructor must not look at values, since it also runs without memory",
    "with abstract method": "write it, as ConditionalGenerator describes it",
    "positional argument": "the first argument is the shape of the data, spec: DataSpec",
}
"""Words of an error -> what helps."""


class ModelProblem(KeyProblem):
    """A mistake in the code of a model, where it is, and the rule that it breaks."""

    def __init__(self, path: KeyPath, problem: str, place: str, rule: str) -> None:
        self.problem = problem
        self.place = place
        self.rule = rule
        super().__init__(path, f"{problem} ({place})" if place else problem)


@contextmanager
def building(factory: type, path: KeyPath) -> Iterator[None]:
    """Turn what the constructor of a model raises, but for refused options, into `ModelProblem`."""
    try:
        yield
    except (BenchError, ValueError):  # about options or the shape of the data
        raise
    except Exception as error:
        line = first_line(error)
        if "overflow" in line.lower():
            raise ValueError("a layer is too large for any memory") from error
        problem = shortened(f"{factory.__name__} cannot be built: {describe_error(error)}", 500)
        if remedy := next((text for words, text in REMEDIES.items() if words in line), ""):
            problem += f"; {remedy}"
        place = place_in(error) or place_of(factory)
        raise ModelProblem(path, problem, place, BUILT) from error


def refused_draw(
    model: "ConditionalGenerator", spec: "DataSpec", options: Mapping[str, Any]
) -> str:
    """Return why a model without memory refuses sampling options; empty where it does not.

    It is asked for one example, and stopped where it calls a network or after hundreds of
    operations: torch loads its compiler, which takes seconds, for arithmetic without memory. Errors
    that follow from the lack of memory are none of the options.
    """
    arguments = sampling_arguments(type(model), options)
    if not arguments:
        return ""
    import torch
    from torch.nn.modules.module import register_module_forward_pre_hook

    def stop(*_: Any) -> None:
        raise RuntimeError("enough")

    y = torch.zeros(1, dtype=torch.int64)
    if spec.attributes and "attributes" in model.capabilities:
        y = spec.attributes_of(y)
    hook = register_module_forward_pre_hook(stop)
    try:
        with torch.no_grad(), without_memory(OPERATIONS):
            model.sample(y.to("meta"), **arguments)
    except ValueError as error:
        *_, (frame, _) = traceback.walk_tb(error.__traceback__)
        is_of_torch = frame.f_globals.get("__name__", "").partition(".")[0] == "torch"
        return "" if is_of_torch else first_line(error)
    except Exception:
        return ""
    finally:
        hook.remove()
    return ""


@contextmanager
def without_memory(most: float = math.inf) -> Iterator[None]:
    """Build tensors without memory or values; raise after so many operations.

    What changes values alone is left out: torch loads its compiler for that, which takes
    seconds.
    """
    import torch
    from torch.overrides import TorchFunctionMode

    normalize = torch.nn.functional.normalize
    left = most

    def gives_its_first(func: Any, first: Any, others: Sequence[Any]) -> bool:
        """Return whether the result has the shape and type of the first argument."""
        if func is torch.Tensor.clamp:  # bounds may be tensors, and of a wider type
            return first.is_floating_point() and not any(map(torch.is_tensor, others))
        is_init = getattr(func, "__module__", "") == "torch.nn.init"
        return is_init or func in (torch.Tensor.normal_, normalize)

    class Valueless(TorchFunctionMode):
        def __torch_function__(
            self, func: Any, types: Any, args: Any = (), kwargs: Any = None
        ) -> Any:
            nonlocal left
            left -= 1
            if left < 0:
                raise RuntimeError("enough")
            options = dict(kwargs or {})
            first, *others = [*args, *options.values()] or [None]
            if gives_its_first(func, first, others):
                return first
            if func is torch.randn:
                options.pop("generator", None)
                func = torch.empty
            return func(*args, **options)

    with torch.device("meta"), Valueless():
        yield


def check_declaration(model: "ConditionalGenerator", path: KeyPath = ()) -> None:
    """Raise a `ModelProblem` unless what is declared has its form and names the players."""
    factory = type(model)
    for rule, look in DECLARED.items():
        if found := look(model):
            attribute, problem = found
            place = place_of(factory, attribute)
            raise ModelProblem(path, f"{factory.__name__}: {problem}", place, rule)


def times_problem(
    stages: "Sequence[Stage]", iterations: int, batch_size: int
) -> tuple[str, str] | None:
    """Return the name of a stage and what is wrong with its times or its batch, or None."""
    before: float = 0
    for stage in stages:
        start, end = stage.span(iterations)
        if stage.repeat < 1 or stage.every < 1 or stage.batch <= 0:
            return stage.name, "repeat and every must be at least 1, and batch more than 0"
        if not 0 <= start < end <= iterations:
            problem = f"is played from iteration {start} to {end}, and the run has {iterations}"
            return stage.name, f"{problem}; a float is a share of the run, an int an iteration"
        if type(stage.end) is int and stage.end == 1 < iterations:
            return stage.name, "ends after one iteration; 1.0 is the end of the run"
        if round(stage.batch * batch_size) < min(2, batch_size):
            return stage.name, f"takes {stage.batch:g} of a batch of {batch_size}, one example"
        if stage.fresh or not before:
            before = stage.batch
        elif stage.batch > before:
            problem = f"takes {stage.batch:g} batches, but the draw that it reuses has {before:g}"
            return stage.name, f"{problem}; set fresh to true, or make its batch smaller"
    if math.lcm(*(stage.every for stage in stages)) > LONGEST_CYCLE:
        problem = f"every: the numbers of all stages need a common multiple up to {LONGEST_CYCLE}"
        return stages[0].name, problem
    return None


Found = tuple[str, str] | None
"""An attribute of a class and what is wrong with it; None where nothing is."""


def _players_problem(model: "ConditionalGenerator") -> Found:
    players: Any = model.players()
    if not hasattr(model.progress, "share"):
        problem = "progress is that of the training, which terms() may read; call it otherwise"
        return "__init__", problem
    if not isinstance(players, Mapping):
        return "players", f"players() returns {type(players).__name__}, not a dict"
    for player, own in players.items():
        if not isinstance(own, Sequence) or not all(hasattr(p, "grad") for p in own):
            problem = f"players() returns {type(own).__name__} for {player!r}, not a list of "
            return "players", f"{problem}parameters; write list(self.MODULE.parameters())"
        if len(set(map(id, own))) < len(own):
            return "players", f"players() returns a parameter twice for {player!r}"
    owned = {id(p) for parameters in players.values() for p in parameters}
    misplaced = {n: p for n, p in model.named_parameters() if p.requires_grad != (id(p) in owned)}
    orphans = [name for name, p in misplaced.items() if p.requires_grad]
    is_listed = "players" in vars(type(model))
    if orphans:
        remedy = "add them there" if is_listed else "put them into child modules, write players()"
        problem = f"belong to no player: {shortened(', '.join(orphans), 300)}; {remedy}, or "
        problem += "say frozen(module) of what does not learn"
    elif misplaced:
        problem = "have requires_grad=False, but belong to a player: "
        problem += shortened(", ".join(misplaced), 300)
    else:
        return None
    return "players" if is_listed else "__init__", f"these parameters {problem}"


def _stages_problem(model: "ConditionalGenerator") -> Found:
    players, stages = model.players(), getattr(model, "stages", None)
    problem = ""
    if stages is None:
        problem = 'stages is missing; write stages = (Stage("main", ("PLAYER", ...)),)'
    elif not isinstance(stages, Sequence) or not stages:
        problem = f"stages is {shortened(repr(stages))}, not a tuple; write (Stage(...),)"
    elif wrong := [stage for stage in stages if not hasattr(stage, "players")]:
        problem = f"stages holds {shortened(repr(wrong[0]))}, which is no Stage"
    elif strings := [stage for stage in stages if isinstance(stage.players, str)]:
        name, players = strings[0].name, strings[0].players
        problem = f"the players of stage {name!r} are a string; write ({players!r},)"
    elif len({stage.name for stage in stages}) < len(stages):
        problem = "two stages have one name; terms() could not tell them apart"
    else:
        for stage in stages:
            if unknown := [player for player in stage.players if player not in players]:
                problem = f"stage {stage.name!r} moves {unknown}, which are not players; "
                problem += f"the players are {', '.join(players)}"
    return ("stages", problem) if problem else None


def _objective_problem(model: "ConditionalGenerator") -> Found:
    players, objective = model.players(), getattr(model, "objective", None)
    problem = ""
    if objective is None:
        problem = 'objective is missing; write objective = {"PLAYER": {"TERM": 1.0}}'
    elif not isinstance(objective, Mapping) or not all(
        isinstance(weights, Mapping) for weights in objective.values()
    ):
        problem = "objective is not a table player -> term -> weight"
    elif unknown := [player for player in objective if player not in players]:
        problem = f"the objective has weights for {unknown}, which are not players; "
        problem += f"the players are {', '.join(players)}"
    return ("objective", problem) if problem else None


def _average_problem(model: "ConditionalGenerator") -> Found:
    players = model.players()
    average: Any = model.average
    problem = ""
    if average is None:
        return None
    if not isinstance(average, Mapping):
        problem = f'average is {shortened(repr(average))}, not None or {{"decay": 0.999}}'
    else:
        try:
            named = validate(Average, dict(average), ("average",)).players
        except KeyProblem as found:
            problem = str(found)
        else:
            if unknown := [player for player in named if player not in players]:
                problem = f"the average is of {unknown}, which are not players; "
                problem += f"the players are {', '.join(players)}"
    return ("average", problem) if problem else None


DECLARED = {
    PLAYERS: _players_problem,
    STAGES: _stages_problem,
    OBJECTIVE: _objective_problem,
    AVERAGE: _average_problem,
}
"""Rule -> what looks for a mistake."""
