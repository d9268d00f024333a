"""`bench evaluate`: images from anywhere and runs of ours, measured without training."""

import json
import re

import numpy as np
import pytest
import torch
from PIL import Image

from bench.data.blobs import Blobs
from bench.errors import BenchError
from bench.evaluation.external_images import read_images
from bench.record.jsonl import read_entries, write_jsonl
from tests.evaluation.given import CLASSES, COLOR, ONE, QUICK, SPEC, arrays, images, save, values
from tests.made_once import METRICS, RUN


def test_a_folder_is_measured_and_nothing_is_written(bench, theirs, here):
    status, out, err = bench("evaluate", "theirs", *ONE)
    assert status == 0, err
    assert out.startswith("theirs: 3 classes of blobs, 4 images each\n")
    head, line = out.splitlines()[2:4]
    assert head.split() == ["value", "real", "test", "images", "protocol"]
    assert line.startswith("Class accuracy (%) ↑  100.0 ± 0.0")
    assert "accuracy[extractor=blobs-classifier@" in line
    assert not (here / "results").exists()


def test_folder_and_npz_in_any_order_give_the_same_figures(bench, theirs, here):
    x, y = images()
    order = np.random.default_rng(0).permutation(len(y))
    np.savez(here / "mixed.npz", x=x[order], y=y[order][:, None])
    wanted = ("--data", "blobs", "--metric", "{name: intra_class_diversity, per_class: 2}")
    found = []
    for target in ("theirs", "theirs.npz", "mixed.npz"):
        status, out, err = bench("evaluate", target, *wanted, "--samples-per-class", "3", "--json")
        assert status == 0, err
        assert "9 of 12 images are used, 3 of each of 3 classes (as asked)" in err
        content = json.loads(out)
        found.append((content["measurements"], content["origin"]["sha256"]))
    assert found[0] == found[1] == found[2]


def test_unequal_classes_are_all_measured_unless_equally_many_are_asked_for(theirs):
    (theirs / "1" / "4.png").unlink()
    found = read_images(theirs, SPEC)
    assert found.counts == (4, 3, 4)
    assert found.samples.y.tolist() == [0, 0, 0, 0, 1, 1, 1, 2, 2, 2, 2]
    [notice] = found.notices
    assert "classes have 3 (1) to 4 images, and all are measured; --samples-per-class 3" in notice
    cut = read_images(theirs, SPEC, 3)
    assert cut.samples.y.tolist() == [0, 0, 0, 1, 1, 1, 2, 2, 2]
    assert "9 of 11 images are used, 3 of each of 3 classes (as asked)" in cut.notices[0]


def test_a_row_of_unequal_classes_stands_beside_real_images_of_the_same_sizes(bench, theirs, here):
    (theirs / "1" / "4.png").unlink()
    groups = "{name: class_accuracy, groups: {head: ['0', '2'], tail: {at_most: 10000}}}"
    words = "evaluate", "theirs", "--data", "blobs", "--metric", groups, "--device", "cpu"
    status, out, err = bench(*words)
    assert status == 0, err
    assert out.startswith("theirs: 3 classes of blobs, 3 to 4 of each class\n")
    assert "by another protocol" not in out
    titles = [line.split("  ")[0].split(" ↑")[0] for line in out.splitlines()[3:]]
    parts = ["", ", macro", ", head", ", tail", ", macro/tail"]
    assert titles[:5] == [f"Class accuracy (%){part}" for part in parts]
    assert bench(*words, "--name", "Uneven")[0] == 0
    status, out, err = bench("report", "evaluations")
    assert (status, "3 to 4 of each class" in out) == (0, True), err + out
    said = " ".join(out.split())
    assert "Classes differ in size; average=micro is a mean over all images" in said
    assert "Classes differ in size; average=macro is a mean over classes" in said


@pytest.mark.parametrize("channels", [1, 3])
def test_sample_batches_of_guided_diffusion_are_read(bench, here, channels):
    x, y = images()
    np.savez(here / "plain.npz", x=x, y=y)
    np.savez(here / "batch.npz", np.repeat(x, channels, axis=-1), y)
    whole, batch = (read_images(here / name, SPEC) for name in ("plain.npz", "batch.npz"))
    assert whole.sha256 == batch.sha256


def test_a_batch_without_labels_is_measured_as_far_as_it_goes(bench, here):
    x, _ = images()
    np.savez(here / "batch.npz", x)
    metrics = "--metric", "kid", "--metric", "inception_score", "--metric", "class_accuracy"
    words = "evaluate", "batch.npz", "--data", "blobs", *metrics, "--device", "cpu"
    status, out, err = bench(*words, "--name", "Theirs")
    assert status == 0, err
    assert "has no labels (arr_1), so only metrics that need none are measured" in err
    assert out.startswith("batch.npz: 3 classes of blobs, 12 without labels\n")
    assert "n/a: Class accuracy (%): the labels of these samples are not known" in out
    assert "by another protocol" not in out
    found = json.loads(bench(*words, "--json")[1])["measurements"]
    assert [entry["value"] is None for entry in found] == [False, False, True]
    status, out, err = bench("report", "evaluations")
    assert (status, "12 without labels" in out) == (0, True), err + out
    status, _, err = bench(*words, "--samples-per-class", "3")
    assert (status, "has no labels (arr_1), --samples-per-class asks for some" in err) == (2, True)


def test_which_images_are_used_does_not_depend_on_their_names(theirs):
    (theirs / "1" / "4.png").unlink()
    before = read_images(theirs, SPEC)
    for number, path in enumerate(sorted(theirs.glob("*/*.png"), reverse=True)):
        path.rename(path.with_name(f"renamed-{number}.png"))
    assert read_images(theirs, SPEC).sha256 == before.sha256


@pytest.mark.parametrize("mode", ["RGB", "RGBA", "P"])
def test_gray_images_may_be_saved_in_color(theirs, mode):
    plain = read_images(theirs, SPEC)
    for path in theirs.glob("*/*.png"):
        with Image.open(path) as picture:
            changed = picture.convert(mode)
        changed.save(path)
    assert read_images(theirs, SPEC).sha256 == plain.sha256


def test_color_images_keep_their_colors(tmp_path):
    x, y = images(channels=3)
    for number, (image, label) in enumerate(zip(x, y, strict=True)):
        save(image, tmp_path / str(label) / f"{number}.png")
    found = read_images(tmp_path, COLOR)
    expected = torch.from_numpy(x).permute(0, 3, 1, 2)
    assert sorted(map(bytes, found.samples.x.numpy())) == sorted(map(bytes, expected.numpy()))
    np.savez(tmp_path / "x.npz", x=x, y=y)
    assert read_images(tmp_path / "x.npz", COLOR).sha256 == found.sha256


def test_classes_are_folders_of_names_or_labels(tmp_path):
    spec = Blobs().spec
    named = type(spec)("pets", spec.shape, ("cat", "dog", "T-shirt/top"))
    x, y = images(1)
    for label in range(CLASSES):
        save(x[label], tmp_path / f"{y[label]:03d}" / "a.png")
    assert read_images(tmp_path, named).counts == (1, 1, 1)
    (tmp_path / "000").rename(tmp_path / "cta")
    with pytest.raises(BenchError, match=r"unknown class 'cta' \(did you mean 'cat'\?\)"):
        read_images(tmp_path, named)


def test_errors_over_images_are_shown(bench, theirs):
    wanted = ("--data", "blobs", "--metric", "intra_class_diversity", "--device", "cpu")
    status, out, err = bench("evaluate", "theirs", *wanted)
    assert status == 0, err
    assert re.search(r"^Intra-class diversity ≈ real  0\.\d{4} ± 0\.\d{4}", out, re.MULTILINE), out
    assert "±: standard error over images; it says nothing of another training" in out
    [row] = json.loads(bench("evaluate", "theirs", *wanted, "--json")[1])["measurements"]
    assert 0 < row["error"] < 0.2
    bench("evaluate", "theirs", *wanted, "--name", "GAN")
    _, out, _ = bench("report", "evaluations", "--table", "summary")
    assert "±" not in out.partition("Gap to real")[0]  # which is over seeds there


@pytest.mark.parametrize(
    ("name", "classes", "dimensions", "metric", "measured"),
    [
        ("moons", 3, 2, "arc_fit", {"arc_spread", "arc_coverage", "arc_distance"}),
        ("swiss_roll", 2, 3, "point_fit", {"point_coverage", "point_precision", "point_distance"}),
    ],
)
def test_points_come_in_an_npz(bench, here, name, classes, dimensions, metric, measured):
    y, draw = np.arange(30) % classes, np.random.default_rng(0).normal
    np.savez(here / "p.npz", x=draw(size=(30, dimensions)), y=y)
    np.savez(here / "other.npz", x=draw(size=(30, 4)), y=y)
    data = f"{{name: {name}, per_class: 50, test_per_class: 20}}"
    words = "--data", data, "--metric", metric, "--json"
    status, out, err = bench("evaluate", "p.npz", *words)
    assert status == 0, err
    assert {metric for metric, _ in values(out)} == measured
    status, _, err = bench("evaluate", "other.npz", *words)
    assert (status, f"x must be floats [N, {dimensions}], got float64" in err) == (2, True), err


def one(mode, *size_and_color):
    """Return what puts an image of another kind among theirs."""
    return lambda root: Image.new(mode, *size_and_color).save(root / "1" / "0.png")


def make_loose(root):
    for number, path in enumerate(sorted(root.glob("*/*.png"))):
        path.rename(root / f"{number}.png")
    for path in root.glob("[0-2]"):
        path.rmdir()


@pytest.mark.parametrize(
    ("spoil", "text"),
    [
        (
            lambda root: (root / "1" / "0.png").write_bytes(b"no image"),
            "theirs/1/0.png: not a readable image",
        ),
        (one("L", (9, 8)), "is 9x8 pixels, images of blobs are 8x8; nothing is resized"),
        (one("RGB", (8, 8), (1, 2, 3)), "has colors, images of blobs are gray"),
        (one("RGBA", (8, 8), (1, 1, 1, 9)), "is transparent in places"),
        (one("I;16", (8, 8)), "is of mode I;16, 8-bit gray or RGB is needed"),
        (
            lambda root: (root / "1").rename(root / "train"),
            "unknown class 'train'; known: 0, 1, 2; folders are named by class, or all",
        ),
        (
            lambda root: [path.unlink() for path in (root / "1").iterdir()],
            "no images of '1'; every one of the 3 classes of blobs is needed",
        ),
        (make_loose, "theirs holds images, but no folder of images for each class; expected"),
    ],
    ids=["broken", "size", "colored", "transparent", "deep", "misnamed", "lacking", "loose"],
)
def test_images_that_do_not_fit_are_refused(bench, theirs, spoil, text):
    spoil(theirs)
    status, out, err = bench("evaluate", "theirs", *ONE)
    assert status == 2
    assert text in err
    assert "Traceback" not in err
    assert out == ""


@pytest.mark.parametrize(
    ("content", "text"),
    [
        ({"x_train": np.zeros(1)}, "has no array x, only x_train"),
        (
            arrays(x=np.full((12, 8, 8), 0.5, np.float32)),
            "x has dtype float32, expected uint8 (0 to 255), and ranges from 0.5 to 0.5; np.rint(",
        ),
        (arrays(x=np.ones((12, 8, 8), np.uint8)), "x holds only 0 and 1, which is black"),
        (
            arrays(x=np.zeros((12, 9, 9), np.uint8)),
            "x holds 9x9 gray images, those of blobs are 8x8",
        ),
        (
            arrays(x=np.zeros((12, 1, 8, 8), np.uint8)),
            "1 or 3 channels in the last place, got [12, 1, 8, 8]; x.transpose(0, 2, 3, 1)",
        ),
        (arrays(x=np.zeros((12, 8, 8, 3), np.uint8)), "x holds 8x8 color images"),
        (arrays(y=np.arange(12) % 3 + 1), "y holds labels from 1 to 3; those of blobs are 0 to 2"),
        (arrays(y=np.zeros(12, np.int64)), "no images of '1', '2'; every one"),
        (arrays(y=np.zeros(12)), "y must be integers [N], got float64 [12]"),
        (arrays(y=np.zeros(3, np.int64)), "x has 12 examples, y has 3 labels"),
        (arrays(x=np.array(0)), "x has 1 examples, y has 12 labels"),
    ],
    ids=[
        "names",
        "floats",
        "ones",
        "size",
        "channels first",
        "color",
        "from one",
        "class",
        "y",
        "count",
        "scalar",
    ],
)
def test_arrays_that_do_not_fit_are_refused(bench, here, content, text):
    np.savez(here / "bad.npz", **content)
    status, _, err = bench("evaluate", "bad.npz", *ONE)
    assert status == 2
    assert text in err


@pytest.mark.parametrize(
    ("words", "text"),
    [
        (("theirs",), "--data is missing, the data set that these images imitate: one of"),
        (("thiers", *ONE), "unknown file or folder 'thiers' (did you mean 'theirs'?)"),
        (("theirs", "--data", "blob"), "unknown dataset 'blob' (did you mean 'blobs'?)"),
        (
            ("theirs", "--data", "theirs"),
            "images at a path are --data '{name: folder, path: theirs}'",
        ),
        (("theirs", "--data", "blobs", "--metric", "fidd"), "unknown metric 'fidd' (did you mean"),
        (
            ("theirs", "--data", "blobs", "--metric", "{name: fid, extracto: domain}"),
            "extracto: unknown key 'extracto' (did you mean 'extractor'?)",
        ),
        (
            ("theirs", "--data", "blobs", "--metric", "{name: intra_class_diversity, size: 9}"),
            "161",
        ),
        (
            ("theirs", *ONE, "--samples-per-class", "9"),
            "has 4 images, --samples-per-class asks for",
        ),
        (
            ("theirs", *ONE, "--sample-seed", "1"),
            "--sample-seed applies only to runs; theirs is a set of images",
        ),
        (("theirs", *ONE, "--record"), "--record applies only to runs; theirs is a set"),
        (("theirs", *ONE, "--seed", "1"), "--seed requires --name"),
        (("theirs", *ONE, "--name", "real"), "'real' is the name of a control row"),
        (("theirs", *ONE, "--name", "a\nb"), "is not one line of plain text"),
        (("theirs", *ONE, "--name", "a "), "'a ' is not one line of plain text"),
        (("tiny.yaml", *ONE), "expected a folder of images with one sub-folder per class"),
    ],
    ids=lambda value: " ".join(value[1:]) if isinstance(value, tuple) else "",
)
def test_mistakes_are_answered(bench, theirs, words, text):
    status, _, err = bench("evaluate", *words)
    assert status == 2
    assert text in err
    assert "Traceback" not in err


def test_what_is_no_image_is_left_out_and_told(bench, theirs):
    (theirs / "0" / "labels.txt").write_text("")
    with Image.open(next(theirs.glob("1/*.png"))) as picture:
        picture.save(theirs / "1" / "more.jpg")
    status, _, err = bench("evaluate", "theirs", *ONE)
    assert status == 0
    assert "left out 1 .txt files: 0/labels.txt" in err
    assert "JPEG files differ from what the generator made" in err


def test_a_run_is_measured_as_its_sweep_measured_it(bench, run, here):
    before = (run / "evaluation.jsonl").read_bytes()
    status, out, err = bench("evaluate", str(run), *QUICK, "--metric", "inception_score", "--json")
    assert status == 0, err
    recorded = [json.loads(line) for line in before.splitlines()]
    assert values(out) == {(row["metric"], row["protocol"]): row["value"] for row in recorded}
    assert (run / "evaluation.jsonl").read_bytes() == before
    assert json.loads(out)["per_class"] == 3


def test_a_run_is_measured_with_other_samples(bench, run):
    wanted = ("evaluate", str(run), "--metric", "{name: intra_class_diversity, per_class: 4}")
    wanted = (*wanted, "--samples-per-class", "4", "--json")
    found = [values(bench(*wanted, "--sample-seed", seed)[1]) for seed in ("0", "7", "7")]
    assert found[0] != found[1] == found[2]


def test_other_metrics_go_into_the_record_where_asked(bench, run, here):
    before = (run / "evaluation.jsonl").read_text()
    diversity = ("--metric", "intra_class_diversity", "--device", "cpu")
    status, _, err = bench("evaluate", str(run), *QUICK, *diversity, "--record")
    assert status == 0, err
    assert "bench mirror tiny" in err
    after = (run / "evaluation.jsonl").read_text()
    assert after.startswith(before)
    assert after.count("\n") == before.count("\n") + 1
    assert "nothing to do" in bench(*RUN, METRICS)[2]
    status, _, err = bench("verify", run.name, "--measurements")
    assert status == 0, err  # what was added is no part of what the run measured
    bench(*RUN, "base.metrics=[class_accuracy, within_class_variance]")  # measured again
    again = [entry["metric"] for entry in read_entries(run / "evaluation.jsonl")]
    assert again[0] == "class_accuracy"
    assert again[-1] == "intra_class_diversity"
    assert "within_class_variance/pixels" in again
    added = (run / "evaluation.jsonl").read_text()
    assert added.endswith(after.splitlines()[-1] + "\n")
    entries = read_entries(run / "evaluation.jsonl")
    entries[-1]["added"] = "intra_class_diversity@000000000000"  # by other code
    write_jsonl(run / "evaluation.jsonl", entries)
    (run / "done").unlink()
    _, _, err = bench(*RUN, METRICS)
    assert f"{run.relative_to(here)}: left out what --record had added by other code: intra" in err
    assert "intra_class_diversity" not in (run / "evaluation.jsonl").read_text()
    for other in ("--sample-seed", "--samples-per-class"):
        status, _, err = bench("evaluate", str(run), *QUICK, "--record", other, "5")
        assert (status, "use --name to keep these as a row" in err) == (2, True), err


def test_folders_that_are_no_runs_say_so(bench, run, here):
    sweep, real = here / "results/tiny", next(here.glob("results/tiny/real-*"))
    assert "name one of its runs, for example" in bench("evaluate", str(sweep), *QUICK)[2]
    assert "holds measurements, but no model" in bench("evaluate", str(real), *QUICK)[2]
    assert "--data applies only to images" in bench("evaluate", str(run), *ONE)[2]
    (run / "model.pt").unlink()
    assert "holds no trained model" in bench("evaluate", str(run), *QUICK)[2]
