"""Shards as people have them: what is read, what is told, what is refused."""

import gzip

import pytest

from bench.data import encoded_images
from bench.data.folders import Folder
from bench.data.webdataset import WebDataset
from bench.errors import BenchError, DataMissing
from tests.data.encoded import examples, png, write_folder, write_shard

pytest.importorskip("webdataset")

OPTIONS = {"image_size": 8, "test_per_class": 1}


def pairs(contents, label="{0}"):
    """Return the files of shards: each image, and the class that its name begins with."""
    for name, content in contents.items():
        yield name, content
        yield name.replace(".png", ".cls"), label.format(name.split("/")[0])


def some(count=4, **changed):
    """Return the files of a small shard of two classes, some of them changed."""
    files = {}
    for index in range(count):
        files[f"{index}.png"] = png((index, 0, 0))
        files[f"{index}.cls"] = index % 2
    return [(name, value) for name, value in (files | changed).items() if value is not None]


def source(path, **options):
    return WebDataset(path=str(path), **{**OPTIONS, **options})


@pytest.fixture
def shard(tmp_path):
    return tmp_path / "pets" / "pets-0.tar"


@pytest.mark.parametrize("shards", [1, 4])
def test_shards_give_the_data_that_a_folder_gives(tmp_path, shards):
    contents = examples()
    folder = Folder(path=str(write_folder(tmp_path / "pets", contents)), **OPTIONS).load()
    shuffled = sorted(contents, key=lambda name: hash_of(name))
    for number in range(shards):
        part = {name: contents[name] for name in shuffled[number::shards]}
        write_shard(tmp_path / "wds" / f"pets-{number}.tar", pairs(part))
    data = source(tmp_path / "wds" / f"pets-{{0..{shards - 1}}}.tar").load()
    assert data.spec == folder.spec
    assert data.fingerprint == folder.fingerprint
    assert data.flip == folder.flip


def hash_of(name):
    return name[::-1]


def test_an_official_test_split_is_used(tmp_path, shard):
    write_shard(shard, some(8))
    write_shard(tmp_path / "t.tar", some(4))
    data = source(
        shard, test_path=str(tmp_path / "t.tar"), channels=1, validation_fraction=0
    ).load()
    assert (len(data.train), len(data.test), data.spec.shape) == (8, 4, (1, 8, 8))
    assert data.spec.name == "pets"
    assert data.spec.class_names == ("0", "1")


def test_decoded_images_are_kept_until_a_shard_changes(shard, monkeypatch, data_folder):
    write_shard(shard, some(6))
    first = source(shard).load()
    monkeypatch.setattr(encoded_images, "decode_image", None)
    again = source(shard)
    assert again.load().fingerprint == first.fingerprint
    assert again.describe_files()["formats"] == {"PNG": 6}
    monkeypatch.undo()
    assert len(list(data_folder.glob("webdataset-pets-*.npz"))) == 1
    write_shard(shard, some(8))
    assert source(shard).load().fingerprint != first.fingerprint


def jsons(*values):
    for index, value in enumerate(values):
        yield f"{index}.jpg", png((index, 0, 0))
        yield f"{index}.json", value


LABELS = {
    "numbers": (some(4), {}, ("0", "1")),
    "texts": (
        some(4, **{"0.cls": "b\n", "2.cls": "b", "1.cls": "a", "3.cls": "a"}),
        {},
        ("a", "b"),
    ),
    "numbers in order": (
        some(4, **{"0.cls": 10, "2.cls": 10, "1.cls": 9, "3.cls": "9"}),
        {},
        ("9", "10"),
    ),
    "json": (list(jsons(*[{"label": v} for v in (1, 0, 1, 0)])), {}, ("0", "1")),
    "json texts and numbers": (
        list(jsons(*[{"label": v} for v in (1, "0", "1", 0)])),
        {},
        ("0", "1"),
    ),
    "json bools": (list(jsons(*[{"label": v} for v in (True, False) * 2])), {}, ("False", "True")),
    "a field in a field": (
        list(jsons(*[{"a": {"b": v}} for v in "xyxy"])),
        {"label_field": "a.b"},
        ("x", "y"),
    ),
    "names": (some(4), {"class_names": ["cat", "dog"]}, ("cat", "dog")),
    "kept": (some(4), {"class_names": ["cat", "dog"], "keep_classes": ["dog"]}, ("dog",)),
    "capitals": (some(4, **{"0.png": None, "0.PNG": png(0)}), {}, ("0", "1")),
    "a second image": (some(4, **{"0.mask.png": png(0)}), {"image_key": "png"}, ("0", "1")),
    "in folders": ([(f"./a/{name}", value) for name, value in some(4)], {}, ("0", "1")),
    "hidden": ([*some(4), ("._0.png", b"x"), (".DS_Store", b"x")], {}, ("0", "1")),
}


@pytest.mark.parametrize("case", LABELS)
def test_labels_of_every_common_kind_are_read(shard, case):
    files, options, names = LABELS[case]
    data = source(write_shard(shard, sorted(files)), validation_fraction=0, **options).load()
    assert data.spec.class_names == names
    assert len(data.train) + len(data.test) == len(names) * 2


def test_attributes_are_fields_of_json(shard):
    rows = [{"hat": i % 2, "smile": i >= 4} for i in range(8)]
    write_shard(shard, jsons(*rows))
    data = source(shard, attributes=["hat", "smile"], validation_fraction=0).load()
    assert data.spec.class_names == ("none", "smile", "hat", "hat + smile")
    reds, values = data.train.x[:, 0, 0, 0].tolist(), data.spec.attributes_of(data.train.y).tolist()
    assert values == [[int(rows[red]["hat"]), int(rows[red]["smile"])] for red in reds]


def test_files_that_are_not_read_are_told(shard):
    write_shard(shard, sorted(some(4, **{"0.txt": "a cat", "1.txt": "a dog"})))
    [notice] = source(shard, validation_fraction=0).load().notices
    assert notice == f"{shard}: left out files that are not read: 2 .txt"


REFUSED = {
    "no label": (some(4, **{"1.cls": None}), {}, r"0.tar: 1 has no .cls, which holds the label"),
    "empty label": (some(4, **{"1.cls": ""}), {}, r"1 of 4 train .*: label of .*1.png is missing"),
    "negative": (some(4, **{"1.cls": "-1"}), {}, "is -1, as examples without label have"),
    "binary label": (some(4, **{"1.cls": b"\xff\xfe"}), {}, "has a .cls that cannot be read"),
    "no json": (list(jsons("{")), {}, "0 has a .json that cannot be read"),
    "no field": (list(jsons({"class": 1})), {}, "0 has no label in its .json, only class"),
    "no mapping": (list(jsons("[3]")), {}, "0 has no label in its .json, only no fields"),
    "float": (list(jsons({"label": 0.5})), {}, "is 0.5.* A label is a name, or an integer from 0"),
    "list": (list(jsons({"label": [0, 1]})), {}, r"is \[0, 1\]"),
    "attribute": (
        list(jsons({"hat": 2})),
        {"attributes": ["hat"]},
        "hat of .*0.jpg is 2. An attribute is 0 or 1",
    ),
    "no image": (some(4, **{"1.png": None}), {}, "0.tar: 1 has no image, only cls"),
    "two images": (some(4, **{"1.jpg": b""}), {}, "1 has several images: jpg, png; image_key"),
    "other image": (some(4), {"image_key": "jpg"}, "0 has no jpg, only cls, png"),
    "damaged image": (some(4, **{"1.png": b"x"}), {}, "0.tar: 1.png: not a readable image"),
    "same name": ([*some(4), ("3.png", b"x")], {}, "duplicate file name in tar file png"),
    "key comes back": ([*some(4), ("1.txt", "x")], {}, "the key 1 is there twice, with other keys"),
    "one class": (some(4, **{"1.cls": 0, "3.cls": 0}), {}, "has one class, 0; two are needed"),
    "nothing": ([], {}, "there are no train images"),
    "names": (some(4), {"class_names": ["a"]}, "class_names has 1 names"),
    "long": (some(4, **{"1.cls": "a" * 999}), {}, "too long for a name"),
    "deep": (list(jsons('{"a":' * 50_000)), {}, "0 has a .json that cannot be read"),
    "unprintable": (some(4, **{"1.cls": "a\x1b"}), {}, r"the name 'a\\x1b' is not printable"),
}


@pytest.mark.parametrize("case", REFUSED)
def test_samples_that_cannot_be_used_are_named(shard, data_folder, case):
    files, options, message = REFUSED[case]
    name = lambda pair: pair[0]  # noqa: E731
    files = files if case in ("same name", "key comes back") else sorted(files, key=name)
    with pytest.raises(BenchError, match=message):
        source(write_shard(shard, files), **options).load()


def test_splits_of_different_classes_are_refused(tmp_path, shard):
    write_shard(shard, some(4))
    write_shard(tmp_path / "t.tar", some(4, **{"1.cls": 2, "3.cls": 2}))
    with pytest.raises(BenchError, match="different classes; only one of them has 1, 2"):
        source(shard, test_path=str(tmp_path / "t.tar")).load()


def zeroed(content):
    return content[:2048] + bytes([1]) * 512 + content[2560:]


@pytest.mark.parametrize(
    ("spoil", "message"),
    [
        (lambda content: content[:700], "damaged, or not a tar file of samples"),
        (lambda content: content[:3072], "is damaged or cut off after 3072 bytes"),
        (zeroed, "is damaged or cut off after 2048 bytes"),
        (lambda content: b"", "damaged, or not a tar file of samples"),
        (lambda content: b"<html>", "damaged, or not a tar file of samples"),
        (gzip.compress, "is compressed; decompress it"),
    ],
    ids=["in an image", "between images", "a head", "empty", "text", "gzip"],
)
def test_a_damaged_shard_is_named(shard, spoil, message):
    write_shard(shard, some(6))
    shard.write_bytes(spoil(shard.read_bytes()))
    with pytest.raises(BenchError, match=message) as caught:
        source(shard).load()
    assert str(caught.value).startswith(str(shard))


@pytest.mark.parametrize(
    ("pattern", "error", "message"),
    [
        ("pets-{0..3}.tar", DataMissing, "there is no file .*pets-1.tar, .*pets-2.tar, .*pets-3"),
        ("nothing-*.tar", DataMissing, "there is no file .*nothing"),
        ("", DataMissing, r"is .*/\*.tar meant\?"),
        ("{pets-0,pets-0}.tar", BenchError, "names .*pets-0.tar more than once"),
    ],
)
def test_shards_that_are_not_there_are_named(shard, pattern, error, message):
    write_shard(shard, some(4))
    with pytest.raises(error, match=message):
        source(shard.parent / pattern).load()
    if error is DataMissing:
        assert "no file" in source(shard.parent / pattern).missing()


@pytest.mark.parametrize("path", ["a{0..9}{0..99999999}.tar", "{a", "${NO_SUCH}.tar"])
def test_patterns_that_stand_for_nothing_are_refused(path):
    with pytest.raises(BenchError, match=r"stands for too many shards|is no pattern of shards"):
        source(path).load()


@pytest.mark.parametrize("path", ["https://host/a.tar", "s3://bucket/a.tar", "pipe:cat a.tar"])
def test_shards_elsewhere_are_refused(path):
    with pytest.raises(BenchError, match="shards are files of this machine"):
        source(path).load()


def test_stars_and_braces_stand_for_shards(shard):
    for number in range(2):
        contents = {f"{number}{name}": value for name, value in some(4)}
        write_shard(shard.with_name(f"pets-{number}.tar"), contents.items())
    for pattern in ("pets-*.tar", "pets-{0..1}.tar", "{pets-0.tar,pets-1.tar}"):
        data = source(shard.parent / pattern, validation_fraction=0).load()
        assert len(data.train) + len(data.test) == 8
