"""The records that the stored tables are made from. Write them again with:

    python -m tests.data_recorded.cases

and look at every difference before keeping it.
"""

import json
import tempfile
from dataclasses import replace
from pathlib import Path

from bench.record.records import load_records
from bench.reporting.render import RENDERERS, SUFFIXES
from bench.reporting.tables.build import build_table
from bench.reporting.tables.table_spec import load_tables
from bench.reporting.variance import variance_table
from tests.data_recorded import recorded

GOLDEN = Path(__file__).parent / "golden"
SPECS = load_tables(Path(__file__).parents[2] / "sweeps" / "tables.yaml")
NAMES = SPECS["summary"].names


def build(results, name="1", sweeps=None, **options):
    """Return a table of some results."""
    return build_table(SPECS[name], load_records(results, sweeps), **options)


def notes(table):
    """Return the notes of a table as one text."""
    return "\n".join(f"{note.text} {'; '.join(note.items)} {note.command}" for note in table.notes)


def nothing(results):
    """No run has started."""


def complete(results):
    """Two models, three seeds each, all finished."""
    recorded.write_sweep(results)


def broken(results):
    """Failed, interrupted and missing runs; two protocols; a measurement that does not apply."""
    variants = {
        "cvae": {seed: dict(held) for seed, held in recorded.QUICKSTART["cvae"].items()},
        "lr_livae": recorded.QUICKSTART["lr_livae"],
        "no adversary": {
            0: {"inception_score": ("is[domain classifier,n=100]", 8.0)},
            1: {"inception_score": ("is[domain classifier,n=100]", 8.25)},
        },
    }
    variants["cvae"][0]["probe"] = ("probe[linear]", None)
    recorded.write_sweep(
        results,
        variants=variants,
        models={"no adversary": "lr_livae"},
        real={"inception_score": ("is[domain classifier,n=97]", 9.5)},
        states={
            ("cvae", 1): "failed",
            ("cvae", 2): "missing",
            ("lr_livae", 0): "unfinished",
            ("lr_livae", 1): "unfinished",
        },
    )


def two_sweeps(results):
    """A quick sweep, and the paper's table on one of its data sets."""
    recorded.write_sweep(results)
    models = {"cvae_gan": recorded.QUICKSTART["cvae"], "lr_livae": recorded.QUICKSTART["lr_livae"]}
    recorded.write_sweep(results, "table2", models, data="cifar10", iterations=52000)


def costs(results):
    """A model that cannot encode, one that was not counted, one run on another device."""
    variants = {name: recorded.QUICKSTART["cvae"] for name in ("cvae", "cgan", "older")}
    folder = recorded.write_sweep(results, variants=variants, models={"older": "lr_livae"})
    for number, path in enumerate(sorted(folder.glob("[0-9]*/timings.jsonl"))):
        path.write_text(path.read_text().replace("12.5", str(12.5 + number**2)))
    cannot = dict.fromkeys(("relevant_code", "irrelevant_code"), "it cannot encode")
    for path in folder.glob("0[345]*"):
        recorded.write_cost(path, parameters=1084209, **cannot)
    for path in folder.glob("0[678]*/cost.jsonl"):
        path.unlink()
    for path in folder.glob("01*/provenance.json"):
        path.write_text(path.read_text().replace('"cpu"', '"cuda:0"').replace("x86_64", "H100"))


def eight_seeds(results):
    """Enough seeds for claims: better, worse, and equal rows; commits and changes mixed."""
    shifts = {"full": (0, 0), "better": (1, -1), "worse": (-1, 1), "equal": (0, 0), "few": (1, -1)}
    variants = {}
    for place, (variant, (score, gap)) in enumerate(shifts.items()):
        variants[variant] = {}
        for seed in range(3 if variant == "few" else 8):
            shared, own = (3 * seed % 8) / 16, ((5 * seed * place) % 8 - 3.5 * (place > 0)) / 64
            measured = {
                "inception_score": (recorded.IS, 8 + score / 2 + shared + own),
                "intra_class_diversity": (
                    recorded.DIVERSITY,
                    0.75 + gap / 8 + shared / 8 + own / 8,
                ),
                "class_accuracy": (recorded.ACCURACY, 90 + 4 * score + 8 * shared + 8 * own),
            }
            if variant in ("worse", "equal"):
                measured["leakage_linear"] = ("probe[linear]", None)
            variants[variant][seed] = measured
    for seed in range(8):
        variants["full"][seed]["leakage_linear"] = ("probe[linear]", 12.5 + seed)
    models = dict.fromkeys(variants, "lr_livae") | {"worse": "cgan"}
    real = {**recorded.REAL_FIGURES, "intra_class_diversity": (recorded.DIVERSITY, 0.5, 1 / 64)}
    folder = recorded.write_sweep(results, "claims", variants, models=models, real=real)
    for path in folder.glob("0[01234567]*/provenance.json"):
        text = path.read_text().replace('"dirty": false', '"dirty": true, "diff": "abcdef012345"')
        path.write_text(text)


def redrawn(results):
    """Errors over images, samples drawn again from the weights of a run, and two classifiers."""
    protocols = [
        f"accuracy[extractor=digits-classifier@{name},n=500]" for name in ("0a" * 4, "1b" * 4)
    ]
    values = {0: 80.0, 1: 84.0, 2: 82.0}
    variants = {
        "cvae": {
            seed: {
                "inception_score": (recorded.IS, 7 + seed / 4),
                "intra_class_diversity": (recorded.DIVERSITY, 0.25 + seed / 64, 1 / 128),
                "class_accuracy": [(protocols[0], value, 3.0), (protocols[1], value + 2, 3.0)],
            }
            for seed, value in values.items()
        },
        "alone": {0: {"inception_score": (recorded.IS, 8.0)}},
    }
    folder = recorded.write_sweep(results, variants=variants, models={"alone": "cvae"})
    [first] = folder.glob("00*")
    again = {f"again {n}": {0: {"inception_score": (recorded.IS, 7 + n / 8)}} for n in (1, 2)}
    kept = recorded.write_sweep(results, "evaluations", again, models=dict.fromkeys(again, "cvae"))
    for number, path in enumerate(sorted(kept.glob("0*/config.json")), start=1):
        content = json.loads(path.read_text())
        origin = {"run": f"elsewhere/quickstart/{first.name}", "sample_seed": 1000 + number}
        content["config"]["evaluated"] = origin | {"per_class": 50}
        recorded.write_json(path, content)


STORED = [
    (nothing, "1", "text"),
    (nothing, "2", "text"),
    (nothing, "6", "text"),
    (complete, "1", "text"),
    (complete, "2", "text"),
    (complete, "2", "csv"),
    (complete, "2", "markdown"),
    (complete, "2", "latex"),
    (complete, "summary", "text"),
    (broken, "1", "text"),
    (broken, "summary", "text"),
    (broken, "summary", "latex"),
    (broken, "ablation", "markdown"),
    (two_sweeps, "2", "text"),
    (two_sweeps, "2", "csv"),
    (nothing, "cost", "text"),
    (two_sweeps, "cost", "text"),
    (costs, "cost", "text"),
    (costs, "cost", "csv"),
    (costs, "cost", "markdown"),
    (costs, "cost", "latex"),
    (eight_seeds, "summary", "text"),
    (eight_seeds, "summary", "csv"),
    (eight_seeds, "ablation", "markdown"),
    (eight_seeds, "ablation", "latex"),
    (redrawn, "variance", "text"),
    (redrawn, "variance", "latex"),
    (redrawn, "summary", "text"),
]
SHOWN = {eight_seeds: ("difference", "iqm", "improvement"), broken: ("difference",)}


def render(case, name, form, results):
    """Return a table of a case, and the name of the file in which it is stored."""
    case(results)
    if name == "variance":
        table = variance_table(load_records(results), NAMES)
    else:
        table = build(results, name, show=SHOWN.get(case, ()), paper=case is two_sweeps)
    # a command may name the folder, which is another one every time
    found = [replace(n, command=n.command.replace(str(results), "results")) for n in table.notes]
    text = RENDERERS[form](replace(table, notes=tuple(found)))
    return text, f"{case.__name__}-{name}{SUFFIXES[form]}"


if __name__ == "__main__":
    from bench.record import quantities

    quantities.registered_metrics = recorded.registered_metrics
    GOLDEN.mkdir(exist_ok=True)
    for stored in STORED:
        with tempfile.TemporaryDirectory() as folder:
            text, place = render(*stored, Path(folder))
            (GOLDEN / place).write_bytes(text.encode())
