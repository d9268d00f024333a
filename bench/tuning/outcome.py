"""What a tuning leaves: its trials as a table and as runs, two pictures, and a sweep to go on with.

The sweep holds every variant as it was and as it was tuned, on the test images and with seeds that
no trial has seen. So whether tuning helped is said by a table like any other.
"""

import csv
import io
from collections.abc import Mapping, Sequence
from pathlib import Path
from typing import Any

import yaml

from bench.evaluation.controls import control_id
from bench.record.files import write_json, write_text
from bench.spec.reserved_names import REAL
from bench.spec.sweep_file import load_sweep
from bench.tuning.space import Subject
from bench.tuning.study import Study, Trial
from bench.tuning.tuning_file import Tuning

FRESH_SEEDS = 5  # of the sweep that follows; a t interval over fewer is wide

Chosen = Mapping[str, Trial]


class _Plain(yaml.SafeDumper):
    """YAML without anchors, so that each variant can be taken out alone."""

    def ignore_aliases(self, data: object) -> bool:
        return True


def write_outcome(tuning: Tuning, studies: Sequence[Study], results: Path, command: str) -> Chosen:
    """Write all files of a tuning, and check the sweep that it proposes by loading it.

    Args:
        tuning: The file.
        studies: Its studies.
        results: Root of all results.
        command: The command line that goes on with it.

    Returns:
        Variant -> the best trial, of the studies that have one.
    """
    folder = results / tuning.head.name
    trials = {study.subject.variant: study.trials() for study in studies}
    best = {study.subject.variant: found[0] for study in studies if (found := study.best())}
    write_text(folder / "trials.csv", trials_csv(tuning, trials, best))
    write_json(folder / "sweep.json", _as_sweep(tuning, studies, command))
    for study in studies:
        if study.subject.variant in best:
            _draw(tuning, study, folder)
    if best:
        path = folder / "tuned.yaml"
        write_text(path, tuned_sweep(tuning, best, command))
        load_sweep(path)
    return best


def trials_csv(tuning: Tuning, trials: Mapping[str, Sequence[Trial]], best: Chosen) -> str:
    """Return all trials as CSV: what was tried, and the mean figures over seeds."""
    names = dict.fromkeys(name for subject in tuning.subjects for name in subject.space)
    metrics = [objective.metric for objective in tuning.objectives]
    buffer = io.StringIO()
    writer = csv.writer(buffer, lineterminator="\n")
    losses = [f"loss of {metric}" for metric in metrics]
    writer.writerow(["variant", "trial", "state", "best", *metrics, *losses, *names, "failure"])
    for variant, held in trials.items():
        chosen = best[variant].number if variant in best else None
        for trial in held:
            figures = trial.about.get("figures", {})
            writer.writerow(
                [variant, trial.number, trial.state, "yes" if trial.number == chosen else ""]
                + [figures.get(metric, "") for metric in metrics]
                + list(trial.losses or [""] * len(metrics))
                + [trial.values.get(name, "") for name in names]
                + [trial.about.get("failure", "")]
            )
    return buffer.getvalue()


def tuned_sweep(tuning: Tuning, best: Chosen, command: str) -> str:
    """Return a sweep with every variant as it was and as it was tuned, as YAML."""
    head = tuning.head
    seeds = [seed for seed in range(FRESH_SEEDS + len(head.seeds)) if seed not in head.seeds]
    by = " and ".join(objective.title for objective in tuning.objectives)
    variants: dict[str, Any] = {}
    for subject in tuning.subjects:
        if subject.variant in best:
            variants |= _as_it_was_and_tuned(subject, best[subject.variant])
    base = {key: value for key, value in head.base.items() if key not in ("snapshots", "splits")}
    base.setdefault("metrics", [name.partition("/")[0] for name in head.objectives])
    content = {
        "name": f"{head.name}-tuned",
        "title": f"As they were, and tuned by {by} on validation images",
        "base": base,
        "seeds": seeds[:FRESH_SEEDS],
        "variants": variants,
    }
    text = yaml.dump(content, Dumper=_Plain, sort_keys=False, allow_unicode=True, width=100)
    return (
        f"# Written by: {command}\n"
        "# A variant of this file may be pasted below the variants of a sweep with this base.\n"
        f"# The seeds are new: no trial has used them.\n{text}"
    )


def _as_it_was_and_tuned(subject: Subject, trial: Trial) -> dict[str, Any]:
    """Return one variant, or two where tuning has changed something."""
    found = {subject.variant: subject.patch.value}
    if subject.run(trial.values, 0).id != subject.run({}, 0).id:
        found[f"{subject.variant}, tuned"] = subject.patch_of(trial.values)
    return found


def _as_sweep(tuning: Tuning, studies: Sequence[Study], command: str) -> dict[str, Any]:
    """Return the trials in the form of a sweep, for the mirrors; those given up have no figures."""
    runs: dict[tuple[str, str], dict[str, Any]] = {}
    places: dict[str, str] = {}
    for study in studies:
        training = study.subject.run({}, 0).training
        axes = {"model": training.model["name"], "data": training.data["name"]}
        count = study.subject.run({}, 0).evaluation.samples_per_class
        places[control_id(REAL, training.data, count)] = training.data["name"]
        for trial in study.trials():
            variant = f"{study.subject.variant}, trial {trial.number:03d}"
            for seed, run in trial.about.get("runs", {}).items():
                if trial.state != "pruned":
                    entry = {"id": run, "variant": variant, "seed": int(seed), **axes}
                    runs[variant, run] = entry
    return {
        "sweep": tuning.head.name,
        "title": tuning.head.title,
        "spec": str(tuning.path),
        "command": command,
        "runs": list(runs.values()),
        "controls": [{"id": p, "control": REAL, "data": d} for p, d in places.items()],
    }


def _draw(tuning: Tuning, study: Study, folder: Path) -> None:
    """Draw which ranges mattered, and, with two objectives or more, what was gained for what."""
    from bench.tuning import plots

    name = "".join(c if c.isalnum() or c in "-_." else "-" for c in study.subject.variant)
    titles = [objective.title for objective in tuning.objectives]
    shares = study.importances()
    if any(shares):
        plots.save_importances(study.subject.variant, titles, shares, folder / f"importance-{name}")
    if len(titles) > 1:
        path = folder / f"pareto-{name}"
        plots.save_pareto(
            study.subject.variant, tuning.objectives, study.trials(), study.best(), path
        )


def summary(tuning: Tuning, studies: Sequence[Study], best: Chosen) -> str:
    """Return for each study how its trials ended, and the best one beside the first, for people."""
    lines = []
    for study in studies:
        trials = study.trials()
        if not trials:
            continue
        states = [trial.state for trial in trials]
        told = ", ".join(f"{states.count(s)} {s}" for s in dict.fromkeys(states))
        lines.append(f"{study.subject.variant}: {len(trials)} trials ({told})")
        if study.subject.variant not in best:
            continue
        chosen = best[study.subject.variant]
        rows = [("as it was", trials[0])] if study.subject.default is not None else []
        rows += [("tuned", chosen)] if chosen.number or not rows else []
        for label, trial in rows:
            figures = trial.about.get("figures", {})
            shown = ", ".join(
                f"{objective.title} {figures[objective.metric]:.4g}"
                for objective in tuning.objectives
                if objective.metric in figures
            )
            lines.append(f"  {label:<10} trial {trial.number:03d}: {shown}")
        if chosen.number == 0 and study.subject.default is not None:
            lines.append("  no trial was better than what it began with")
        for name, value in chosen.values.items():
            lines.append(f"    {name}: {value}")
    return "\n".join(lines)
