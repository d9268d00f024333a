"""A data set of a user's class with a mistake is refused, by a message, before anything starts."""

from dataclasses import replace

import pytest
import torch

from bench.data.base import DataSet, DataSpec, Source, Split, fingerprint, load_data
from bench.errors import BenchError
from tests.small import GRAY, MOONS

IMAGES = torch.arange(6 * 64).remainder(256).to(torch.uint8).view(6, 1, 8, 8)
LABELS = torch.arange(6) % 3
GOOD = Split(IMAGES, LABELS)
NONE = GOOD.take(LABELS < 0)
HASH = fingerprint(GOOD)
COLOR = replace(GRAY, shape=(3, 8, 8))


def data_of(x=IMAGES, y=LABELS, spec=GRAY, **changed):
    split = Split(x, y)
    parts = {"train": split, "validation": split, "test": split, "fingerprint": HASH}
    return DataSet(**{"spec": spec, "flip": False, **parts, **changed})


@pytest.mark.parametrize(
    ("wrong", "message"),
    [
        (
            {"x": IMAGES.numpy()},
            r"training examples of gray must be torch.uint8 \[N, 1, 8, 8\], got ndarray of uint8 "
            r"\[6, 1, 8, 8\]; torch.as_tensor makes a tensor of an array",
        ),
        ({"x": [0] * 6}, r"must be torch.uint8 \[N, 1, 8, 8\], got list$"),
        ({"x": None}, r"got None$"),
        ({"x": IMAGES.long()}, r"got torch.int64 \[6, 1, 8, 8\]; .to\(torch.uint8\) changes"),
        ({"x": IMAGES / 255}, r"levels are 0 to 255: \(255 \* x\).round\(\).to\(torch.uint8\)"),
        ({"x": IMAGES[:, 0]}, r"got torch.uint8 \[6, 8, 8\]; x\[:, None\] adds the axis"),
        ({"x": IMAGES[:, 0], "spec": COLOR}, r"got torch.uint8 \[6, 8, 8\]$"),
        ({"spec": COLOR}, r"must be torch.uint8 \[N, 3, 8, 8\], got torch.uint8 \[6, 1, 8, 8\]$"),
        ({"x": IMAGES.permute(0, 2, 3, 1)}, r"x.permute\(0, 3, 1, 2\) puts the channels first"),
        ({"x": IMAGES[:, :, :4]}, r"got torch.uint8 \[6, 1, 4, 8\]$"),
        ({"y": LABELS.numpy()}, r"labels of training examples of gray must be .* ndarray of int"),
        ({"y": LABELS[:, None]}, r"must be torch.int64 \[6\], got torch.int64 \[6, 1\]; y.flatten"),
        ({"y": LABELS[:4]}, r"must be torch.int64 \[6\], got torch.int64 \[4\]$"),
        ({"y": LABELS.int()}, r"got torch.int32 \[6\]; .to\(torch.int64\) changes the type"),
        ({"y": LABELS + 1}, r"must lie in \[0, 3\), got labels from 1 to 3; y - 1 begins at 0"),
        ({"y": LABELS - 1}, r"must lie in \[0, 3\), got labels from -1 to 1$"),
        ({"test": Split(IMAGES, LABELS + 7)}, "labels of test examples of gray must lie in"),
        ({"validation": (IMAGES, LABELS)}, "validation of gray must be a Split, got tuple"),
        ({"train": NONE}, "gray has no training examples"),
        ({"test": NONE}, "gray has no test examples"),
        (
            {"test": Split(IMAGES, LABELS, torch.zeros(6, 5))},
            r"landmarks of test of gray must be torch.float32 \[6, 5, 2\], got .* \[6, 5\]",
        ),
        ({"x": torch.zeros(6, 2).double(), "spec": MOONS}, r"must be torch.float32 \[N, 2\], got"),
        ({"x": torch.zeros(6, 2) / 0, "spec": MOONS}, "of moons contain values that are not fin"),
        ({"unlabeled": IMAGES[:, 0], "unlabeled_fingerprint": HASH}, "unlabeled examples of gray"),
        (
            {"notices": "a text"},
            r"notices of gray must be a tuple of texts, got 'a text'; \(text,\) makes a tuple of",
        ),
        ({"notices": (1,)}, r"notices of gray must be a tuple of texts, got \(1,\)$"),
    ],
)  # fmt: skip
def test_what_is_no_data_set_cannot_be_made(wrong, message):
    with pytest.raises(BenchError, match=message):
        data_of(**wrong)


@pytest.mark.parametrize("none", ["", None, "unknown", HASH[:12]])
def test_a_data_set_needs_a_fingerprint_since_other_data_would_be_taken_for_the_same(none):
    message = "fingerprint of gray must be 64 hexadecimal digits, got .*; bench.data.base.finger"
    with pytest.raises(BenchError, match=f"the {message}"):
        data_of(fingerprint=none)
    with pytest.raises(BenchError, match=f"the unlabeled_{message}"):
        data_of(unlabeled=IMAGES, unlabeled_fingerprint=none)


def test_points_missing_classes_and_no_validation_examples_are_data_sets():
    assert data_of(torch.zeros(6, 2), spec=MOONS).test.x.dtype == torch.float32
    assert len(data_of(train=GOOD.take(LABELS == 1)).train) == 2
    assert len(data_of(validation=NONE).validation) == 0
    assert data_of(unlabeled=IMAGES, unlabeled_fingerprint=HASH).fingerprints == f"{HASH}+{HASH}"


@pytest.mark.parametrize(
    ("wrong", "message"),
    [
        ({"shape": [1, 8, 8]}, r"'set': the shape must be a tuple \(C, H, W\) .*, got \[1, 8, 8\]"),
        ({"shape": (8, 8)}, r"or \(D,\) for points, got \(8, 8\)"),
        ({"shape": (1, 8, 0)}, r"got \(1, 8, 0\)"),
        ({"class_names": "abc"}, "class_names must be a tuple of names, got 'abc'"),
        ({"class_names": (0, 1)}, r"class_names must be a tuple of names, got \(0, 1\)"),
        ({"class_names": ()}, "class_names is empty; at least one class is needed"),
        (
            {"attributes": ("hat",)},
            "a value of each of 1 attributes for each of 2 classes, 0 or 1, got ()",
        ),
        ({"combinations": ((0,), (1,))}, "a value of each of 0 attributes"),
        (
            {"attributes": ("hat", "hat"), "combinations": ((0, 0), (1, 1))},
            "set: 2 attributes are called 'hat'; rename them",
        ),
        (
            {"attributes": ("hat",), "combinations": ((1,), (1,))},
            r"set: the classes a, b have the same combination \(1,\); make them one class",
        ),
    ],
)
def test_what_is_no_shape_is_refused(wrong, message):
    with pytest.raises(BenchError, match=message):
        DataSpec(**{"name": "set", "shape": (1, 8, 8), "class_names": ("a", "b")} | wrong)


class Given(Source):
    """A source that returns what it is given."""

    def __init__(self, spec, loaded):
        self.given, self.loaded = spec, loaded

    @property
    def spec(self):
        return self.given

    def load(self):
        return self.loaded


@pytest.mark.parametrize(
    ("spec", "loaded", "message"),
    [
        (GRAY, None, r"Given.load\(\) must return a DataSet, got None"),
        (GRAY, (GOOD, GOOD), r"Given.load\(\) must return a DataSet, got tuple"),
        (COLOR, data_of(), r"whose shape is \(3, 8, 8\); that of the loaded data is \(1, 8, 8\)"),
        (replace(GRAY, name="grey"), data_of(), "whose name is 'grey'; that of the loaded"),
    ],
)
def test_what_is_loaded_is_a_data_set_of_the_promised_shape(spec, loaded, message):
    assert load_data(Given(GRAY, data_of())).spec == GRAY
    with pytest.raises(BenchError, match=message):
        load_data(Given(spec, loaded))


CODE = """\
import torch
from bench.data.base import DataSet, DataSpec, Source, Split, fingerprint


class Mine(Source):
    def __init__(self, *, wrong: str = ""):
        self.wrong = wrong

    @property
    def spec(self):
        if self.wrong == "spec":
            return (1, 8, 8)
        return DataSpec("mine", (1, 8, 8), ("a", "b"))

    def load(self):
        x = torch.rand(40, 1, 8, 8, generator=torch.Generator().manual_seed(0))
        y = torch.arange(40) % 2
        split = Split(x if self.wrong == "float" else (255 * x).byte(), y)
        return DataSet(self.spec, split, split, split, False, fingerprint(split))
"""


@pytest.mark.parametrize(
    ("wrong", "message"),
    [
        ("float", "error: training examples of mine must be torch.uint8 [N, 1, 8, 8], got"),
        ("spec", "data: Mine.spec must be a DataSpec, got tuple"),
    ],
)
def test_a_sweep_on_such_data_starts_nothing(bench, here, install, wrong, message):
    install("mine", {"mine.py": CODE}, {"bench.datasets": {"mine": "mine:Mine"}})
    data = f"base.data={{name: mine, wrong: {wrong}}}"
    status, _, err = bench("run", "tiny.yaml", data, "--no-mlflow", "--device", "cpu")
    assert status == 2
    assert message in err
    assert not list(here.glob("results/tiny/*/"))
