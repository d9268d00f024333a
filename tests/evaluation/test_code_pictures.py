from dataclasses import replace

import numpy as np
import pytest
import torch

from bench.data.base import DataSet, DataSpec, Split, to_bytes, to_float
from bench.evaluation.code_pictures import STEPS, make_pictures, save_pictures
from bench.record.pictures import FILE, read_pictures
from bench.seeding import generator_for
from bench.training.interface import Code, Posterior
from tests.metrics.autoencoders import CLASSES, CPU, Context, Halves, NeedsLabel, marked

CODES = 32


class Inferring(Halves):
    """The same with a prior: class k has the mean k / 10 and the variance 0.04."""

    def posterior(self, x, y=None):
        raise NotImplementedError

    def class_prior(self):
        means = torch.arange(CLASSES)[:, None].expand(CLASSES, CODES) / 10
        return means, torch.full((CLASSES, CODES), 0.04)


class ToldInferring(NeedsLabel):
    def posterior(self, x, y=None):
        return Posterior(None, (self.encode(x, y).irrelevant, torch.zeros(len(x), CODES)))

    def class_prior(self):
        return None


class Mute(torch.nn.Module):
    capabilities = ()


@pytest.fixture(scope="module")
def data():
    return marked()


def pictures(model, data, seed=0):
    return make_pictures(Context(data, CPU, cache=None, model=model), seed)


def reasons(found):
    return {str(name): str(reason) for name, reason in found["missing"]}


def image(z_s, z_u):
    return to_bytes(torch.cat((z_s, z_u)).view(1, 8, 8).clamp(-1, 1)).numpy().transpose(1, 2, 0)


def test_a_swap_has_the_upper_half_of_its_row_and_the_lower_half_of_its_column(data):
    found = pictures(Halves(), data)
    swaps, originals = found["swaps"], found["originals"]
    assert swaps.shape == (CLASSES, CLASSES, 8, 8, 1)
    for a in range(CLASSES):
        for b in range(CLASSES):
            assert (swaps[a, b, :4] == originals[a, :4]).all()
            assert (swaps[a, b, 4:] == originals[b, 4:]).all()
    assert (found["reconstruction"] == originals).all()


def test_originals_are_one_of_each_class_and_the_same_for_every_seed(data):
    first, second = (pictures(Halves(), data, seed) for seed in (0, 1))
    assert (first["originals"] == second["originals"]).all()
    assert [int(x[0, 0, 0]) for x in first["originals"]] == [0, 60, 120, 180]
    assert list(first["names"]) == list("abcd")


def test_only_the_hidden_region_is_filled_in(data):
    found = pictures(Halves(), data)
    assert list(found["regions"]) == ["right_half", "bottom_half", "center"]
    right = found["inpainting"][0]
    assert (right[:, :, :4] == found["originals"][:, :, :4]).all()
    assert (right[:, :, 4:] == 128).all()  # this model gives back what it is given: mid-grey
    assert (found["corrupted"][0] == right).all()


def test_a_traversal_is_the_prior_moved_along_one_path(data):
    found = pictures(Inferring(), data, seed=5)
    fixed = torch.randn(1, CODES, generator=generator_for(5, "pictures", "fixed"))[0]
    start, end = torch.randn(2, CODES, generator=generator_for(5, "pictures", "relevant"))
    path = found["traverse_relevant"]
    assert path.shape == (CLASSES, STEPS, 8, 8, 1)
    assert (path[2, 0] == image(0.2 + 0.2 * start, fixed)).all()
    assert (path[2, -1] == image(0.2 + 0.2 * end, fixed)).all()
    assert (path[2, STEPS // 2] == image(0.2 + 0.1 * (start + end), fixed)).all()


def test_classes_follow_each_other_and_the_last_is_followed_by_the_first(data):
    path = pictures(Inferring(), data)["traverse_classes"]
    assert (path[:-1, -1] == path[1:, 0]).all()
    assert (path[-1, -1] == path[0, 0]).all()


def test_the_irrelevant_path_is_the_same_for_all_classes(data):
    found = pictures(Inferring(), data)["traverse_irrelevant"]
    assert (found[:, :, 4:] == found[:1, :, 4:]).all()
    assert not (found[0, :, :4] == found[1, :, :4]).all()


def test_dimensions_are_those_that_vary_most(data):
    x = data.test.x.clone()
    x[:, 0, 4:] = 128
    x[:, 0, 6, 3] = torch.arange(len(x)).remainder(2).mul(255).to(torch.uint8)
    split = Split(x, data.test.y)
    found = pictures(Inferring(), replace(data, train=split, validation=split, test=split))
    assert found["dimensions_index"][0] == 2 * 8 + 3
    assert found["dimensions_spread"][0] == pytest.approx(
        to_float(x)[:, 0, 6, 3].std().item(), rel=0.01
    )
    assert found["dimensions_values"].tolist() == [-3, -2, -1, 0, 1, 2, 3]
    row = found["dimensions"][0]
    assert row[:, 6, 3, 0].tolist() == [0, 0, 0, 128, 255, 255, 255]
    assert (np.delete(row.reshape(STEPS, 64), 6 * 8 + 3, axis=1)[:, 32:] == 128).all()


def test_a_model_without_encoder_says_so(data):
    found = pictures(Mute(), data)
    assert set(found) == {"missing"}
    assert set(reasons(found).values()) == {"the model has no encoder"}


def test_a_label_cannot_vary_but_everything_else_can(data):
    found = pictures(ToldInferring(), data)
    assert reasons(found) == dict.fromkeys(
        ("traverse_relevant", "traverse_classes", "subspaces"),
        "the label itself is the relevant code, so nothing in it can vary",
    ) | {"walks": "images of marked have one label, no attributes"}
    assert found["label_given"]
    assert found["traverse_irrelevant"][:, 0, 0, 0, 0].tolist() == [0, 60, 120, 180]


def test_points_have_no_pictures():
    spec = DataSpec("moons", (2,), ("a", "b"))
    split = Split(torch.zeros(4, 2), torch.tensor([0, 0, 1, 1]))
    data = DataSet(spec, split, split, split, False, "0" * 64)
    assert set(reasons(pictures(Halves(), data)).values()) == {"moons are not images"}


def test_the_file_has_the_same_bytes_every_time_and_others_for_another_seed(data, tmp_path):
    context = Context(data, CPU, cache=None, model=Inferring())
    for place, seed in (("a", 0), ("b", 0), ("c", 1)):
        save_pictures(context, seed, tmp_path / place, [], lambda: None)
    first, second, third = ((tmp_path / place / FILE).read_bytes() for place in "abc")
    assert first == second != third
    found = read_pictures(tmp_path / "a")
    assert list(found.missing) == ["walks", "subspaces", "neighbors"]
    assert found.arrays["swaps"].dtype == np.uint8


class Attributed(Inferring):
    """Pixel `i` of the relevant code is attribute `i`, with a prior of its own for each value."""

    MEANS, SCALES = torch.tensor([[-0.2, 0.1], [0.3, -0.1]]), torch.tensor([[0.02, 0.04]] * 2)

    def switch(self, code, attribute, values):
        relevant = code.relevant.clone()
        relevant[:, attribute] = self.MEANS[attribute, values]
        return Code(relevant, code.irrelevant)

    def class_prior(self):
        own = torch.arange(2), torch.tensor(TRAITS.combinations)
        means, scales = torch.zeros(3, CODES), torch.ones(3, CODES)
        means[:, :2], scales[:, :2] = self.MEANS[own], self.SCALES[own]
        return means, scales.square()


TRAITS = DataSpec("traits", (1, 8, 8), ("0", "b", "a b"), ("a", "b"), ((0, 0), (0, 1), (1, 1)))


def test_walks_go_beyond_the_means_of_both_values_and_leave_the_rest():
    data = marked(per_class=5, spec=TRAITS)
    found = pictures(Attributed(), data)
    assert list(found["walk_names"]) == ["a", "b"]
    # From 5 scales before the mean of 0 to 5 scales behind that of 1; of b to the other side.
    lines = torch.linspace(-0.2 - 5 * 0.02, 0.1 + 5 * 0.04, STEPS), torch.linspace(0.4, -0.3, STEPS)
    expected = [(127.5 * line + 127.5).numpy() for line in lines]
    original = found["originals"][0].reshape(64)
    for attribute, walk in enumerate(found["walks"]):
        flat = walk.reshape(STEPS, 64)
        assert np.abs(flat[:, attribute].astype(int) - expected[attribute]).max() <= 1
        assert (np.delete(flat, attribute, axis=1) == np.delete(original, attribute)).all()
    assert found["walk_pairs"].tolist() == [["a", "b"]]
    plane = found["walk_planes"][0]
    assert plane.shape == (STEPS, STEPS, 8, 8, 1)
    assert (plane[:, :, 0, 0, 0] == found["walks"][0][:, 0, 0, 0][:, None]).all()
    assert (plane[:, :, 0, 1, 0] == found["walks"][1][:, 0, 1, 0]).all()
    assert (plane.reshape(STEPS, STEPS, 64)[:, :, 2:] == original[2:]).all()


def test_a_model_without_parts_for_attributes_has_no_walks():
    found = reasons(pictures(Inferring(), marked(per_class=5, spec=TRAITS)))
    assert found["walks"] == "the model has no part of its code for each attribute"


class Planes(Inferring):
    """Pixels 0 and 3 belong to attribute a, pixels 1 and 2 to b: 0.2 in size, `width` in number."""

    COLUMNS = ((0, 3), (1, 2))

    def __init__(self, width=2):
        super().__init__()
        self.width = width

    def switch(self, code, attribute, values):
        relevant = code.relevant.clone()
        for column in self.COLUMNS[attribute][: self.width]:
            relevant[:, column] = values * 0.4 - 0.2
        return Code(relevant, code.irrelevant)

    def class_prior(self):
        means = torch.zeros(3, CODES)
        for attribute, columns in enumerate(self.COLUMNS):
            means[:, list(columns)] = torch.tensor(TRAITS.combinations)[:, [attribute]] * 0.4 - 0.2
        return means, torch.full((3, CODES), 0.05**2)


class Small(Inferring):
    """The relevant code of a class is two pixels."""

    def encode(self, x, y=None):
        flat = x.flatten(1)
        return Code(flat[:, :2], flat[:, 2:])

    def class_prior(self):
        means = torch.tensor([[-0.2], [0.0], [0.1], [0.2]]).expand(CLASSES, 2)
        return means, torch.full((CLASSES, 2), 0.05**2)


@pytest.mark.parametrize(
    ("model", "spec", "columns"),
    [(Planes(), TRAITS, {"a": (0, 3), "b": (1, 2)}), (Small(), None, {"class": (0, 1)})],
    ids=["attributes", "class"],
)
def test_the_two_dimensions_of_a_label_span_a_plane_and_all_else_stays(data, model, spec, columns):
    found = pictures(model, marked(per_class=5, spec=spec) if spec else data)
    assert list(found["subspace_names"]) == list(columns)
    line = 127.5 * np.linspace(-0.3, 0.3, STEPS) + 127.5  # 2 deviations around -0.2 to 0.2
    original = found["originals"][0].reshape(64)
    for plane, pair in zip(found["subspaces"], columns.values(), strict=True):
        flat = plane.reshape(STEPS, STEPS, 64).astype(int)
        assert np.abs(flat[:, :, pair[0]] - line[:, None]).max() <= 1
        assert np.abs(flat[:, :, pair[1]] - line).max() <= 1
        assert (np.delete(flat, pair, axis=2) == np.delete(original, pair)).all()


def test_a_label_with_another_number_of_dimensions_spans_no_plane():
    found = reasons(pictures(Planes(width=1), marked(per_class=5, spec=TRAITS)))
    assert found["subspaces"] == "no label has a part of two dimensions in the relevant code"
