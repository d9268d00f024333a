"""From a sweep file to checked runs; a `SpecError` names the file, the line and the key."""

import itertools
import math
from collections.abc import Collection, Iterable, Iterator, Mapping, Sequence
from contextlib import contextmanager
from dataclasses import dataclass, field
from pathlib import Path
from typing import Annotated, Any, ClassVar, TypeVar

from pydantic import Field, StringConstraints, field_validator

import bench
from bench import registry
from bench.errors import (
    BenchError,
    SpecError,
    describe_unknown,
    is_control,
    shortened,
    value_text,
)
from bench.spec.comparisons import Comparisons
from bench.spec.located import Located, nested
from bench.spec.located_yaml import MOST_IN_NAME, parse_option, read_yaml
from bench.spec.reserved_names import problem_of_sweep_name
from bench.spec.run_config import RunConfig, canonical_json, complete_settings
from bench.spec.run_settings import RunSettings, Seed, Strict
from bench.spec.validation import (
    MOST_PROBLEMS,
    KeyPath,
    validate_usable,
)

MOST_RUNS = 10_000  # of a sweep
TABLES = "tables.yaml"
NOT_SWEEPS = (TABLES, "tune.yaml")  # what else may lie in a folder of sweeps


class SweepFile(Strict):
    """The top level of a sweep file."""

    stand_ins: ClassVar[Mapping[str, Any]] = {"name": "unnamed", "seeds": [0], "base": {}}

    name: Annotated[str, Field(max_length=100)]
    """Name of the folder under the results."""
    title: Annotated[str, StringConstraints(strip_whitespace=True, max_length=500)] = ""
    """One line for tables and pages."""
    paper: Annotated[str, StringConstraints(strip_whitespace=True, max_length=100)] = ""
    """The paper whose experiment it is, and which: `Lr-LiVAE, Table 1`. For `bench list sweeps`."""
    base: dict[str, Any]
    """Settings that all runs share."""
    seeds: list[Seed] = Field(min_length=1)
    """Each variant is run once for each."""
    variants: dict[str, dict[str, Any]] = {}
    """Name -> patch of the base; one variant without a patch where empty."""
    grid: dict[str, Annotated[list[Any], Field(min_length=1)]] = {}
    """Dotted path -> values; every variant is run for the product."""
    compare: Comparisons | None = None
    """The comparisons that are tested together: `{reference: full, references: {row: other},
    variants: [...], metrics: [...]}`; all rows or metrics where they are not named."""

    @field_validator("name")
    @classmethod
    def _is_free(cls, name: str) -> str:
        if problem := problem_of_sweep_name(name):
            raise ValueError(problem)
        return name

    @field_validator("title", "paper")
    @classmethod
    def _is_one_line(cls, text: str) -> str:
        if "\n" in text:
            raise ValueError("must be one line")
        return text

    @field_validator("seeds")
    @classmethod
    def _are_distinct(cls, seeds: list[int]) -> list[int]:
        if len(set(seeds)) < len(seeds):
            raise ValueError("seeds must be distinct")
        return seeds


Spec = TypeVar("Spec", bound=SweepFile)


@dataclass(frozen=True)
class PlannedRun:
    """One variant, the grid point in its name included, with one seed."""

    variant: str
    config: RunConfig


@dataclass(frozen=True)
class Sweep:
    """A checked sweep; variants are in the file's order, seeds innermost."""

    name: str
    title: str
    path: Path
    runs: tuple[PlannedRun, ...] = field(repr=False)
    compare: Comparisons | None = None


def load_sweep(path: Path, overrides: Sequence[str] = ()) -> Sweep:
    """Read and check a sweep file; overrides are `dotted.path=value`, with values in YAML.

    A `SpecError` has all problems of the file.
    """
    document, head, errors = read_spec(path, overrides, SweepFile)
    runs: dict[str, PlannedRun] = {}
    rows: dict[str, str] = {}
    for variant, settings, _ in variants_of(document, head):
        if len(errors) > MOST_PROBLEMS:
            break
        with collecting(errors):
            check_variant_name(document, variant)
            config = complete_variant(settings, variant, head.seeds[0])
            _refuse_equal_names(settings, variant, config, rows)
            for seed in head.seeds:
                with settings.locating_errors(f" (variant {variant!r}, seed {seed})"):
                    run = PlannedRun(variant, config.with_seed(seed))
                if run.config.id in runs:
                    raise document.error(
                        ("variants", variant),
                        f"describes the same run as {runs[run.config.id].variant!r} (seed {seed}); "
                        "two variants must differ in something that is trained (other options of "
                        "sampling are rows of one variant)",
                    )
                runs[run.config.id] = run
    if head.compare and not errors:
        errors += _unknown_comparisons(document, head.compare, rows, [*runs.values()])
    if errors:
        raise SpecError.all_of(errors)
    return Sweep(head.name, head.title, path, tuple(runs.values()), head.compare)


def _unknown_comparisons(
    document: Located, compare: Comparisons, rows: Collection[str], runs: Sequence[PlannedRun]
) -> list[SpecError]:
    """Return what the sweep cannot compare, not having it; `rows` are the names of its rows."""
    if not compare.reference:
        return [document.error(("compare",), "names no 'reference', the row to compare with")]
    names = dict.fromkeys(m["name"] for run in runs for m in run.config.evaluation.metrics)
    metrics = [key for name in names for key in registry.load("metric", name).quantities]
    named: list[tuple[KeyPath, str]] = [(("compare", "reference"), compare.reference)]
    named += [(("compare", "variants", n), name) for n, name in enumerate(compare.variants)]
    for name, other in compare.references.items():
        named += [(("compare", "references", name), text) for text in (name, other)]
    errors = [
        document.error(key, describe_unknown("row", name, rows))
        for key, name in named
        if name not in rows
    ]
    errors += [
        document.error(("compare", "metrics", n), describe_unknown("quantity", name, metrics))
        for n, name in enumerate(compare.metrics)
        if name.partition("/")[0] not in metrics
    ]
    if not errors:
        for key, problem in compare.contradictions():
            errors.append(document.error(("compare", *key), problem))
    return errors


def read_spec(
    path: Path, overrides: Sequence[str], schema: type[Spec]
) -> tuple[Located, Spec, list[SpecError]]:
    """Return a sweep file, its top level as an object, and what is wrong with that.

    What is wrong is left out of the object, so that the rest can be checked.
    """
    document = read_yaml(path)
    errors: list[SpecError] = []
    for override in overrides:
        with collecting(errors):
            document = _override(document, override, schema)
    head, usable, problems = validate_usable(schema, document.value, schema.stand_ins)
    errors += [document.error(problem.path, problem.message) for problem in problems]
    if "base" not in usable:
        raise SpecError.all_of(errors)
    return document, head, errors


@contextmanager
def collecting(errors: list[SpecError]) -> Iterator[None]:
    """Keep a `SpecError` instead of raising it, so that all are reported at once."""
    try:
        yield
    except SpecError as error:
        errors.append(error)


def variants_of(document: Located, head: SweepFile) -> Iterable[tuple[str, Located, Located]]:
    """Yield each variant of a sweep file, grid points included, with its settings and its patch."""
    base = document.at(("base",))
    model = base.value.get("model", "base")
    model_name = model.get("name", "base") if isinstance(model, dict) else model
    patches = [(variant, document.at(("variants", variant))) for variant in head.variants]
    grid = [[(key, value) for value in document.at(("grid", key)).content] for key in head.grid]
    runs = math.prod([len(patches) or 1, len(head.seeds), *map(len, grid)])
    if runs > MOST_RUNS:
        raise document.error(("grid",), f"describes {runs} runs; at most {MOST_RUNS} are possible")
    for key, values in zip(head.grid, grid, strict=True):
        texts = [canonical_json(value.value) for _, value in values]
        if twice := [value for n, (_, value) in enumerate(values) if texts[n] in texts[:n]]:
            raise document.error(("grid", key), f"{value_text(twice[0].value)} is listed twice")
        for variant, given in head.variants.items():
            if _is_set(given, key.split(".")):
                raise document.error(
                    ("variants", variant), f"the grid gives other values to {key}, which it sets"
                )
    for variant, of_variant in patches or [(value_text(model_name).strip('"'), Located.of({}))]:
        for point in itertools.product(*grid):
            patch, name = of_variant, variant
            for key, value in point:
                patch = patch.merged(nested(key.split("."), value))
                name += f", {_short_key(key, head.grid)}={value.value}"
            yield name, base.merged(patch), patch


def _is_set(patch: object, path: Sequence[str]) -> bool:
    """Return whether a patch gives a value to a key.

    >>> _is_set({"model": {"latent": 4}}, ["model", "latent"])
    True
    >>> _is_set({"model": {"latent": 4}}, ["model", "width"])
    False
    """
    if not path:
        return True
    return isinstance(patch, Mapping) and path[0] in patch and _is_set(patch[path[0]], path[1:])


def _short_key(key: str, keys: Iterable[str]) -> str:
    """Return the end of a dotted key that no other of the keys has.

    >>> _short_key("model.width", ["model.width", "batch_size"])
    'width'
    >>> _short_key("optimizers.critic.rate", ["optimizers.critic.rate", "optimizers.prior.rate"])
    'critic.rate'
    """
    words, others = key.split("."), [other.split(".") for other in keys if other != key]
    counts = range(1, len(words))
    count = next((n for n in counts if all(o[-n:] != words[-n:] for o in others)), len(words))
    return ".".join(words[-count:])


def problem_of_row_name(name: str) -> str:
    """Return why a row of tables cannot have a name; '' if it can."""
    if name in registry.registered("control"):
        return "is the name of a control row; give it another name"
    if any(map(is_control, name)) or name != name.strip() or not name:
        return "is not one line of plain text"
    if len(name) > MOST_IN_NAME:
        return f"has {len(name)} characters, at most {MOST_IN_NAME} fit"
    return ""


def check_variant_name(document: Located, name: str) -> None:
    """Raise a `SpecError` for a name that a variant, or a point of the grid, cannot have."""
    if problem := problem_of_row_name(name):
        content = document.value
        path: KeyPath = ("grid",) if content.get("grid") else ("base", "model")
        path = ("variants", name) if name in content.get("variants", ()) else path
        raise document.error(path, f"{shortened(name)!r} {problem}")


def row_name(variant: str, sampling: str) -> str:
    """Return the name of the row of a variant with other sampling options."""
    return f"{variant}, {sampling}"


def _refuse_equal_names(
    settings: Located, variant: str, config: RunConfig, rows: dict[str, str]
) -> None:
    """Raise a `SpecError` if a row of a variant has the name of another row; note its names."""
    names = {variant: "the variant"}
    names |= {
        row_name(variant, name): f"{name!r} of {variant!r}" for name in config.evaluation.sampling
    }
    for name, what in names.items():
        path = ("sampling", name.removeprefix(f"{variant}, ")) if name != variant else ()
        if name in rows:
            raise settings.error(
                path, f"{what} would be a second row {name!r}, in addition to {rows[name]}"
            )
        if len(name) > MOST_IN_NAME:
            raise settings.error(path, f"{name!r} has {len(name)} characters, {MOST_IN_NAME} fit")
    rows |= names


def complete_variant(settings: Located, variant: str, seed: int) -> RunConfig:
    """Complete the settings of a variant, whose name is for messages."""
    if "seed" in settings.value:
        raise settings.error(("seed",), "belongs into the list 'seeds' of the sweep")
    settings = settings.merged(Located.of({"seed": seed}))
    with settings.locating_errors(f" (variant {variant!r})"):
        return complete_settings(settings.value)


def _override(document: Located, override: str, schema: type[SweepFile]) -> Located:
    path, value = parse_option(override)
    where = f"command line, {override}"
    keys = _keys_of(document, path)
    if keys[0] not in schema.model_fields:
        hint = ""
        if keys[0] in RunSettings.model_fields:
            hint = f"; settings of the runs belong under base: base.{override}"
        raise SpecError(describe_unknown("key", keys[0], schema.model_fields) + hint, where=where)
    known = document.value.get(keys[0])
    if keys[0] == "variants" and keys[2:] and isinstance(known, dict) and keys[1] not in known:
        raise SpecError(describe_unknown("variant", keys[1], known), where=where)
    return document.merged(nested(keys, Located.of(value, where)))


def _keys_of(document: Located, path: str) -> list[str]:
    """Split a dotted path into keys; a key of the document, or of a grid, may have dots itself."""
    words, keys, part = path.split("."), list[str](), document
    while words:
        known = part.content if isinstance(part.content, dict) else {}
        joined = (n for n in range(len(words), 1, -1) if ".".join(words[:n]) in known)
        count = next(joined, len(words) if keys == ["grid"] else 1)
        keys.append(".".join(words[:count]))
        words = words[count:]
        part = known.get(keys[-1], Located(None))
    return keys


def sweeps_folders() -> list[Path]:
    """Return the folders of sweeps, the user's own first; the first file of a name counts."""
    return [Path("sweeps"), *shipped_folders()]


def shipped_folders() -> list[Path]:
    """Return the folders in which sweeps are shipped, in a package and in a checkout."""
    package = Path(bench.__file__).parent
    return [package / "sweeps", package.parent / "sweeps"]


def yaml_files(*folders: Path) -> list[Path]:
    """Return the YAML files of folders by name: of equal names, the file of the first folder."""
    found = {path.name: path for folder in folders[::-1] for path in folder.glob("*.yaml")}
    return [path for _, path in sorted(found.items())]


def find_sweeps(*folders: Path) -> list[Path]:
    """Return the sweep files of folders, like `yaml_files`."""
    return [path for path in yaml_files(*folders) if path.name not in NOT_SWEEPS]


def sweep_heading(path: Path) -> tuple[str, str]:
    """Return the paper and the title of a sweep file; in place of a title why it cannot be read."""
    try:
        content = read_yaml(path).value
    except BenchError as error:
        return "", f"({' '.join(str(error).split())})"
    paper, title = (shortened(str(content.get(key, ""))) for key in ("paper", "title"))
    return paper, title
