"""`bench statistics`: mean and covariance of features as a file."""

import json

import numpy as np
import pytest

from bench.data.blobs import Blobs
from bench.metrics.features.statistics_file import read_statistics

DATA = "blobs"  # whose classifier other tests need too
CPU = ("--device", "cpu")


def images(here, name="theirs.npz", **kept):
    data = Blobs(test_per_class=30).load()
    x, y = data.test.x.permute(0, 2, 3, 1).numpy(), data.test.y.numpy()
    np.savez(here / name, **{key: {"arr_0": x, "arr_1": y, "x": x, "y": y}[key] for key in kept})
    return data


def test_statistics_of_a_split_say_what_they_are_of_and_give_the_distance(bench, here):
    status, out, err = bench("statistics", DATA, "--to", "s.npz", "--extractor", "domain", *CPU)
    assert status == 0, err
    assert "statistics of 64 features of 108 images by blobs-classifier@" in out
    found = np.load(here / "s.npz")
    assert found["count"] == found["class_counts"].sum() == 108
    assert found["class_names"].tolist() == ["0", "1", "2"]
    assert str(found["extractor"]).startswith("blobs-classifier@")
    assert found["mu"].dtype == found["sigma"].dtype == np.float64
    images(here, x=True, y=True)
    with_file = "--metric", "{name: fid, reference: s.npz}"
    words = "evaluate", "theirs.npz", "--data", DATA, "--json", *CPU
    [entry] = json.loads(bench(*words, *with_file)[1])["measurements"]
    assert "real=reference@" in entry["protocol"]
    [real] = json.loads(bench(*words, "--metric", "fid")[1])["measurements"]
    assert entry["value"] == pytest.approx(real["value"], rel=1e-6)  # 36 of each class, all of them


@pytest.mark.parametrize("keys", [("x", "y"), ("arr_0", "arr_1"), ("arr_0",)], ids="-".join)
def test_images_of_any_form_have_the_same_statistics(bench, here, keys):
    images(here, **dict.fromkeys(keys, True))
    words = "statistics", DATA, "--extractor", "domain", *CPU
    assert bench(*words, "--to", "test.npz", "--split", "test")[0] == 0
    status, _, err = bench(*words, "--to", "theirs-s.npz", "--images", "theirs.npz")
    assert status == 0, err
    first, second = (read_statistics(here / name) for name in ("test.npz", "theirs-s.npz"))
    if len(keys) == 1:
        assert "class_counts" not in np.load(here / "theirs-s.npz")
    assert first.extractor == second.extractor
    assert np.load(here / "theirs-s.npz")["count"] == 90


@pytest.mark.parametrize(
    ("words", "message"),
    [
        ((DATA, "--to", "s.npy"), "--to s.npy: must end in .npz"),
        ((DATA, "--to", "tiny.npz"), "--to tiny.npz: already exists; name a new one"),
        (("blob", "--to", "s.npz"), "unknown dataset 'blob' (did you mean 'blobs'?)"),
        ((DATA, "--to", "s.npz", "--extractor", "inceptio"), "expected one of 'domain', 'ince"),
        ((DATA, "--to", "s.npz"), "BENCH_OFFLINE is set; give a file of its weights"),
        ((DATA, "--to", "s.npz", "--images", "none.npz"), "unknown file or folder 'none.npz'"),
        (
            (DATA, "--to", "s.npz", "--images", "a", "--split", "test"),
            "--split applies only to images of DATA",
        ),
        (("moons", "--to", "s.npz", "--extractor", "domain"), "moons are not images"),
        (
            ("{name: blobs, validation_fraction: 0}", "--to", "s.npz", "--split", "validation"),
            "blobs has no validation images",
        ),
    ],
)
def test_mistakes_are_answered_and_nothing_is_written(bench, here, words, message):
    (here / "tiny.npz").write_text("")
    before = sorted(here.iterdir())
    status, _, err = bench("statistics", *words, *CPU)
    assert (status, message in err) == (2, True), err
    assert "Traceback" not in err
    assert sorted(here.iterdir()) == before
