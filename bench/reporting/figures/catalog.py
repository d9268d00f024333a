"""Which figures there are: a lazy name table, so that listing them imports nothing."""

import importlib
from collections.abc import Callable
from dataclasses import dataclass
from typing import TYPE_CHECKING

from bench.errors import UnknownName

if TYPE_CHECKING:
    from bench.reporting.figures.view import Drawn, View


@dataclass(frozen=True)
class Entry:
    """One figure.

    Attributes:
        name: What it is called; also its module, whose `draw` makes it.
        title: One line.
        number: Which figure of the paper it repeats; empty for none.
        needs: Arrays of `pictures.npz` that it is made of.
    """

    name: str
    title: str
    number: str = ""
    needs: tuple[str, ...] = ()

    @property
    def summary(self) -> str:
        """One line for lists."""
        return f"Figure {self.number}: {self.title}" if self.number else self.title

    def draw(self, view: "View") -> "Drawn":
        """Draw it.

        Args:
            view: The record, and what the user chose of it.

        Returns:
            The figure and its notes.

        Raises:
            NotApplicable: If the record does not allow it; says why.
            UnknownName: If the user chose what is not there.
        """
        module = importlib.import_module(f"bench.reporting.figures.{self.name}")
        make: Callable[[View], Drawn] = module.draw
        return make(view)


_TRAVERSALS = ("traverse_relevant", "traverse_classes", "traverse_irrelevant")
FIGURES = {
    entry.name: entry
    for entry in (
        Entry("toy", "generated points over the real arcs, with coverage", "2"),
        Entry("traversals", "one part of the code moves, the other stays", "4", _TRAVERSALS),
        Entry("dimensions", "single dimensions of the irrelevant code", "5", ("dimensions",)),
        Entry("swaps", "images made of the codes of two", "6", ("swaps",)),
        Entry("inpainting", "hidden regions, filled in", "7", ("inpainting",)),
        Entry("samples", "samples of each class beside real images", "8"),
        Entry("reconstruction", "images, encoded and decoded", "", ("reconstruction",)),
        Entry("curves", "training curves"),
        Entry("seeds", "every run as a dot, with means and intervals"),
        Entry("tradeoff", "quality against diversity"),
        Entry("cost", "quality against the cost of the training"),
    )
}


def find_figure(name: str) -> Entry:
    """Return the figure of that name, or of that number in the paper.

    Args:
        name: For example `swaps`, or `6`.

    Returns:
        Its entry.

    Raises:
        UnknownName: If there is none.
    """
    by_number = {entry.number: entry for entry in FIGURES.values() if entry.number}
    found = FIGURES.get(name) or by_number.get(name)
    if found is None:
        raise UnknownName("figure", name, FIGURES)
    return found
