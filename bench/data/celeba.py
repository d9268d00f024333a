"""CelebA: 202 599 faces with 40 binary attributes each (Liu et al., ICCV 2015).

A class is a combination of the chosen attributes. Of the aligned images, 178x218 pixels, the
centered square of 148 pixels is taken, as in most code for VAEs; it cuts off parts of hats and
beards. The test split is the official one. The validation split is held out of the official
training and validation images together, so it shows people who are also in the training split.

Squares and all 40 attributes are kept in the data folder, a file for each size. Loading it takes
twice the memory of the images, which are 2.5 GB at 64x64.
"""

from collections.abc import Sequence
from dataclasses import dataclass, replace
from functools import cached_property
from itertools import product
from pathlib import Path
from typing import Any, ClassVar, Literal

import numpy as np

from bench.data import torchvision_files as files
from bench.data.base import DataSet, DataSpec
from bench.data.class_names import (
    PerCombination,
    check_attributes,
    frequent_combinations,
    left_out_notice,
    name_combinations,
)
from bench.data.files import npz_files
from bench.data.files.arrays import Array, Arrays
from bench.data.files.image_files import decode_images
from bench.data.torchvision_files import SetInfo
from bench.data.torchvision_sets import TorchvisionSet
from bench.errors import BenchError, DataMissing, SpecError, describe_unknown

_FACE_ATTRIBUTES = """
    5_o_Clock_Shadow Arched_Eyebrows Attractive Bags_Under_Eyes Bald Bangs Big_Lips Big_Nose
    Black_Hair Blond_Hair Blurry Brown_Hair Bushy_Eyebrows Chubby Double_Chin Eyeglasses
    Goatee Gray_Hair Heavy_Makeup High_Cheekbones Male Mouth_Slightly_Open Mustache Narrow_Eyes
    No_Beard Oval_Face Pale_Skin Pointy_Nose Receding_Hairline Rosy_Cheeks Sideburns Smiling
    Straight_Hair Wavy_Hair Wearing_Earrings Wearing_Hat Wearing_Lipstick Wearing_Necklace
    Wearing_Necktie Young
"""

CELEBA_ATTRIBUTES = tuple(_FACE_ATTRIBUTES.split())

SQUARE = ((178 - 148) / 2, (218 - 148) / 2, 148.0, 148.0)  # left, top, width and height

_TEXTS = ("list_attr_celeba", "list_eval_partition", "identity_CelebA", "list_bbox_celeba")
_FILES = ("img_align_celeba", *(f"{t}.txt" for t in (*_TEXTS, "list_landmarks_align_celeba")))
_BY_HAND = (
    "download img_align_celeba.zip and the text files from the page "
    "https://mmlab.ie.cuhk.edu.hk/projects/CelebA.html, unpack the former, and put "
    f"{', '.join(_FILES)} into {{folder}}/celeba (loading it without them needs the package gdown, "
    "and Google Drive often refuses it)"
)


@dataclass(kw_only=True)
class CelebA(TorchvisionSet):
    """Aligned faces in color; flipped, as is usual. The other options are those of `SplitOptions`.

    Attributes:
        attributes: Names of the chosen attributes, at most eight; every combination of their values
            is a class and must occur.
        per_combination: Where it is not 0, a class is a combination that at least so many training
            images have, and a test image. Then there may be more attributes, say, the 18 of Joy et
            al. (2021). The images of other combinations are left out. Which they are is read from
            the decoded file, which `bench data celeba` makes.
        image_size: Height and width after the resize.

    Raises:
        SpecError: If there is no such attribute, or there are too many attributes.
    """

    later_options: ClassVar[tuple[str, ...]] = ("per_combination",)
    _left_out = 0

    attributes: Sequence[str] = ("Male", "Smiling", "Eyeglasses")
    image_size: Literal[32, 64] = 64
    per_combination: PerCombination = 0

    def __post_init__(self) -> None:
        super().__post_init__()
        for name in self.attributes:
            if name not in CELEBA_ATTRIBUTES:
                raise SpecError(describe_unknown("attribute", name, CELEBA_ATTRIBUTES))
        check_attributes(self.attributes, self.per_combination)
        self.info = SetInfo(
            f"celeba-{self.image_size}",
            "CelebA",
            (3, self.image_size, self.image_size),
            (),
            tuple(f"celeba/{file}" for file in _FILES),
            tuple({"split": split} for split in ("train", "valid", "test")),
            flip=True,
            labels="0 or 1 [N, A], and their names attributes [A]",
            by_hand=_BY_HAND,
        )

    @cached_property
    def _combinations(self) -> tuple[tuple[int, ...], ...]:
        if not self.per_combination:
            return tuple(product((0, 1), repeat=len(self.attributes)))
        if reason := self.missing():
            raise DataMissing(reason)
        labels = npz_files.read_labels(self.info.npz)
        self._refuse_absent(self.info.npz, labels)
        return frequent_combinations(*labels.values_of(self.attributes), self.per_combination)

    def missing(self) -> str | None:
        """Return how to provide the set; frequent combinations need it decoded."""
        if self.per_combination and not self.info.npz.is_file():
            return (
                f"there is no {self.info.npz}, where the combinations that occur are read: "
                f"`bench data '{{name: celeba, image_size: {self.image_size}}}'` makes it"
            )
        return super().missing()

    @property
    def full_spec(self) -> DataSpec:
        """The shape; no file is touched, unless `per_combination` asks what occurs."""
        names, attributes = name_combinations(self.attributes, self._combinations), self.attributes
        return DataSpec("celeba", self.info.shape, names, tuple(attributes), self._combinations)

    def _decode(self) -> Arrays:
        train, valid, test = files.open_parts(self.info)
        x_train, x_test = (
            decode_images(paths, self._size, 3, "boxes", [SQUARE] * len(paths))
            for paths in ([*_paths(train), *_paths(valid)], _paths(test))
        )
        y_train, y_test = np.concatenate((_values(train), _values(valid))), _values(test)
        return Arrays(x_train, y_train, x_test, y_test, np.array(CELEBA_ATTRIBUTES))

    def load(self) -> DataSet:
        """Find, check and split the images; a notice says how many were left out."""
        data = super().load()
        return replace(data, notices=left_out_notice(self._left_out, self.per_combination))

    def _labeled(self, origin: Path, arrays: Arrays) -> Arrays:
        self._refuse_absent(origin, arrays)
        combined = arrays.combined(self.attributes, self._combinations)
        if self.per_combination:
            combined, self._left_out = combined.without_unlabeled()
        return combined

    def _refuse_absent(self, origin: Path, arrays: Arrays) -> None:
        names = [] if arrays.attributes is None else arrays.attributes.tolist()
        if absent := [name for name in self.attributes if name not in names]:
            raise BenchError(f"{origin}: has no attribute {', '.join(absent)}")


def _paths(part: Any) -> list[Path]:
    folder = Path(part.root) / part.base_folder / "img_align_celeba"
    return [folder / name for name in part.filename]


def _values(part: Any) -> Array:
    columns = [part.attr_names.index(name) for name in CELEBA_ATTRIBUTES]
    values: Array = part.attr[:, columns].numpy().astype(np.uint8)
    return values
