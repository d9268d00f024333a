"""Hugging Face data sets as people have them: what is read, what is told, what is refused."""

import sys
from pathlib import Path

import pytest
import torch
from PIL import Image

from bench.data.folders import Folder
from bench.data.huggingface import HuggingFace
from bench.errors import BenchError, DataMissing, SpecError
from tests.data.encoded import CLASSES, examples, png, write_folder

datasets = pytest.importorskip("datasets")
OPTIONS = {"image_size": 8, "test_per_class": 1}
NAMES = datasets.ClassLabel(names=["cat", "dog"])
IMAGE, TEXT, INTEGER = datasets.Image(), datasets.Value("string"), datasets.Value("int64")


@pytest.fixture(autouse=True)
def _own_cache(tmp_path, monkeypatch):
    for name in ("HF_DATASETS_CACHE", "HF_CACHE_HOME"):
        monkeypatch.setattr(datasets.config, name, str(tmp_path / "hf-cache"))


@pytest.fixture
def root(tmp_path):
    return tmp_path / "pets"


def source(path, **options):
    return HuggingFace(path=str(path), **{**OPTIONS, **options})


def table(columns, **features):
    return datasets.Dataset.from_dict(columns, features=datasets.Features(features))


def some(count=4, label=lambda index: index % 2, of=NAMES, image=None, image_type=IMAGE):
    images = [(image or (lambda i: {"bytes": png((i, 0, 0))}))(index) for index in range(count)]
    columns = {"image": images, "label": [label(index) for index in range(count)]}
    return table(columns, image=image_type, label=of)


def save(root, **splits):
    datasets.DatasetDict(**splits).save_to_disk(str(root))
    return root


def write_parquet(root, **splits):
    root.mkdir(parents=True)
    for name, split in splits.items():
        split.to_parquet(str(root / f"{name}-00000-of-00001.parquet"))
    return root


def as_folder(root, **splits):
    [split] = splits.values()
    split.save_to_disk(str(root))
    return root


def from_contents(contents, of=None):
    images = [{"bytes": content} for content in contents.values()]
    labels = [CLASSES.index(name.split("/")[0]) for name in contents]
    return table(
        {"image": images, "label": labels},
        image=IMAGE,
        label=of or datasets.ClassLabel(names=list(CLASSES)),
    )


@pytest.mark.parametrize("write", [save, write_parquet, as_folder])
@pytest.mark.parametrize("mixed", [False, True], ids=["by class", "mixed"])
def test_saved_tables_give_the_data_that_a_folder_gives(tmp_path, root, write, mixed):
    contents = examples()
    folder = Folder(path=str(write_folder(tmp_path / "of" / "pets", contents)), **OPTIONS).load()
    if mixed:  # classes in turn; those of a class in their order
        contents = dict(sorted(contents.items(), key=lambda item: item[0].split("/")[1]))
    data = source(write(root, train=from_contents(contents))).load()
    assert data.spec == folder.spec
    assert data.fingerprint == folder.fingerprint
    assert data.flip == folder.flip


def test_a_folder_of_images_gives_the_data_that_the_source_folder_gives(root):
    write_folder(root, examples())
    assert source(root).load().fingerprint == Folder(path=str(root), **OPTIONS).load().fingerprint


def test_bench_data_shows_what_they_hold(root, bench):
    save(root, train=some(6))
    status, out, err = bench("data", f"{{name: huggingface, path: {root}, test_per_class: 1}}")
    assert (status, err) == (0, "for a sheet of its images: --sheet FILE.png\n")
    assert "pets: 2 classes, shape 3x64x64" in out
    assert "formats: 6 PNG" in out


def test_decoded_images_need_neither_the_library_nor_the_originals(root, monkeypatch, data_folder):
    first = source(save(root, train=some(6))).load()
    monkeypatch.setitem(sys.modules, "datasets", None)
    again = source(root)
    assert (again.spec, again.load().fingerprint) == (first.spec, first.fingerprint)
    assert again.describe_files()["formats"] == {"PNG": 6}
    assert len(list(data_folder.glob("huggingface-pets-*.npz"))) == 1


def test_a_changed_folder_is_decoded_again(root):
    first = source(write_parquet(root, train=some(6))).load()
    some(8).to_parquet(str(root / "train-00000-of-00001.parquet"))
    assert source(root).load().fingerprint != first.fingerprint


def test_nothing_is_printed_and_nothing_written_elsewhere(root, tmp_path, capfd):
    source(write_parquet(root, train=some(6))).load()
    capfd.readouterr()
    source(root, image_size=9).load()
    assert capfd.readouterr() == ("", "")
    assert not (tmp_path / "hf-cache").exists()


SPLITS = {
    "official test": ({"train": some(8), "test": some(4)}, {}, (8, 4), ()),
    "other words": ({"training": some(8), "testing": some(4)}, {}, (8, 4), ()),
    "one alone": ({"all": some(8)}, {}, (6, 2), ()),
    "held out": ({"train": some(8), "test": some(4)}, {"test_split": None}, (6, 2), ("test",)),
    "by name": (
        {"train": some(8), "validation": some(6)},
        {"test_split": "validation"},
        (8, 6),
        (),
    ),
    "left out": ({"train": some(8), "validation": some(6)}, {}, (6, 2), ("validation",)),
}


@pytest.mark.parametrize("case", SPLITS)
def test_splits_are_found_by_their_names(root, case):
    splits, options, counts, left_out = SPLITS[case]
    data = source(save(root, **splits), validation_fraction=0, **options).load()
    assert (len(data.train), len(data.test)) == counts
    notice = f"{root}: left out splits: {', '.join(left_out)}"
    assert data.notices == ((notice,) if left_out else ())


def path_of(root):
    return lambda index: {"path": str(root.parent / "files" / f"{index}.png"), "bytes": None}


def pillow(index):
    return Image.new("RGB", (9, 8), (index, 0, 0))


BYTES = {"bytes": datasets.Value("binary"), "path": TEXT}
FORMS = {
    "class labels": (some, {}, ("cat", "dog")),
    "integers": (lambda: some(of=INTEGER), {}, ("0", "1")),
    "far integers": (lambda: some(label=lambda i: 9 + i % 2, of=INTEGER), {}, ("9", "10")),
    "texts": (lambda: some(label=lambda i: "ba"[i % 2], of=TEXT), {}, ("a", "b")),
    "bools": (
        lambda: some(label=lambda i: i % 2 == 0, of=datasets.Value("bool")),
        {},
        ("False", "True"),
    ),
    "pillow": (lambda: some(image=pillow), {}, ("cat", "dog")),
    "bytes": (
        lambda: some(image=lambda i: png((i, 0, 0)), image_type=datasets.Value("binary")),
        {},
        ("cat", "dog"),
    ),
    "untyped dicts": (
        lambda: some(image=lambda i: {"bytes": png((i, 0, 0)), "path": None}, image_type=BYTES),
        {},
        ("cat", "dog"),
    ),
    "other columns": (
        lambda: some().rename_columns({"image": "picture", "label": "kind"}),
        {},
        ("cat", "dog"),
    ),
    "named columns": (
        lambda: some(label=lambda i: "ab"[i % 2], of=TEXT).rename_column("label", "who"),
        {"label_column": "who", "image_column": "image"},
        ("a", "b"),
    ),
    "tensors": (lambda: some().with_format("numpy"), {}, ("cat", "dog")),
    "names of the user": (some, {"class_names": ["a", "b"]}, ("a", "b")),
    "kept": (some, {"keep_classes": ["dog"]}, ("dog",)),
}


@pytest.mark.parametrize("write", [save, write_parquet])
@pytest.mark.parametrize("case", FORMS)
def test_columns_of_every_common_kind_are_read(root, write, case):
    make, options, names = FORMS[case]
    options = {"validation_fraction": 0, **options}
    data = source(write(root, train=make()), **options).load()
    assert data.spec.class_names == names
    assert len(data.train) + len(data.test) == 2 * len(names)


@pytest.mark.parametrize("relative", [True, False])
def test_images_may_be_paths(root, relative):
    for index in range(4):
        write_folder(root / "files", {f"{index}.png": png((index, 0, 0))})
    folder = Path("files") if relative else root / "files"
    given = some(image=lambda index: str(folder / f"{index}.png"), image_type=TEXT)
    given.to_parquet(str(root / "train.parquet"))
    data = source(root, validation_fraction=0).load()
    reds = torch.cat([data.train.x, data.test.x])[:, 0, 0, 0]
    assert reds.sort().values.tolist() == [*range(4)]


def test_a_csv_file_may_list_images(root):
    write_folder(root / "files", {f"{index}.png": png((index, 0, 0)) for index in range(4)})
    rows = [f"files/{index}.png,{'ab'[index % 2]}" for index in range(4)]
    (root / "train.csv").write_text("\n".join(["image,label", *rows]))
    assert source(root, validation_fraction=0).load().spec.class_names == ("a", "b")


def test_attributes_are_columns(root):
    hats, smiles = [i % 2 for i in range(8)], [i >= 4 for i in range(8)]
    columns = {"image": [{"bytes": png((i, 0, 0))} for i in range(8)], "hat": hats, "smile": smiles}
    given = table(columns, image=IMAGE, hat=INTEGER, smile=datasets.Value("bool"))
    data = source(save(root, train=given), attributes=["hat", "smile"]).load
    with pytest.raises(SpecError, match=r"validation_fraction 0.1 takes 1; none are left"):
        data()
    data = source(root, attributes=["hat", "smile"], validation_fraction=0).load()
    assert data.spec.class_names == ("none", "smile", "hat", "hat + smile")
    values = data.spec.attributes_of(data.train.y).tolist()
    assert values == [[hats[i], int(smiles[i])] for i in data.train.x[:, 0, 0, 0].tolist()]


def test_names_that_no_image_has_are_told(root):
    names = datasets.ClassLabel(names=["cat", "eel", "dog"])
    data = source(
        save(root, train=some(of=names, label=lambda i: 2 * (i % 2))), validation_fraction=0
    ).load()
    assert data.spec.class_names == ("cat", "dog")
    assert data.notices == (f"{root}: left out 1 names of classes that no image has: eel",)


def two_images():
    images = [{"bytes": png(0)}] * 4
    columns = {"image": images, "mask": images, "label": [0, 1] * 2}
    return table(columns, image=IMAGE, mask=IMAGE, label=NAMES)


def of_value(value, kind):
    return lambda: some(label=lambda i: value if i == 2 else i % 2, of=kind)


REFUSED = {
    "missing image column": (
        some,
        {"image_column": "imag"},
        r"image_column: unknown column 'imag' \(did you mean 'image'\?\); known: image, label",
    ),
    "missing label column": (some, {"label_column": "y"}, "label_column: unknown column 'y'"),
    "missing attribute": (some, {"attributes": ["hat"]}, "attributes: unknown column 'hat'"),
    "no image": (
        lambda: some().remove_columns("image"),
        {},
        "cannot choose image_column: there are none among label",
    ),
    "no label": (
        lambda: some().remove_columns("label"),
        {},
        "cannot choose label_column: there are none among image",
    ),
    "two images": (two_images, {}, "cannot choose image_column: there are several, image, mask"),
    "no names of images": (
        lambda: some(label=lambda i: "ab"[i % 2], of=TEXT),
        {"image_column": "label"},
        "is stored as the path a, and there is no such file",
    ),
    "none": (
        of_value(None, INTEGER),
        {},
        r"1 of 4 train examples have no label that can be used: label of row 2 of train is missing",
    ),
    "class label none": (of_value(None, NAMES), {}, "label of row 2 of train is missing"),
    "hidden": (
        lambda: some(label=lambda i: -1, of=NAMES),
        {},
        "4 of 4 train .*: label of row 0 of train is -1, as examples without label have; .*1 more",
    ),
    "negative": (of_value(-3, INTEGER), {}, "row 2 of train is -3"),
    "float": (of_value(0.5, datasets.Value("float32")), {}, "label of row 0 of train is 0.0"),
    "empty text": (lambda: some(label=lambda i: "a" * i, of=TEXT), {}, "row 0 of train is missing"),
    "spaces": (lambda: some(label=lambda i: " " * i, of=TEXT), {}, 'row 1 of train is " "'),
    "list": (
        lambda: some(label=lambda i: [0, 1], of=datasets.List(INTEGER)),
        {},
        r"row 0 of train is \[0, 1\]",
    ),
    "attribute": (
        lambda: some(label=lambda i: i, of=INTEGER),
        {"attributes": ["label"]},
        "label of row 2 of train is 2; label of row 3 of train is 3. An attribute is 0",
    ),
    "damaged image": (
        lambda: some(image=lambda i: {"bytes": b"x"}),
        {},
        "pets: row 0 of train: not a readable image",
    ),
    "empty image": (lambda: some(image=lambda i: None), {}, "pets: row 0 of train has no image"),
    "lost image": (
        lambda: some(image=lambda i: "lost.png", image_type=TEXT),
        {},
        "row 0 of train is stored as the path lost.png, and there is no such file below .*pets",
    ),
    "unknown split": (some, {"train_split": "trian"}, "train_split: unknown split 'trian'"),
    "unknown test": (some, {"test_split": "test"}, "test_split: unknown split 'test'"),
    "twice": (some, {"test_split": "train"}, "train_split and test_split are both train"),
    "one class": (lambda: some(label=lambda i: 0), {}, "has one class, cat; two are needed"),
    "unprintable": (lambda: some(label=lambda i: f"\x1b{i % 2}", of=TEXT), {}, "not printable"),
}


@pytest.mark.parametrize("case", REFUSED)
def test_what_cannot_be_used_is_named(root, case):
    make, options, message = REFUSED[case]
    with pytest.raises(BenchError, match=message):
        source(save(root, train=make()), **options).load()


@pytest.mark.parametrize(
    ("test", "message"),
    [
        (some(0), "there are no test images"),
        (some(of=datasets.ClassLabel(names=["cat", "eel"])), "only one of them has dog, eel"),
        (
            some(label=lambda i: 0),
            "train and test have different classes; only one of them has dog",
        ),
        (some(label=lambda i: -1), "4 of 4 test examples have no label"),
        (some().rename_column("label", "y"), "split test: unknown column 'label'"),
    ],
    ids=["empty", "other names", "fewer", "hidden", "other columns"],
)
def test_test_splits_that_do_not_fit_are_refused(root, test, message):
    write = save if len(test) else write_parquet  # the library does not read what it saves empty
    with pytest.raises(BenchError, match=message):
        source(write(root, train=some(8), test=test)).load()


def test_a_split_has_its_own_numbers_of_classes(root):
    turned = some(4, of=datasets.ClassLabel(names=["dog", "cat"]), label=lambda i: 1 - i % 2)
    data = source(save(root, train=some(8), test=turned), validation_fraction=0).load()
    assert data.test.x[data.test.y == 1][:, 0, 0, 0].tolist() == [1, 3]
    assert data.test.y.tolist() == [0, 0, 1, 1]


def test_files_that_number_their_classes_differently_are_refused(root):
    other = some(of=datasets.ClassLabel(names=["dog", "cat"]))
    with pytest.raises(BenchError, match=r"test-0.*quet and .*train-0.* number their classes diff"):
        source(write_parquet(root, train=some(8), test=other)).load()


def test_configurations_are_chosen_by_subset(root):
    for name in ("large", "small"):
        write_parquet(root / name, train=some(8))
    configs = "".join(f"- config_name: {n}\n  data_dir: {n}\n" for n in ("large", "small"))
    (root / "README.md").write_text(f"---\nconfigs:\n{configs}---\n")
    with pytest.raises(BenchError, match=r"'large', 'small'.*`subset` names a configuration"):
        source(root).load()
    assert source(root, subset="small").load().spec.class_names == ("cat", "dog")


def test_a_folder_has_no_revision_and_a_name_wherever_it_is_named_from(root, monkeypatch):
    save(root, train=some(8))
    with pytest.raises(SpecError, match="revision: applies only to sets of the Hub"):
        source(root, revision="v1").load()
    with pytest.raises(SpecError, match="path: is empty"):
        source("")
    monkeypatch.chdir(root)
    assert source(".").spec.name == "pets"


def garbage(root):
    root.mkdir()
    (root / "train.parquet").write_bytes(b"PAR1 and no more")


def cut_off(root):
    save(root, train=some(40))
    file = next(root.glob("train/*.arrow"))
    file.write_bytes(file.read_bytes()[:-2000])


def unreadable_state(root):
    save(root, train=some())
    (root / "train" / "state.json").write_text("{")


@pytest.mark.parametrize("spoil", [garbage, cut_off, unreadable_state, lambda root: root.mkdir()])
def test_folders_that_the_library_cannot_read_are_named(root, spoil):
    spoil(root)
    with pytest.raises(BenchError, match="pets: cannot be read") as caught:
        source(root).load()
    assert len(str(caught.value).splitlines()) == 1


def test_a_file_and_what_is_nothing_are_answered(root, tmp_path):
    (tmp_path / "a.parquet").touch()
    with pytest.raises(BenchError, match=r"a.parquet is a file; name the folder that holds it"):
        _ = source(tmp_path / "a.parquet").spec
    with pytest.raises(DataMissing, match="there is no folder"):
        source(root).load()
    assert source(root).missing().startswith("there is no folder")


def test_a_hub_set_that_is_not_here_is_explained_at_once(monkeypatch, tmp_path):
    hub = source("someone/faces", revision="v1")
    for ask in (lambda: hub.spec, hub.load):
        with pytest.raises(
            DataMissing, match=r"neither a folder nor a set of the .* Hub"
        ) as caught:
            ask()
        command = "bench data '{name: huggingface, test_per_class: 1, path: someone/faces, "
        assert f"{command}image_size: 8, revision: v1}}'" in str(caught.value).splitlines()[0]
    assert "it was not downloaded yet" in hub.missing()
    with pytest.raises(DataMissing, match=r"downloads are forbidden .*, and there is no copy"):
        hub.load()


def test_a_hub_that_does_not_answer_is_asked_once(monkeypatch):
    import huggingface_hub

    asked = []

    def dataset_info(self, path, **options):
        asked.append((path, options["timeout"]))
        raise OSError("no network")

    monkeypatch.delenv("BENCH_OFFLINE")
    monkeypatch.delenv("HF_HUB_OFFLINE", raising=False)
    monkeypatch.setattr(huggingface_hub.HfApi, "dataset_info", dataset_info)
    with pytest.raises(DataMissing, match=r"asking for it failed \(no network\)"):
        source("someone/faces").load()
    assert asked == [("someone/faces", 10)]


def test_a_hub_set_is_downloaded_once_by_its_commit(monkeypatch, root, capsys):
    import types

    import huggingface_hub

    calls = []

    def load_dataset(path, subset, *, revision):
        calls.append((path, subset, revision))
        return datasets.DatasetDict(train=some(8))

    info = types.SimpleNamespace(sha="1a2b")
    monkeypatch.delenv("BENCH_OFFLINE")
    monkeypatch.setattr(huggingface_hub.HfApi, "dataset_info", lambda *a, **k: info)
    monkeypatch.setattr(datasets, "load_dataset", load_dataset)
    hub = source("someone/faces", subset="small")
    with pytest.raises(DataMissing, match="it was not downloaded yet"):
        _ = hub.spec
    first = hub.load()
    assert first.spec.name == "faces"
    assert "downloading someone/faces" in capsys.readouterr().err
    monkeypatch.setenv("BENCH_OFFLINE", "1")
    again = source("someone/faces", subset="small")
    assert again.missing() is None
    assert (again.spec, again.load().fingerprint) == (first.spec, first.fingerprint)
    assert calls == [("someone/faces", "small", "1a2b")]


@pytest.mark.parametrize("kind", ["absent", "broken"])
def test_a_library_that_cannot_be_imported_names_the_extra(root, monkeypatch, tmp_path, kind):
    save(root, train=some())
    monkeypatch.delitem(sys.modules, "datasets")
    if kind == "absent":
        monkeypatch.setitem(sys.modules, "datasets", None)
    else:
        (tmp_path / "datasets.py").write_text("raise RuntimeError('of another version')")
        monkeypatch.syspath_prepend(tmp_path)
    with pytest.raises(BenchError, match=r"pip install 'bench-generators\[huggingface\]'"):
        source(root).load()


def test_telemetry_is_off_and_the_network_is_forbidden_for_our_calls_alone(root, monkeypatch):
    import huggingface_hub

    settings = datasets.config, huggingface_hub.constants
    for setting in settings:
        monkeypatch.setattr(setting, "HF_HUB_OFFLINE", False)
    source(save(root, train=some(8))).load()
    assert not datasets.config.HF_UPDATE_DOWNLOAD_COUNTS
    assert not any(setting.HF_HUB_OFFLINE for setting in settings)
