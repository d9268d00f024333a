"""WebDataset shards: local `.tar` files that hold each image with its label, under one key."""

import glob
import json
import math
import re
import tarfile
from collections import Counter
from collections.abc import Iterator, Sequence
from contextlib import contextmanager
from dataclasses import dataclass
from functools import partial
from pathlib import Path, PurePosixPath
from typing import Any, BinaryIO, ClassVar, NamedTuple

from bench.data.base import home_path
from bench.data.encoded_images import EncodedImages, EncodedSet, EncodedSplit, files_identity
from bench.data.files.image_files import Content
from bench.data.files.image_tree import SUFFIXES
from bench.errors import BenchError, DataMissing, first_few
from bench.registry import import_extra

MOST_SHARDS = 100_000  # that a pattern stands for
NAMED = 3  # files or samples in a message
BLOCK = 512  # bytes, of which a tar file is made; one of zeros ends it
LABEL_KEYS = ("cls", "json")
FIELD = "label"


class Member(NamedTuple):
    """Where a shard holds an image."""

    shard: Path
    name: str
    offset: int
    size: int


@dataclass(kw_only=True)
class WebDataset(EncodedSet):
    """The images of WebDataset shards.

    A sample is the files of one shard whose names differ after the first dot alone, such as
    `cats/12.png` and `cats/12.cls`. Examples of a class are in the order of these names, so that
    neither the order nor the number of shards matters. The name in tables is that of the shards
    without numbers. The other options are those of `EncodedSet`.

    Attributes:
        path: The shards: a file, a pattern such as `faces-*.tar` or `faces-{000..012}.tar`, or
            several of them as `{a.tar,b.tar}`.
        test_path: The shards of the official test split, in the same way.
        image_key: What follows the first dot in the names of images; null where a sample has one
            image (png, jpg, jpeg, webp, bmp).
        label_key: What follows it in the names of labels: `cls`, whose text is an integer or a
            name, or a `json` file; null for `cls` where the first sample has one, else `json`.
        label_field: The field of a `json` file that is the label, `a.b` for a field in a field.
    """

    test_path: str | None = None
    image_key: str | None = None
    label_key: str | None = None
    label_field: str = FIELD

    origin: ClassVar[str] = "webdataset"

    def identity(self) -> list[Any]:
        """Return the options that choose images, and the shards."""
        parts = [path for path in (self.path, self.test_path) if path is not None]
        files = [files_identity(find_shards(path)) for path in parts]
        return [*files, self.image_key, self.label_key, self.label_field]

    def open_images(self) -> EncodedImages:
        """Read the tables of contents of the shards, and the labels."""
        unread: Counter[str] = Counter()
        train = self._split(self.path, unread)
        test = None if self.test_path is None else self._split(self.test_path, unread)
        kinds = first_few([f"{count} .{key}" for key, count in unread.most_common()], NAMED)
        notices = (f"{self.path}: left out files that are not read: {kinds}",) if unread else ()
        return EncodedImages(train, test, notices)

    def _split(self, path: str, unread: Counter[str]) -> EncodedSplit:
        members: list[Member] = []
        labels: dict[str, list[object]] = {name: [] for name in self.attributes or ["label"]}
        problems: list[str] = []
        for shard in find_shards(path):
            for sample in read_shard(shard, self.image_key):
                key = f"{shard.name}: {sample['__key__']}"
                contents = {k: v for k, v in sample.items() if not k.startswith("__")}
                try:
                    image = self._image_key(contents)
                    label_key = self._label_key(contents)
                    values = self._labels(label_key, contents.get(label_key))
                except ValueError as error:
                    problems.append(f"{key} {error}")
                    continue
                members.append(contents[image])
                for name, value in zip(labels, values, strict=True):
                    labels[name].append(value)
                unread.update(contents.keys() - {image, label_key})
        if problems:
            more = first_few(problems, NAMED, "; ")
            raise BenchError(f"{len(problems)} samples of {path} cannot be used: {more}")
        return EncodedSplit(
            labels,
            lambda index: f"{members[index].shard}: {members[index].name}",
            partial(_read_images, members),
            paths=[PurePosixPath(member.name) for member in members],
        )

    def _image_key(self, contents: dict[str, Any]) -> str:
        if self.image_key is not None:
            if self.image_key.lower() in contents:
                return self.image_key.lower()
            raise ValueError(f"has no {self.image_key}, only {', '.join(contents)}")
        images = [key for key, value in contents.items() if isinstance(value, Member)]
        if len(images) == 1:
            return images[0]
        if images:
            raise ValueError(f"has several images: {', '.join(images)}; image_key names one")
        raise ValueError(f"has no image, only {', '.join(contents)}")

    def _label_key(self, contents: dict[str, Any]) -> str:
        if self.label_key is not None:
            return self.label_key.lower()
        usual = LABEL_KEYS[1:] if self.attributes else LABEL_KEYS
        return next((key for key in usual if key in contents), usual[0])

    def _labels(self, key: str, content: bytes | None) -> list[object]:
        """Return the label of a sample, or its attributes; None where it has none."""
        if not isinstance(content, bytes):
            raise ValueError(f"has no .{key}, which holds the label")
        try:
            text = content.decode()
            if key.rpartition(".")[2] != "json":
                text = text.strip()
                return [int(text) if text.lstrip("-").isdecimal() else text]
            fields = json.loads(text)
        except (ValueError, RecursionError) as error:
            raise ValueError(f"has a .{key} that cannot be read ({error})") from error
        names = self.attributes or [self.label_field]
        if absent := [name for name in names if _field(fields, name) is None]:
            there = ", ".join(fields) if isinstance(fields, dict) else "no fields"
            raise ValueError(f"has no {first_few(absent, NAMED)} in its .{key}, only {there}")
        return [_field(fields, name) for name in names]


def find_shards(path: str) -> list[Path]:
    """Return the files that a pattern stands for, in its order; all of them have to be there."""
    if "://" in path or path.startswith("pipe:"):
        raise BenchError(f"{path}: shards are files of this machine; download them first")
    ranges = re.findall(r"\{(\d+)\.\.(\d+)", path)
    if not path or math.prod(abs(int(b) - int(a)) + 1 for a, b in ranges) > MOST_SHARDS:
        raise BenchError(f"{path!r} stands for {'too many shards' if path else 'no shard'}")
    shardlists = import_extra("webdataset.shardlists", "webdataset", "the data set 'webdataset'")
    try:
        names = shardlists.expand_urls(str(home_path(path)))
    except (ValueError, AssertionError) as error:  # the latter of a variable that is not set
        raise BenchError(f"{path}: is no pattern of shards ({error})") from error
    found: list[Path] = []
    for name in names:
        some = sorted(glob.glob(name)) if glob.has_magic(name) else [name]
        found += map(Path, some)
    absent = [str(shard) for shard in found if not shard.is_file()]
    if absent or not found:
        what = first_few(absent, NAMED) or path
        hint = f"; is {path}/*.tar meant?" if Path(path).is_dir() else ""
        raise DataMissing(f"there is no file {what}{hint}")
    twice = [str(shard) for shard, count in Counter(found).items() if count > 1]
    if twice:
        raise BenchError(f"{path}: names {first_few(twice, NAMED)} more than once")
    return found


def read_shard(shard: Path, image_key: str | None) -> Iterator[dict[str, Any]]:
    """Yield the samples of a shard: key -> content, a `Member` for images.

    A `BenchError` says that the file is damaged, or holds a key in two places.
    """
    iterators = import_extra("webdataset.tariterators", "webdataset", "the data set 'webdataset'")
    keys: set[str] = set()
    with _tar_errors(shard), shard.open("rb") as file:
        for sample in iterators.group_by_keys(_members(shard, file, image_key)):
            key = sample["__key__"]
            if key in keys:
                raise BenchError(f"{shard}: the key {key} is there twice, with other keys between")
            keys.add(key)
            yield sample


def _members(shard: Path, file: BinaryIO, image_key: str | None) -> Iterator[dict[str, Any]]:
    """Yield the files of a shard as the library expects them; refuse one that is cut off."""
    if file.read(2) in (b"\x1f\x8b", b"BZ", b"\xfd7"):
        raise BenchError(f"{shard}: is compressed; decompress it, since images are compressed")
    file.seek(0)
    with tarfile.open(fileobj=file, mode="r:") as tar:
        for member in tar:
            name = member.name.removeprefix("./")
            if not member.isfile() or PurePosixPath(name).name.startswith("."):
                continue
            key = name.rpartition("/")[2].partition(".")[2].lower()
            if f".{key.rpartition('.')[2]}" in SUFFIXES or key == (image_key or "").lower():
                data: Any = Member(shard, name, member.offset_data, member.size)
            else:
                data = tar.extractfile(member).read()  # type: ignore[union-attr]
            yield {"fname": name, "data": data, "__url__": str(shard)}
        # Python takes a damaged head for the end, and needs no mark at the end.
        file.seek(tar.offset)
        if file.read(BLOCK) != bytes(BLOCK):
            raise BenchError(f"{shard}: is damaged or cut off after {tar.offset} bytes")


@contextmanager
def _tar_errors(shard: Path) -> Iterator[None]:
    try:
        yield
    except (tarfile.TarError, OSError, EOFError, ValueError) as error:
        text = error.args[0] if error.args else error  # the library adds more
        raise BenchError(f"{shard}: damaged, or not a tar file of samples ({text})") from error


def _read_images(members: Sequence[Member]) -> Iterator[Content]:
    """Yield the contents of images; those of a shard follow one another."""
    shard, file = Path(), None
    try:
        for member in members:
            if file is None or member.shard != shard:
                if file is not None:
                    file.close()
                shard, file = member.shard, member.shard.open("rb")
            file.seek(member.offset)
            yield Content(f"{shard}: {member.name}", file.read(member.size))
    finally:
        if file is not None:
            file.close()


def _field(fields: Any, name: str) -> object:
    """Return a field, by its name or by its path; None where it is not there."""
    if isinstance(fields, dict) and name in fields:
        return fields[name]
    for part in name.split("."):
        fields = fields.get(part) if isinstance(fields, dict) else None
    return fields
