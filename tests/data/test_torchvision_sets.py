import gzip
import urllib.error

import numpy as np
import pytest
import torch

from bench.data import torchvision_files
from bench.data.torchvision_sets import CIFAR10, CIFAR100, MNIST, SVHN, FashionMNIST
from bench.errors import BenchError, DataMissing

SETS = [MNIST, FashionMNIST, SVHN, CIFAR10, CIFAR100]
GRAY = [MNIST, FashionMNIST]


def native(kind):
    channels, height, width = kind.info.shape
    return (height, width) if channels == 1 else (height, width, channels)


def fill(data_folder, kind, arrays, save):
    given = arrays(native(kind), classes=len(kind.info.class_names))
    save(data_folder / f"{kind.info.name}.npz", given)
    return given


@pytest.mark.parametrize("kind", SETS)
def test_npz_in_the_data_folder_is_enough(data_folder, kind, arrays, save):
    given = fill(data_folder, kind, arrays, save)
    assert kind().missing() is None
    data = kind().load()
    assert data.train.x.shape[1:] == data.spec.shape == kind().spec.shape
    assert data.spec.shape[1:] == (32, 32)
    assert data.test.y.tolist() == given.y_test.tolist()
    assert len(data.train) + len(data.validation) == len(given.y_train)
    assert kind(split_seed=1).load().test.x.equal(data.test.x)
    rest = torch.cat((data.train.x, data.validation.x)).flatten(1)
    assert not any((rest == x).all(1).any() for x in data.test.x.flatten(1))


@pytest.mark.parametrize("kind", SETS)
def test_spec_needs_no_files(kind):
    spec = kind().spec
    assert spec.shape == (kind.info.shape[0], 32, 32)
    assert len(set(spec.class_names)) == spec.classes == (100 if kind is CIFAR100 else 10)
    assert kind.info.flip == (kind in (CIFAR10, CIFAR100))  # photographs alone


@pytest.mark.parametrize("kind", GRAY)
def test_gray_sets_are_padded_with_zeros(data_folder, kind, arrays, save):
    given = fill(data_folder, kind, arrays, save)
    test = kind().load().test.x
    assert np.array_equal(test[:, 0, 2:30, 2:30].numpy(), given.x_test)
    assert test.sum() == given.x_test.sum()


def test_image_size_may_be_native_or_larger(data_folder, arrays, save):
    fill(data_folder, MNIST, arrays, save)
    assert MNIST(image_size=28).load().train.x.shape[1:] == (1, 28, 28)
    assert MNIST(image_size=35).load().train.x.shape[1:] == (1, 35, 35)


@pytest.mark.parametrize("kind", SETS)
def test_missing_files_are_explained_when_offline(data_folder, kind):
    name = kind.info.name
    with pytest.raises(DataMissing) as caught:
        kind().load()
    for text in (str(caught.value), kind().missing()):
        assert text.startswith(f"{name} is not on this machine: there is neither ")
        assert f"{data_folder / name}.npz" in text
        assert str(data_folder / "torchvision") in text
        assert "BENCH_OFFLINE is set" in text
        assert "x_train, y_train, x_test, y_test" in text
        assert "set BENCH_DATA to the folder" in text


def test_missing_does_not_touch_the_network(monkeypatch):
    monkeypatch.setenv("BENCH_OFFLINE", "0")

    def refuse(*_args, **_options):
        raise AssertionError("the network was touched")

    monkeypatch.setattr("socket.socket.connect", refuse)
    monkeypatch.setattr("socket.getaddrinfo", refuse)
    assert "it would be downloaded from the network" in CIFAR10().missing()


@pytest.mark.parametrize("kind", SETS)
def test_failed_download_is_one_message(monkeypatch, kind, capsys):
    monkeypatch.setenv("BENCH_OFFLINE", "")

    def refuse(*_args, **_options):
        raise urllib.error.URLError("no route to host")

    monkeypatch.setattr("urllib.request.urlopen", refuse)
    with pytest.raises(DataMissing, match=r"downloading it failed \(.*no route.*\). Any of"):
        kind().load()
    assert capsys.readouterr().out == ""


def test_download_has_a_short_timeout_that_is_put_back(monkeypatch):
    import socket

    import torchvision

    monkeypatch.setenv("BENCH_OFFLINE", "0")
    seen = []

    def slow(*_args, **_options):
        seen.append(socket.getdefaulttimeout())
        raise TimeoutError("timed out")

    monkeypatch.setattr(torchvision.datasets, "CIFAR10", slow)
    with pytest.raises(DataMissing, match="timed out"):
        CIFAR10().load()
    assert seen == [torchvision_files.TIMEOUT_S]
    assert socket.getdefaulttimeout() is None


def write_idx(folder, arrays):
    folder.mkdir(parents=True)
    names = (
        *("train-images-idx3-ubyte", "train-labels-idx1-ubyte"),
        *("t10k-images-idx3-ubyte", "t10k-labels-idx1-ubyte"),
    )
    for name, array in zip(names, arrays[:4], strict=True):
        head = bytes((0, 0, 8, array.ndim)) + b"".join(n.to_bytes(4, "big") for n in array.shape)
        (folder / name).write_bytes(head + array.astype(np.uint8).tobytes())


@pytest.mark.parametrize("kind", GRAY)
def test_copy_of_torchvision_is_decoded_once(data_folder, kind, arrays):
    given = arrays((28, 28), classes=10)
    raw = data_folder / "torchvision" / kind.info.torchvision / "raw"
    write_idx(raw, given)
    assert kind().missing() is None
    first = kind().load()
    assert (data_folder / f"{kind.info.name}.npz").is_file()
    for file in raw.iterdir():
        file.unlink()
    again = kind().load()
    assert again.fingerprint == first.fingerprint
    assert np.array_equal(again.test.x[:, 0, 2:30, 2:30].numpy(), given.x_test)


def test_svhn_mat_files_are_understood(data_folder, arrays, monkeypatch):
    import torchvision
    from scipy.io import savemat

    given = arrays((32, 32, 3), classes=10)
    folder = data_folder / "torchvision"
    folder.mkdir(parents=True)
    monkeypatch.setattr(torchvision.datasets.SVHN, "_check_integrity", lambda _self: True)
    for part in ("train", "test"):
        x, y = getattr(given, f"x_{part}"), getattr(given, f"y_{part}")
        labels = np.where(y == 0, 10, y)[:, None].astype(np.uint8)
        savemat(folder / f"{part}_32x32.mat", {"X": x.transpose(1, 2, 3, 0), "y": labels})
    data = SVHN().load()
    assert np.array_equal(data.test.x.permute(0, 2, 3, 1).numpy(), given.x_test)
    assert data.test.y.tolist() == given.y_test.tolist()


def test_damaged_copy_of_torchvision_is_reported(data_folder):
    folder = data_folder / "torchvision" / "cifar-10-batches-py"
    folder.mkdir(parents=True)
    for name in ("data_batch_1", "test_batch"):
        (folder / name).write_bytes(gzip.compress(b"no pickle"))
    with pytest.raises(BenchError, match=r"cifar10: torchvision's files in .* are damaged"):
        CIFAR10().load()


@pytest.mark.parametrize(
    ("shape", "classes", "message"),
    [
        (
            (28, 28, 3),
            10,
            r"x_train has images \[28, 28, 3\], but those of cifar10 are \[32, 32, 3\]",
        ),
        ((32, 32, 3), 11, "y_train holds labels from 0 to 10; with 10 classes they are 0 to 9"),
        ((32, 32, 3), 9, "cifar10: class 'truck' has no test examples"),
    ],
)
def test_npz_of_another_set_is_refused(data_folder, arrays, save, shape, classes, message):
    save(data_folder / "cifar10.npz", arrays(shape, classes))
    with pytest.raises(BenchError, match=message):
        CIFAR10().load()


def test_npz_without_test_part_is_refused(data_folder, arrays, save):
    given = arrays((32, 32, 3), 10)._replace(x_test=None, y_test=None)
    save(data_folder / "cifar10.npz", given)
    with pytest.raises(BenchError, match=r"cifar10.npz: has no arrays x_test and y_test"):
        CIFAR10().load()
