"""The README's own model, registration and sweep, used as written."""

import os
import re
import subprocess
import sys
import tomllib
from pathlib import Path

import pytest
import yaml

README = (Path(__file__).parent.parent / "README.md").read_text()


def block(language, containing):
    """Return the fenced block of a language that contains a text."""
    blocks = re.findall(rf"```{language}\n(.*?)```", README, re.DOTALL)
    return next(text for text in blocks if containing in text)


@pytest.fixture
def bench(tmp_path):
    points = tomllib.loads(block("toml", "bench.models"))["project"]["entry-points"]
    site, info = tmp_path / "site", tmp_path / "site" / "my_package-1.0.dist-info"
    info.mkdir(parents=True)
    (site / "my_package").mkdir()
    (site / "my_package" / "tiny_cvae.py").write_text(block("python", "class TinyCVAE"))
    lines = [f"{name} = {value}" for name, value in points["bench.models"].items()]
    (info / "entry_points.txt").write_text("\n".join(["[bench.models]", *lines, ""]))
    (info / "METADATA").write_text("Metadata-Version: 2.1\nName: my-package\nVersion: 1.0\n")
    (tmp_path / "mine.yaml").write_text(block("yaml", "name: mine"))

    def run(*words):
        return subprocess.run(
            [sys.executable, "-m", "bench", *words],
            env={**os.environ, "PYTHONPATH": str(site), "OMP_NUM_THREADS": "1"},
            cwd=tmp_path,
            capture_output=True,
            text=True,
        )

    return run


def test_a_newcomers_model_gets_into_the_table(bench):
    checked = bench("check", "tiny_cvae")
    assert checked.returncode == 0, checked.stdout + checked.stderr
    short = ("seeds=[0]", "base.iterations=5", "base.metrics=[intra_class_diversity]")
    ran = bench("run", "mine.yaml", *short, "--no-mlflow")
    assert ran.returncode == 0, ran.stderr
    table = bench("report", "mine", "--table", "2").stdout
    assert re.search(r"^mine +0\.\d+", table, re.MULTILINE), table
    assert re.search(r"^real test images +0\.\d+", table, re.MULTILINE)


def test_the_ablation_that_is_shown_is_the_one_that_is_shipped():
    shown = yaml.safe_load(block("yaml", "name: ablation"))
    shipped = yaml.safe_load((Path(__file__).parent.parent / "sweeps/ablation.yaml").read_text())
    for name, patch in shown["variants"].items():
        assert shipped["variants"][name] == patch


def test_every_target_and_command_exists():
    makefile = (Path(__file__).parent.parent / "Makefile").read_text()
    for target in re.findall(r"^make ([\w-]+)", README, re.MULTILINE):
        assert re.search(rf"^{target}:", makefile, re.MULTILINE), target
    from bench.cli import cli

    for command in re.findall(r"^bench (\w+)", README, re.MULTILINE):
        assert command in cli.commands, command
