import io
import zipfile

import numpy as np
import pytest

from bench.data.files import npz_files
from bench.data.npz import Npz
from bench.errors import BenchError, DataMissing, SpecError


@pytest.fixture
def path(tmp_path):
    return tmp_path / "mine.npz"


def savez(path, arrays, **changed):
    values = {**arrays._asdict(), **changed}
    np.savez_compressed(path, **{k: v for k, v in values.items() if v is not None})


def test_official_test_split_is_used(path, arrays):
    given = arrays((8, 6, 3), classes=4)
    savez(path, given)
    data = Npz(path=str(path)).load()
    assert data.spec == Npz(path=str(path)).spec
    assert data.spec.name == "mine"
    assert data.spec.shape == data.train.x.shape[1:] == (3, 8, 6)
    assert data.spec.class_names == ("0", "1", "2", "3")
    assert np.array_equal(data.test.x.permute(0, 2, 3, 1).numpy(), given.x_test)
    assert data.test.y.tolist() == given.y_test.tolist()
    assert not data.flip


def test_test_split_is_held_out_where_the_file_has_none(path, arrays):
    savez(path, arrays((8, 8), classes=3), x_test=None, y_test=None)
    data = Npz(path=str(path), test_per_class=2, flip=True).load()
    assert data.spec.shape == (1, 8, 8)
    assert data.test.y.bincount().tolist() == [2] * 3
    assert len(data.train) + len(data.validation) == 12
    assert data.flip


def test_column_of_labels_is_accepted(path, arrays):
    given = arrays((8, 8), classes=3)
    savez(path, given, y_train=given.y_train[:, None], y_test=given.y_test[:, None])
    assert Npz(path=str(path)).load().spec.classes == 3


def test_class_names_are_taken_over_and_counted(path, arrays):
    savez(path, arrays((8, 8), classes=2))
    assert Npz(path=str(path), class_names=["cat", "dog"]).spec.class_names == ("cat", "dog")
    with pytest.raises(SpecError, match=r"class_names has 1 names.*mine.npz make 2 classes"):
        _ = Npz(path=str(path), class_names=["cat"]).spec


def test_absent_file_is_reported(path):
    source = Npz(path=str(path))
    assert f"there is no file {path}" in source.missing()
    with pytest.raises(DataMissing, match=r"an .npz is needed with x_train"):
        source.load()
    with pytest.raises(DataMissing, match="there is no file"):
        _ = source.spec


FLOATS = np.linspace(0, 1, 18 * 64).reshape(18, 8, 8)


@pytest.mark.parametrize(
    ("changed", "message"),
    [
        ({"x_train": None}, "has no array x_train, only y_train, x_test, y_test"),
        ({"y_train": None}, "has no array y_train"),
        ({"x_test": None}, "holds only one of x_test and y_test"),
        ({"x_train": np.zeros((18, 8, 8))}, "x_train has dtype float64, expected uint8"),
        ({"x_train": np.zeros((18, 3, 8, 8), "u1")}, r"channels in the last place, got \[18, 3"),
        ({"x_train": np.zeros((0, 8, 8), "u1")}, r"x_train is empty, \[0, 8, 8\]"),
        ({"x_train": np.zeros((17, 8, 8), "u1")}, "x_train has 17 images, y_train has 18 labels"),
        ({"x_train": np.array([{}] * 18)}, r"x_train holds Python objects, \[18\], which are"),
        ({"y_train": np.array([{}] * 18)}, r"y_train holds Python objects"),
        ({"x_train": FLOATS}, r"from 0 to 1; np.rint\(255 \* x_train\).astype\(np.uint8\)"),
        ({"x_train": FLOATS > 0}, r"dtype bool, .* from 0 to 1; np.rint\(255 \* x_train\)"),
        ({"x_train": FLOATS * 2 - 1}, r"from -1 to 1; np.rint\(127.5 \* x_train \+ 127.5\)"),
        ({"x_train": FLOATS * 255}, r"from 0 to 255; np.rint\(x_train\).astype\(np.uint8\)"),
        ({"x_train": (FLOATS * 255).astype(int)}, r"dtype int64, .* from 0 to 255; np.rint"),
        ({"x_train": FLOATS * 1000}, r"from 0 to 1e\+03$"),
        ({"x_train": (FLOATS > 0).astype("u1")}, "x_train holds only 0 and 1, which is black"),
        ({"x_train": np.zeros((18, 8, 8, 4), "u1")}, r"1 or 3 channels .*, got \[18, 8, 8, 4\]$"),
        ({"x_train": np.zeros((18, 3, 8, 8), "u1")}, r"x_train.transpose\(0, 2, 3, 1\)"),
        ({"x_train": np.zeros((18, 64), "u1")}, r"x_train must be \[N, H, W\], .* got \[18, 64\]"),
        ({"y_train": np.eye(3)[np.arange(18) % 3]}, r"integers by y_train.argmax\(axis=1\)"),
        ({"y_train": np.arange(18) % 3 + 0.5}, r"got float64 \[18\]; y_train.astype\(int\)"),
        (
            {"y_train": np.array(list("abc") * 6)},
            r"got <U1 \[18\]; .*names.index\(name\) for name in y_train",
        ),
        ({"y_train": np.arange(18) % 3 + 1}, "go up to 3, and none is 0; .* as y - 1 gives them"),
        ({"y_train": np.arange(18) % 3 * 10**9}, "3 labels .* up to 2000000000, and none is 1;"),
        ({"x_train": None, "X_train": FLOATS}, r"no array x_train, .*did you mean 'X_train'\?"),
        ({"x_test": None, "y_test": None, "X_test": FLOATS}, "array X_test, .*; is x_test meant?"),
        ({"x_test": np.zeros((6, 9, 8), "u1")}, r"images are \[9, 8\] in x_test, but \[8, 8\]"),
        ({"y_test": np.zeros(6)}, r"y_test must be integers \[N\], got float64 \[6\]"),
        ({"y_test": np.full(6, 3)}, "y_test holds labels from 3 to 3; with 3 classes they are 0"),
        ({"y_train": np.full(18, -1)}, "y_train holds labels from -1 to -1"),
    ],
)
def test_odd_arrays_are_named(path, arrays, changed, message):
    savez(path, arrays((8, 8), classes=3), **changed)
    with pytest.raises(BenchError, match=message) as caught:
        Npz(path=str(path)).load()
    assert str(caught.value).startswith(f"{path}: ")


def bare_array():
    file = io.BytesIO()
    np.save(file, np.zeros(3))
    return file.getvalue()


@pytest.mark.parametrize(
    ("content", "message"),
    [
        (lambda whole: b"not an archive", "not an .npz file, or damaged"),
        (lambda whole: bare_array(), "holds one bare array"),
        (lambda whole: whole[: len(whole) // 2], "damaged"),
        (lambda whole: whole[: int(len(whole) * 0.999)], "damaged"),
    ],
    ids=["text", "bare array", "half", "end lost"],
)
def test_files_that_are_no_whole_npz_are_reported(path, arrays, content, message):
    savez(path, arrays((8, 8), classes=3))
    path.write_bytes(content(path.read_bytes()))
    with pytest.raises(BenchError, match=message):
        Npz(path=str(path)).load()


def test_damaged_array_is_named(path, arrays, save):
    save(path, arrays((8, 8), classes=3))
    content = bytearray(path.read_bytes())
    content[400] ^= 255
    path.write_bytes(content)
    with pytest.raises(BenchError, match="x_train is damaged"):
        npz_files.read(path)


def test_write_then_read_gives_the_same_and_leaves_nothing_else(path, arrays):
    given = arrays((8, 8, 1), classes=3)
    npz_files.write(path, given)
    for a, b in zip(npz_files.read(path), given, strict=True):
        assert np.array_equal(a, b)
    assert [p.name for p in path.parent.glob("*mine*")] == ["mine.npz"]


def test_failed_write_keeps_the_old_file_and_no_part(path, arrays, monkeypatch):
    npz_files.write(path, arrays((8, 8), classes=3))
    before = path.read_bytes()

    def fail(*_args, **_arrays):
        raise OSError("disk full")

    monkeypatch.setattr(np, "savez", fail)
    with pytest.raises(BenchError, match=r"cannot write .*disk full; set BENCH_DATA"):
        npz_files.write(path, arrays((4, 4), classes=3))
    assert path.read_bytes() == before
    assert [p.name for p in path.parent.glob("*mine*")] == ["mine.npz"]


HATS = np.array(["hat", "smile"])
VALUES = np.array([[0, 1], [1, 0], [1, 1]])


@pytest.mark.parametrize("kind", [int, bool, float])
def test_attributes_make_a_class_of_each_combination_that_occurs(path, arrays, kind):
    given = arrays((8, 8), classes=3)
    labels = {key: VALUES[getattr(given, key)].astype(kind) for key in ("y_train", "y_test")}
    savez(path, given, attributes=HATS, **labels)
    data = Npz(path=str(path), validation_fraction=0).load()
    assert data.spec.attributes == ("hat", "smile")
    assert data.spec.combinations == ((0, 1), (1, 0), (1, 1))
    assert data.spec.class_names == ("smile", "hat", "hat + smile")
    assert data.spec.attributes_of(data.train.y).tolist() == labels["y_train"].tolist()
    assert data.spec.attributes_of(data.test.y).tolist() == labels["y_test"].tolist()
    named = Npz(path=str(path), class_names=["a", "b", "c"]).spec
    assert (named.class_names, named.attributes) == (("a", "b", "c"), ("hat", "smile"))


def test_single_attribute_is_a_column(path, arrays):
    given = arrays((8, 8), classes=2)
    labels = {key: getattr(given, key)[:, None] for key in ("y_train", "y_test")}
    savez(path, given, attributes=HATS[:1], **labels)
    assert Npz(path=str(path)).load().spec.class_names == ("none", "hat")


@pytest.mark.parametrize(
    ("names", "values", "message"),
    [
        (HATS, VALUES + 1, r"y_train must be 0 or 1 \[N, 2\].* from 1 to 2"),
        (HATS[:1], VALUES, r"y_train must be 0 or 1 \[N, 1\].* \[18, 2\]"),
        (np.arange(2), VALUES, r"attributes must be names \[A\], got int64 \[2\]"),
        (np.array(["hat", "hat"]), VALUES, "attributes must be different names"),
        (np.array(["hat\n", "smile"]), VALUES, r"the name 'hat\\n' is not printable"),
        (np.array(["none", "smile"]), VALUES * [1, 0], "2 classes are called"),
    ],
)
def test_wrong_attributes_are_refused(path, arrays, names, values, message):
    given = arrays((8, 8), classes=3)._replace(x_test=None, y_test=None)
    savez(path, given, attributes=names, y_train=values[given.y_train])
    with pytest.raises(BenchError, match=message):
        Npz(path=str(path)).load()


@pytest.mark.parametrize("with_test", [True, False], ids=["test split", "held out"])
def test_of_many_attributes_the_frequent_combinations_are_classes(path, arrays, with_test):
    given = arrays((8, 8), classes=4)
    names = np.array([f"trait {number}" for number in range(40)])
    values = np.zeros((4, 40), int)
    values[1:, 0] = values[2:, 39] = 1
    values[3, 20] = 1
    y_train = np.array([0, 0, 0, 0, 1, 1, 1, 1, 2, 3])  # two combinations are rare
    labels = {"x_train": given.x_train[:10], "y_train": values[y_train], "attributes": names}
    if with_test:
        labels |= {"x_test": given.x_test[:4], "y_test": values}
    np.savez(path, **labels)
    with pytest.raises(SpecError, match=r"attributes: at most 8, got 40: .* per_combination: 100"):
        _ = Npz(path=str(path)).spec
    options = {"path": str(path), "validation_fraction": 0, "test_per_class": 1}
    data = Npz(**options, per_combination=4).load()
    assert data.spec.class_names == ("none", "trait 0")
    train = data.spec.attributes_of(data.train.y)
    images = 4 if with_test else 3
    assert train.tolist() == [*[values[0].tolist()] * images, *[values[1].tolist()] * images]
    assert data.test.y.tolist() == [0, 1]
    assert data.notices[0].startswith(f"left out {4 if with_test else 2} images whose combination")
    with pytest.raises(SpecError, match=r"0 of 4 .* has 4 training images"):
        _ = Npz(**options, per_combination=5).spec


def test_combination_of_test_images_alone_is_refused(path, arrays):
    given = arrays((8, 8), classes=3)
    nothing = VALUES[given.y_test] * 0
    savez(path, given, attributes=HATS, y_train=VALUES[given.y_train], y_test=nothing)
    with pytest.raises(BenchError, match="y_test has a combination that y_train lacks"):
        Npz(path=str(path)).load()


def test_arrays_that_are_not_read_are_told(path, arrays):
    savez(path, arrays((8, 8), classes=3), x_val=np.zeros(3), ids=np.zeros(3))
    [notice] = Npz(path=str(path), validation_fraction=0).load().notices
    assert notice == f"{path}: left out arrays that are not read: x_val, ids"


def test_an_array_larger_than_the_memory_is_refused_by_its_head(path):
    with zipfile.ZipFile(path, "w") as archive, archive.open("y_train.npy", "w") as member:
        shape = {"descr": "|u1", "fortran_order": False, "shape": (10**12, 8, 8)}
        np.lib.format.write_array_header_1_0(member, shape)
    with pytest.raises(BenchError, match=r"an array of \[1000000000000, 8, 8\] takes .* GiB"):
        npz_files.read_arrays(path, "y_train")


def test_a_member_that_is_no_array_is_named(path):
    with zipfile.ZipFile(path, "w") as archive:
        archive.writestr("x_train", b"1")
        archive.writestr("y_train", b"1")
    with pytest.raises(BenchError, match="y_train is damaged and cannot be read"):
        Npz(path=str(path)).load()
