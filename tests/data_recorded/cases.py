"""The records that the stored tables are made from. Write them again with:

    python tests/data_recorded/cases.py

and look at every difference before keeping it.
"""

import sys
import tempfile
from pathlib import Path

sys.path.insert(0, str(Path(__file__).parent))

import recorded

GOLDEN = Path(__file__).parent / "golden"
TABLES = Path(__file__).parents[2] / "sweeps" / "tables.yaml"


def nothing(results):
    """No run has started."""


def complete(results):
    """Two models, three seeds each, all finished."""
    recorded.write_sweep(results)


def broken(results):
    """Failed, interrupted and missing runs; two protocols; a figure that does not apply."""
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
    (nothing, "footing", "text"),
    (two_sweeps, "footing", "text"),
    (costs, "footing", "text"),
    (costs, "footing", "csv"),
    (costs, "footing", "markdown"),
    (costs, "footing", "latex"),
]


def render(case, name, form, results):
    """Return a table of a case, and the name of the file in which it is stored."""
    from bench.reporting.records import load_records
    from bench.reporting.render import RENDERERS, SUFFIXES
    from bench.reporting.tables import build_table, load_tables

    case(results)
    table = build_table(load_tables(TABLES)[name], load_records(results))
    return RENDERERS[form](table), f"{case.__name__}-{name}{SUFFIXES[form]}"


if __name__ == "__main__":
    GOLDEN.mkdir(exist_ok=True)
    for stored in STORED:
        with tempfile.TemporaryDirectory() as folder:
            text, place = render(*stored, Path(folder))
            (GOLDEN / place).write_bytes(text.encode())
