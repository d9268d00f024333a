"""Weights of a finished run that a training begins with: found, checked, known by their hash.

They are a part of the configuration by what they hold, as files that are options are.
"""

import os
from collections.abc import Collection, Iterable, Mapping
from pathlib import Path
from typing import TYPE_CHECKING

from bench.errors import BenchError, describe_unknown, first_few, first_line, nearest
from bench.record.files import read_once
from bench.record.run_folder import RunFolder, read_config
from bench.record.sweep_folder import read_sweep_file
from bench.spec.components import errors_at
from bench.spec.option_files import file_hash, require_hash
from bench.spec.run_settings import StartFrom, StartOrigin
from bench.spec.validation import KeyProblem

if TYPE_CHECKING:
    from torch import Tensor

    from bench.training.interface import ConditionalGenerator

KEY = "start_from"
MOST_NAMES = 4  # of parameters in a message

Shapes = Mapping[str, list[int]]
"""Name of a parameter or buffer -> shape."""


def complete_start(start: StartFrom, model: "ConditionalGenerator", seed: int) -> StartFrom:
    """Return where a run starts from with its origin and players, checked; see `start_at_seed`.

    One on record is complete already: nothing of the other run need be there.
    """
    own = model.players()
    _refuse_unknown(start.players, own, "this model")
    if start.origin and start.players:
        return start
    found = start_at_seed(start, seed)
    folder = run_folder_of(found)
    with errors_at((KEY, "run")):
        config = read_config(folder)["config"]
        shapes = _shapes_in(RunFolder(folder).model)
    theirs = config.get("optimizers") or {}  # complete ones, of every player
    _refuse_unknown(start.players, theirs, str(folder))
    players = start.players or list(own)
    if problem := misfit_of(model, players, shapes):
        fitting = [player for player in own if not misfit_of(model, [player], shapes)]
        able = f"players that can be taken: {', '.join(fitting) or 'none'}"
        path = (KEY, "players" if start.players else "run")
        raise KeyProblem(path, f"{folder} does not fit {type(model).__name__}: {problem}; {able}")
    return found.model_copy(update={"players": players})


def _refuse_unknown(players: Iterable[str], known: Collection[str], whose: str) -> None:
    for index, player in enumerate(players):
        if player not in known:
            problem = f"{describe_unknown('player', player, known)} (players of {whose})"
            raise KeyProblem((KEY, "players", index), problem)


def start_at_seed(start: StartFrom, seed: int) -> StartFrom:
    """Return where a run of that seed starts from, with the origin; a `KeyProblem` if nowhere."""
    with errors_at((KEY, "run")):
        run = os.path.normpath(start.run)
        folder = Path(os.path.expanduser(run))
        if not folder.is_dir():
            raise BenchError(_absent(folder))
        id_ = _id_of(folder, start.variant, seed)
        folder = folder if start.variant is None else folder / id_
        status, weights = RunFolder(folder).status(), RunFolder(folder).model
        if status.state == "failed":
            raise BenchError(f"the run {folder} failed: {status.reason}")
        if status.state in ("missing", "unfinished"):
            raise BenchError(f"the run {folder} is {status.state}; finish training it first")
        if not weights.exists():
            raise BenchError(
                f"the run {folder} has no weights here ({weights.name}); if it was imported, pack "
                "them with bench export --weights"
            )
        origin = StartOrigin(id=id_, sha256=file_hash(weights))
    return start.model_copy(update={"run": run, "origin": origin})


def unchanged_weights(start: StartFrom) -> Path:
    """Return the file of a complete start's weights; a `BenchError` unless it is that of then."""
    path = RunFolder(run_folder_of(start)).model
    recorded = start.origin.sha256 if start.origin else ""
    what, rest = "the weights that this run starts from", "other weights make a new run"
    require_hash(path, recorded, what, rest)
    return path


def taken_names(model: "ConditionalGenerator", players: Iterable[str]) -> tuple[set[str], set[str]]:
    """Return the names of the players' parameters, and of the buffers of their modules.

    A buffer belongs to them if all parameters of its module that learn do; where the module has no
    parameters, those of the module around it.
    """
    own = model.players()
    learning = {id(p) for parameters in own.values() for p in parameters}
    taken = {id(p) for player in players for p in own[player]}
    named = dict(model.named_parameters(remove_duplicate=False))
    buffers = set()
    for name in model.state_dict().keys() - named.keys():
        place = name.rpartition(".")[0]
        while place and not any(True for _ in model.get_submodule(place).parameters()):
            place = place.rpartition(".")[0]
        around = {id(p) for p in model.get_submodule(place).parameters()} & learning
        if around and around <= taken:
            buffers.add(name)
    return {name for name, p in named.items() if id(p) in taken}, buffers


def misfit_of(model: "ConditionalGenerator", players: Collection[str], shapes: Shapes) -> str:
    """Return which parameters of some players are not among others of these shapes, or ""."""
    parameters, _ = taken_names(model, players)
    own = {name: s for name, s in shapes_of(model.state_dict()).items() if name in parameters}
    return "; ".join(misfits(own, shapes))


def misfits(own: Shapes, given: Shapes) -> list[str]:
    """Return what is wrong with given tensors: own ones that are lacking, or of other shapes."""
    lacking = [name for name in own if name not in given]
    other = [
        f"{name} {given[name]}, here {shape}"
        for name, shape in own.items()
        if given.get(name, shape) != shape
    ]
    found = {"it lacks": lacking, "shapes differ:": other}
    return [f"{what} {first_few(names, MOST_NAMES)}" for what, names in found.items() if names]


def shapes_of(state: "Mapping[str, Tensor]") -> Shapes:
    """Return the shapes in a state dict."""
    return {name: list(value.shape) for name, value in state.items()}


def run_folder_of(start: StartFrom) -> Path:
    """Return the folder of the run whose weights a complete start takes."""
    folder = Path(os.path.expanduser(start.run))
    return folder / start.origin.id if start.origin and start.variant is not None else folder


def _absent(folder: Path) -> str:
    """Return what is wrong with a folder that is not there, or is none."""
    if folder.exists():
        return f"{folder} is a file; name the folder of a run, results/SWEEP/ID"
    beside = (
        [p.name for p in folder.parent.iterdir() if p.is_dir()] if folder.parent.is_dir() else []
    )
    near = nearest(folder.name, beside)
    return f"there is no folder {folder}" + (
        f" (did you mean {folder.parent / near}?)" if near else ""
    )


def _id_of(folder: Path, variant: str | None, seed: int) -> str:
    """Return the id of a run: that in a folder, or that of a variant with a seed in a sweep's."""
    if not (folder / "sweep.json").exists():
        if not (folder / "config.json").exists():
            raise BenchError(
                f"{folder} is the folder of neither a run nor a sweep: it has no config.json and "
                "no sweep.json; name results/SWEEP/ID, or results/SWEEP and a variant"
            )
        if variant is not None:
            raise KeyProblem((KEY, "variant"), f"{folder} is the folder of one run; leave this out")
        return str(read_config(folder).get("id", folder.name))
    runs = read_sweep_file(folder)["runs"]
    variants = dict.fromkeys(entry["variant"] for entry in runs)
    if variant is None:
        raise BenchError(
            f"{folder} is the folder of a sweep; add one of its variants (variant: NAME), or name "
            f"the folder of one run; variants: {first_few([*variants], MOST_NAMES)}"
        )
    if variant not in variants:
        raise KeyProblem((KEY, "variant"), describe_unknown("variant", variant, variants))
    ids = {entry["seed"]: str(entry["id"]) for entry in runs if entry["variant"] == variant}
    if seed not in ids:
        seeds = ", ".join(map(str, sorted(ids)))
        raise BenchError(
            f"{folder} has no run of {variant!r} with the seed {seed}, only with {seeds}; name the "
            f"folder of one run, for example {folder / next(iter(ids.values()))}, to start all "
            "seeds from it"
        )
    return ids[seed]


@read_once
def _shapes_in(path: Path) -> Shapes:
    """Return the shapes in a file of weights."""
    import torch

    try:
        return shapes_of(torch.load(path, map_location="meta", weights_only=True))
    except Exception as error:  # a damaged file may raise anything
        raise BenchError(f"{path} is damaged ({first_line(error)})") from error
