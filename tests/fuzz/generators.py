"""Generators of cases: sweep files, tune files, preferences, overrides, options, targets.

Each takes a random generator and an empty folder, the working directory of the command, writes
what it likes there, and returns a `Case`. A new kind is one function in `GENERATORS`.
"""

import os
from pathlib import Path

from bench.spec.run_settings import RunSettings
from tests.fuzz.harness import Case
from tests.fuzz.images import image_folder, npz_file, shards

FOLDER = Path(__file__).parent

SWEEP = """\
# A sweep.
name: small
title: A small sweep
base:
  data: {name: blobs, per_class: 20}
  model: {name: cvae, width: 0.25, latent: 4}
  iterations: 12
  batch_size: 16
  samples_per_class: 3
  metrics: [class_accuracy, {name: intra_class_diversity, size: 192}]
  controls: [real]
  optimizers: {default: {rate: 1e-3, schedule: {name: drop, at: 6, factor: 0.1}}}
  average: {decay: 0.9, players: [decoder]}
seeds: [0]
variants:
  full: {}
  no kl: {objective: {encoder: {kl: 0}}}
grid: {clip_norm: [1.0]}
"""
TUNING = """\
name: small
base:
  data: blobs
  iterations: 6
  model: {name: cvae, width: 0.25, latent: 4}
  metrics: [class_accuracy, within_class_variance]
seeds: [0, 3]
trials: 4
objectives: [class_accuracy, within_class_variance/pixels]
variants:
  full: {}
  slow:
    batch_size: 16
space:
  full:
    kl: {keys: [objective.encoder.kl], low: 0.1, high: 10}
    optimizers.default.rate: {low: 1e-4, high: 1e-2, log: true}
    precision: {choices: [float32, tf32]}
sampler_seed: 3
"""
PREFERENCES = """\
executor: {name: local, per_gpu: 1}
jobs: 2
allow_code_change: false
speed: eager
"""

DEEP = "[" * 3000
LAUGHS = "\n".join(["a: &a0 lol", *(f"a{n}: &a{n} [{f'*a{n - 1}, ' * 9}]" for n in range(1, 12))])
NASTY = [
    *(FOLDER / "values.txt").read_text(encoding="utf-8").splitlines(),
    *("|\n    x\n    y", ">\n  folded", "9" * 5000, "a" * 5000, "/" + "a/" * 2500, "x" * 20000),
    *("{name: npz, path: " + "a" * 5000 + "}", DEEP, DEEP + "]" * 3000, "{a: " * 3000),
    *("- " * 3000, "? " * 3000, "!" * 300, "&" * 300),
]
"""Values that no key expects, or that YAML itself stumbles over."""

KEYS = [*(FOLDER / "keys.txt").read_text(encoding="utf-8").splitlines(), "k" * 300]

BYTES = (
    *(b"\x00", b"\xff", b"\xfe\xff", b"\xef\xbb\xbf", b"\t", b"\r", b"\x0c", b"\x1b[2J", b"\x7f"),
    *(b"\xc2\x85", b"\xe2\x80\xa8", b"\xed\xa0\x80", b"\xf4\x90\x80\x80", b"\x80", b"\n---\n"),
)


def mutated(random, text):
    """Return the bytes of a YAML text with up to three mistakes in it."""
    lines = text.splitlines()
    for _ in range(random.choice((1, 1, 1, 2, 3))):
        number = random.randrange(len(lines))
        line = lines[number]
        key, colon, value = line.partition(":")
        kind = random.randrange(12)
        if kind < 4 and colon:
            lines[number] = f"{key}: {random.choice(NASTY)}"
        elif kind == 4 and value.strip().startswith(("{", "[")):
            words = value.split(" ")
            words[random.randrange(len(words))] = random.choice(NASTY)
            lines[number] = f"{key}:{' '.join(words)}"
        elif kind == 5:
            indent = line[: len(line) - len(line.lstrip())]
            lines[number] = f"{indent}{random.choice(KEYS)}:{value}"
        elif kind == 6:
            lines.insert(number, line)
        elif kind == 7 and len(lines) > 1:
            del lines[number]
        elif kind == 8:
            lines[number] = " " * random.randrange(1, 4) + line
        elif kind == 9:
            more = (LAUGHS, DEEP, "---", "- a", "%TAG ! x", "x: &b {}")
            lines.insert(number, random.choice(more))
        elif kind == 10:
            lines[number] = line[: random.randrange(len(line) + 1)]
        else:
            at = random.randrange(len(line) + 1)
            lines[number] = line[:at] + random.choice("{}[]:,&*!|>'\"%@`#-? \t") + line[at:]
    content = "\n".join([*lines, ""]).encode("utf-8", "surrogatepass")
    if random.random() < 0.15:
        at = random.randrange(len(content))
        content = content[:at] + random.choice(BYTES) + content[at:]
    if random.random() < 0.03:
        others = text.encode("utf-16"), b"\xef\xbb\xbf" + content, b"", content * 500
        content = random.choice(others)
    return content


def write(random, path, text):
    """Write a mutated text, or what is no file in its place."""
    kind = random.randrange(60)
    if kind == 0:
        path.mkdir()
    elif kind == 1:
        os.mkfifo(path)
    elif kind == 2:
        path.symlink_to(path)
    else:
        path.write_bytes(mutated(random, text))


def sweep_file(random, folder):
    """A damaged sweep file."""
    write(random, folder / "s.yaml", SWEEP)
    return Case(("run", "s.yaml", "--dry-run", "--device", "cpu"), names=("s.yaml",))


def listed_sweep(random, folder):
    """A damaged sweep file beside a sound one, both listed."""
    (folder / "sweeps").mkdir()
    (folder / "sweeps" / "sound.yaml").write_text(SWEEP.replace("A small sweep", "All is well"))
    write(random, folder / "sweeps" / "bad.yaml", SWEEP)
    return Case(("list", "sweeps"), accepts=(0,), prints=("All is well", "bad.yaml"))


def tuning_file(random, folder):
    """A damaged tuning file."""
    write(random, folder / "t.yaml", TUNING)
    return Case(("tune", "t.yaml", "--dry-run", "--device", "cpu"), names=("t.yaml",))


def preferences(random, folder):
    """A damaged file of preferences."""
    (folder / "bench").mkdir()
    (folder / "s.yaml").write_text(SWEEP)
    write(random, folder / "bench" / "config.yaml", PREFERENCES)
    os.environ["XDG_CONFIG_HOME"] = str(folder)
    return Case(("run", "s.yaml", "--dry-run"), names=("config.yaml",))


PATHS = [
    *RunSettings.model_fields,
    *(f"base.{key}" for key in RunSettings.model_fields),
    *("base", "seeds", "variants", "grid", "name", "title", "base.model.name", "base.metrics.0"),
    *("variants.full", "variants.full.batch_size", "variants.ful.model.width", "variants.new"),
    *("grid.clip_norm", "grid.model.width", "base.objective.decoder.reconstruct"),
    *("base.optimizers.default.rate", "base.optimizers.default.schedule", "base.average.decay"),
    *("", ".", "base.", ".base", "base..x", "nothing", "a" * 3000, ".".join("a" * 3000)),
    *("\ud800", "base.\x1b"),
]


def override(random, folder):
    """Overrides of a sound sweep file."""
    (folder / "s.yaml").write_text(SWEEP)
    words = [
        f"{random.choice(PATHS)}{random.choice(('=', '=', '=', '==', ''))}{random.choice(NASTY)}"
        for _ in range(random.choice((1, 1, 2)))
    ]
    return Case(
        ("run", "s.yaml", "--dry-run", "--", *words), names=("command line", "s.yaml", "text")
    )


OPTIONS = {
    "--jobs": ("0", "-1", "1000000", "1e3", "x", "9" * 5000),
    "--threads": ("0", "-1", "1000000", "x", "9" * 5000),
    "--device": ("gpu", "cuda:x", "", "meta", "cpu:1:1", "a" * 5000, "\x1b[2J"),
    "--checkpoint-seconds": ("-1", "nan", "inf", "1e400", "x", ""),
    "--executor": NASTY,
    "--speed": NASTY,
    "--results": ("a" * 5000, "s.yaml", "s.yaml/x", "\udcff", "", "\x1b"),
    "--inception-weights": ("nowhere", ".", "a" * 5000),
    "--dinov2-weights": ("nowhere", ".", "a" * 5000),
}


def option(random, folder):
    """Options of the command line."""
    (folder / "s.yaml").write_text(SWEEP)
    name = random.choice((*OPTIONS,))
    spec = random.choice(("s.yaml", "s.yaml", "s.yaml", "", ".", "a" * 5000, "~nouser/x", "\ud800"))
    return Case(("run", spec, "--dry-run", name, random.choice(OPTIONS[name])))


def evaluate_target(random, folder):
    """What `bench evaluate` is pointed at."""
    name = random.choice(("x", "x.npz", "a" * 5000, "~nouser/x", "", "\ud800", "x/y", "x.npz/y"))
    place = folder / "x.npz"
    kind = random.randrange(8)
    if kind == 0:
        place.mkdir()
    elif kind == 1:
        os.mkfifo(place)
    elif kind == 2:
        place.write_bytes(random.randbytes(random.randrange(200)))
    elif kind == 3:
        (folder / "x").mkdir()
        (folder / "x" / "config.json").write_text(random.choice(("", "[]", "{}", RUN, RUN[:40])))
        (folder / "x" / "model.pt").write_bytes(b"")
        name = "x"
    elif kind == 4:
        place.symlink_to(place)
    words = ["evaluate", name, "--device", "cpu"]
    for flag in ("--data", "--metric"):
        if random.random() < 0.6:
            words += [flag, random.choice(("blobs", "class_accuracy", *NASTY))]
    return Case(tuple(words), accepts=(1, 2))


RUN = '{"config": {"model": {"name": "cvae"}, "data": "blobs", "schema": 2}}'

GENERATORS = {
    generator.__name__: generator
    for generator in (
        *(sweep_file, listed_sweep, tuning_file, preferences, override, option, evaluate_target),
        *(image_folder, npz_file, shards),
    )
}
