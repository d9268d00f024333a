"""Pictures of a study: which ranges mattered, and what one objective costs the other."""

from collections.abc import Mapping, Sequence
from pathlib import Path
from typing import TYPE_CHECKING

from bench.tuning.study import Study, TuningTrial
from bench.tuning.tuning_file import Objective

if TYPE_CHECKING:
    from matplotlib.axes import Axes
    from matplotlib.figure import Figure

WIDTH = 3.5  # inches: a column of a paper
BLUE, ORANGE, GRAY = "#0072B2", "#D55E00", "#999999"  # distinct without color vision too
AXES = {"higher": "{} (higher is better)", "lower": "{} (lower is better)"}
AXES |= {"real": "{}, distance from real", "one": "{}, distance from 1"}


def save_importances(study: Study, shares: Sequence[Mapping[str, float]], path: Path) -> None:
    """Draw the share of the variance of each objective that each range explains.

    `shares` has one mapping, name of a range -> share, for each objective; `path` has no suffix.
    """
    titles = [objective.title for objective in study.tuning.objectives]
    names = list(next(share for share in shares if share))[::-1]
    figure, axes = _figure(0.9 + 0.2 * len(names) * len(titles), study.variant.name)
    bar = 0.8 / len(titles)
    for index, (title, share) in enumerate(zip(titles, shares, strict=True)):
        places = [place - index * bar for place in range(len(names))]
        lengths = [share.get(name, 0.0) for name in names]
        axes.barh(places, lengths, bar, color=(BLUE, ORANGE, GRAY)[index % 3], label=title)
    middle = (len(titles) - 1) * bar / 2
    axes.set_yticks([place - middle for place in range(len(names))], names, fontsize=7)
    axes.set_xlabel("share of the variance of the objective (fANOVA)", fontsize=7)
    _save(figure, axes, path, legend=len(titles) > 1)


def save_pareto(study: Study, path: Path) -> None:
    """Draw the first two objectives of every complete trial, and those that no other one beats.

    Those are marked that the study began with, and that it goes on with. `path` has no suffix.
    """
    first, second = study.tuning.objectives[:2]
    trials, best = study.trials(), study.best()
    figure, axes = _figure(2.8, f"{study.variant.name}, on validation images")

    def points(some: Sequence[TuningTrial]) -> tuple[list[float], list[float]]:
        complete = [trial for trial in some if trial.losses]
        return [_value(t, 0, first) for t in complete], [_value(t, 1, second) for t in complete]

    axes.scatter(*points(trials), s=10, color=GRAY, label="trials")
    front = sorted(best, key=lambda trial: trial.losses)
    axes.plot(*points(front), "o-", ms=4, lw=0.8, color=BLUE, label="beaten by no other")
    begun = [trial for trial in trials if trial.number == 0]
    axes.scatter(
        *points(begun), s=30, marker="s", facecolors="none", edgecolors="black", label="first trial"
    )
    axes.scatter(*points(best[:1]), s=60, marker="*", color=ORANGE, zorder=3, label="chosen")
    axes.set_xlabel(AXES[first.direction].format(first.title), fontsize=7)
    axes.set_ylabel(AXES[second.direction].format(second.title), fontsize=7)
    _save(figure, axes, path, legend=True)


def _value(trial: TuningTrial, index: int, objective: Objective) -> float:
    """Return a loss in the unit of its objective; distances stay distances."""
    return -trial.losses[index] if objective.direction == "higher" else trial.losses[index]


def _figure(height: float, title: str) -> "tuple[Figure, Axes]":
    from matplotlib.figure import Figure

    figure = Figure(figsize=(WIDTH, height), layout="constrained")
    axes = figure.subplots()
    axes.set_title(title, fontsize=8)
    axes.tick_params(labelsize=7)
    axes.spines[["top", "right"]].set_visible(False)
    return figure, axes


def _save(figure: "Figure", axes: "Axes", path: Path, *, legend: bool) -> None:
    if legend:
        axes.legend(fontsize=6, frameon=False)
    for suffix, about in ((".png", {"Software": None}), (".pdf", {"CreationDate": None})):
        figure.savefig(path.with_name(path.name + suffix), dpi=200, metadata=about)
