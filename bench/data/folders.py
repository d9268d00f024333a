"""Any tree of image files with one folder per class.

`ROOT/CLASS/*.png` (also jpg, jpeg, webp, bmp), or `ROOT/train/CLASS/*` and `ROOT/test/CLASS/*`
(also `Training`, `test_set`, ...) where a set has an official test split. Images that 8-bit gray or
RGB cannot show as they are, such as those with 16 bits, are refused; what is left out is reported.
Decoded images are kept in the data folder, under a name made from the root, the list of files
(path, size, times) and the options, so a changed tree is decoded again.

FaceScrub at 64x64: keep the aligned face crops as `ROOT/PERSON/*.jpg`, one folder for each of
the 530 people, and use the defaults, `data: {name: folder, path: ROOT}`. From the uncropped
photographs, put the face boxes of the distribution (`x1,y1,x2,y2`) into a CSV file as
`path,x,y,w,h`, with `w = x2 - x1` and `h = y2 - y1`, and add `crop: boxes, boxes: FILE`.

CUB-200-2011: unpack the archive and use `data: {name: folder, path: CUB_200_2011/images,
crop: boxes, boxes: CUB_200_2011/bounding_boxes.txt}`; `images.txt` is found next to the boxes. The
paper crops to the box and resizes to 64x64, which is read here as stretching the box.
"""

import hashlib
import itertools
import json
from collections.abc import Mapping
from dataclasses import dataclass, replace
from pathlib import Path
from typing import Any, Literal

import numpy as np

from bench.data.base import DataSet, DataSpec, Source, Split, data_root, home_path
from bench.data.files import npz_files
from bench.data.files.arrays import Array, Arrays, refuse_too_large
from bench.data.files.image_files import (
    Color,
    Crop,
    crop_window,
    decode_images,
    describe_heads,
    image_head,
    image_sizes,
    in_threads,
)
from bench.data.files.image_tables import Box, ImageRow, read_boxes, read_rows
from bench.data.files.image_tree import (
    SUFFIXES,
    LeftOut,
    class_folders,
    find_parts,
    left_out_text,
    list_beside,
    list_images,
)
from bench.data.files.landmarks import COLUMNS, check_inside, check_paths, move_points
from bench.data.splits import HeldOutTestOptions
from bench.data.summary import content_hashes
from bench.errors import BenchError, DataMissing, SpecError
from bench.spec.run_settings import AtLeastOne, NonNegative

Files = dict[str, list[tuple[Path, int]]]
"""Training or test -> image files and their labels."""


@dataclass(kw_only=True)
class Folder(HeldOutTestOptions, Source):
    """Images in class folders.

    The name in tables is that of the root folder, or of the one above where the root is called
    `images`. Classes are the sorted names of the class folders, in the order of numbers where all
    names are numbers. The other options are those of `SplitOptions` and `HeldOutTestOptions`.

    Attributes:
        path: The root folder; `~` is the home folder.
        image_size: Height and width after the resize.
        channels: 3 for color, 1 for gray.
        crop: `center` for the largest centered square, `none` to stretch the whole image,
            `boxes` to stretch what `boxes` says.
        boxes: CSV file `path,x,y,w,h` with paths below the root, or the `bounding_boxes.txt` of
            CUB-200-2011.
        margin: What `boxes` is widened by on each side, as a share of the box; not beyond the
            image.
        landmarks: CSV file with the columns `path`, below the root, and `left_eye_x, left_eye_y,
            right_eye_x, ..., nose_x, ..., mouth_left_x, ..., mouth_right_x, mouth_right_y`, in
            pixels of the upright image; left and right are those of the picture. Every image needs
            a row. `inpainting` then hides the eyes, and nose and mouth, too.
        flip: Whether training batches are flipped left to right at random.
        background: The color that transparent images are laid on, such as `white` or `#808080`;
            they are refused where it is null.
        nested: Whether images in folders inside of a class folder are images of the class.

    Raises:
        SpecError: If `crop` contradicts `boxes` or `margin`.
    """

    path: str
    image_size: AtLeastOne = 64
    channels: Literal[1, 3] = 3
    crop: Crop = "center"
    boxes: str | None = None
    flip: bool = True
    test_per_class: AtLeastOne = 10
    background: Color | None = None
    nested: bool = False
    margin: NonNegative = 0.0
    landmarks: str | None = None

    later_options = ("background", "nested", "margin", "landmarks")

    def __post_init__(self) -> None:
        super().__post_init__()
        if (self.crop == "boxes") != (self.boxes is not None):
            raise SpecError("`crop: boxes` requires `boxes: FILE`, and vice versa")
        if self.margin and self.crop != "boxes":
            raise SpecError(f"margin requires `crop: boxes`; crop is {self.crop}")
        self._root = home_path(self.path)
        self._boxes = home_path(self.boxes) if self.boxes is not None else None
        self._landmarks = home_path(self.landmarks) if self.landmarks is not None else None

    @property
    def full_spec(self) -> DataSpec:
        """The shape; only the names of the folders are read."""
        parts = find_parts(self._root)
        train, names = parts["train"], class_folders(parts["train"])
        if len(names) < 2:
            raise DataMissing(
                f"{train} holds {len(names)} class folders, at least 2 are needed; "
                f"images are expected as {train}/CLASS/*.png"
                + (f"; is it the folder {train / names[0]} that you mean?" if names else "")
            )
        if odd := set(names) ^ set(class_folders(parts.get("test", train))):
            raise BenchError(
                f"{self._root}: train and test have different classes; only one of them has "
                f"{', '.join(sorted(odd)[:5])}"
            )
        shape = (self.channels, self.image_size, self.image_size)
        root = self._root.resolve()
        name = root.parent.name if root.name == "images" else root.name
        return DataSpec(name, shape, tuple(names))

    def load(self) -> DataSet:
        """Decode the images, or read what an earlier call decoded, and split them."""
        spec = self.full_spec
        files, left_out = self._files(spec)
        train, test = self._arrays(spec, files).splits()
        notices = [*left_out_text(self._root, left_out), *self._cut_off(train, test)]
        data = self.divide_all(spec, train, test, flip=self.flip)
        return replace(data, notices=tuple(notices))

    def missing(self) -> str | None:
        """Return which folder or file is not there, or None."""
        for what, file in (("boxes", self._boxes), ("landmarks", self._landmarks)):
            if file is not None and not file.is_file():
                return f"there is no file {file}, which the {what} are read from"
        return super().missing()

    def describe_files(self) -> dict[str, Any]:
        """Return what the image files are, by their heads, and which show the same image."""
        spec = self.full_spec
        files, left_out = self._files(spec)
        paths = [path for part in files.values() for path, _ in part]
        equal: dict[bytes, list[str]] = {}
        splits = filter(None, self._arrays(spec, files).splits())
        hashes = itertools.chain.from_iterable(content_hashes(split.x) for split in splits)
        for path, content in zip(paths, hashes, strict=True):
            equal.setdefault(content, []).append(self._below(path))
        return {
            **describe_heads(in_threads(image_head, paths)),
            "left_out": {kind: len(names) for kind, names in left_out.items()},
            "equal_files": [names for names in equal.values() if len(names) > 1],
        }

    def _arrays(self, spec: DataSpec, files: Files) -> Arrays:
        """Return the images of all files: decoded, or read from what an earlier call decoded."""
        boxes = read_boxes(self._boxes) if self._boxes else {}
        rows = read_rows(self._landmarks, COLUMNS, "landmarks") if self._landmarks else {}
        npz = data_root() / f"folder-{spec.name[:40]}-{self._key(files, boxes, rows)}.npz"
        if npz.is_file():
            return npz_files.read(npz, spec.classes)
        landmarks = self._read_landmarks(files, boxes, rows)
        decoded: dict[str, Array] = {}
        for part, of_part in files.items():
            decoded[f"x_{part}"], decoded[f"y_{part}"] = self._decode(of_part, boxes)
        arrays = Arrays(**decoded, **landmarks)
        npz_files.write(npz, arrays)
        return arrays

    def _files(self, spec: DataSpec) -> tuple[Files, LeftOut]:
        """Return the image files of all classes, and what else there is."""
        parts, left_out = find_parts(self._root), LeftOut()
        files: Files = {part: [] for part in parts}
        for part, root in parts.items():
            for label, name in enumerate(spec.class_names):
                paths = list_images(self._root, root / name, left_out, nested=self.nested)
                if not paths:
                    others = left_out_text(self._root, left_out)
                    raise DataMissing(
                        f"{root / name} holds no image ({', '.join(sorted(SUFFIXES))})"
                        + "".join(f"; {line}" for line in others)
                    )
                files[part] += [(path, label) for path in paths]
        list_beside(self._root, parts.values(), left_out)
        return files, left_out

    def _key(
        self, parts: Files, boxes: Mapping[str, Box], landmarks: Mapping[str, ImageRow]
    ) -> str:
        files = []
        for path, label in itertools.chain(*parts.values()):
            stat, name = path.stat(), self._below(path)
            # archives and copies give different images one modification time; `ctime` is not set
            times = stat.st_mtime_ns, stat.st_ctime_ns
            files.append((name, label, stat.st_size, times, boxes.get(name)))
        version, root = 1, str(self._root.resolve())  # version of the decoding
        content: list[Any] = [version, root, self.image_size, self.channels, self.crop, files]
        if self.background is not None:
            content.append(self.background)
        content += [["margin", self.margin]] if self.margin else []
        if landmarks:
            content.append({name: row.values for name, row in landmarks.items()})
        return hashlib.sha256(json.dumps(content).encode()).hexdigest()[:16]

    def _decode(
        self, files: list[tuple[Path, int]], boxes: Mapping[str, Box]
    ) -> tuple[Array, Array]:
        paths, labels = zip(*files, strict=True)
        crops = [boxes.get(self._below(path)) for path in paths]
        if self._boxes is not None and None in crops:
            path = paths[crops.index(None)]
            raise BenchError(f"{self._boxes}: has no box for {self._below(path)}")
        refuse_too_large(self._root, (len(paths), self.image_size, self.image_size, self.channels))
        sizes = self.image_size, self.channels
        x = decode_images(paths, *sizes, self.crop, crops, self.background, self.margin)
        return x, np.array(labels, np.int64)

    def _read_landmarks(
        self, parts: Files, boxes: Mapping[str, Box], rows: Mapping[str, ImageRow]
    ) -> dict[str, Array]:
        """Return the arrays of landmarks, checked before any image is decoded; none without any."""
        if self._landmarks is None:
            return {}
        names = [self._below(path) for path, _ in itertools.chain(*parts.values())]
        check_paths(self._landmarks, rows, names, self._root)
        found = {}
        for part, files in parts.items():
            paths = [path for path, _ in files]
            own, sizes = [rows[self._below(path)] for path in paths], image_sizes(paths)
            check_inside(self._landmarks, own, sizes)
            windows = [
                crop_window(path, size, self.crop, boxes.get(self._below(path)), self.margin)
                for path, size in zip(paths, sizes, strict=True)
            ]
            points = np.array([row.values for row in own]).reshape(len(own), -1, 2)
            found[f"landmarks_{part}"] = move_points(points, np.array(windows), self.image_size)
        return found

    def _cut_off(self, *splits: Split | None) -> list[str]:
        """Return how many images have landmarks that the crop has cut off, in a line."""
        count = 0
        for split in splits:
            if split is not None and split.landmarks is not None:
                at_edge = (split.landmarks == 0) | (split.landmarks == self.image_size)
                count += int(at_edge.flatten(1).any(dim=1).sum())
        line = f"{self._landmarks}: the crop ends at or before a landmark of {count} images"
        return [line] if count else []

    def _below(self, path: Path) -> str:
        return path.relative_to(self._root).as_posix()
