"""Writes the record of a sweep as the harness writes it, with measurements that a test chooses."""

import json
from dataclasses import asdict
from pathlib import Path

from bench.record.jsonl import write_jsonl
from bench.record.quantities import Quantity

IS = "is[domain classifier,n=500,splits=1]"
DIVERSITY = "ms-ssim[window=gaussian,n=50]"
ACCURACY = "accuracy[extractor=digits-classifier@0a0a0a0a,n=500]"
REASON = "the model has no encoder"

QUANTITIES = {
    "inception_score": Quantity("Inception Score", "higher", 2),
    "intra_class_diversity": Quantity("Intra-class diversity", "real", 4),
    "class_accuracy": Quantity("Class accuracy (%)", "higher", 1),
    "fid": Quantity("Fréchet distance", "lower", 2),
    "relevant_distance": Quantity("Relevant code from prior", "one", 2),
    "irrelevant_kl": Quantity("KL of the irrelevant code (nats a dimension)", None, 3),
    "leakage_linear": Quantity("Label from irrelevant code, linear (%)", "lower", 1),
    "arc_coverage": Quantity("Arc coverage (%)", "real", 1),
    "inpainting_mse": Quantity("Inpainting MSE", "lower", 4),
}
WHOLE = {
    "prior_fit": ("relevant_distance", "irrelevant_kl"),
    "inpainting": ("inpainting_mse",),
}
"""Metrics of several quantities, or of one by another name."""

EVALUATION = "e"
"""Id of what is to be measured."""

# variant: {seed: {metric: (protocol, value), or (protocol, value, error), or several of these}}
QUICKSTART = {
    "cvae": {
        0: {"inception_score": (IS, 7.25), "intra_class_diversity": (DIVERSITY, 0.25)},
        1: {"inception_score": (IS, 7.5), "intra_class_diversity": (DIVERSITY, 0.28125)},
        2: {"inception_score": (IS, 7.75), "intra_class_diversity": (DIVERSITY, 0.3125)},
    },
    "lr_livae": {
        0: {"inception_score": (IS, 8.5), "intra_class_diversity": (DIVERSITY, 0.40625)},
        1: {"inception_score": (IS, 9.0), "intra_class_diversity": (DIVERSITY, 0.4375)},
        2: {"inception_score": (IS, 8.75), "intra_class_diversity": (DIVERSITY, 0.421875)},
    },
}
REAL_FIGURES = {"inception_score": (IS, 9.625), "intra_class_diversity": (DIVERSITY, 0.5)}
COST = {
    "parameters": 367552,
    "sampling_parameters": 64001,
    "multiply_adds_per_iteration": 628294176,
    "images_per_iteration": 96,
    "multiply_adds_per_sample": 305664,
    "relevant_code": 0,
    "irrelevant_code": 16,
}
TRACEBACK = (
    "Traceback (most recent call last):\n"
    '  File "bench/execution/run_one.py", line 1, in run_one\n'
    "bench.errors.RunFailed: main/reconstruct is nan at step 40\n"
)


def write_sweep(
    results,
    sweep="quickstart",
    variants=QUICKSTART,
    *,
    data="digits",
    models=None,
    real=REAL_FIGURES,
    states=None,
    iterations=800,
):
    """Write a sweep; `states` maps (variant, seed) to a state other than done.

    A run that is `trained` was measured before other metrics were asked for.
    """
    folder = Path(results) / sweep
    folder.mkdir(parents=True)
    states = states or {}
    runs = []
    for variant, seeds in variants.items():
        model = (models or {}).get(variant, variant)
        for seed, measured in seeds.items():
            run = f"{len(runs):02d}{abs(hash_of(sweep, variant, seed)):010x}"[:12]
            runs.append({"id": run, "variant": variant, "model": model, "data": data, "seed": seed})
            runs[-1]["evaluation"] = EVALUATION
            state = states.get((variant, seed), "done")
            if state != "missing":
                config = {
                    "model": {"name": model},
                    "data": {"name": data},
                    "seed": seed,
                    "iterations": iterations,
                    "batch_size": 96,
                    "objective": {"encoder_u": {"kl": 1.0}},
                }
                write_run(folder / run, run, config, measured, state)
    controls = []
    if real is not None:
        run = "real-0a1b2c3d4e5f"
        controls.append({"id": run, "control": "real", "data": data, "evaluation": EVALUATION})
        config = {"data": {"name": data}, "control": "real test images"}
        state = states.get("real", "done")
        if state != "missing":
            write_run(folder / run, run, config, real, state, curve=False)
    spec = f"sweeps/{sweep}.yaml"
    plan = {
        "sweep": sweep,
        "title": f"The {sweep} sweep",
        "spec": spec,
        "command": f"bench run {spec}",
        "quantities": {name: asdict(quantity) for name, quantity in QUANTITIES.items()},
        "runs": runs,
        "controls": controls,
    }
    (folder / "sweep.json").write_text(json.dumps(plan))
    return folder


def write_run(folder, run, config, measured, state="done", *, curve=True):
    """Write the folder of one run."""
    folder.mkdir()
    write_json(folder / "config.json", {"id": run, "config": config})
    provenance = {"commit": "c0ffee", "dirty": False, "started": "2026-01-02T03:04:05+00:00"}
    provenance |= {"device": "cpu", "device_name": "x86_64", "threads": 1}
    write_json(folder / "provenance.json", provenance)
    rows = [
        {"step": step, "split": "train", "metric": "main/reconstruct", "protocol": ""}
        | {"value": 1.0 / (step + 1)}
        for step in (0, 100, 200)
    ]
    if curve:
        write_jsonl(folder / "rows.jsonl", rows)
    write_jsonl(
        folder / "timings.jsonl", [{"metric": "train_seconds", "value": 12.5}] if curve else []
    )
    if curve:
        write_cost(folder)
    if state == "failed":
        (folder / "failed").write_text(TRACEBACK)
    if state not in ("done", "trained"):
        return
    split = "samples" if curve else "real"
    evaluation = [
        {"step": config.get("iterations", 0), "split": split, "metric": metric}
        | {"protocol": protocol, "value": value, "reason": "" if value is not None else REASON}
        | ({"error": error[0]} if error else {})
        for metric, found in measured.items()
        for protocol, value, *error in (found if isinstance(found, list) else [found])
    ]
    write_jsonl(folder / "evaluation.jsonl", evaluation)
    (folder / "samples.png").write_bytes(b"\x89PNG\r\n")
    evaluated = EVALUATION if state == "done" else "earlier"
    fewest = 1  # tests write other measurements in the place of these
    write_json(folder / "done", {"evaluation": evaluated, "measurements": fewest})
    if state == "trained":
        (folder / "model.pt").touch()


def write_measured(folder, values=(1.0,)):
    """Write what a run has before it is marked as done."""
    folder.mkdir(parents=True, exist_ok=True)
    write_json(folder / "config.json", {"config": {}})
    write_json(folder / "provenance.json", {"started": "2026"})
    write_jsonl(folder / "evaluation.jsonl", [{"metric": "fid", "value": v} for v in values])


def write_cost(folder, **changes):
    """Write what was counted; a string in the place of a number is the reason why there is none."""
    rows = [
        {"metric": metric, "value": None if isinstance(value, str) else value}
        | {"reason": value if isinstance(value, str) else ""}
        for metric, value in (COST | changes).items()
    ]
    write_jsonl(folder / "cost.jsonl", rows)


def write_json(path, content):
    path.write_text(json.dumps(content))


class Registered:
    """A registered metric as reports see it."""

    def __init__(self, *names):
        self.quantities = {name: QUANTITIES[name] for name in names}


def registered_metrics():
    """What `bench.record.quantities.registered_metrics` returns in tests, without torch."""
    metrics = {name: Registered(name) for name in QUANTITIES}
    return metrics | {whole: Registered(*names) for whole, names in WHOLE.items()}


def hash_of(*parts):
    """A number that is the same in every process, unlike `hash`."""
    return sum(ord(character) * 31**place for place, character in enumerate(str(parts))) % 16**10
