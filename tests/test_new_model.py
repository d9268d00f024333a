"""`bench new model` writes a package that works as it is."""

import sys
import tomllib
from pathlib import Path

import pytest

from bench.commands.new import FILES


def files_in(folder):
    return {
        str(path.relative_to(folder)): path.read_text()
        for path in Path(folder).rglob("*")
        if path.is_file()
    }


@pytest.mark.slow
def test_a_new_model_is_installed_checked_tested_and_trained(bench, here, install, monkeypatch):
    monkeypatch.delitem(sys.modules, "my_own", raising=False)
    status, out, _ = bench("new", "model", "my_own")
    assert status == 0
    assert out.splitlines()[2:] == [
        "  pip install -e my_own",
        "  bench check my_own",
        "  bench run my_own/my_own.yaml",
    ]
    files = files_in("my_own")
    assert len(files) == len(FILES)
    project = tomllib.loads(files["pyproject.toml"])
    included = project["tool"]["hatch"]["build"]["targets"]["wheel"]["only-include"]
    points = project["project"]["entry-points"]
    install(project["project"]["name"], {name: files[name] for name in included}, points)

    status, out, _ = bench("check", "my_own")
    assert status == 0, out
    assert {line[:4] for line in out.splitlines()[:-1]} == {"ok  ", "n/a "}
    namespace = {}
    exec(files["tests/test_my_own.py"], namespace)
    monkeypatch.setattr("bench.conformance.suite.CHECKS", {})  # as the command has just done
    namespace["test_it_conforms"]()

    short = ("seeds=[0]", "base.iterations=4", "base.metrics=[intra_class_diversity]")
    status, _, err = bench("run", "my_own/my_own.yaml", *short, "--no-mlflow", "--jobs", "1")
    assert status == 0, err
    assert "my_own" in bench("report", "my_own", "--table", "2")[1]
    status, _, err = bench("new", "model", "my_own")
    assert (status, "already registered" in err) == (2, True)


@pytest.mark.parametrize(
    ("name", "problem"),
    [
        ("my-model", "for example my_model"),
        ("3d gan", "for example my_3d_gan"),
        ("class", "for example my_class"),
        ("größe", "for example gr_e"),
        ("..", "for example my_model"),
        ("a/b", "for example a_b"),
        ("x" * 61, "more than 60 characters"),
        ("cvae", "the model 'cvae' is already registered"),
        ("torch", "the name of an installed module; try my_torch"),
        ("there", "there already exists"),
    ],
)
def test_a_name_that_cannot_be_is_refused_and_nothing_is_written(bench, here, name, problem):
    Path("there").mkdir()
    before = sorted(here.iterdir())
    status, out, err = bench("new", "model", name)
    assert (status, out) == (2, "")
    assert problem in err
    assert sorted(here.iterdir()) == before


def test_nothing_half_written_stays(bench, here, monkeypatch):
    before = sorted(here.iterdir())
    write_text = Path.write_text

    def full(path, text):
        if path.name == "README.md":
            raise OSError(28, "No space left on device")
        return write_text(path, text)

    monkeypatch.setattr(Path, "write_text", full)
    status, _, err = bench("new", "model", "half_written")
    assert status == 2
    assert "No space left on device: half_written; free some space there" in err
    assert sorted(here.iterdir()) == before
