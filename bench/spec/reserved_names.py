"""Names with a meaning of their own, which no sweep, variant or split of a user may take."""

from bench.record.sweep_folder import REAL as REAL

VALIDATION = "validation"
"""Split for choosing, with evaluators of its own; no table shows it."""

EVALUATIONS = "evaluations"
"""Folder of what `bench evaluate` keeps; no sweep can be called so."""

ELSEWHERE = "elsewhere"
"""Model of images that another program made."""
