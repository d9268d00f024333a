from dataclasses import replace

import pytest
import torch

from bench.data.base import Split
from bench.errors import NotApplicable
from bench.metrics.leakage import Leakage, accuracy
from bench.training.interface import Code
from tests.metrics.coders import Copying, Exchanged, Fixed, Halves, Told, marked, measure, values


@pytest.fixture(scope="module")
def data():
    return marked(per_class=100)


CHANCE = 25
NOISE = 12  # 3.5 standard deviations of an accuracy of 25 % of 400 images are 7.6


def test_a_code_without_the_label_is_read_at_chance_and_one_with_it_always(data):
    found = values(Leakage(), Halves(), data)
    assert found["leakage_linear"] == pytest.approx(CHANCE, abs=NOISE)
    assert found["leakage_nonlinear"] == pytest.approx(CHANCE, abs=NOISE)
    assert found["relevant_linear"] > 85


def test_it_gets_worse_where_the_parts_are_exchanged(data):
    found = values(Leakage(), Exchanged(), data)
    assert found["leakage_linear"] > 85
    assert found["leakage_nonlinear"] > 60
    assert found["relevant_linear"] == pytest.approx(CHANCE, abs=NOISE)


def test_a_label_that_the_encoder_was_told_and_copied_is_read_always(data):
    found = measure(Leakage(), Copying(), data)
    assert all("encoder=label-given" in m.protocol for m in found[:2])
    assert found[0].value > 85
    assert found[2].value is None
    assert found[2].reason == "the label itself is the relevant code"
    blind = measure(Leakage(), Told(), data)[0]
    assert "encoder=label-blind" in blind.protocol
    assert blind.value == pytest.approx(CHANCE, abs=NOISE)


def test_a_label_in_the_distance_from_the_center_is_seen_by_the_second_probe_alone():
    generator = torch.Generator().manual_seed(0)
    direction = torch.nn.functional.normalize(torch.randn(400, 3, generator=generator))
    y = torch.arange(400) % 2
    z = direction * (1 + 2 * y[:, None])
    assert accuracy(z, y.numpy(), is_linear=True) < 0.65
    assert accuracy(z, y.numpy(), is_linear=False) > 0.95


@pytest.mark.parametrize("is_linear", [True, False])
def test_probes_do_not_care_for_units_but_for_rounding(is_linear):
    generator = torch.Generator().manual_seed(0)
    y = torch.arange(200) % 2
    z = torch.randn(200, 3, generator=generator)
    z[:, 0] += 2 * y
    y = y.numpy()
    scaled = z * torch.tensor([1e-2, 1, 100]) + 5
    assert accuracy(scaled, y, is_linear=is_linear) == accuracy(z, y, is_linear=is_linear)
    rounding = torch.randn(200, 20, generator=generator) * 1e-7
    noisy = torch.cat((z, rounding), dim=1)
    assert accuracy(noisy, y, is_linear=is_linear) == accuracy(z, y, is_linear=is_linear)


def test_a_collapsed_code_is_read_at_chance(data):
    class Collapsed(Halves):
        def encode(self, x, y=None):
            code = super().encode(x)
            return code._replace(irrelevant=torch.ones_like(code.irrelevant))

    found = values(Leakage(), Collapsed(), data)
    assert found["leakage_linear"] <= CHANCE
    assert found["leakage_nonlinear"] <= CHANCE


def test_probes_fitted_to_training_images_judge_all_test_images(data):
    found = measure(Leakage(fit="train"), Halves(), data)
    assert all("fit=train:400,chance=25.0,n=400]" in m.protocol for m in found)
    assert found[1].value > 80, "it was fitted to the images that it judges, which are the same"
    assert found[2].value > 85


def test_too_few_images_of_a_class_have_a_reason():
    few = marked(per_class=3)
    found = measure(Leakage(), Fixed(), few)
    assert [m.value for m in found] == [None] * 3
    assert "3 test images, fewer than 5 folds; use fit: train" in found[0].reason
    assert measure(Leakage(fit="train"), Halves(), few)[2].value is not None


def test_one_class_has_a_reason(data):
    alone = replace(data, test=Split(data.test.x[:100], data.test.y[:100]))
    for fit in ("test", "train"):
        found = measure(Leakage(fit=fit), Halves(), alone)
        assert {m.reason for m in found} == {"the test images have one class only"}


def test_codes_of_points_are_read_too(moons):
    class Coordinates(Halves):
        def encode(self, x, y=None):
            return Code(x, torch.zeros(len(x), 1))

        def decode(self, code, y=None):
            return code.relevant

    found = values(Leakage(), Coordinates(), moons)
    assert found["leakage_linear"] == pytest.approx(100 / 3, abs=1)
    assert found["relevant_linear"] > 60


def test_the_protocol_names_every_choice(data):
    found = measure(Leakage(), Halves(), data)
    shared = "fit=5 folds,chance=25.0,n=400]"
    assert [m.protocol for m in found] == [
        f"accuracy[code=irrelevant:mean,encoder=label-blind,probe=logistic,{shared}",
        f"accuracy[code=irrelevant:mean,encoder=label-blind,probe=rbf-svm,{shared}",
        f"accuracy[code=relevant:mean,encoder=label-blind,probe=logistic,{shared}",
    ]


def test_draws_need_a_posterior(data):
    with pytest.raises(NotApplicable, match="no codes that could be drawn"):
        measure(Leakage(codes="draw"), Halves(), data)
