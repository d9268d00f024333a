"""Comparisons that a sweep plans or a user chooses."""

from collections.abc import Iterator, Mapping
from typing import Any, Self

from bench.spec.run_settings import Strict


class Comparisons(Strict):
    """The comparisons whose p values are corrected together, said before any result is known.

    They change no run and no measurement, and are not part of an id.
    """

    reference: str = ""
    """The row that others are compared with; that of the table where empty."""
    references: dict[str, str] = {}
    """Row -> the one that it is compared with instead."""
    variants: list[str] = []
    """Rows that are compared; all of them where empty."""
    metrics: list[str] = []
    """Quantities in which they are compared; all of them where empty."""

    @classmethod
    def of_record(cls, content: Mapping[str, Any]) -> Self:
        """Return planned comparisons of a record; keys of later versions are ignored."""
        return cls(**{key: content[key] for key in cls.model_fields if key in content})

    def contradictions(self) -> Iterator[tuple[tuple[str | int, ...], str]]:
        """Yield the key of everything that contradicts something else, and what is wrong."""
        if self.reference in self.variants:
            yield ("variants", self.variants.index(self.reference)), "is the reference itself"
        for name, other in self.references.items():
            problem = ""
            if name == self.reference:
                problem = "is the reference itself"
            elif name == other:
                problem = "is compared with itself"
            elif self.variants and name not in self.variants:
                problem = "is not among 'variants', the rows that are compared"
            elif self._leads_back(name):
                problem = f"is compared with {other!r}, which is in the end compared with it"
            if problem:
                yield ("references", name), problem

    def _leads_back(self, name: str) -> bool:
        """Return whether the reference of a row, or that of its reference, is the row itself."""
        seen: set[str] = set()
        other = self.references.get(name)
        while other is not None and other not in seen and other != name:
            seen.add(other)
            other = self.references.get(other)
        return other == name
