"""Records for the page: small ones, hostile names, and one as large as a page must bear."""

import numpy as np

from bench.record.jsonl import write_jsonl
from tests.data_recorded import recorded

HOSTILE = (
    "</script><script>window.broken = 1</script> <!-- <script> "
    "\"quoted\" 'single' & <b>ünï—コード</b> \u2028 ${x} {{x}} ]]> "
    '<svg onload="window.broken = 1"> &lt;i&gt; javascript:window.broken=1'
)
METRICS = ("inception_score", "intra_class_diversity", "class_accuracy", "fid")


def write_samples(folder, classes=10, each=10, side=8, channels=1, draw=None):
    """Keep samples in the folder of a run, as the harness does."""
    draw = draw or np.random.default_rng(0)
    x = draw.integers(0, 256, (classes, each, side, side, channels), dtype=np.uint8)
    np.savez_compressed(
        folder / "samples.npz", x=x, names=np.array([f"c{k}" for k in range(classes)])
    )


def write_small(results):
    """Two models of three seeds, with samples and further pictures."""
    folder = recorded.write_sweep(results)
    for number, run in enumerate(sorted(path for path in folder.iterdir() if path.is_dir())):
        draw = np.random.default_rng(number)
        write_samples(run, draw=draw)
        if not run.name.startswith("real"):
            images = draw.integers(0, 256, (4, 4, 8, 8, 1), dtype=np.uint8)
            np.savez_compressed(
                run / "pictures.npz",
                swaps=images,
                originals=images[0],
                reconstruction=images[1],
                regions=np.array(["left", "right"]),
            )
    return folder


def write_hostile(results):
    """A sweep whose names hold everything that may end an element or a string."""
    held = recorded.QUICKSTART["cvae"]
    return recorded.write_sweep(
        results,
        variants={HOSTILE: held, "plain": held},
        models={HOSTILE: "cvae"},
        states={(HOSTILE, 1): "failed", ("plain", 2): "missing"},
    )


def write_wide(results, protocols=24):
    """A table of more columns than a page of paper has room for."""
    measured = {
        seed: {
            "inception_score": [(f"protocol {n}", 8.0 + n + seed / 8) for n in range(protocols)],
            "class_accuracy": (recorded.ACCURACY, 90.0 + seed),
        }
        for seed in range(3)
    }
    return recorded.write_sweep(results, "wide", {"cvae": measured, HOSTILE: measured})


def write_large(results, variants=40, seeds=5):
    """200 runs with four metrics, eight curves and 10 x 10 samples each."""
    draw = np.random.default_rng(0)
    held = {
        f"variant {number}": {
            seed: {name: (f"{name}[n=500]", float(draw.normal(8))) for name in METRICS}
            for seed in range(seeds)
        }
        for number in range(variants)
    }
    folder = recorded.write_sweep(results, "large", held, data="cifar10")
    for run in sorted(path for path in folder.iterdir() if path.is_dir()):
        write_samples(run, draw=draw)
        write_jsonl(
            run / "rows.jsonl",
            [
                {"step": step, "split": "train", "metric": f"main/term_{term}", "protocol": ""}
                | {"value": float(draw.exponential())}
                for step in range(150)
                for term in range(8)
            ],
        )
    return folder
