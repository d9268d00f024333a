"""Source files that the results of a run depend on, each with a digest of its `essence`.

Imports are followed from the classes that a run names, and from the trainer and the measuring; no
git is needed, and an installed package has the digests of the tree that it was built from.
"""

import ast
import functools
import hashlib
import importlib.util
import sysconfig
from collections.abc import Collection, Iterable, Iterator
from pathlib import Path

from bench import registry
from bench.record.provenance import HARNESS, Sources
from bench.spec.completion.schedule_functions import schedule_functions
from bench.spec.run_config import RunConfig, digest
from bench.spec.run_settings import Training

PACKAGES: dict[registry.Kind, set[str]] = {
    "dataset": {"bench.data"},
    "metric": {"bench.metrics"},
    "control": {"bench.evaluation.controls"},
}
"""Packages in which imports of a registered class are followed, beside its own."""

HARNESS_ROOTS = ("bench.training.trainer", "bench.evaluation.measuring", "bench.process.worker")
HARNESS_PACKAGES = {
    "bench.training",
    "bench.data",
    "bench.evaluation",
    "bench.process.worker",
    "bench.seeding",
}

OWN = {"bench", "models", "baselines"}
"""Packages of this project: of these, only what a part names is followed."""

MESSAGES = {"say", "warn", "debug", "info", "warning", "error", "exception", "critical"}
"""Functions of `bench.console` and of logging, whose texts change no result."""

MOST_NAMED = 4  # changed files, in a message

ANNOTATIONS = {"annotation", "returns", "type_comment", "type_params"}


def sources_of(run: RunConfig) -> Sources:
    """Return the files of each part of a run, imported and read now: later edits do not count."""
    training, evaluation = run.training, run.evaluation
    data = [training.data, *([training.unlabeled] if training.unlabeled else [])]
    return {
        "model": _files_of("model", [training.model["name"]]) | _files_of_schedules(training),
        "data": _files_of("dataset", [component["name"] for component in data]),
        "metrics": _files_of("metric", [component["name"] for component in evaluation.metrics]),
        "controls": _files_of("control", evaluation.controls),
        HARNESS: _follow(HARNESS_ROOTS, HARNESS_PACKAGES),
    }


def files_of_metric(name: str) -> dict[str, str]:
    """Return the files that a metric is made of, each with the digest of its essence."""
    return _files_of("metric", [name])


def code_of_metric(name: str) -> str:
    """Return the name of a metric with a digest of its files, whatever their names."""
    return f"{name}@{digest(sorted(files_of_metric(name).values()))}"


def essence(source: str) -> str:
    r"""Return the syntax tree of a file as text, without what cannot change a result.

    Left out are comments, docstrings, imports that give no other name (imported files count by
    themselves), formatting, annotations, and the texts of errors and messages. What is not Python
    stays as it is.

    >>> essence('"A module."\nimport torch\nx: int = 1  # one\n') == essence("x: float = (1)")
    True
    >>> essence('raise ValueError(f"{x}?")') == essence('raise ValueError("a text")')
    True
    >>> essence("from torch.nn import ReLU as Unit") == essence("from torch.nn import GELU as Unit")
    False
    """
    try:
        return _text(ast.parse(source).body)
    except SyntaxError:
        return source


def _text(node: object, in_message: bool = False) -> str:
    """Return what counts of a part of a syntax tree, alike in all versions of Python."""
    match node:
        case ast.ImportFrom():
            renamed = [a for a in node.names if a.asname not in (None, a.name)]
            return "\n".join(f"{node.module}.{a.name} as {a.asname}" for a in renamed)
        case ast.Import() | ast.Expr(value=ast.Constant(value=str())):
            return ""
        case ast.If(test=ast.Name(id="TYPE_CHECKING"), orelse=[]):
            return ""
        case ast.JoinedStr() | ast.Constant(value=str()) if in_message:
            return "a text"
        case ast.AST():
            function = getattr(node, "func", None)
            name = getattr(function, "id", getattr(function, "attr", None))
            if name == "Quantity":  # titles and decimals change no number
                return "Quantity"
            if name in MESSAGES and isinstance(node, ast.Call) and node.args:
                text, *others = node.args
                rest = [_text(part, in_message) for part in (function, others, node.keywords)]
                return f"Call({' '.join([rest[0], _text(text, True), *rest[1:]])})"
            in_message = in_message or isinstance(node, ast.Raise)
            fields = [
                f"{name}={_text(value, in_message)}"
                for name, value in ast.iter_fields(node)
                if name not in ANNOTATIONS and value is not None and value != []
            ]
            return f"{type(node).__name__}({' '.join(fields)})"
        case list():
            return "\n".join(filter(None, (_text(item, in_message) for item in node)))
    return repr(node)


def _files_of(kind: registry.Kind, names: Iterable[str]) -> dict[str, str]:
    """Return the files of registered classes: their modules, and what these import nearby.

    A model may be built from parts of another: all packages that register models count as near. So
    do packages that are the user's own and not installed, which have no version.
    """
    for name in names:
        registry.load(kind, name)
    modules = {n: r.target.partition(":")[0] for n, r in registry.registered(kind).items()}
    roots = [modules[name] for name in names]
    near = modules.values() if kind == "model" else roots
    packages = {module.partition(".")[0] for module in near}
    return _follow(roots, PACKAGES.get(kind, set()) | (packages - {"bench"}), with_loose=True)


def _files_of_schedules(training: Training) -> dict[str, str]:
    """Return the files of functions of the user that are schedules, and what they import nearby."""
    plain = training.model_dump(mode="json", include={"optimizers", "objective"})
    functions = schedule_functions(plain)
    modules = sorted({function.partition(":")[0] for function in functions})
    return _follow(modules, {module.partition(".")[0] for module in modules}, with_loose=True)


def _follow(
    roots: Iterable[str], packages: Collection[str], *, with_loose: bool = False
) -> dict[str, str]:
    """Return the files that imports lead to within some packages, by their names there.

    With `with_loose`, also within packages that are not installed.
    """
    files: dict[str, str] = {}
    left, seen = list(roots), set[str]()
    while left:
        module = left.pop()
        if module in seen or not module:
            continue
        is_near = any(f"{module}.".startswith(f"{name}.") for name in packages)
        if not is_near and not (with_loose and _is_loose(module.partition(".")[0])):
            continue
        seen.add(module)
        left.append(module.rpartition(".")[0])  # a package is imported before what is in it
        path = _file(module)
        if path is not None:
            content, imported = _read(path, module)
            left += imported
            if content:
                name = module.replace(".", "/")
                is_package = path.name == "__init__.py"
                files[f"{name}/__init__.py" if is_package else f"{name}.py"] = content
    return dict(sorted(files.items()))


@functools.cache
def _is_loose(top: str) -> bool:
    """Return whether a package is the user's own: neither of Python nor installed."""
    try:
        spec = None if top in OWN else importlib.util.find_spec(top)
    except (ImportError, ValueError):
        return False
    if spec is None or spec.origin in ("built-in", "frozen"):
        return False
    places = [*(spec.submodule_search_locations or ()), *([spec.origin] if spec.origin else [])]
    folders = {Path(place).parent for place in places}
    return bool(folders) and not any(map(_is_installation, folders))


@functools.cache
def _is_installation(folder: Path) -> bool:
    """Return whether a folder is one of Python itself, or one that installers write to."""
    names = {"site-packages", "dist-packages"}
    is_of_python = folder.is_relative_to(sysconfig.get_path("stdlib"))
    return is_of_python or not names.isdisjoint(folder.parts) or any(folder.glob("*.dist-info"))


@functools.cache
def _file(module: str) -> Path | None:
    """Return the source file of a module, without importing it."""
    top, *rest = module.split(".")
    spec = importlib.util.find_spec(top)
    if spec is None:
        return None
    candidates = [] if rest or spec.origin is None else [Path(spec.origin)]
    for location in spec.submodule_search_locations or ():
        inside = Path(location, *rest)
        candidates += [inside / "__init__.py", inside.with_suffix(".py")]
    return next((candidate for candidate in candidates if candidate.is_file()), None)


@functools.cache
def _read(path: Path, module: str) -> tuple[str, tuple[str, ...]]:
    """Return the digest of a file, empty where nothing in it counts, and the modules it imports."""
    source = path.read_text(encoding="utf-8", errors="replace")
    content = essence(source)
    digest = hashlib.sha256(content.encode()).hexdigest()[:12] if content else ""
    package = module if path.name == "__init__.py" else module.rpartition(".")[0]
    try:
        return digest, tuple(_imports(ast.parse(source), package))
    except SyntaxError:
        return digest, ()


def _imports(tree: ast.Module, package: str) -> Iterator[str]:
    """Yield the modules that a file imports; a name taken from a package may be a module."""
    for node in ast.walk(tree):
        if isinstance(node, ast.Import):
            yield from (alias.name for alias in node.names)
        elif isinstance(node, ast.ImportFrom):
            relative = "." * node.level + (node.module or "")
            try:
                base = importlib.util.resolve_name(relative, package)
            except ImportError:  # of a module that is not in a package, which tries it in vain
                continue
            yield base
            yield from (f"{base}.{alias.name}" for alias in node.names)
