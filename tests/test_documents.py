"""README and docs: what they show is used as written."""

import json
import re
import shlex
import subprocess
import sys
import tomllib
from pathlib import Path

import click
import numpy as np
import pytest
import torch
import yaml
from PIL import Image

from bench import registry
from bench.cli import cli, main
from bench.data.digits import Digits
from bench.errors import SpecError
from bench.evaluation.measuring import measure
from bench.metrics.base import Context, SampleSet
from bench.metrics.class_groups import GroupedMetric
from bench.reporting.figures.catalog import FIGURES
from bench.reporting.tables.table_spec import load_tables
from bench.spec.located_yaml import parse_value
from bench.spec.sweep_file import load_sweep
from tests.data_recorded import recorded

ROOT = Path(__file__).parent.parent
DOCUMENTS = {
    str(path.relative_to(ROOT)): path.read_text()
    for path in [
        *(ROOT / name for name in ("README.md", "CONTRIBUTING.md", "examples/README.md")),
        *sorted(ROOT.glob("docs/**/*.md")),
    ]
}
README = DOCUMENTS["README.md"]


def blocks(text, language=""):
    """Return the fenced blocks of a language."""
    fenced = re.findall(r"^```(\w*)\n(.*?)^```$", text, re.DOTALL | re.MULTILINE)
    return [block for of, block in fenced if of == language]


def block(text, language, containing):
    return next(block for block in blocks(text, language) if containing in block)


def commands(text):
    """Return the words of each `bench` command of a block, comments left out."""
    lines = (shlex.split(line, comments=True) for line in text.splitlines())
    return [words[1:] for words in lines if words[:1] == ["bench"]]


def spaced_once(text):
    return " ".join(text.split())


@pytest.fixture
def run_here(tmp_path, monkeypatch, capsys):
    """Run commands in this process, which has torch, and return what they print."""
    monkeypatch.chdir(tmp_path)

    def run(words):
        with pytest.raises(SystemExit) as end:
            main(list(words))
        captured = capsys.readouterr()
        assert not end.value.code, captured.err
        return captured.out

    return run


def test_a_newcomers_model_gets_into_the_table(run_here, install):
    points = tomllib.loads(block(README, "toml", "bench.models"))["project"]["entry-points"]
    model = block(README, "python", "class TinyCVAE")
    install("my-package", {"my_package/tiny_cvae.py": model}, points)
    Path("mine.yaml").write_text(block(README, "yaml", "name: mine"))
    run_here(["check", "tiny_cvae"])
    short = ("seeds=[0]", "base.iterations=5", "base.metrics=[intra_class_diversity]")
    run_here(["run", "mine.yaml", *short, "--no-mlflow"])
    table = run_here(["report", "mine", "--table", "2"])
    assert re.search(r"^mine +0\.\d+", table, re.MULTILINE), table
    assert re.search(r"^real test images +0\.\d+", table, re.MULTILINE)


def test_a_network_that_was_trained_before_is_a_part_of_a_model(run_here, install):
    model = block(DOCUMENTS["docs/guide/models.md"], "python", "class PerceptualDecoder")
    points = {"bench.models": {"perceptual_decoder": "my_models:PerceptualDecoder"}}
    install("my-models", {"my_models.py": model}, points)
    torch.save({"0.weight": torch.ones(16, 1, 3, 3), "0.bias": torch.zeros(16)}, "features.pt")
    assert "conforms" in run_here(["check", "perceptual_decoder", "weights=features.pt"])


def test_a_tracker_of_ones_own_mirrors(run_here, install, tmp_path):
    shown = block(DOCUMENTS["docs/guide/extending.md"], "python", "class JsonFile")
    points = {"bench.trackers": {"json_file": "my_trackers:JsonFile"}}
    install("my-trackers", {"my_trackers.py": shown}, points)
    recorded.write_sweep(tmp_path / "results", "digits")
    run_here(["mirror", "digits", "--tracker", "{name: json_file, file: all.json}"])
    runs = json.loads(Path("results/all.json").read_text())["digits"]
    assert (runs["cvae, seed 0"]["inception_score"], runs["cvae, seed 0"]["state"]) == (
        7.25,
        "done",
    )


@pytest.mark.slow
def test_images_from_anywhere_get_into_the_table(tmp_path, run_here):
    sweep = yaml.safe_load(block(README, "yaml", "name: mine"))
    del sweep["variants"]["mine"]
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
    run_here(["run", "mine.yaml", *short, "--no-mlflow"])
    run = next(tmp_path.glob("results/mine/*/model.pt")).parent.name
    shown = commands(blocks(DOCUMENTS["docs/guide/evaluate.md"])[0])
    assert len(shown) == 5
    printed = [run_here([w.replace("3f9c01ab77de", run) for w in words]) for words in shown]
    assert re.search(r"^Their GAN +\d\.\d\d$", printed[3], re.MULTILINE), printed[3]
    assert re.search(r"^cVAE +\d\.\d\d \(1\)$", printed[3], re.MULTILINE)
    assert "more than one protocol" not in printed[3]


@pytest.mark.slow
def test_first_steps_can_be_taken(run_here):
    shown = re.search(r"<!-- run -->\n```\n(.*?)```", DOCUMENTS["docs/guide/first-steps.md"], re.S)
    printed = [run_here(words) for words in commands(shown[1])]
    assert len(printed) == 6
    assert "Lr-LiVAE" in printed[4]
    assert printed[5] == "short: 6 done; controls: 1 done\n"


def test_a_metric_of_ones_own_measures(digits):
    namespace = {"__name__": "my_package.brightness"}
    exec(block(DOCUMENTS["docs/guide/metrics.md"], "python", "class Brightness"), namespace)
    x = torch.full((10, 1, 8, 8), 51, dtype=torch.uint8)
    context = Context(digits, torch.device("cpu"), Path("cache"))
    samples = SampleSet(x, torch.arange(10), digits.spec)
    (measured,) = namespace["Brightness"]().measure(samples, context)
    assert (measured.metric, measured.value) == ("brightness", pytest.approx(0.2))


def test_a_metric_of_ones_own_can_have_groups(digits):
    shown = block(DOCUMENTS["docs/guide/metrics.md"], "python", "class Brightness")
    namespace = {"__name__": "my_package.brightness", "GroupedMetric": GroupedMetric}
    exec(shown.replace("(Metric)", "(GroupedMetric)"), namespace)
    x = torch.arange(10, dtype=torch.uint8)[:, None, None, None].expand(-1, 1, 8, 8)
    samples = SampleSet(x * 25, torch.arange(10), digits.spec)
    context = Context(digits, torch.device("cpu"), Path("cache"))
    metric = namespace["Brightness"](groups={"low": ["0", "2"]})
    whole, low = measure([metric], samples, context, step=0, split="samples")
    assert (whole["metric"], low["metric"]) == ("brightness", "brightness/low")
    assert (whole["value"], low["value"]) == pytest.approx((112.5 / 255, 25 / 255))


def test_a_data_set_of_ones_own_is_trained_on(run_here, install):
    guide = DOCUMENTS["docs/guide/data.md"]
    points = tomllib.loads(block(guide, "toml", "bench.datasets"))["project"]["entry-points"]
    source = block(guide, "python", "class Galaxies")
    install("my-package", {"my_package/galaxies.py": source}, points)
    images = np.random.default_rng(0).integers(256, size=(120, 32, 32), dtype=np.uint8)
    np.savez("galaxies.npz", images=images, kinds=np.arange(120) % 2)
    (words,) = commands(block(guide, "", "{name: galaxies"))
    assert "spiral 9 1 50" in spaced_once(run_here(words))
    data = "{name: galaxies, path: galaxies.npz, keep_classes: [spiral], test_per_class: 20}"
    assert "all 36 4 20" in spaced_once(run_here(["data", data]))
    settings = {"data": parse_value(data, "data"), "iterations": 2, "batch_size": 8}
    settings |= {"samples_per_class": 3, "metrics": ["intra_class_diversity"], "model": "cvae"}
    sweep = {"name": "stars", "seeds": [0], "base": settings}
    Path("stars.yaml").write_text(yaml.safe_dump(sweep))
    run_here(["run", "stars.yaml", "--no-mlflow"])
    assert "galaxies" in run_here(["report", "stars", "--table", "2"])
    Path("galaxies.npz").unlink()
    with pytest.raises(SpecError, match=r"stars.yaml:3: data: there is no file galaxies.npz"):
        load_sweep(Path("stars.yaml"))


def test_records_can_be_read_in_a_notebook(monkeypatch):
    shown = block(DOCUMENTS["docs/guide/reports.md"], "python", "load_records")
    namespace = {}
    exec(shown.replace('"results"', f'"{ROOT}/results/published"'), namespace)
    assert {"metric", "value", "protocol"} <= set(namespace["frame"].columns)


def test_numbers_of_the_readme_are_the_published_ones():
    words = [sys.executable, "-m", "cogapp", "--check", "README.md"]
    checked = subprocess.run(words, cwd=ROOT, capture_output=True, text=True)
    assert checked.returncode == 0, f"{checked.stdout}{checked.stderr}: make readme"


def test_the_ablation_that_is_shown_is_the_one_that_is_shipped():
    shown = yaml.safe_load(block(README, "yaml", "name: ablation"))
    shipped = yaml.safe_load((ROOT / "sweeps/ablation.yaml").read_text())
    for name, patch in shown["variants"].items():
        assert shipped["variants"][name] == patch


def test_sweeps_that_are_shown_are_valid(tmp_path):
    shown = [b for t in DOCUMENTS.values() for b in blocks(t, "yaml") if b.startswith("name:")]
    assert len(shown) >= 3
    for number, text in enumerate(shown):
        path = tmp_path / f"{number}.yaml"
        path.write_text(text.replace("name: tiny_cvae, latent", "name: cvae, latent"))
        assert load_sweep(path).runs


def test_tables_that_are_shown_are_valid(tmp_path):
    path = tmp_path / "tables.yaml"
    path.write_text(block(DOCUMENTS["docs/guide/reports.md"], "yaml", "tables:"))
    assert load_tables(path)["quality"].metrics == ("fid", "class_accuracy")


@pytest.mark.parametrize(
    ("kind", "page"),
    [
        ("dataset", "data"),
        ("metric", "metrics"),
        ("executor", "executors"),
        ("tracker", "trackers"),
    ],
)
def test_every_component_is_in_the_reference(kind, page):
    titles = re.findall(r"^## (\w+)$", DOCUMENTS[f"docs/reference/{page}.md"], re.MULTILINE)
    assert titles == list(registry.BUILT_IN[kind])


def test_every_model_is_in_the_reference():
    shown = re.findall(r"^::: (\S+)$", DOCUMENTS["docs/reference/models.md"], re.MULTILINE)
    registered = {entry.target.partition(":")[0] for entry in registry.BUILT_IN["model"].values()}
    assert registered <= set(shown)


def test_every_figure_and_table_is_in_the_gallery():
    """Pictures that are made elsewhere were made by the command above them."""
    gallery = DOCUMENTS["docs/gallery.md"]
    words = [words for text in blocks(gallery) for words in commands(text)]
    assert {w[1] for w in words if w[0] == "figure"} == set(FIGURES)
    tables = {w[w.index("--table") + 1] for w in words if w[0] == "report"}
    of_nothing_published = {"5", "6"}
    assert tables == set(load_tables()) - of_nothing_published
    assert "Tables 5 and 6" in gallery
    for name, sweep, *options in (w[1:] for w in words if "--results" not in w):
        with Image.open(ROOT / "results" / "published" / sweep / f"{name}.png") as picture:
            made_by = shlex.split(picture.info["Description"])
        assert made_by[: 4 + len(options)] == ["bench", "figure", name, sweep, *options]


@pytest.mark.parametrize("document", DOCUMENTS)
def test_commands_that_are_shown_exist(document, tmp_path, monkeypatch):
    """Each command's words are read by the command line; nothing is done."""
    monkeypatch.chdir(tmp_path)
    Path("digits.tar.gz").touch()
    makefile = (ROOT / "Makefile").read_text()
    for text in blocks(DOCUMENTS[document]):
        for target in re.findall(r"^make ([\w-]+)", text, re.MULTILINE):
            assert re.search(rf"^{target}:", makefile, re.MULTILINE), target
        for words in commands(text):
            parent, command, rest = click.Context(cli), cli, words
            while isinstance(command, click.Group):
                name, command, rest = command.resolve_command(parent, rest)
                assert command, words
            command.make_context(name, list(rest), parent=parent)


@pytest.mark.parametrize("document", DOCUMENTS)
def test_files_that_documents_name_exist(document):
    for target in re.findall(r"\]\((?!https?:)([^)#]+)", DOCUMENTS[document]):
        assert (ROOT / document).parent.joinpath(target).exists(), target
    named = r"`((?:bench|models|baselines|examples|sweeps|tests|docs)/[\w/.-]+)`"
    for path in re.findall(named, DOCUMENTS[document]):
        assert re.search(r"[A-Z]{4}", path) or (ROOT / path).exists(), path
