"""The README's own model, registration and sweep, used as written."""

import os
import re
import shlex
import subprocess
import sys
import tomllib
from pathlib import Path

import numpy as np
import pytest
import yaml
from PIL import Image

from bench.cli import main
from bench.data.digits import Digits

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


def test_images_from_anywhere_get_into_the_table(tmp_path, monkeypatch, capsys):
    def here(*words):  # in this process, which has torch
        with pytest.raises(SystemExit) as end:
            main(list(words))
        captured = capsys.readouterr()
        assert not end.value.code, captured.err
        return captured.out

    monkeypatch.chdir(tmp_path)
    sweep = yaml.safe_load(block("yaml", "name: mine"))
    del sweep["variants"]["mine"]  # which is installed in processes of their own alone
    Path("mine.yaml").write_text(yaml.safe_dump(sweep))
    data = Digits().load()
    rows = [row for label in range(10) for row in (data.validation.y == label).nonzero()[:7, 0]]
    x, y = data.validation.x[rows, 0].numpy(), data.validation.y[rows].numpy()
    np.savez("theirs.npz", x=x, y=y)
    for number, (image, label) in enumerate(zip(x, y, strict=True)):
        folder = Path("theirs", str(label))
        folder.mkdir(parents=True, exist_ok=True)
        Image.fromarray(image).save(folder / f"{number}.png")
    short = ("seeds=[0]", "base.iterations=5", "base.samples_per_class=7")
    here("run", "mine.yaml", *short, "--no-mlflow")
    run = next(tmp_path.glob("results/mine/*/model.pt")).parent.name
    lines = re.findall(r"^bench (?:evaluate|report mine evaluations) .*", README, re.MULTILINE)
    assert len(lines) == 5
    printed = []
    for line in lines:
        words = shlex.split(line.replace("3f9c01ab77de", run), comments=True)[1:]
        printed.append(here(*words))
    assert re.search(r"^Their GAN +\d\.\d\d$", printed[3], re.MULTILINE), printed[3]
    assert re.search(r"^cVAE +\d\.\d\d \(1\)$", printed[3], re.MULTILINE)
    assert "more than one protocol" not in printed[3]


def test_its_numbers_are_the_published_ones():
    words = [sys.executable, "-m", "cogapp", "--check", "README.md"]
    root = Path(__file__).parent.parent
    checked = subprocess.run(words, cwd=root, capture_output=True, text=True)
    assert checked.returncode == 0, f"{checked.stdout}{checked.stderr}: make readme"


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
