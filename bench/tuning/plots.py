"""Plots of a study: which ranges mattered, and what one objective costs the other."""

from collections.abc import Mapping, Sequence
from pathlib import Path

from matplotlib.figure import Figure

from bench.record.files import write_atomically
from bench.reporting.drawing import style
from bench.tuning.study import Study, TuningTrial
from bench.tuning.tuning_file import Criterion

TITLES = {"higher": "{} (higher is better)", "lower": "{} (lower is better)"}
TITLES |= {"real": "{}, distance from real", "one": "{}, distance from 1"}


def save_importances(study: Study, shares: Sequence[Mapping[str, float]], path: Path) -> None:
    """Draw the share of the variance of each objective that each range explains.

    `shares` has one mapping, name of a range -> share, for each objective; `path` has no suffix.
    """
    titles = [criterion.title for criterion in study.tuning.objectives]
    names = list(next(share for share in shares if share))[::-1]
    bar = 0.8 / len(titles)
    with style.styled():
        size = style.SINGLE, 0.9 + 0.2 * len(names) * len(titles)
        figure = Figure(figsize=size, layout="constrained")
        axes = figure.add_subplot(title=study.variant.name)
        for index, (title, share) in enumerate(zip(titles, shares, strict=True)):
            heights = [height - index * bar for height in range(len(names))]
            lengths = [share.get(name, 0.0) for name in names]
            axes.barh(heights, lengths, bar, color=style.color(index), label=title)
        middle = (len(titles) - 1) * bar / 2
        axes.set_yticks([height - middle for height in range(len(names))], names)
        axes.set_xlabel("share of the variance of the objective (fANOVA)")
        if len(titles) > 1:
            axes.legend()
    _save(figure, path)


def save_pareto(study: Study, path: Path) -> None:
    """Draw the first two objectives of every complete trial, and those that no other one beats.

    The trial that the study began with is marked, and the best one. `path` has no suffix.
    """
    first, second = study.tuning.objectives[:2]
    trials, best = study.trials(), study.best()

    def points(some: Sequence[TuningTrial]) -> tuple[list[float], list[float]]:
        complete = [trial for trial in some if trial.losses]
        return [_value(t, 0, first) for t in complete], [_value(t, 1, second) for t in complete]

    with style.styled():
        figure = Figure(figsize=(style.SINGLE, 2.8), layout="constrained")
        axes = figure.add_subplot(title=f"{study.variant.name}, on validation images")
        axes.scatter(*points(trials), s=10, color=style.REAL_COLOR, label="trials")
        front = points(sorted(best, key=lambda trial: trial.losses))
        axes.plot(*front, "o-", ms=4, lw=0.8, color=style.color(0), label="beaten by no other")
        begun = points([trial for trial in trials if trial.number == 0])
        axes.scatter(*begun, s=30, marker="s", fc="none", ec="black", label="first trial")
        axes.scatter(
            *points(best[:1]), s=60, marker="*", color=style.color(1), zorder=3, label="chosen"
        )
        axes.set_xlabel(TITLES[first.direction].format(first.title))
        axes.set_ylabel(TITLES[second.direction].format(second.title))
        axes.legend()
    _save(figure, path)


def _value(trial: TuningTrial, index: int, criterion: Criterion) -> float:
    """Return a loss in the unit of its objective; distances stay distances."""
    return -trial.losses[index] if criterion.direction == "higher" else trial.losses[index]


def _save(figure: Figure, path: Path) -> None:
    for form in ("png", "pdf"):
        content = style.render_figure(figure, form, path.name, "bench tune")
        write_atomically(path.with_name(f"{path.name}.{form}"), content)
