from itertools import product

import numpy as np
import pytest
import torch
from PIL import Image

from bench.data.celeba import CELEBA_ATTRIBUTES, CelebA
from bench.errors import BenchError, DataMissing, SpecError

CHOSEN = ("Male", "Smiling", "Eyeglasses")
COMBINATIONS = tuple(product((0, 1), repeat=3))


def place(y):
    """Return what is at the center of the image of a class: a gray of its own."""
    return 20 + 30 * y


@pytest.fixture
def folder(data_folder, monkeypatch):
    """Files as torchvision keeps them: 3 training, 2 validation and 2 test images a class."""
    import torchvision

    kind = torchvision.datasets.CelebA
    without_sums = [(source, None, name) for source, _, name in kind.file_list]
    monkeypatch.setattr(kind, "file_list", without_sums)
    root = data_folder / "torchvision" / "celeba"
    (root / "img_align_celeba").mkdir(parents=True)
    rng = np.random.default_rng(0)
    rows = [
        (part, y) for part, count in enumerate((3, 2, 2)) for y in range(8) for _ in range(count)
    ]
    rng.shuffle(rows)
    names = [f"{number:06}.jpg" for number in range(1, len(rows) + 1)]
    attributes = rng.integers(0, 2, (len(rows), 40)) * 2 - 1
    for name, values, (_, y) in zip(names, attributes, rows, strict=True):
        for attribute, value in zip(CHOSEN, COMBINATIONS[y], strict=True):
            values[CELEBA_ATTRIBUTES.index(attribute)] = 2 * value - 1
        pixels = np.full((218, 178, 3), 255, np.uint8)  # what has to be cut off is white
        pixels[35:183, 15:163] = place(y)
        Image.fromarray(pixels).save(root / "img_align_celeba" / name, "PNG")  # without loss

    def write(name, head, columns):
        lines = [" ".join((n, *map(str, v))) for n, v in zip(names, columns, strict=True)]
        (root / f"{name}.txt").write_text("\n".join([*head, *lines]) + "\n")

    zeros = [(0, 0, 0, 0)] * len(rows)
    write("list_eval_partition", [], [(part,) for part, _ in rows])
    write("identity_CelebA", [], [(1,)] * len(rows))
    write("list_bbox_celeba", [str(len(rows)), "image_id x y w h"], zeros)
    write("list_landmarks_align_celeba", [str(len(rows)), "a b c d"], zeros)
    write("list_attr_celeba", [str(len(rows)), " ".join(CELEBA_ATTRIBUTES) + " "], attributes)
    return root


def test_spec_needs_no_files():
    spec = CelebA().spec
    assert (spec.name, spec.shape, spec.classes) == ("celeba", (3, 64, 64), 8)
    assert spec.attributes == CHOSEN
    assert spec.combinations == COMBINATIONS
    assert spec.class_names[:4] == ("none", "Eyeglasses", "Smiling", "Smiling + Eyeglasses")
    one = CelebA(attributes=["Young"], image_size=32).spec
    assert (one.shape, one.class_names) == ((3, 32, 32), ("none", "Young"))
    assert len(set(CELEBA_ATTRIBUTES)) == 40


@pytest.mark.parametrize("size", [32, 64])
def test_images_are_cropped_and_labeled_by_their_combination(folder, size):
    assert CelebA(image_size=size).missing() is None
    data = CelebA(image_size=size, validation_fraction=0.2).load()
    assert data.flip
    assert data.test.y.bincount().tolist() == [2] * 8
    assert data.validation.y.bincount().tolist() == [1] * 8  # of five, training and validation
    assert data.train.y.bincount().tolist() == [4] * 8
    for split in (data.train, data.validation, data.test):
        assert split.x.dtype == torch.uint8
        assert split.x.shape[1:] == data.spec.shape == (3, size, size)
        error = (split.x.short() - place(split.y)[:, None, None, None]).abs()
        assert error[:, :, 2:-2, 2:-2].max() == 0
        assert error.max() < 40  # the resize looks past the border; a pixel more of it makes 100


def test_it_is_decoded_once_for_all_attributes(folder, data_folder):
    first = CelebA().load()
    for file in (folder / "img_align_celeba").iterdir():
        file.unlink()
    assert (data_folder / "celeba-64.npz").is_file()
    assert CelebA().load().fingerprint == first.fingerprint
    swapped = CelebA(attributes=["Smiling", "Male"], validation_fraction=0).load()
    male, smiling = swapped.spec.attributes_of(swapped.test.y)[:, [1, 0]].T
    y = (swapped.test.x[:, 0, 9, 9].long() - place(0)) // (place(1) - place(0))
    assert torch.equal(torch.stack((male, smiling), 1), first.spec.attributes_of(y)[:, :2])
    with pytest.raises(BenchError, match="not a readable image"):
        CelebA(image_size=32).load()


MANY = [*CHOSEN, *(name for name in CELEBA_ATTRIBUTES if name not in CHOSEN)]


def with_columns(folder, change):
    """Set all attributes but the chosen ones to those of `change(number of the image)`."""
    path = folder / "list_attr_celeba.txt"
    head, names, *lines = path.read_text().splitlines()
    for number, line in enumerate(lines):
        words = line.split()
        for attribute, value in zip(MANY[3:], change(number), strict=True):
            words[1 + CELEBA_ATTRIBUTES.index(attribute)] = str(2 * int(value) - 1)
        lines[number] = " ".join(words)
    path.write_text("\n".join([head, names, *lines]) + "\n")


def test_of_many_attributes_the_frequent_combinations_are_classes(folder):
    with_columns(folder, lambda number: [number % 14 == 0] + [1] * 36)
    many = CelebA(attributes=MANY[:18], per_combination=3, validation_fraction=0)
    for ask in (lambda: many.spec, many.load):
        with pytest.raises(DataMissing, match=r"celeba-64.npz, where the combinations that occur"):
            ask()
    assert "bench data '{name: celeba, image_size: 64}'" in many.missing()
    CelebA().load()
    assert many.missing() is None
    data = many.load()
    assert 2 <= data.spec.classes <= 8
    assert len(data.spec.attributes) == 18
    assert data.train.y.bincount().min() >= 3
    assert set(data.spec.attributes_of(data.train.y)[:, 4:].flatten().tolist()) == {1}
    shown = data.spec.attributes_of(data.test.y)[:, :3]  # an image shows its three chosen ones
    classes = (data.test.x[:, 0, 9, 9].long() - place(0)) // (place(1) - place(0))
    assert torch.equal(shown, torch.tensor(COMBINATIONS)[classes])
    left_out = 56 - len(data.train) - len(data.test)
    assert left_out > 0
    assert data.notices[0].startswith(f"left out {left_out} images whose combination")
    too_many = CelebA(attributes=MANY[:18], per_combination=30)
    with pytest.raises(SpecError, match=r"per_combination: 0 of .* have 30 training images"):
        _ = too_many.spec


def test_combination_that_does_not_occur_is_reported(folder):
    path = folder / "list_attr_celeba.txt"
    lines = path.read_text().splitlines()
    column = 1 + CELEBA_ATTRIBUTES.index("Bald")
    words = [line.split() for line in lines[2:]]
    changed = [" ".join((*w[:column], "-1", *w[column + 1 :])) for w in words]
    path.write_text("\n".join([*lines[:2], *changed]) + "\n")
    with pytest.raises(BenchError, match="celeba: class 'Bald' has no test examples"):
        CelebA(attributes=["Male", "Bald"]).load()


@pytest.mark.parametrize(
    ("attributes", "message"),
    [
        (["Smilling"], r"unknown attribute 'Smilling' \(did you mean 'Smiling'\?\)"),
        (["male"], r"unknown attribute 'male' \(did you mean 'Male'\?\)"),
        (CELEBA_ATTRIBUTES[:9], "at most 8, got 9: .* 512 classes .* per_combination: 100"),
        (["Male", "Male"], "different names"),
        ([], "at least one"),
    ],
)
def test_wrong_attributes_are_refused_with_a_sentence(attributes, message):
    with pytest.raises(SpecError, match=message):
        CelebA(attributes=attributes)


def test_missing_files_are_explained_when_offline(data_folder):
    with pytest.raises(DataMissing) as caught:
        CelebA().load()
    for text in (str(caught.value), CelebA().missing()):
        assert "BENCH_OFFLINE is set" in text
        assert f"{data_folder / 'celeba-64.npz'}" in text
        assert f"list_landmarks_align_celeba.txt into {data_folder}/torchvision/celeba" in text
        assert "img_align_celeba.zip" in text
        assert "labels 0 or 1 [N, A]" in text


def test_failed_download_is_one_message(monkeypatch, capsys):
    import torchvision

    class RetrievalError(Exception):
        """As gdown's, which has no base but this."""

    def refuse(*_args, **_options):
        raise RetrievalError("Too many users have viewed or downloaded this file recently.")

    monkeypatch.setenv("BENCH_OFFLINE", "0")
    monkeypatch.setattr(torchvision.datasets.CelebA, "download", refuse)
    with pytest.raises(DataMissing, match=r"failed \(Too many users.*\)\. Any of these"):
        CelebA().load()
    assert capsys.readouterr().out == ""


def test_npz_of_another_set_is_refused(data_folder, arrays, save):
    path = data_folder / "celeba-64.npz"
    save(path, arrays((64, 64, 3), classes=2))
    with pytest.raises(BenchError, match="has no attribute Male, Smiling, Eyeglasses"):
        CelebA().load()
