"""A tree of image files: its parts, its classes, the images of each, and what is left out."""

import re
from collections.abc import Iterable, Iterator, Mapping, Sequence
from pathlib import Path

from bench.data.class_names import in_order
from bench.errors import BenchError, DataMissing, first_few

SUFFIXES = frozenset({".png", ".jpg", ".jpeg", ".webp", ".bmp"})

PARTS = {
    **dict.fromkeys(("train", "training"), "train"),
    **dict.fromkeys(("test", "testing"), "test"),
    **dict.fromkeys(("val", "valid", "validation"), "validation"),
}
"""Folder names in small letters -> the split that they are usually made for."""

MADE_BY_SYSTEMS = ("thumbs.db", "desktop.ini", "icon\r")
LONGEST_NAME = 200  # bytes of the name of a folder; systems take 255
NAMED = 3  # files that a message names

FOLDERS = {
    None: "folders in classes",
    False: "folders in classes (nested: true reads them)",
    True: "linked folders in classes",
}
"""What folders in classes are called that are not read, by the option `nested`."""

LeftOut = dict[str, list[str]]
"""What is not read: kind -> paths below the root."""


def find_parts(root: Path) -> dict[str, Path]:
    """Return the folders of the training and, if there are both, of the test images.

    Folders of splits are never taken for classes; a `BenchError` says if they are not one of
    training and one of test images.
    """
    if not root.is_dir():
        raise DataMissing(
            f"there is no folder {root}; images are expected as {root}/CLASS/*.png, or below train "
            "and test folders"
        )
    splits = _split_folders(class_folders(root))
    if not splits:
        return {"train": root}
    parts = {}
    for part in ("train", "test"):
        names = [name for name, split in splits.items() if split == part]
        if len(names) != 1:
            what = "more than one folder" if names else "no folder"
            raise BenchError(
                f"{root} holds the folders {', '.join(splits)}, which are splits and not classes, "
                f"but {what} of {part} images; rename one to {part}, or name as `path` the folder "
                "of classes to hold test images out of"
            )
        parts[part] = root / names[0]
    return parts


def _split_folders(names: list[str]) -> dict[str, str]:
    """Return the folders that are splits: two named in `PARTS`, or all by a word: `test_set`."""
    exact = {name: PARTS[name.lower()] for name in names if name.lower() in PARTS}
    if len(exact) > 1:
        return exact
    words = {name: PARTS.keys() & re.findall("[a-z]+", name.lower()) for name in names}
    loose = {name: PARTS[min(found)] for name, found in words.items() if found}
    return loose if len(loose) == len(names) and len({*loose.values()}) > 1 else {}


def class_folders(root: Path) -> list[str]:
    """Return the names of the folders in a folder, without those that tools make.

    They are in the order of texts, or of numbers where all of them are numbers.
    """
    names = [p.name for p in root.iterdir() if p.is_dir() and not is_hidden(p)]
    for name in names:
        if not name.isprintable():
            raise BenchError(f"{root}: the folder {name!r} has no printable name; rename it")
    return in_order(names)


def folder_names(class_names: Sequence[str]) -> list[str]:
    """Return names of folders for classes: their own, or all labels if one cannot be a folder's.

    >>> folder_names(("Coat", "Ankle boot")), folder_names(("Coat", "T-shirt/top"))
    (['Coat', 'Ankle boot'], ['0', '1'])
    """
    is_free = len({name.casefold() for name in class_names}) == len(class_names)
    if is_free and all(map(_can_be_folder, class_names)):
        return list(class_names)
    return [str(label) for label in range(len(class_names))]


def _can_be_folder(name: str) -> bool:
    """Return whether a folder can have a name on every system, and is then read as a class."""
    is_plain = name.isprintable() and name == name.strip() and not name.endswith(".")
    is_taken = name.startswith((".", "__")) or name.lower() in MADE_BY_SYSTEMS
    return (
        bool(name)
        and is_plain
        and not is_taken
        and not set(name) & set('<>:"/\\|?*')
        and (len(name.encode()) <= LONGEST_NAME)
    )


def is_hidden(path: Path) -> bool:
    """Return whether a file or folder was made by a tool or a system: `.git`, `__MACOSX`, ..."""
    if path.name.startswith("__"):
        return path.is_dir()
    return path.name.startswith(".") or path.name.lower() in MADE_BY_SYSTEMS


def list_images(
    root: Path, folder: Path, left_out: LeftOut, *, nested: bool | None = None
) -> list[Path]:
    """Return the image files of a class; what is not read is added to `left_out`.

    With `nested`, files in folders inside of it count too; None is False for users who cannot
    choose. A `BenchError` names a file that is no regular one, such as a link to nothing.
    """
    images = []
    for path in _walk(folder, nested is True):
        if path.is_dir():
            kind = FOLDERS[nested]
        elif path.suffix.lower() not in SUFFIXES:
            kind = f"{path.suffix.lower() or 'nameless'} files"
        elif not path.is_file():
            target = "not a regular file" if path.exists() else "a link to nothing"
            raise BenchError(f"{path} is {target}; fix or remove it")
        else:
            images.append(path)
            continue
        left_out.setdefault(kind, []).append(path.relative_to(root).as_posix())
    return images


def list_beside(root: Path, parts: Iterable[Path], left_out: LeftOut) -> None:
    """Add what lies beside the class folders, or beside the parts, to `left_out`."""
    parts = list(parts)
    for path in sorted({path for folder in (root, *parts) for path in folder.iterdir()}):
        if is_hidden(path) or path in parts:
            continue
        if path.is_dir() and path.parent not in parts:
            kind = "folders beside those of the splits"
        elif not path.is_dir() and path.suffix.lower() in SUFFIXES:
            kind = "images in no folder of a class"
        elif path.is_symlink() and not path.exists():
            kind = "links to nothing"
        else:
            continue
        left_out.setdefault(kind, []).append(path.relative_to(root).as_posix())


def left_out_text(root: Path, left_out: Mapping[str, list[str]]) -> list[str]:
    """Return a line on what was left out, or none."""
    kinds = [f"{len(paths)} {kind}: {first_few(paths, NAMED)}" for kind, paths in left_out.items()]
    return [f"{root}: left out {'; '.join(kinds)}"] if kinds else []


def _walk(folder: Path, nested: bool) -> Iterator[Path]:
    for path in sorted(folder.iterdir()):
        if is_hidden(path):
            continue
        if nested and path.is_dir() and not path.is_symlink():
            yield from _walk(path, nested)
        else:
            yield path
