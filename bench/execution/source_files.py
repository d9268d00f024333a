"""Which source files a result follows from, and what stands in them.

From the classes that a run names, imports are followed from file to file, through this harness and
through every package that registers a model, a data set or a metric. Comments, docstrings and empty
lines do not count, nor does git: so editing what only draws, tells or schedules changes nothing
here, and a package that was installed has the same sources as the tree that it was built from.
"""

import ast
import functools
import hashlib
import importlib.util
import io
import tokenize
from collections.abc import Callable, Iterable, Iterator, Mapping, Sequence
from pathlib import Path
from typing import Any

from bench import registry
from bench.record.provenance import Sources
from bench.spec.run_config import RunConfig

TRAINING = ("bench.training", "bench.data", "bench.seeding")
EVALUATION = ("bench.metrics", "bench.evaluation.measuring", "bench.evaluation.controls")
"""The parts of this harness that can change what is learned, and what is measured of it."""

LOOP = "bench.training.trainer"
"""Where training begins."""


def _of_training(run: RunConfig) -> Sources:
    """Return the files that can change what a run learns."""
    data = [run.training.data, *([run.training.unlabeled] if run.training.unlabeled else [])]
    named = [_module("model", run.training.model), *(_module("dataset", held) for held in data)]
    return _reached([LOOP, *named], TRAINING)


def _of_evaluation(run: RunConfig) -> Sources:
    """Return the files that can change what is measured of what a run has learned."""
    named = [_module("metric", metric) for metric in run.evaluation.metrics]
    return _reached(["bench.evaluation.measuring", *named], EVALUATION)


def _of_controls(run: RunConfig) -> Sources:
    """Return the files that can change what stands beside a run, such as the real images."""
    named = [_module("control", {"name": name}) for name in run.evaluation.controls]
    return _reached(named, EVALUATION)


SOURCES_OF: Mapping[str, Callable[[RunConfig], Sources]] = {
    "training": _of_training,
    "evaluation": _of_evaluation,
    "controls": _of_controls,
}
"""The parts of a run, and what stands beside it -> the files that it follows from."""


def sources_of(run: RunConfig, parts: Iterable[str] = tuple(SOURCES_OF)) -> dict[str, Sources]:
    """Return the files of parts of a run, imported and read at once.

    What is edited later is neither executed by this process nor recorded by it.

    Args:
        run: The run.
        parts: Which of `SOURCES_OF`.

    Returns:
        Part -> its files.
    """
    registry.load("model", run.training.model["name"])
    for metric in run.evaluation.metrics:
        registry.load("metric", metric["name"])
    return {part: SOURCES_OF[part](run) for part in parts}


def changed_files(before: Mapping[str, str], now: Mapping[str, str]) -> list[str]:
    """Return the files that differ, or that only one side has, by name."""
    return sorted(file for file in {*before, *now} if before.get(file) != now.get(file))


def essence(source: str) -> str:
    r"""Return source text without comments, docstrings, and empty lines.

    Args:
        source: The text of a Python file.

    Returns:
        What is left; all of it where it is no Python.

    Example:
        >>> essence('"A module."\n\n\nx = 1  # one\n')
        'x = 1'
    """
    lines = source.split("\n")
    try:
        tokens = list(tokenize.generate_tokens(io.StringIO(source).readline))
    except (tokenize.TokenError, SyntaxError):
        return source
    for first, last in reversed(_silent(tokens)):
        (row, column), (end, rest) = first, last
        kept = lines[row - 1][:column], lines[end - 1][rest:]
        lines[row - 1 : end] = [kept[0] + kept[1]]
    return "\n".join(line.rstrip() for line in lines if line.strip())


Span = tuple[tuple[int, int], tuple[int, int]]


def _silent(tokens: Sequence[tokenize.TokenInfo]) -> list[Span]:
    """Return where comments and statements that are nothing but a text stand, in order."""
    layout = (tokenize.NL, tokenize.COMMENT, tokenize.INDENT, tokenize.DEDENT)
    spans = [(token.start, token.end) for token in tokens if token.type == tokenize.COMMENT]
    code = [token for token in tokens if token.type not in layout]
    for before, token, after in zip([None, *code], code, code[1:], strict=False):
        begins = before is None or before.type == tokenize.NEWLINE
        if token.type == tokenize.STRING and begins and after.type == tokenize.NEWLINE:
            spans.append((token.start, token.end))
    return sorted(spans)


def _module(kind: registry.Kind, component: Mapping[str, Any]) -> str:
    return registry.registered(kind)[component["name"]].target.partition(":")[0]


@functools.cache
def _owners() -> frozenset[str]:
    """Return the packages whose code counts: those that register something, but for this one."""
    kinds: tuple[registry.Kind, ...] = ("model", "dataset", "metric")
    targets = [entry.target for kind in kinds for entry in registry.registered(kind).values()]
    return frozenset(target.split(":")[0].split(".")[0] for target in targets) - {"bench"}


def _reached(roots: Iterable[str], parts: tuple[str, ...]) -> Sources:
    """Return all files that imports lead to from some modules."""
    found: Sources = {}
    left, seen = list(roots), set[str]()
    while left:
        module = left.pop()
        if module in seen or not _counts(module, parts):
            continue
        seen.add(module)
        if "." in module:
            left.append(module.rpartition(".")[0])  # a package is imported before what is in it
        path = _file(module)
        if path is not None:
            content, imported = _read(path, module)
            name = module.replace(".", "/")
            found[f"{name}/__init__.py" if path.name == "__init__.py" else f"{name}.py"] = content
            left += imported
    return dict(sorted(found.items()))


def _counts(module: str, parts: tuple[str, ...]) -> bool:
    if module.split(".")[0] in _owners():
        return True
    return any(module == part or module.startswith(f"{part}.") for part in parts)


@functools.cache
def _file(module: str) -> Path | None:
    """Return the source file of a module, without importing it."""
    top, *rest = module.split(".")
    spec = importlib.util.find_spec(top)
    if spec is None:
        return None
    if spec.submodule_search_locations is None:
        return Path(spec.origin) if spec.origin and not rest else None
    for location in spec.submodule_search_locations:
        inside = Path(location).joinpath(*rest)
        for candidate in (inside / "__init__.py", inside.with_name(f"{inside.name}.py")):
            if candidate.is_file() and (rest or candidate.name == "__init__.py"):
                return candidate
    return None


@functools.cache
def _read(path: Path, module: str) -> tuple[str, tuple[str, ...]]:
    """Return the digits of a file, and the modules that it may import."""
    source = path.read_text(encoding="utf-8", errors="replace")
    digits = hashlib.sha256(essence(source).encode()).hexdigest()[:12]
    package = module if path.name == "__init__.py" else module.rpartition(".")[0]
    try:
        return digits, tuple(_imports(ast.parse(source), package))
    except SyntaxError:
        return digits, ()


def _imports(tree: ast.Module, package: str) -> Iterator[str]:
    """Yield the modules that a file names; a name taken from a package may be one of them."""
    for node in ast.walk(tree):
        if isinstance(node, ast.Import):
            yield from (alias.name for alias in node.names)
        elif isinstance(node, ast.ImportFrom):
            parts = package.split(".")[: len(package.split(".")) - node.level + 1]
            base = ".".join(
                [*(parts if node.level else []), *([node.module] if node.module else [])]
            )
            yield base
            yield from (f"{base}.{alias.name}" for alias in node.names)
