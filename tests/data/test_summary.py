"""What a data set holds, and what the user is told of it before anything is trained."""

import io
import json
import os
import pwd
from dataclasses import replace

import numpy as np
import pytest
import torch
import torch.nn.functional as F
from PIL import Image

from bench.data.base import DataSet, DataSpec, Split, data_root, home_path, made_data_root
from bench.data.digits import Digits
from bench.data.moons import Moons
from bench.data.npz import Npz
from bench.data.summary import count_near_copies, data_notices, find_repeats, summarize
from bench.errors import BenchError

SPEC = DataSpec("pairs", (1, 1, 1), ("a", "b"))
ANY = "0" * 64
"""A fingerprint that nothing looks at."""


def split(*examples):
    """Return images of one pixel from texts such as `7a`: the pixel, from 100 on, and the class."""
    x = torch.tensor([100 + int(e[:-1]) for e in examples]).byte().view(-1, 1, 1, 1)
    return Split(x, torch.tensor([SPEC.class_names.index(e[-1]) for e in examples]))


def data(train, validation=("90a", "91b"), test=("92a", "93b"), unlabeled=None):
    extra = None
    if unlabeled is not None:
        extra = (100 + torch.tensor(unlabeled)).byte().view(-1, 1, 1, 1)
    parts = (split(*part) for part in (train, validation, test))
    return DataSet(SPEC, *parts, False, ANY, unlabeled=extra, unlabeled_fingerprint=ANY)


@pytest.mark.parametrize(
    ("found", "notice"),
    [
        (data(["1a", "2b"]), None),
        (data(["1a", "1a", "2b"]), None),
        (data(["1a", "2b", "92a"]), "1 examples of test in train;"),
        (data(["1a", "2b"], test=["1a", "1a", "93b"]), "2 examples of test in train;"),
        (data(["1a", "2b"], validation=["1a", "91b"]), "1 examples of validation in train;"),
        (data(["1a", "1b", "2b"]), "1 in several classes;"),
        (data(["1a", "92b"]), "1 examples of test in train, 1 in several classes;"),
        (data(["1a", "2b"], unlabeled=[92, 5]), "1 examples of test in unlabeled;"),
    ],
)
def test_equal_examples_across_splits_or_classes_are_told(found, notice):
    told = data_notices(found, 1)
    assert (told == []) if notice is None else (f"holds equal examples: {notice}" in told[0])


def test_repeats_within_a_split_are_counted():
    assert find_repeats(data(["1a", "1a", "1a", "2b"])).within["train"] == 2


def photographs(n, shape=(3, 32, 32)):
    """Return smooth random images, as different as photographs are."""
    generator = torch.Generator().manual_seed(0)
    coarse = torch.rand(n, shape[0], 4, 4, generator=generator)
    return F.interpolate(255 * coarse, shape[1:], mode="bilinear").to(torch.uint8)


@pytest.mark.parametrize(
    ("change", "near"),
    [
        (lambda x: x.clone(), False),  # copies, which are told as such
        (lambda x: x.flip(3), True),
        (lambda x: (x.int() + 2).clamp(max=255).to(torch.uint8), True),
        (lambda x: x // 4 * 4, True),
        (lambda x: torch.stack([encoded_again(image) for image in x]), True),
        (lambda x: x.roll(6, dims=3), False),
        (lambda x: 255 - x, False),
        (lambda x: torch.full_like(x, 128), False),
    ],
    ids=["copy", "mirror", "brighter", "rounded", "jpeg", "moved", "negative", "constant"],
)
def test_near_copies_across_splits_are_counted(change, near):
    x, y = photographs(60), torch.arange(60) % 2
    train, test = Split(x[:40], y[:40]), Split(torch.cat([change(x[:7]), x[40:]]), y[:27])
    spec = DataSpec("photographs", (3, 32, 32), ("a", "b"))
    found = DataSet(spec, train, test.take(torch.arange(0)), test, False, ANY)
    assert count_near_copies(found) == {"validation": 0, "test": 7 * near}
    assert summarize(found)["near_copies"]["test"] == 7 * near


def encoded_again(image):
    buffer = io.BytesIO()
    Image.fromarray(image.permute(1, 2, 0).numpy()).save(buffer, "JPEG", quality=90, subsampling=0)
    return torch.from_numpy(np.asarray(Image.open(buffer)).copy()).permute(2, 0, 1)


def test_digits_have_no_near_copies_and_points_no_images():
    assert count_near_copies(Digits().load()) == {"validation": 0, "test": 0}
    assert count_near_copies(Moons().load()) == {}


def test_what_was_left_out_is_told_first():
    found = replace(data(["1a", "92a"]), notices=("left out a",))
    assert data_notices(found, 1)[0] == "left out a"


def test_images_of_another_range_are_told():
    bright = Digits().load()
    dim = replace(bright, train=Split(bright.train.x // 16, bright.train.y))
    [told] = data_notices(dim, 1)
    assert "no pixel of the training images of digits is above 15" in told
    assert summarize(dim)["notices"] == [told]
    assert data_notices(bright, 1) == []


def test_a_summary_counts_every_class_in_every_split():
    digits = Digits().load()
    summary = summarize(digits)
    assert summary["splits"] == {"train": 1168, "validation": 129, "test": 500}
    assert [row["test"] for row in summary["classes"]] == [50] * 10
    assert (summary["range"], summary["fingerprint"]) == ([0, 255], digits.fingerprint)


@pytest.fixture
def pets(here):
    """Color images of several sizes; one cat is in both classes, and a file cannot be read."""
    for label, name in enumerate(("cats", "dogs")):
        (here / "pets" / name).mkdir(parents=True)
        for index in range(6):
            image = Image.new("RGB", (8 + index, 8), (index, 0, 100 * label))
            image.save(here / "pets" / name / f"{index}.png")
    Image.new("RGB", (8, 8), (0, 0, 100)).save(here / "pets" / "cats" / "dog.png")
    (here / "pets" / "cats" / "a.gif").touch()
    return "{name: folder, path: pets, image_size: 8, test_per_class: 2}"


def test_the_command_shows_counts_files_and_what_was_left_out(bench, pets, here):
    status, out, err = bench("data", pets)
    assert status == 0, err
    lines = [" ".join(line.split()) for line in out.splitlines()]
    for line in (
        "pets: 2 classes, shape 3x8x8, from 0 to 100",
        "class train validation test",
        "all 7 2 4",
        "files: 13",
        "widths: 8 to 13",
        "in several classes: 1",
        "equal files: cats/dog.png, dogs/0.png",
        "pets: left out 1 .gif files: cats/a.gif",
    ):
        assert line in lines
    assert err == "for a sheet of its images: --sheet FILE.png\n"


def test_the_command_prints_json_and_draws_a_sheet(bench, pets, here):
    status, out, err = bench("data", pets, "--json", "--sheet", "pets.png")
    assert status == 0, err
    summary = json.loads(out)
    assert summary["files"]["formats"] == {"PNG": 13}
    assert summary["files"]["left_out"] == {".gif files": 1}
    assert summary["repeated"]["classes"] == 1
    with Image.open(here / "pets.png") as sheet:
        assert sheet.width > 100


@pytest.mark.parametrize(
    ("words", "text"),
    [
        (("digts",), "unknown dataset 'digts' (did you mean 'digits'?)"),
        (("pets",), "images at a path are bench data '{name: folder, path: pets}'"),
        (("{name: folder, path: no}",), "there is no folder no"),
        (("digits", "--sheet", "a.jpg"), "a sheet must be a .png file"),
        (("moons", "--sheet", "a.png"), "--sheet needs images; moons contains points"),
    ],
)
@pytest.mark.usefixtures("pets")
def test_mistakes_are_answered(bench, words, text):
    status, _, err = bench("data", *words)
    assert status == 2
    assert text in err


def test_a_run_and_its_plan_tell_what_the_data_are(bench, pets):
    words = ("run", "tiny.yaml", f"base.data={pets}", "base.iterations=2", "base.batch_size=4")
    text = "1 in several classes; `bench data` shows more"
    _, out, err = bench(*words, "--dry-run")
    assert "note: pets holds equal examples: " in out, err
    assert text in out
    _, _, err = bench(*words, "base.metrics=[]", "base.controls=[]", "--no-mlflow")
    assert err.count("note: pets: left out 1 .gif files") == 1
    assert err.count(text) == 1


def test_a_plan_says_that_data_cannot_be_loaded(bench, pets, here):
    (here / "pets" / "cats" / "bad.png").touch()
    status, out, _ = bench("run", "tiny.yaml", f"base.data={pets}", "--dry-run")
    assert status == 0
    assert "note: pets/cats/bad.png: not a readable image" in out


@pytest.fixture
def homeless(monkeypatch):
    for name in ("HOME", "BENCH_DATA", "XDG_CONFIG_HOME"):
        monkeypatch.delenv(name, raising=False)
    monkeypatch.setattr(pwd, "getpwuid", lambda _: {}["nobody"])


@pytest.mark.usefixtures("homeless")
def test_no_home_folder_is_told(bench):
    for call in (data_root, lambda: home_path("~/x"), lambda: Npz(path="~/x.npz")):
        with pytest.raises(BenchError, match="is not known: set HOME"):
            call()
    status, _, err = bench("run", "tiny.yaml")
    assert status == 2
    assert "set HOME" in err


@pytest.mark.parametrize("inside", ["", "/more"], ids=["a file", "below a file"])
def test_a_data_folder_that_cannot_be_is_told_before_training(inside, bench, here, monkeypatch):
    (here / "file").touch()
    monkeypatch.setenv("BENCH_DATA", f"{here / 'file'}{inside}")
    status, _, err = bench("run", "tiny.yaml")
    assert status == 2
    assert "set BENCH_DATA to a folder that can be written to" in err
    assert not list(here.glob("results/*/*/checkpoint.pt"))


def test_a_data_folder_that_is_read_only_is_told(bench, monkeypatch):
    made_data_root()
    monkeypatch.setattr("os.access", lambda _, mode: mode != os.W_OK)
    small = ("base.metrics=[]", "base.controls=[]", "base.iterations=1", "--no-mlflow")
    _, _, err = bench("run", "tiny.yaml", *small)
    assert "cannot be written to; runs end after their training if their metrics" in err
