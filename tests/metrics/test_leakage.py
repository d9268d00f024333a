from dataclasses import replace

import numpy as np
import pytest
import torch
from scipy.optimize import minimize
from scipy.special import logsumexp

from bench.data.base import Split, to_bytes
from bench.metrics.leakage import Leakage, probe_accuracy
from bench.training.interface import Code, Posterior
from tests.metrics.autoencoders import (
    STEP,
    Collapsed,
    CopiesLabel,
    Exchanged,
    Fixed,
    Halves,
    NeedsLabel,
    marked,
    measure,
    values,
)


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
    found = measure(Leakage(), CopiesLabel(), data)
    assert all("encoder=label-given" in m.protocol for m in found[:2])
    assert found[0].value > 85
    assert found[2].value is None
    assert found[2].reason == "the label itself is the relevant code"
    blind = measure(Leakage(), NeedsLabel(), data)[0]
    assert "encoder=label-blind" in blind.protocol
    assert blind.value == pytest.approx(CHANCE, abs=NOISE)


def test_a_label_in_the_distance_from_the_center_is_seen_by_the_second_probe_alone():
    generator = torch.Generator().manual_seed(0)
    direction = torch.nn.functional.normalize(torch.randn(400, 3, generator=generator))
    y = torch.arange(400) % 2
    z = direction * (1 + 2 * y[:, None])
    assert probe_accuracy(z, y.numpy(), is_linear=True) < 0.65
    assert probe_accuracy(z, y.numpy(), is_linear=False) > 0.95


@pytest.mark.parametrize("is_linear", [True, False])
def test_probes_do_not_care_for_units_but_for_rounding(is_linear):
    generator = torch.Generator().manual_seed(0)
    y = torch.arange(200) % 2
    z = torch.randn(200, 3, generator=generator)
    z[:, 0] += 2 * y
    expected = probe_accuracy(z, y.numpy(), is_linear=is_linear)
    scaled = z * torch.tensor([1e-2, 1, 100]) + 5
    rounding = torch.randn(200, 20, generator=generator) * 1e-7
    for same in (scaled, torch.cat((z, rounding), dim=1)):
        assert probe_accuracy(same, y.numpy(), is_linear=is_linear) == expected


def test_a_collapsed_code_is_read_at_chance(data):
    found = values(Leakage(), Collapsed(), data)
    assert found["leakage_linear"] <= CHANCE
    assert found["leakage_nonlinear"] <= CHANCE


@pytest.mark.parametrize("is_linear", [True, False])
def test_codes_that_are_the_label_are_always_read_and_equal_codes_at_chance(is_linear):
    y = torch.arange(200) % 4
    assert probe_accuracy(torch.eye(4)[y], y.numpy(), is_linear=is_linear) == 1
    assert probe_accuracy(torch.ones(200, 4), y.numpy(), is_linear=is_linear) == 0.25


def overlapping(classes, n, seed=0):
    """Codes of classes that a probe confuses now and then."""
    generator = np.random.default_rng(seed)
    y = np.arange(n) % classes
    centers = np.random.default_rng(7).normal(size=(classes, 3))
    return (centers[y] + generator.normal(size=(n, 3))) * (1, 10, 0.1), y


def standard(fitted, others):
    return (others - fitted.mean(axis=0)) / fitted.std(axis=0)


def literal_logistic(z, y, others):
    """Minimize cross entropy plus half the squared weights, biases free."""
    targets = np.eye(y.max() + 1)[y]
    shape = z.shape[1] + 1, targets.shape[1]

    def loss(flat):
        weights = flat.reshape(shape)
        scores = z @ weights[1:] + weights[0]
        logp = scores - logsumexp(scores, axis=1, keepdims=True)
        slope = np.exp(logp) - targets
        value = -(targets * logp).sum() + 0.5 * (weights[1:] ** 2).sum()
        return value, np.vstack((slope.sum(axis=0), z.T @ slope + weights[1:])).ravel()

    found = minimize(loss, np.zeros(shape).ravel(), jac=True, tol=1e-12).x.reshape(shape)
    return (others @ found[1:] + found[0]).argmax(axis=1)


def literal_svm(z, y, others):
    """Solve the dual of the soft margin of two classes, C = 1, with a Gaussian kernel."""

    def kernel(a, b):
        return np.exp(-((a[:, None] - b) ** 2).sum(axis=2) / z.shape[1])

    sign = 2.0 * y - 1
    matrix = sign[:, None] * kernel(z, z) * sign
    alpha = minimize(
        lambda a: (0.5 * a @ matrix @ a - a.sum(), matrix @ a - 1),
        np.zeros(len(y)),
        jac=True,
        bounds=[(0, 1)] * len(y),
        constraints={"type": "eq", "fun": lambda a: a @ sign, "jac": lambda a: sign},
        method="SLSQP",
        options={"maxiter": 300, "ftol": 1e-12},
    ).x
    free = (alpha > 1e-5) & (alpha < 1 - 1e-5)
    bias = (sign - kernel(z, z) @ (alpha * sign))[free].mean()
    return (kernel(others, z) @ (alpha * sign) + bias > 0).astype(int)


@pytest.mark.parametrize(
    ("classes", "probe", "is_linear"),
    [(4, literal_logistic, True), (2, literal_svm, False)],
    ids=["logistic", "svm"],
)
def test_probes_are_those_of_their_definitions(classes, probe, is_linear):
    z, y = overlapping(classes, 80)
    others, truth = overlapping(classes, 200, seed=1)
    seen = probe(standard(z, z), y, standard(z, others))
    ours = probe_accuracy(
        torch.from_numpy(others), truth, is_linear=is_linear, fitted=(torch.from_numpy(z), y)
    )
    assert ours == pytest.approx((seen == truth).mean(), abs=0.006), "one of 200 on the border"
    assert 1 / classes < ours < 0.95


@pytest.mark.parametrize("is_linear", [True, False])
def test_every_image_is_read_once_by_a_probe_that_has_not_seen_it(is_linear):
    """A label that is noise is read at chance, though each probe could learn it by heart."""
    z = torch.from_numpy(overlapping(2, 300)[0])
    y = np.random.default_rng(5).permutation(np.arange(300) % 2)
    assert probe_accuracy(z, y, is_linear=False, fitted=(z, y)) > 0.6
    assert probe_accuracy(z, y, is_linear=is_linear) == pytest.approx(0.5, abs=0.11)


def test_probes_fitted_to_training_images_judge_all_test_images(data):
    found = measure(Leakage(fit="train"), Halves(), data)
    assert all("fit=train:400,chance=25.0,n=400]" in m.protocol for m in found)
    assert found[1].value > 80, "it was fitted to the same images"
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
        f"accuracy[code=irrelevant:point,encoder=label-blind,probe=logistic,{shared}",
        f"accuracy[code=irrelevant:point,encoder=label-blind,probe=rbf-svm,{shared}",
        f"accuracy[code=relevant:point,encoder=label-blind,probe=logistic,{shared}",
    ]


class Whispering(Halves):
    """The irrelevant posterior is the prior, but for a mean that differs by nothing to speak of."""

    def posterior(self, x, y=None):
        relevant, lower = super().encode(x)
        shown = to_bytes(x)[:, 0, 0, :1].float()
        mean = torch.cat((1e-3 * shown / STEP, 0 * lower[:, 1:]), dim=1)
        points = relevant, torch.zeros_like(relevant)
        return Posterior(points, (mean, torch.ones_like(mean)))

    def encode(self, x, y=None):
        relevant, irrelevant = self.posterior(x)
        return Code(relevant[0], irrelevant[0])

    def class_prior(self):
        return torch.zeros(4, 32), torch.ones(4, 32)


def test_a_collapsed_posterior_leaks_nothing_though_its_means_tell_all(data):
    assert values(Leakage(codes="mean"), Whispering(), data)["leakage_nonlinear"] == 100
    found = values(Leakage(), Whispering(), data)
    assert found["leakage_linear"] == pytest.approx(CHANCE, abs=NOISE)
    assert found["leakage_nonlinear"] == pytest.approx(CHANCE, abs=NOISE)


def test_the_protocol_says_draws_means_or_points(data):
    def kind(metric, model):
        protocol = measure(metric, model, data)[0].protocol
        return protocol.removeprefix("accuracy[code=irrelevant:").split(",")[0]

    assert kind(Leakage(), Whispering()) == "draw"
    assert kind(Leakage(codes="mean"), Whispering()) == "mean"
    assert kind(Leakage(), Halves()) == "point"
    assert kind(Leakage(codes="mean"), Halves()) == "point"
