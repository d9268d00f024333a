"""Names with a meaning of their own, which no sweep, variant or split of a user may take."""

import re

from bench.record.sweep_folder import EVALUATIONS as EVALUATIONS
from bench.record.sweep_folder import REAL as REAL

VALIDATION = "validation"
"""Split for choosing, with evaluators of its own; no table shows it."""

ELSEWHERE = "elsewhere"
"""Model of images that another program made."""


RERUNS = "reruns"
"""Folder below the results where `bench rerun` does runs again."""


def problem_of_sweep_name(name: str) -> str:
    """Return why a sweep cannot have a name, which is that of its folder; '' if it can."""
    if not re.fullmatch(r"[A-Za-z0-9][A-Za-z0-9_.-]*", name):
        return "names a folder: use only letters, digits, '.', '-' and '_'"
    if name == EVALUATIONS:
        return "that folder is where `bench evaluate` keeps its rows"
    if name == RERUNS:
        return "that folder is where `bench rerun` does runs again"
    if name.lower().startswith("mlflow."):
        return "that is where the mirror in MLflow has its database"
    return ""
