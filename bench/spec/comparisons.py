"""Comparisons that a sweep plans or a user chooses."""

from bench.spec.run_settings import Strict


class Comparisons(Strict):
    """The comparisons whose p values are corrected together, said before any result is known.

    They change no run and no measurement, and are not part of an id.
    """

    reference: str = ""
    """The row that others are compared with; that of the table where empty."""
    references: dict[str, str] = {}
    """Row -> the one that it is compared with instead, say its control."""
    variants: list[str] = []
    """Rows that are compared; all of them where empty."""
    metrics: list[str] = []
    """Quantities in which they are compared; all of them where empty."""
