"""Names with a meaning of their own, which no sweep, variant or split of a user may take."""

REAL = "real"
"""Variant and model of the control of real test images.

Other controls are called by their own names; for each of them variant and model are the same, and
there is no seed."""

VALIDATION = "validation"
"""Split for choosing, with evaluators of its own; no table shows it."""

EVALUATIONS = "evaluations"
"""Folder of what `bench evaluate` keeps; no sweep can be called so."""

ELSEWHERE = "elsewhere"
"""Model of images that another program made."""
