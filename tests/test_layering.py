"""Who may import whom (see CONTRIBUTING.md), read from the source."""

import ast
import subprocess
import sys
from pathlib import Path

import pytest

from bench.commands.list_ import LISTED

ROOT = Path(__file__).parent.parent
OPTIONAL = {
    "mlflow": "bench/trackers/mlflow.py",
    "optuna": "bench/tuning/study.py",
    "ray": "bench/execution/executors/ray.py",
    "submitit": "bench/execution/executors/slurm.py",
}


def imports(path):
    for node in ast.walk(ast.parse(path.read_text())):
        if isinstance(node, ast.Import):
            yield from ((alias.name, node) for alias in node.names)
        elif isinstance(node, ast.ImportFrom) and node.module:
            yield node.module, node


def modules(*folders):
    return [path for folder in folders for path in sorted((ROOT / folder).rglob("*.py"))]


def test_models_and_baselines_know_only_the_interface():
    allowed = ("bench.training.interface", "bench.data.base")
    for path in modules("models", "baselines"):
        for name, _ in imports(path):
            assert not name.startswith("bench") or name in allowed, f"{path} imports {name}"
            assert not name.startswith("baselines"), f"{path} imports {name}"
            if path.parent.name == "models":
                assert not name.startswith("baselines")


def test_the_harness_reaches_models_only_through_the_registry():
    for path in modules("bench"):
        for name, _ in imports(path):
            assert name.split(".")[0] not in ("models", "baselines"), f"{path} imports {name}"


def test_tracking_and_reporting_never_import_training():
    for path in modules("bench/tracking", "bench/reporting"):
        for name, _ in imports(path):
            assert not name.startswith("bench.training"), f"{path} imports {name}"


@pytest.mark.parametrize("package", OPTIONAL)
def test_engines_are_imported_in_one_file_only(package):
    users = {
        str(path.relative_to(ROOT))
        for path in modules("bench", "models", "baselines")
        for name, _ in imports(path)
        if name.split(".")[0] == package
    }
    assert users <= {OPTIONAL[package]}


def test_looking_things_up_does_not_import_torch():
    """Only a list of models does, which are listed with what their classes can do."""
    rest = [["list", what] for what in LISTED if what not in ("models", "tables")]
    looking = [["--help"], *rest, ["list", "tables"]]
    code = (
        "import sys\nfrom bench.cli import cli\n"
        f"for words in {looking}:\n    cli.main(words, standalone_mode=False)\n"
        "    assert 'torch' not in sys.modules, words\n"
        "    assert 'pandas' not in sys.modules or words == ['list', 'tables'], words\n"
    )
    subprocess.run([sys.executable, "-c", code], check=True, capture_output=True, cwd=ROOT)


def test_reporting_does_not_import_torch():
    names = sorted(
        ".".join(path.relative_to(ROOT).with_suffix("").parts)
        for path in modules("bench/reporting", "bench/tracking")
    )
    code = f"import sys\nfor n in {names!r}: __import__(n)\nassert 'torch' not in sys.modules\n"
    subprocess.run([sys.executable, "-c", code], check=True, cwd=ROOT)
