"""Rules of the house, read from the source: order of packages, sizes, names, imports."""

import ast
import subprocess
import sys
from collections import defaultdict
from pathlib import Path

import pytest

from bench.reporting.figures.catalog import FIGURES

ROOT = Path(__file__).parent.parent
PACKAGES = ("bench", "models", "baselines")

BENCH = [
    *("errors", "seeding", "console", "registry", "record", "spec", "reporting", "trackers"),
    *("data", "training", "metrics", "process", "evaluation", "execution", "exchange", "replay"),
    *("tuning", "perf", "conformance", "doctor", "output", "commands", "cli"),
]
"""The packages of `bench`; each imports only from itself and from those before it."""

COLLECTIONS = {"bench/metrics", "bench/data", "bench/commands", "bench/reporting/figures"}
"""Folders in which almost every file is one registered thing."""

OF_RUNS = ("data", "training", "metrics", "process", "evaluation", "execution", "trackers")

MOST_MODULES, MOST_IN_COLLECTIONS = 15, 25
MOST_LINES = 400

ENGINES = {
    "mlflow": "bench/trackers/mlflow.py",
    "tensorboard": "bench/trackers/tensorboard.py",
    "wandb": "bench/trackers/wandb.py",
    "optuna": "bench/tuning/study.py",
    "rocrate": "bench/exchange/crate.py",
    "ray": "bench/execution/executors/ray.py",
    "submitit": "bench/execution/executors/slurm.py",
    "datasets": "bench/data/huggingface.py",
    "webdataset": "bench/data/webdataset.py",
    "timm": "bench/metrics/extractors/vision_transformers.py",
}


def sources(*folders):
    return [path for folder in folders for path in sorted((ROOT / folder).rglob("*.py"))]


def name_of(path):
    return ".".join(path.relative_to(ROOT).with_suffix("").parts)


def imports(path):
    """Yield the modules that a file imports, without those for type checkers alone."""
    tree = ast.parse(path.read_text())
    for_types = {
        id(node)
        for check in ast.walk(tree)
        if isinstance(check, ast.If) and "TYPE_CHECKING" in ast.unparse(check.test)
        for node in ast.walk(check)
    }
    for node in ast.walk(tree):
        if id(node) in for_types:
            continue
        if isinstance(node, ast.Import):
            yield from (alias.name for alias in node.names)
        elif isinstance(node, ast.ImportFrom) and node.module:
            yield from (f"{node.module}.{alias.name}" for alias in node.names)


def test_packages_import_only_from_those_before_them():
    wrong = [
        f"{name_of(path)} imports {name}"
        for path in sources("bench")
        for name in imports(path)
        if name.startswith("bench.") and (parts := path.relative_to(ROOT / "bench").parts)
        if (package := parts[0].removesuffix(".py")) not in ("__init__", "__main__")
        if (other := name.split(".")[1]) in BENCH and BENCH.index(other) > BENCH.index(package)
    ]
    assert not wrong


def test_every_package_has_its_place_in_the_order():
    found = {path.stem for path in (ROOT / "bench").iterdir() if path.suffix == ".py"}
    found |= {path.parent.name for path in (ROOT / "bench").glob("*/__init__.py")}
    assert found - {"__init__", "__main__"} == set(BENCH)


def test_models_and_baselines_know_only_the_interface():
    allowed = ("bench.training.interface", "bench.data.base")
    for path in sources("models", "baselines"):
        for name in imports(path):
            assert not name.startswith("bench") or name.startswith(allowed), f"{path}: {name}"
            assert not name.startswith("baselines"), f"{path} imports {name}"


def test_the_harness_reaches_models_only_through_the_registry():
    for path in sources("bench"):
        for name in imports(path):
            assert name.split(".")[0] not in ("models", "baselines"), f"{path} imports {name}"


@pytest.mark.parametrize("package", ENGINES)
def test_engines_are_imported_in_one_file_only(package):
    users = {
        str(path.relative_to(ROOT))
        for path in sources(*PACKAGES)
        for name in imports(path)
        if name.split(".")[0] == package
    }
    assert users <= {ENGINES[package]}


def test_folders_have_few_modules():
    for folder in {path.parent for path in sources(*PACKAGES)}:
        modules = [path for path in folder.glob("*.py") if path.name != "__init__.py"]
        is_collection = str(folder.relative_to(ROOT)) in COLLECTIONS
        most = MOST_IN_COLLECTIONS if is_collection else MOST_MODULES
        assert len(modules) <= most, f"{folder} has {len(modules)} modules, at most {most}"


def test_every_file_of_figures_is_a_figure():
    shared = {"__init__", "catalog", "figure_data", "files", "scatter"}
    found = {path.stem for path in sources("bench/reporting/figures")}
    assert found - shared == {figure.module or figure.name for figure in FIGURES.values()}


def test_figures_are_no_part_of_a_run():
    for path in sources(*(f"bench/{name}" for name in OF_RUNS)):
        assert not any(name.startswith("bench.reporting.figures") for name in imports(path)), path


def test_files_are_short():
    lines = {path: len(path.read_text().splitlines()) for path in sources(*PACKAGES)}
    assert not {str(path): count for path, count in lines.items() if count > MOST_LINES}


def test_public_names_mean_one_thing():
    places = defaultdict(list)
    for path in sources("bench"):
        for node in ast.parse(path.read_text()).body:
            kinds = (ast.ClassDef, ast.FunctionDef)
            if isinstance(node, kinds) and not node.name.startswith("_"):
                places[node.name].append(name_of(path))
    twice = {name: modules for name, modules in places.items() if len(modules) > 1}
    assert {name: modules for name, modules in twice.items() if not is_plug_in(name, modules)} == {}


def is_plug_in(name, modules):
    """Return whether a name is that of the one function that each file of a collection has."""
    return name == "draw" and all(m.startswith("bench.reporting.figures.") for m in modules)


@pytest.mark.parametrize(
    "command", ["['--help']", "['list', 'metrics']", "['list', 'sweeps']", "['list', 'figures']"]
)
def test_looking_things_up_does_not_import_torch(command):
    code = (
        "import sys\nfrom bench.cli import cli\n"
        f"cli.main({command}, standalone_mode=False)\n"
        "assert 'torch' not in sys.modules\nassert 'pandas' not in sys.modules\n"
    )
    subprocess.run([sys.executable, "-c", code], check=True, capture_output=True, cwd=ROOT)


def test_reports_do_not_import_torch():
    names = [name_of(path) for path in sources("bench/record", "bench/reporting", "bench/trackers")]
    code = f"import sys\nfor n in {names!r}: __import__(n)\nassert 'torch' not in sys.modules\n"
    subprocess.run([sys.executable, "-c", code], check=True, cwd=ROOT)
