"""The names of all figures, so that listing them imports no figure."""

import importlib
from dataclasses import dataclass
from typing import TYPE_CHECKING, cast

from bench.errors import UnknownName

if TYPE_CHECKING:
    from bench.reporting.figures.figure_data import CaptionedFigure, FigureData


@dataclass(frozen=True)
class PaperFigure:
    """A figure: its name, its number in the paper, and the arrays that it `needs`.

    It is drawn by the module of its name, or by `module` with other `metrics` by default.
    """

    name: str
    title: str
    number: str = ""
    needs: tuple[str, ...] = ()
    metrics: tuple[str, ...] = ()
    module: str = ""

    @property
    def summary(self) -> str:
        """One line for lists."""
        return f"Figure {self.number}: {self.title}" if self.number else self.title

    def draw(self, data: "FigureData") -> "CaptionedFigure":
        """Draw it; where the record does not allow it, `NotApplicable` says why."""
        _ = data.variants  # raises where no run is finished, before a figure says what it lacks
        module = importlib.import_module(f"bench.reporting.figures.{self.module or self.name}")
        defaults = (self.metrics,) if self.metrics else ()
        return cast("CaptionedFigure", module.draw(data, *defaults))


_TRAVERSALS = ("traverse_relevant", "traverse_classes", "traverse_irrelevant")
FIGURES = {
    figure.name: figure
    for figure in (
        PaperFigure("toy", "generated points over the real arcs, with coverage", "2"),
        PaperFigure("traversals", "one part of the code moves, the other stays", "4", _TRAVERSALS),
        PaperFigure("dimensions", "single dimensions of the irrelevant code", "5", ("dimensions",)),
        PaperFigure("swaps", "images made of the codes of two", "6", ("swaps",)),
        PaperFigure("inpainting", "hidden regions, filled in", "7", ("inpainting",)),
        PaperFigure("samples", "samples of each class next to real images", "8"),
        PaperFigure("walks", "codes of one and of two attributes move", "", ("walks",)),
        PaperFigure("reconstruction", "images, encoded and decoded", "", ("reconstruction",)),
        PaperFigure("subspaces", "planes of the code of one label", "", ("subspaces",)),
        PaperFigure("nearest", "samples most like copies of training images", "", ("neighbors",)),
        PaperFigure("curves", "training curves"),
        PaperFigure("snapshots", "metrics over the training, with intervals over seeds"),
        PaperFigure("seeds", "every run as a dot, with means and intervals"),
        PaperFigure(
            "tradeoff",
            "one metric against another: quality against diversity",
            metrics=("intra_class_diversity", "inception_score"),
        ),
        PaperFigure(
            "rate_distortion",
            "what a code costs against what it gives back",
            metrics=("rate", "reconstruction_mse"),
            module="tradeoff",
        ),
        PaperFigure("cost", "quality against the cost of the training"),
    )
}


def find_figure(name: str) -> PaperFigure:
    """Return the figure of that name, or of that number in the paper."""
    for figure in FIGURES.values():
        if name and name in (figure.name, figure.number):
            return figure
    raise UnknownName("figure", name, FIGURES)
