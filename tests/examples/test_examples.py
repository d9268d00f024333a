"""The example packages are installed, checked, trained and documented as written."""

import importlib
import re
import tomllib
from contextlib import suppress
from pathlib import Path

import pytest
import torch
from torch._dynamo import config

from bench.conformance import suite
from bench.conformance.model_under_test import ModelUnderTest
from bench.errors import NotApplicable
from bench.record.records import load_records

ROOT = Path(__file__).parent.parent.parent
SWEEP = str(ROOT / "examples/digits.yaml")
NAMES = [path.parent.name for path in sorted(ROOT.glob("examples/*/pyproject.toml"))]
EACH = pytest.mark.parametrize("name", NAMES)


def code(name):
    return (ROOT / f"examples/{name}/{name}.py").read_text()


@pytest.fixture
def installed(install):
    for name in NAMES:
        project = tomllib.loads((ROOT / f"examples/{name}/pyproject.toml").read_text())["project"]
        install(project["name"], {f"{name}.py": code(name)}, project["entry-points"])


@pytest.mark.parametrize(
    ("name", "check"),
    [
        pytest.param(name, check, marks=() if is_light else pytest.mark.slow)
        for name in NAMES
        for check in suite.CHECKS
        for is_light in [re.search("resume|move_only|gradient", check.__name__)]
    ],
    ids=lambda v: getattr(v, "__name__", v),
)
def test_examples_conform_without_a_remark(name, check, installed):
    # The setting with which trainings are compiled.
    with suppress(NotApplicable), config.patch(trace_autograd_ops=True):
        check(ModelUnderTest.of(name))


@pytest.mark.slow
def test_a_tiny_sweep_of_all_examples_gives_one_table(bench, installed):
    tiny = ("base.data=blobs", "base.iterations=3", "base.samples_per_class=3", "seeds=[0]")
    measured = "base.metrics=[intra_class_diversity]"
    status, _, err = bench("run", SWEEP, *tiny, measured, "--no-mlflow")
    assert status == 0, err
    status, table, err = bench("report", "examples", "--table", "summary")
    assert status == 0, err
    for name in ("cVAE", "cGAN", *NAMES):
        assert re.search(rf"^{name} +\d", table, re.MULTILINE), table


@pytest.mark.slow
def test_examples_draw_the_digits_that_they_are_asked_for(bench, installed, here):
    short = ("seeds=[0]", "base.metrics=[class_accuracy]")
    status, _, err = bench("run", SWEEP, *short, "--no-mlflow")
    assert status == 0, err
    final = load_records(here / "results", ["examples"]).final
    accuracy = {entry.run.variant: entry.value for entry in final}
    assert {name: value for name, value in accuracy.items() if value <= 80} == {}
    assert set(NAMES) < accuracy.keys()


def test_features_come_from_the_file_that_pretraining_leaves(installed, tmp_path):
    path = tmp_path / "features.pt"
    importlib.import_module("feature_gan").pretrain(path, steps=2)
    model = ModelUnderTest.of("feature_gan", {"features": str(path)}).model()
    saved, loaded = torch.load(path, weights_only=True), model.pretrained.state_dict()
    assert saved.keys() == loaded.keys()
    assert all(torch.equal(value, loaded[name]) for name, value in saved.items())


@EACH
def test_an_example_uses_what_users_may_use(name):
    for module in re.findall(r"^(?:from|import) (bench[\w.]*)", code(name), re.MULTILINE):
        assert module in ("bench.training.interface", "bench.data.base", "bench.data.digits")


@EACH
def test_an_example_is_short_and_documented(name):
    assert len(code(name).splitlines()) < 150
    page = (ROOT / f"docs/examples/{name}.md").read_text()
    assert f"- examples/{name}.md" in (ROOT / "mkdocs.yml").read_text()
    assert f"examples/{name}" in (ROOT / "examples/README.md").read_text()
    shown = re.findall(r"^```python\n(.*?)^```$", page, re.DOTALL | re.MULTILINE)
    assert shown
    source = without_indents(code(name))
    for lines in shown:
        assert without_indents(lines) in source, lines


def without_indents(text):
    return "".join(f"{line.strip()}\n" for line in text.splitlines())
