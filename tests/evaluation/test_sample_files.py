"""`bench sample`: the samples that were measured, as files that give the recorded values."""

import json
import re
import shlex

import numpy as np
import pytest

from bench.data.blobs import Blobs
from bench.data.files.image_tree import folder_names
from bench.data.moons import Moons
from bench.data.swiss_roll import SwissRoll
from bench.evaluation.external_images import read_images
from bench.evaluation.sample_files import write_samples
from bench.process.worker import Worker
from bench.record.jsonl import read_jsonl
from tests.made_once import copy_faces_sweep, copy_tiny_sweep

SPEC = Blobs().spec
CPU = ("--device", "cpu")


@pytest.fixture
def run(here):
    """The folder of a run of cVAE, of which 8 samples of each class were measured."""
    sweep = copy_tiny_sweep(here)
    return sweep / json.loads((sweep / "sweep.json").read_text())["runs"][0]["id"]


def counted(text):
    return int(re.search(r"samples, (\d+) of each of 3 classes", text)[1])


@pytest.mark.parametrize("target", ["folder", "file.npz"])
def test_reading_back_gives_the_same_bytes_and_the_recorded_values(bench, run, here, target):
    status, out, err = bench("sample", str(run), "--to", target, *CPU)
    assert status == 0, err
    measured = np.load(run / "samples.npz")["x"]
    read = read_images(here / target, SPEC).samples
    x = read.x.reshape(3, -1, *SPEC.shape).permute(0, 1, 3, 4, 2).numpy()
    assert read.per_class == counted(out) >= measured.shape[1]
    of_class = [{image.tobytes() for image in images} for images in x]
    kept = [{image.tobytes() for image in images} for images in measured]
    assert all(few <= all_ for few, all_ in zip(kept, of_class, strict=True))
    command = out.splitlines()[-1].removeprefix("to measure them: bench ").split()
    status, out, err = bench(*command, "--metric", "class_accuracy", "--json", *CPU)
    assert status == 0, err
    recorded = {entry["metric"]: entry["value"] for entry in read_jsonl(run / "evaluation.jsonl")}
    [found] = json.loads(out)["measurements"]
    assert found["value"] == recorded["class_accuracy"]


def test_a_run_on_files_of_ones_own_says_how_to_measure_its_samples(bench, here):
    run = next(copy_faces_sweep(here).glob("*/model.pt")).parent
    status, out, err = bench("sample", str(run), "--to", "written", *CPU)
    assert status == 0, err
    command = shlex.split(out.splitlines()[-1].removeprefix("to measure them: bench "))
    assert json.loads(command[-1])["name"] == "folder"
    status, _, err = bench(*command, "--metric", "intra_class_diversity_native", *CPU)
    assert status == 0, err


def test_fewer_are_the_first_of_each_class_and_more_are_another_set(bench, run, here):
    all_ = np.load(run / "samples.npz")["x"]
    status, _, err = bench(
        "sample", str(run), "--to", "few", "--samples-per-class", "2", "--format", "npz"
    )
    assert status == 0, err
    few = np.load(here / "few" / "samples.npz")
    assert np.array_equal(few["x"].reshape(3, 2, *all_.shape[2:]), all_[:, :2])
    assert few["y"].tolist() == [0, 0, 1, 1, 2, 2]
    status, out, _ = bench(
        "sample", str(run), "--to", "many.npz", "--samples-per-class", "700", *CPU
    )
    assert (status, counted(out)) == (0, 700)
    assert "of each class were measured; these 700 are another, larger set" in out


def test_a_sample_batch_holds_color_images_whose_classes_take_turns(bench, run, here):
    for target, form in (("batch.npz", "batch"), ("plain.npz", "npz")):
        status, _, err = bench("sample", str(run), "--to", target, "--format", form, *CPU)
        assert status == 0, err
    batch, plain = np.load(here / "batch.npz"), np.load(here / "plain.npz")
    assert batch["arr_0"].dtype == np.uint8
    assert batch["arr_0"].shape == (*plain["x"].shape[:3], 3)
    assert batch["arr_1"][:6].tolist() == [0, 1, 2, 0, 1, 2]
    first, second = (read_images(here / f"{name}.npz", SPEC) for name in ("batch", "plain"))
    assert first.sha256 == second.sha256


@pytest.mark.parametrize(
    ("words", "message"),
    [
        (("--to", "full"), "--to full: already exists and is not empty"),
        (("--to", "tiny.yaml"), "--to tiny.yaml: already exists"),
        (("--to", "new.npz", "--format", "png"), "--format png: is for gray or color images, not"),
        (("--to", "new", "--snapshot", "1"), "--snapshot: no weights are kept of that iteration"),
        (("--to", "new", "--sampling", "{steps: 3}"), "cvae has no sampling options"),
        (("--to", "new", "--sampling", "fast"), "expected options, {name: value, ...}"),
    ],
)
def test_what_cannot_be_written_is_refused_and_leaves_nothing(bench, run, here, words, message):
    (here / "full").mkdir()
    (here / "full" / "note.txt").write_text("mine")
    (here / "tiny.yaml").write_text("")
    before = sorted(here.iterdir())
    status, _, err = bench("sample", str(run), *words, *CPU)
    assert (status, message in err) == (2, True), err
    assert sorted(here.iterdir()) == before


@pytest.mark.parametrize(
    ("target", "message"),
    [
        ("results/tiny", "is the folder of a whole sweep; name one of its runs"),
        ("results/tiny/real-*", "holds measurements, but no model"),
        (
            "results/tiny/[0-9a-f]*",
            "holds no trained model; it was lost or left out; to train it again, delete",
        ),
        ("results", "is not the folder of a run, results/SWEEP/ID"),
        ("nothing", "unknown file or folder 'nothing'"),
    ],
)
def test_what_is_no_trained_run_is_refused_with_a_remedy(bench, run, here, target, message):
    for weights in run.parent.glob("*/model.pt"):
        weights.unlink()
    found = next(iter(sorted(here.glob(target))), here / target)
    status, _, err = bench("sample", str(found), "--to", "new")
    assert (status, message in err) == (2, True), err


def test_a_full_disk_leaves_no_half_of_a_folder(bench, run, here, monkeypatch):
    def full(*_):
        raise OSError(28, "No space left on device")

    monkeypatch.setattr("PIL.Image.Image.save", full)
    before = sorted(here.iterdir())
    status, _, err = bench("sample", str(run), "--to", "new", *CPU)
    assert (status, "cannot write to new: No space left" in err) == (2, True), err
    assert sorted(here.iterdir()) == before


@pytest.mark.parametrize("source", [Moons, SwissRoll])
def test_points_and_other_draws_come_as_arrays(bench, here, source):
    spec = source().spec
    (here / "one.yaml").write_text(
        "name: points\nseeds: [0]\nbase: {model: {name: flow_matching, width: 0.25},\n"
        f"  data: {spec.name},\n"
        "  iterations: 2, batch_size: 16, samples_per_class: 5, controls: [], metrics: [],\n"
        "  snapshots: 2}\n"
    )
    assert bench("run", "one.yaml", "--no-mlflow", *CPU)[0] == 0
    [weights] = here.glob("results/points/*/model.pt")
    run = weights.parent

    def sample(target, **options):
        write_samples(run, here / target, Worker("cpu"), **options)
        return np.load(here / target)["x"]

    plain = sample("plain.npz")
    assert plain.dtype == np.float32
    assert np.array_equal(
        plain.reshape(spec.classes, 5, *spec.shape), np.load(run / "samples.npz")["x"]
    )
    assert np.array_equal(sample("last.npz", snapshot=2), plain)
    for name, options in {
        "steps": {"sampling": "{steps: 1}"},
        "seed": {"sample_seed": 7},
        "snapshot": {"snapshot": 1},
    }.items():
        assert not np.array_equal(sample(f"{name}.npz", **options), plain), name
    assert bench("sample", str(run), "--to", "folder", "--format", "png")[0] == 2
    read = read_images(here / "plain.npz", spec).samples.x.numpy()
    assert sorted(map(tuple, read)) == sorted(map(tuple, plain))


@pytest.mark.parametrize(
    ("classes", "names"),
    [
        (("Coat", "Ankle boot", "odd + loop", "größe"), None),
        (("T-shirt/top", "Coat"), ["0", "1"]),
        ((".hidden", "a"), ["0", "1"]),
        (("__MACOSX", "a"), ["0", "1"]),
        (("thumbs.db", "a"), ["0", "1"]),
        (("a", "A"), ["0", "1"]),
        (("a ", "b"), ["0", "1"]),
        (("a.", "b"), ["0", "1"]),
        (("a\nb", "c"), ["0", "1"]),
        (("..", "c"), ["0", "1"]),
        (("", "c"), ["0", "1"]),
        (("ü" * 101, "c"), ["0", "1"]),
        (("7", "3"), None),
    ],
)
def test_folders_have_the_names_of_classes_where_every_one_can_be_a_folder(classes, names):
    assert folder_names(classes) == (names or list(classes))
