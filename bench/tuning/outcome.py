"""The outcome of a tuning: trials as a table and as runs, plots, and a sweep on test images."""

import re
from collections.abc import Mapping, Sequence
from os.path import samefile
from pathlib import Path
from typing import Any

import yaml

from bench.console import say
from bench.errors import BenchError, SpecError, first_few
from bench.evaluation.controls import control_id
from bench.execution.sweep_owner import file_of, refuse_publication
from bench.record.files import to_csv, write_json, write_text
from bench.record.sweep_folder import read_plan
from bench.reporting.statistics import FEWEST_FOR_CLAIMS
from bench.spec.reserved_names import REAL
from bench.spec.sweep_file import load_sweep
from bench.tuning.study import Study, TuningTrial
from bench.tuning.tuning_file import TUNED, Tuning

TRIAL = re.compile(r", trial \d+$")
"""What follows the name of a variant in the plan of a tuning."""

BestTrials = Mapping[str, TuningTrial]
"""Variant -> the trial to go on with, of the studies that have one."""


class _Plain(yaml.SafeDumper):
    """YAML without anchors, so that each variant can be copied alone."""

    def ignore_aliases(self, data: object) -> bool:
        return True


def write_outcome(
    tuning: Tuning, studies: Sequence[Study], results: Path, command: str
) -> BestTrials:
    """Write all files of a tuning, and check the sweep that it proposes by loading it."""
    folder = results / tuning.head.name
    best = {study.variant.name: front[0] for study in studies if (front := study.best())}
    write_text(folder / "trials.csv", trials_csv(tuning, studies, best))
    write_json(folder / "sweep.json", _as_sweep(tuning, studies, command))
    for study in studies:
        if study.variant.name in best:
            _draw(tuning, study, folder)
    if best:
        tuned = folder / "tuned.yaml"
        write_text(tuned, tuned_sweep(tuning, best, command))
        try:
            load_sweep(tuned)
        except SpecError as error:  # which costs no trial
            say(f"warning: {tuned} cannot be run as it is: {error}")
    return best


def refuse_other_file(tuning: Tuning, folder: Path) -> None:
    """Refuse the results folder of a sweep, a publication, or a tuning file of other variants."""
    refuse_publication(folder)
    try:
        recorded, runs = read_plan(folder)
    except BenchError:  # there is no plan yet, or one that is written again
        return
    where, key = str(tuning.path), "name"
    advice = f"give one of both files another name, as in name={tuning.head.name}-2"
    if not (folder / "trials").is_dir():
        text = f"{folder} holds the runs of the sweep {recorded.spec}; {advice}"
        raise SpecError(text, where=where, key=key)
    known = {variant.name for variant in tuning.variants}
    hidden = {TRIAL.sub("", run.variant) for run in runs if run.is_trained} - known
    other = file_of(recorded.spec, folder)
    if hidden and other.exists() and not samefile(other, tuning.path):
        names = first_few(sorted(hidden), 5)
        text = f"{folder} holds trials of {recorded.spec}, which has other variants ({names})"
        raise SpecError(f"{text}; {advice}", where=where, key=key)


def trials_csv(tuning: Tuning, studies: Sequence[Study], best: BestTrials) -> str:
    """Return all trials as CSV: what was tried, and means over seeds of what was measured."""
    names = list(dict.fromkeys(name for variant in tuning.variants for name in variant.space))
    metrics = [criterion.metric for criterion in tuning.objectives]
    losses = [f"loss of {metric}" for metric in metrics]
    rows = [
        [
            *(study.variant.name, trial.number, trial.state),
            "yes" if trial == best.get(study.variant.name) else "",
            *(trial.means.get(metric) for metric in metrics),
            *(trial.losses or [None] * len(metrics)),
            *(trial.values.get(name) for name in names),
            trial.failure,
        ]
        for study in studies
        for trial in study.trials()
    ]
    header = ["variant", "trial", "state", "best", *metrics, *losses, *names, "failure"]
    return to_csv(header, rows)


def tuned_sweep(tuning: Tuning, best: BestTrials, command: str) -> str:
    """Return a sweep as YAML, with every variant as it was and as it was tuned."""
    head = tuning.head
    seeds = [seed for seed in range(FEWEST_FOR_CLAIMS + len(head.seeds)) if seed not in head.seeds]
    by = " and ".join(criterion.title for criterion in tuning.objectives)
    chosen = [variant for variant in tuning.variants if variant.name in best]
    variants: dict[str, Any] = {variant.name: variant.patch.value for variant in chosen}
    for variant in chosen:
        values, name = best[variant.name].values, f"{variant.name}{TUNED}"
        if variant.run(values, 0).id != variant.run({}, 0).id:
            while name in variants:  # of the file, such as one tuned before
                name += " again"
            variants[name] = variant.patch_of(values)
    base = {key: value for key, value in head.base.items() if key not in ("snapshots", "splits")}
    base.setdefault("metrics", [name.partition("/")[0] for name in head.objectives])
    content = {
        "name": f"{head.name}-tuned",
        "title": f"As they were, and tuned by {by} on validation images",
        "base": base,
        "seeds": seeds[:FEWEST_FOR_CLAIMS],
        "variants": variants,
    }
    text = yaml.dump(content, Dumper=_Plain, sort_keys=False, allow_unicode=True, width=100)
    return (
        f"# Written by: {command}\n"
        "# A variant of this file may be pasted below the variants of a sweep with this base.\n"
        f"# The seeds are new: no trial has used them.\n{text}"
    )


def _as_sweep(tuning: Tuning, studies: Sequence[Study], command: str) -> dict[str, Any]:
    """Return the trials in the form of a sweep, for the mirrors; those pruned are left out."""
    runs: dict[tuple[str, str], dict[str, Any]] = {}
    controls: dict[str, dict[str, str]] = {}
    for study in studies:
        config = study.variant.run({}, 0)
        model, data = config.training.model["name"], config.training.data
        real = control_id(REAL, data, config.evaluation.samples_per_class)
        controls[real] = {"id": real, "control": REAL, "data": data["name"]}
        for trial in study.trials():
            variant = f"{study.variant.name}, trial {trial.number:03d}"
            for seed, run in trial.runs.items() if trial.state != "pruned" else ():
                axes = {"model": model, "data": data["name"], "seed": int(seed)}
                runs[variant, run] = {"id": run, "variant": variant, **axes}
    return {
        "sweep": tuning.head.name,
        "title": tuning.head.title,
        "spec": str(tuning.path),
        "command": command,
        "runs": list(runs.values()),
        "controls": list(controls.values()),
    }


def _draw(tuning: Tuning, study: Study, folder: Path) -> None:
    """Draw which ranges mattered, and with two objectives or more what one costs the other."""
    from bench.tuning import plots

    name = "".join(c if c.isalnum() or c in "-_." else "-" for c in study.variant.name)
    shares = study.importances()
    if any(shares):
        plots.save_importances(study, shares, folder / f"importance-{name}")
    if len(tuning.objectives) > 1:
        plots.save_pareto(study, folder / f"pareto-{name}")


def outcome_text(tuning: Tuning, studies: Sequence[Study], best: BestTrials) -> str:
    """Return for each study how its trials ended, and the best one beside the first."""
    lines = []
    for study in studies:
        trials, variant = study.trials(), study.variant
        if not trials:
            continue
        states = [trial.state for trial in trials]
        counts = ", ".join(f"{states.count(s)} {s}" for s in dict.fromkeys(states))
        lines.append(f"{variant.name}: {len(trials)} trials ({counts})")
        if variant.name not in best:
            continue
        chosen, has_default = best[variant.name], variant.default is not None
        shown = {"as it was": trials[0]} if has_default else {}
        shown |= {"tuned": chosen} if chosen.number or not shown else {}
        for label, trial in shown.items():
            means = ", ".join(
                f"{criterion.title} {trial.means[criterion.metric]:.4g}"
                for criterion in tuning.objectives
                if criterion.metric in trial.means
            )
            lines.append(f"  {label:<10} trial {trial.number:03d}: {means}")
        if "tuned" not in shown:
            lines.append("  no trial was better than what it began with")
        lines += [f"    {name}: {value}" for name, value in chosen.values.items()]
    return "\n".join(lines)
