"""Names with a meaning of their own, which no sweep, variant or split of a user may take."""

REAL = "real"
"""Variant and model of the real test images that go through the same metrics.

Further controls are called by their own names; what they have in common is that variant and
model are the same, and that they have no seed."""

VALIDATION = "validation"
"""Split of figures that are for choosing, by judges of their own; no table shows them."""

EVALUATIONS = "evaluations"
"""Folder of the rows that `bench evaluate` keeps; no sweep can be called so."""

ELSEWHERE = "elsewhere"
"""Model of images that another program made."""
