"""Data sets of Hugging Face: of the Hub by their names, and folders of this machine.

What a Hub set needs is downloaded by `bench data`, into the library's own cache (`HF_HOME`), and
decoded into the data folder. From then on neither the network nor the library is needed, and a
change on the Hub is not seen until the decoded file is deleted.
"""

import json
import logging
import os
import re
import shlex
from collections.abc import Iterable, Iterator, Mapping
from contextlib import contextmanager
from dataclasses import dataclass, fields
from functools import partial
from pathlib import Path
from typing import Any, ClassVar

import yaml

from bench.console import say
from bench.data.base import data_root, home_path, is_offline, made_data_root
from bench.data.encoded_images import EncodedImages, EncodedSet, EncodedSplit, files_identity
from bench.data.files.image_files import Content, ImageFile
from bench.data.files.image_tree import PARTS
from bench.data.torchvision_files import TIMEOUT_S
from bench.errors import BenchError, DataMissing, SpecError, describe_unknown, one_line
from bench.registry import import_extra

AUTO = "auto"
LONGEST = 600  # characters of an error of the library in a message
USER = "the data set 'huggingface'"
IMAGES = ("image", "img", "png", "jpg", "pixel_values")  # columns by which untyped images are found
LABELS = ("label", "labels", "class", "target", "cls")
SAVED = ("dataset_dict.json", "state.json")  # files of `save_to_disk`
QUIET = {"HF_HUB_DISABLE_TELEMETRY": "1", "HF_UPDATE_DOWNLOAD_COUNTS": "0"}


@dataclass(kw_only=True)
class HuggingFace(EncodedSet):
    """The images of a Hugging Face data set.

    Names of classes are those of the label's feature, else the labels themselves, in the order of
    numbers or texts. The name in tables is the last part of the path. The other options are those
    of `EncodedSet`.

    Attributes:
        path: A folder (of `save_to_disk`, Parquet or image files), or a name of the Hub such as
            `ylecun/mnist`.
        subset: The configuration of a Hub set that has several.
        revision: The commit, tag or branch of a Hub set; the newest where null.
        train_split: Name of the split to train on; `auto` is `train`, or the only one.
        test_split: Name of the official test split; `auto` is `test` where there is one; null
            holds test images out of the others.
        image_column: The column of images; null where only one column has that type.
        label_column: The column of labels; null where only one column has the type of class
            labels, or is called `label`.
    """

    subset: str | None = None
    revision: str | None = None
    train_split: str = AUTO
    test_split: str | None = AUTO
    image_column: str | None = None
    label_column: str | None = None

    origin: ClassVar[str] = "huggingface"

    def identity(self) -> list[Any]:
        """Return the options that choose images, and the files of a folder."""
        chosen = [self.subset, self.train_split, self.test_split]
        chosen += [self.image_column, self.label_column]
        if self._is_of_hub:
            return [self.path, self.revision, *chosen]
        if self.revision is not None:
            raise SpecError(
                f"applies only to sets of the Hub; {self.path} is a folder", key="revision"
            )
        files = (path for path in self._folder.rglob("*") if path.is_file())
        return [files_identity(files), *chosen]

    def absent(self) -> str | None:
        """Return how to provide a set of the Hub."""
        return self._explain("it was not downloaded yet") if self._is_of_hub else None

    def open_images(self) -> EncodedImages:
        """Open the splits, find the columns, and read the labels."""
        splits = self._from_hub() if self._is_of_hub else self._from_folder()
        train, test = self._chosen(splits)
        image, labels = self._columns(splits[train].features)
        if not self._is_of_hub:
            self._refuse_other_numbers(labels)
        read = {n: self._split(n, splits[n], image, labels) for n in (train, test) if n is not None}
        unread = [name for name in splits if name not in read]
        notice = f"{self.path}: left out splits: {', '.join(unread)}"
        notices = (notice,) if unread else ()
        return EncodedImages(read[train], read.get(test or ""), notices)

    @property
    def _folder(self) -> Path:
        return home_path(self.path)

    @property
    def _is_of_hub(self) -> bool:
        """Whether the path is a name of the Hub; a `DataMissing` if it is nothing at all."""
        if self._folder.is_dir():
            return False
        if self._folder.exists():
            raise BenchError(f"{self.path} is a file; name the folder that holds it")
        if not re.fullmatch(r"\w[\w.-]*(/\w[\w.-]*)?", self.path):
            raise DataMissing(f"there is no folder {self.path}")
        return True

    def _from_folder(self) -> Mapping[str, Any]:
        datasets, folder = _library(), str(self._folder)
        with self._library_errors(), _offline(True):
            if any((self._folder / name).is_file() for name in SAVED):
                found = datasets.load_from_disk(folder)
            else:  # streamed, so that the library writes no copy
                cache = str(made_data_root() / "huggingface")
                found = datasets.load_dataset(folder, self.subset, streaming=True, cache_dir=cache)
            splits = found if isinstance(found, Mapping) else {"train": found}
            return {  # of formats such as CSV the types are in no file
                name: split if split.features else split._resolve_features()
                for name, split in splits.items()
            }

    def _from_hub(self) -> Mapping[str, Any]:
        """Download the set, or find it where the library keeps what it has downloaded."""
        with _offline(is_offline()) as offline:
            revision = self.revision if offline else self._commit()
            try:
                found: Mapping[str, Any] = _library().load_dataset(
                    self.path, self.subset, revision=revision
                )
            except Exception as error:  # whatever the library raises
                text = one_line(error, LONGEST)
                why = f"it cannot be read ({text}; `subset` names a configuration)"
                if offline:
                    why = "downloads are forbidden (BENCH_OFFLINE), and there is no copy"
                raise DataMissing(self._explain(why)) from error
        return found

    def _commit(self) -> str:
        """Ask the Hub for the commit of the revision: one question, with a limit of time.

        The library itself asks six times before it gives up.
        """
        say(f"  downloading {self.path} from the Hugging Face Hub")
        hub = import_extra("huggingface_hub", "huggingface", USER).HfApi()
        try:
            asked = hub.dataset_info(self.path, revision=self.revision, timeout=TIMEOUT_S)
        except Exception as error:  # of the network, or of the Hub
            raise DataMissing(
                self._explain(f"asking for it failed ({one_line(error, LONGEST)})")
            ) from error
        return str(asked.sha)

    def _explain(self, why: str) -> str:
        """Return the message of a set that is not here; its first line says how to get it."""
        given = {f.name: getattr(self, f.name) for f in fields(self) if f.init}
        changed = {f.name: given[f.name] for f in fields(self) if given.get(f.name) != f.default}
        options = yaml.safe_dump(
            {"name": self.origin, **changed}, default_flow_style=True, sort_keys=False, width=1000
        )
        command = f"bench data {shlex.quote(options.strip())}"
        return (
            f"{self.path} is neither a folder nor a set of the Hugging Face Hub that is on this "
            f"machine: {why}; with a network, this gets it: {command}\n"
            f"  - without one, get it elsewhere and copy {self._decoded().name} to {data_root()}\n"
            "  - or download its files, and give their folder as `path`\n"
            "  - for a private or gated set, a token is needed (HF_TOKEN)"
        )

    def _chosen(self, splits: Mapping[str, Any]) -> tuple[str, str | None]:
        """Return the names of the training and the test split."""
        by_part: dict[str, str] = {}
        for name in splits:
            by_part.setdefault(PARTS.get(name.lower(), ""), name)
        train, test = self.train_split, self.test_split
        usual = by_part.get("test")
        if train == AUTO:
            only = next(iter(splits)) if len(splits) == 1 else "train"
            train = by_part.get("train", only)
        if test == AUTO:
            test = usual if usual != train else None
        for option, chosen in (("train_split", train), ("test_split", test)):
            if chosen is not None and chosen not in splits:
                known = describe_unknown("split", chosen, splits)
                raise BenchError(f"{self.path}: {option}: {known}")
        if train == test:
            raise BenchError(f"{self.path}: train_split and test_split are both {train}")
        return train, test

    def _columns(self, features: Mapping[str, Any]) -> tuple[str, list[str]]:
        """Return the column of images and those of labels: given ones, or found by their type."""
        datasets = _library()
        image = self._column("image_column", self.image_column, features, datasets.Image, IMAGES)
        if self.attributes:
            for name in self.attributes:
                self._check(name, "attributes", features)
            return image, self.attributes
        label = self.label_column
        return image, [self._column("label_column", label, features, datasets.ClassLabel, LABELS)]

    def _column(
        self,
        option: str,
        given: str | None,
        features: Mapping[str, Any],
        kind: type[Any],
        usual: Iterable[str],
    ) -> str:
        if given is not None:
            self._check(given, option, features)
            return given
        typed = [name for name, feature in features.items() if isinstance(feature, kind)]
        found = typed or [name for name in usual if name in features]
        if len(found) == 1:
            return found[0]
        what = f"several, {', '.join(found)}" if found else f"none among {', '.join(features)}"
        raise BenchError(f"{self.path}: cannot choose {option}: there are {what}; set {option}")

    def _check(self, name: str, option: str, features: Mapping[str, Any]) -> None:
        if name not in features:
            raise BenchError(f"{self.path}: {option}: {describe_unknown('column', name, features)}")

    def _refuse_other_numbers(self, labels: list[str]) -> None:
        """Refuse Parquet files whose own numbers of classes differ; the library goes by the first.

        So they do where each split was numbered by itself.
        """
        known: dict[str, Path] = {}
        parquet = import_extra("pyarrow.parquet", "huggingface", USER)
        for file in sorted(self._folder.rglob("*.parquet")):
            with self._library_errors():
                written = (parquet.read_schema(file).metadata or {}).get(b"huggingface", b"{}")
                features = json.loads(written).get("info", {}).get("features", {})
            names = [features.get(label, {}).get("names") for label in labels]
            if names != [None] * len(labels):
                known.setdefault(json.dumps(names), file)
        if len(known) > 1:
            first, other, *_ = known.values()
            raise BenchError(
                f"{first} and {other} number their classes differently; write them again with one "
                "ClassLabel, or with the names as labels"
            )

    def _split(self, name: str, split: Any, image: str, labels: list[str]) -> EncodedSplit:
        """Read the labels of a split; its images are opened later."""
        datasets = _library()
        where = f"of {name}"
        columns: dict[str, list[object]] = {label: [] for label in labels}
        with self._library_errors():
            for column in (image, *labels):
                self._check(column, f"split {name}", split.features)
            plain = split.with_format(None)
            for row in plain.select_columns(labels):
                for label in labels:
                    columns[label].append(row[label])
            raw = plain.select_columns([image]).cast_column(image, datasets.Image(decode=False))
        return EncodedSplit(
            columns,
            lambda index: f"row {index} {where}",
            partial(self._images, raw, image, where),
            None if self.attributes else getattr(split.features[labels[0]], "names", None),
        )

    def _images(self, raw: Any, column: str, where: str) -> Iterator[ImageFile]:
        with self._library_errors():
            for index, row in enumerate(raw):
                content = row[column] or {}
                name = f"{self.path}: row {index} {where}"
                if (data := content.get("bytes")) is not None:
                    yield Content(name, data)
                elif not (path := content.get("path")):
                    raise BenchError(f"{name} has no image")
                elif (self._folder / path).exists():
                    yield self._folder / path
                else:
                    raise BenchError(
                        f"{name} is stored as the path {path}, and there is no such file below "
                        f"{self._folder}; store the images themselves, as save_to_disk does"
                    )

    @contextmanager
    def _library_errors(self) -> Iterator[None]:
        try:
            yield
        except BenchError:
            raise
        except Exception as error:  # whatever the library raises for files it cannot read
            text = one_line(error, LONGEST)
            hint = "; `subset` names a configuration" if "config" in text.lower() else ""
            raise BenchError(f"{self.path}: cannot be read ({text}){hint}") from error


def _library() -> Any:
    """Return the library, quiet and without telemetry."""
    for name, value in QUIET.items():
        os.environ.setdefault(name, value)
    datasets = import_extra("datasets", "huggingface", USER)
    hub = import_extra("huggingface_hub", "huggingface", USER)
    datasets.config.HF_UPDATE_DOWNLOAD_COUNTS = False
    for library in (datasets, hub.utils):
        library.disable_progress_bars()
        library.logging.set_verbosity(logging.CRITICAL)
    return datasets


@contextmanager
def _offline(forbidden: bool) -> Iterator[bool]:
    """Keep the library off the network where that is forbidden; yield whether it is."""
    hub = import_extra("huggingface_hub", "huggingface", USER)
    settings = (_library().config, hub.constants)  # variables of the environment are read only once
    before = [setting.HF_HUB_OFFLINE for setting in settings]
    try:
        for setting in settings:
            setting.HF_HUB_OFFLINE = forbidden or any(before)
        yield forbidden or any(before)
    finally:
        for setting, value in zip(settings, before, strict=True):
            setting.HF_HUB_OFFLINE = value
