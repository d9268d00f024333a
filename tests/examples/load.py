"""The example packages, imported without being installed."""

import importlib.util
from pathlib import Path

ROOT = Path(__file__).parent.parent.parent


def load(name):
    """Return the module of an example."""
    spec = importlib.util.spec_from_file_location(name, ROOT / f"examples/{name}/{name}.py")
    module = importlib.util.module_from_spec(spec)
    spec.loader.exec_module(module)
    return module
