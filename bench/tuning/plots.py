"""Pictures of a study: which ranges mattered, and what one objective costs the other."""

from collections.abc import Mapping, Sequence
from pathlib import Path
from typing import TYPE_CHECKING

from bench.tuning.study import Trial
from bench.tuning.tuning_file import Objective

if TYPE_CHECKING:
    from matplotlib.figure import Figure

WIDTH = 3.5  # inches: a column of a paper
BLUE, ORANGE, GRAY = "#0072B2", "#D55E00", "#999999"  # told apart without color vision too
AXES = {"higher": "{} (higher is better)", "lower": "{} (lower is better)"}


def save_importances(
    variant: str, titles: Sequence[str], shares: Sequence[Mapping[str, float]], path: Path
) -> None:
    """Draw the share of the variance of each objective that each range explains.

    Args:
        variant: What was tuned.
        titles: The objectives.
        shares: For each objective: name of a range -> share.
        path: Where to, without suffix.
    """
    from matplotlib.figure import Figure

    names = list(next(share for share in shares if share))[::-1]
    height = 0.9 + 0.2 * len(names) * len(titles)
    figure = Figure(figsize=(WIDTH, height), layout="constrained")
    axes = figure.subplots()
    bar = 0.8 / len(titles)
    for index, (title, share, color) in enumerate(
        zip(titles, shares, (BLUE, ORANGE, GRAY) * len(titles), strict=False)
    ):
        places = [place - index * bar for place in range(len(names))]
        axes.barh(places, [share.get(name, 0.0) for name in names], bar, color=color, label=title)
    middle = (len(titles) - 1) * bar / 2
    axes.set_yticks([place - middle for place in range(len(names))], names, fontsize=7)
    axes.set_xlabel("share of the variance of the figures (fANOVA)", fontsize=7)
    axes.tick_params(axis="x", labelsize=7)
    axes.set_title(variant, fontsize=8)
    if len(titles) > 1:
        axes.legend(fontsize=6, frameon=False)
    axes.spines[["top", "right"]].set_visible(False)
    _save(figure, path)


def save_pareto(
    variant: str,
    objectives: Sequence[Objective],
    trials: Sequence[Trial],
    best: Sequence[Trial],
    path: Path,
) -> None:
    """Draw the first two objectives of every finished trial, and those that no other one beats.

    Args:
        variant: What was tuned.
        objectives: What trials are judged by; at least two.
        trials: All trials.
        best: Those that no other one beats, the chosen one first.
        path: Where to, without suffix.
    """
    from matplotlib.figure import Figure

    first, second = objectives[:2]
    figure = Figure(figsize=(WIDTH, 2.8), layout="constrained")
    axes = figure.subplots()

    def points(held: Sequence[Trial]) -> tuple[list[float], list[float]]:
        pairs = [(_shown(t, 0, first), _shown(t, 1, second)) for t in held if t.losses]
        return [x for x, _ in pairs], [y for _, y in pairs]

    axes.scatter(*points(trials), s=10, color=GRAY, label="trials")
    front = sorted(best, key=lambda trial: trial.losses)
    axes.plot(*points(front), "o-", ms=4, lw=0.8, color=BLUE, label="beaten by no other")
    begun = [trial for trial in trials if trial.number == 0]
    axes.scatter(
        *points(begun), s=30, marker="s", facecolors="none", edgecolors="black", label="first trial"
    )
    axes.scatter(*points(best[:1]), s=60, marker="*", color=ORANGE, zorder=3, label="chosen")
    axes.set_xlabel(_axis(first), fontsize=7)
    axes.set_ylabel(_axis(second), fontsize=7)
    axes.tick_params(labelsize=7)
    axes.set_title(f"{variant}, on validation images", fontsize=8)
    axes.legend(fontsize=6, frameon=False)
    axes.spines[["top", "right"]].set_visible(False)
    _save(figure, path)


def _shown(trial: Trial, index: int, objective: Objective) -> float:
    """Return a loss in the unit of its figure; distances stay distances."""
    return -trial.losses[index] if objective.direction == "higher" else trial.losses[index]


def _axis(objective: Objective) -> str:
    target = "real" if objective.direction == "real" else "1"
    return AXES.get(objective.direction, f"{{}}, distance from {target}").format(objective.title)


def _save(figure: "Figure", path: Path) -> None:
    for suffix, about in ((".png", {"Software": None}), (".pdf", {"CreationDate": None})):
        figure.savefig(path.with_name(path.name + suffix), dpi=200, metadata=about)
