"""Bounds of single options, which the signatures of the sources say."""

import pytest

from bench.spec.components import complete_component
from bench.spec.validation import KeyProblem

FOLDER = {"path": "pets"}
BOXES = {**FOLDER, "crop": "boxes", "boxes": "b.csv"}


@pytest.mark.parametrize(
    ("name", "options", "message"),
    [
        ("digits", {"validation_fraction": 1}, "validation_fraction: must be < 1.0, got 1"),
        ("digits", {"validation_fraction": -0.1}, "validation_fraction: must be >= 0.0, got -0.1"),
        ("digits", {"test_per_class": 0}, "test_per_class: must be >= 1, got 0"),
        ("blobs", {"channels": 0}, "channels: must be >= 1, got 0"),
        ("blobs", {"classes": 20_000}, "classes: must be at most 10_000, since the set is drawn"),
        ("blobs", {"test_per_class": 0}, "test_per_class: must be >= 1, got 0"),
        ("moons", {"per_class": 0}, "per_class: must be >= 1, got 0"),
        ("moons", {"noise": -1}, "noise: must be >= 0.0, got -1"),
        ("swiss_roll", {"per_class": 0}, "per_class: must be >= 1, got 0"),
        ("swiss_roll", {"noise": -1}, "noise: must be >= 0.0, got -1"),
        ("swiss_roll", {"test_per_class": 0}, "test_per_class: must be >= 1, got 0"),
        ("folder", FOLDER | {"image_size": 0}, "image_size: must be >= 1, got 0"),
        ("folder", FOLDER | {"test_per_class": 0}, "test_per_class: must be >= 1, got 0"),
        ("folder", FOLDER | {"channels": 2}, "channels: expected one of 1 or 3, got 2"),
        ("folder", FOLDER | {"crop": "left"}, "crop: expected one of 'center', 'none' or 'boxes'"),
        ("folder", FOLDER | {"background": "no"}, "background: must be a color such as white or #"),
        ("folder", BOXES | {"margin": -1.0}, "margin: must be >= 0.0, got -1.0"),
        ("webdataset", FOLDER | {"image_size": 0}, "image_size: must be >= 1, got 0"),
        ("webdataset", FOLDER | {"background": "no"}, "background: must be a color such as white"),
        ("mnist", {"image_size": 27}, "image_size: must be >= 28, got 27"),
        ("celeba", {"image_size": 128}, "image_size: expected one of 32 or 64, got 128"),
    ],
)
def test_options_are_checked_before_any_data(name, options, message):
    with pytest.raises(KeyProblem) as caught:
        complete_component("dataset", {"name": name, **options}, ())
    assert str(caught.value).startswith(message)
