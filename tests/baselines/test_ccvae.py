import copy
from math import log

import numpy as np
import pytest
import torch
from torch.distributions import Categorical, Laplace, Normal, kl_divergence

from baselines.ccvae import CCVAE, BlockClassifier
from bench import contract
from bench.data.base import DataSpec
from bench.training.interface import Batch, Classifies, Encodes

GRAY = DataSpec("gray", (1, 8, 8), ("a", "b", "c"))
MOONS = DataSpec("moons", (2,), ("left", "middle", "right"))
WANTED = frozenset({"reconstruct", "kl_relevant", "kl_irrelevant", "certainty", "classify"})
SMALL = {"width": 0.25, "relevant": 6, "irrelevant": 4}
HEADS, LIKELIHOODS = ["diagonal", "linear"], ["laplace", "squared"]


def make(spec=GRAY, **options):
    torch.manual_seed(0)
    return CCVAE(spec, **({} if spec is MOONS else SMALL) | options)


def make_batch(spec=GRAY, rows=12):
    torch.manual_seed(1)
    y = torch.arange(rows) % spec.classes
    return Batch(torch.rand(rows, *spec.shape) * 2 - 1, y, rows)


def play(model, batch, wanted=WANTED):
    torch.manual_seed(2)
    return model.terms("main", batch, wanted)


def total(model, values):
    return sum(weight * values[term] for term, weight in model.objective["encoder"].items())


@pytest.mark.parametrize(("head", "likelihood"), [("linear", "squared"), ("diagonal", "laplace")])
@pytest.mark.parametrize("check", contract.CHECKS, ids=lambda check: check.__name__)
def test_options_conform(check, head, likelihood):
    check(contract.make_subject("ccvae", SMALL | {"head": head, "likelihood": likelihood}))


def numpy_objective(model, batch):
    """Evaluate the bound row by row from its definition, with the noise that `terms` draws.

    Returns `[B, 6]`: the weight of each row, `log p(x | z)`, the two KLs, `log q(y | z_c)` and
    `log q(y | x)`.
    """
    torch.manual_seed(2)
    with torch.no_grad():
        code = model.encoder(batch.x)
        noise = torch.randn(len(code), 10)
        draws = torch.randn(model.label_samples, len(code), 6)
        z = code[:, :10] + (code[:, 10:] / 2).exp() * noise
        images = model.decoder(z).double().numpy()
        table = [p.double().numpy() for p in model.prior()]
        a, b = (p.double().numpy() for p in model.classifier.parameters())

    def log_q(z_c, label):
        logits = np.zeros(3)
        for k in range(3):
            own = z_c[2 * k : 2 * k + 2] if a.shape[1] == 2 else z_c
            logits[k] = np.dot(a[k], own) + b[k]
        return logits[label] - np.log(np.exp(logits).sum())

    rows = []
    for i, label in enumerate(batch.y.tolist()):
        mean, scale = code[i, :10].double().numpy(), np.exp(code[i, 10:].double().numpy() / 2)
        at = mean + scale * noise[i].double().numpy()
        each = [log_q(mean[:6] + scale[:6] * e.double().numpy(), label) for e in draws[:, i]]
        log_q_of_x = np.log(np.mean(np.exp(each)))
        log_q_of_z = log_q(at[:6], label)
        p_mean = np.concatenate((table[0][label], np.zeros(4)))
        p_scale = np.concatenate((np.exp(table[1][label] / 2), np.ones(4)))
        kl = np.log(p_scale / scale) + (scale**2 + (mean - p_mean) ** 2) / (2 * p_scale**2) - 0.5
        # The density of pixels in [0, 1], under Laplace distributions of scale 1.
        error = np.abs(images[i] - batch.x[i].double().numpy()) / 2
        log_p = -(error + np.log(2)).sum()
        if model.likelihood == "squared":
            log_p = -10 * (4 * error**2).mean()
        w = min(np.exp(log_q_of_z - log_q_of_x), 100)
        rows.append((w, log_p, kl[:6].sum(), kl[6:].sum(), log_q_of_z, log_q_of_x))
    return np.array(rows)


@pytest.mark.parametrize("likelihood", LIKELIHOODS)
@pytest.mark.parametrize("head", HEADS)
def test_objective_is_that_of_the_paper_row_by_row(head, likelihood):
    model, batch = make(head=head, likelihood=likelihood, label_samples=7).eval(), make_batch()
    with torch.no_grad():
        for p in (*model.classifier.parameters(), model.prior.logvars):
            p.add_(0.5 * torch.randn_like(p))
    found = play(model, batch)
    w, log_p, kl_c, kl_u, log_q_z, log_q_x = numpy_objective(model, batch).T
    assert w.std() > 0.1
    if likelihood == "laplace":  # minus the bound, in nats; log p(y) is a constant
        bound = w * (log_p - kl_c - kl_u - log_q_z) + log_q_x
        expected = {"reconstruct": -w * log_p / 64}
    else:  # divided by the ten dimensions, so that pixels weigh 10 on their mean
        bound = (w * (10 * log_p - kl_c - kl_u - log_q_z) + log_q_x) / 10
        expected = {"reconstruct": -w * log_p / 10}
    expected |= {"kl_relevant": w * kl_c / 6, "kl_irrelevant": w * kl_u / 4}
    expected |= {"certainty": w * log_q_z, "classify": -log_q_x}
    for term, rows in expected.items():
        assert found[term].item() == pytest.approx(rows.mean(), rel=1e-4), term
    assert total(model, found).item() == pytest.approx(-bound.mean(), rel=1e-4)


def test_laplace_and_kls_are_those_of_torch():
    model, batch = make(likelihood="laplace").eval(), make_batch()
    with torch.no_grad():  # a classifier that says nothing gives all rows the weight 1
        model.classifier.weight.zero_()
    found = play(model, batch)
    torch.manual_seed(2)
    mean, logvar = model.encoder(batch.x).chunk(2, dim=1)
    q = Normal(mean, (logvar / 2).exp())
    image = model.decoder(q.mean + q.stddev * torch.randn_like(mean))
    pixels = Laplace((image + 1) / 2, 1.0).log_prob((batch.x + 1) / 2)
    torch.testing.assert_close(found["reconstruct"], -pixels.mean())
    zeros = torch.zeros(12, 4)
    p = Normal(torch.cat((model.prior.means[batch.y], zeros), 1), torch.ones(12, 10))
    kl = kl_divergence(q, p)
    torch.testing.assert_close(found["kl_relevant"], kl[:, :6].mean())
    torch.testing.assert_close(found["kl_irrelevant"], kl[:, 6:].mean())
    torch.testing.assert_close(found["certainty"], torch.tensor(-log(3)))
    torch.testing.assert_close(found["classify"], torch.tensor(log(3)))


def test_estimate_converges_to_the_integral_over_one_coordinate():
    model, batch = make(head="linear", relevant=1, label_samples=40_000).eval(), make_batch(rows=3)
    with torch.no_grad():
        model.classifier.weight.copy_(torch.tensor([[2.0], [-1.0], [0.5]]))
        code = model.encoder(batch.x)
        mean, scale = code[:, :1].double(), (code[:, 5:6] / 2).exp().double()
        z = mean + scale * torch.linspace(-9, 9, 4001).double()
        density = Normal(mean, scale).log_prob(z).exp()
        logits = model.classifier(z.float().unsqueeze(-1))
        says = Categorical(logits=logits).log_prob(batch.y[:, None]).exp()
        integral = torch.trapezoid(density * says, z, dim=1)
        found = play(model, batch, frozenset({"classify"}))["classify"]
    assert found.item() == pytest.approx(-integral.log().mean().item(), abs=5e-3)


def test_weights_are_clamped():
    model, batch = make(head="linear", label_samples=1).eval(), make_batch(rows=30)
    with torch.no_grad():
        model.classifier.weight.mul_(10)
    w, log_p, *_ = numpy_objective(model, batch).T
    assert w.max() == 100
    found = play(model, batch)["reconstruct"]
    assert found.item() == pytest.approx((-w * log_p / 10).mean(), rel=1e-4)


def test_weight_moves_the_classifier_through_both_halves_and_the_encoder_through_one():
    # Against a finite difference of w alone: of q(y | x) for the encoder, of both for a bias.
    model, batch = make(label_samples=5).eval().double(), make_batch()
    batch = batch._replace(x=batch.x.double())

    def weights(numerator, denominator):
        torch.manual_seed(2)
        mean, logvar = numerator.encoder(batch.x).chunk(2, dim=1)
        z = mean + (logvar / 2).exp() * torch.randn_like(mean)
        log_q = numerator._log_q(z[:, :6], batch.y)
        mean, logvar = denominator.encoder(batch.x).chunk(2, dim=1)
        draws = mean[:, :6] + (logvar / 2).exp()[:, :6] * torch.randn(5, 12, 6, dtype=mean.dtype)
        return (log_q - denominator._log_q(draws, batch.y).logsumexp(0) + log(5)).exp()

    def nudged(name, step):
        other = copy.deepcopy(model)
        with torch.no_grad():
            other.get_parameter(name).view(-1)[0] += step
        return other

    with torch.no_grad():  # the same KL in all rows, which depends on no parameter but the head's
        head = model.encoder.rest[-1]
        for row in (slice(6, 10), slice(16, 20)):
            head.weight[row] = 0
            head.bias[row] = 1
    kl = 0.5 * (1 + np.e - 1 - 1)  # mean 1, log-variance 1
    for name, moves_numerator in (("encoder.rest.0.weight", False), ("classifier.bias", True)):
        loss = play(model, batch)["kl_irrelevant"]
        found = torch.autograd.grad(loss, model.get_parameter(name))[0].view(-1)[0]
        step = 1e-5
        high, low = nudged(name, step), nudged(name, -step)
        pair = (weights(high, high), weights(low, low))
        if not moves_numerator:
            pair = (weights(model, high), weights(model, low))
        expected = kl * ((pair[0] - pair[1]) / (2 * step)).mean()
        assert found.item() == pytest.approx(expected.item(), rel=1e-4, abs=1e-9), name
        assert abs(expected.item()) > 1e-7


def test_block_classifier_reads_each_logit_from_its_own_block():
    head = BlockClassifier(3, 2)
    z = torch.randn(5, 4, 6)
    blocks = torch.stack([z[..., 2 * k : 2 * k + 2].mean(-1) for k in range(3)], dim=-1)
    torch.testing.assert_close(head(z), blocks)
    with torch.no_grad():
        head.weight[1] = torch.tensor([3.0, -1.0])
        head.bias[2] = 5
    other = head(z)
    torch.testing.assert_close(other[..., 0], blocks[..., 0])
    torch.testing.assert_close(other[..., 1], 3 * z[..., 2] - z[..., 3])
    torch.testing.assert_close(other[..., 2], blocks[..., 2] + 5)


def test_class_means_start_at_two_in_their_own_block_and_at_minus_two_elsewhere():
    model = make()
    blocks = model.prior.means.view(3, 3, 2).mean(2)
    assert torch.equal(blocks, 4 * torch.eye(3) - 2)
    assert model.classifier(model.prior.means).argmax(1).tolist() == [0, 1, 2]


@pytest.mark.parametrize("spec", [GRAY, MOONS], ids=["image", "points"])
@pytest.mark.parametrize("head", HEADS)
def test_players_own_and_reach_every_parameter(spec, head):
    model, batch = make(spec, head=head), make_batch(spec)
    assert model.stages[0].players == tuple(model.players()) == tuple(model.objective)
    owned = [p for own in model.players().values() for p in own]
    assert sorted(map(id, owned)) == sorted(map(id, model.parameters()))
    values = play(model, batch)
    for player, row in model.objective.items():
        loss = sum(weight * values[term] for term, weight in row.items())
        slopes = torch.autograd.grad(
            loss, model.players()[player], retain_graph=True, allow_unused=True
        )
        assert all(g is not None and g.isfinite().all() for g in slopes)


def test_a_subset_of_the_terms_has_the_same_values():
    model, batch = make(), make_batch()
    together = play(copy.deepcopy(model), batch)
    for term in WANTED:
        alone = play(copy.deepcopy(model), batch, frozenset({term}))
        assert torch.equal(alone[term], together[term])


def test_samples_come_from_the_gaussian_of_the_label():
    model, y = make().eval(), torch.tensor([2, 0, 1, 1])
    with torch.inference_mode():
        first, again, other = (
            model.sample(y, torch.Generator().manual_seed(seed)) for seed in (5, 5, 6)
        )
        swapped = model.sample((y + 1) % 3, torch.Generator().manual_seed(5))
    assert first.shape == (4, 1, 8, 8)
    assert first.abs().max() <= 1
    assert torch.equal(first, again)
    assert not torch.equal(first, other)
    assert not torch.allclose(first, swapped)
    codes = []
    model.decoder.register_forward_pre_hook(lambda _, args: codes.append(args[0]))
    with torch.no_grad():
        model.sample(torch.full((4000,), 1), torch.Generator().manual_seed(5))
    z_c, z_u = codes[0].split((6, 4), dim=1)
    own = torch.tensor([-2.0, -2, 2, 2, -2, -2])
    torch.testing.assert_close(z_c.mean(0), own, atol=0.08, rtol=0)
    torch.testing.assert_close(z_u.mean(0), torch.zeros(4), atol=0.08, rtol=0)
    torch.testing.assert_close(codes[0].var(0), torch.ones(10), atol=0.1, rtol=0)


def test_codes_and_classes_need_no_label():
    model, batch = make().eval(), make_batch()
    code = model.encode(batch.x)
    assert code.relevant.shape == (12, 6)
    assert code.irrelevant.shape == (12, 4)
    assert torch.equal(code.relevant, model.encode(batch.x, batch.y).relevant)
    assert model.decode(code).shape == batch.x.shape
    assert torch.equal(model.class_logits(batch.x), model.classifier(code.relevant))
    assert isinstance(model, Encodes)
    assert isinstance(model, Classifies)
    with pytest.raises(ValueError, match="both parts"):
        model.decode(code._replace(irrelevant=None))


def test_rows_without_label_are_refused():
    with pytest.raises(ValueError, match="a label in each of 12 rows, not 6"):
        play(make(), make_batch()._replace(labeled=6))


@pytest.mark.parametrize(
    ("options", "sentence"),
    [
        ({"relevant": 7}, "a multiple of 3 classes, got 7; or use head linear"),
        ({"irrelevant": 0}, "at least one dimension"),
        ({"label_samples": 0}, "at least one sample"),
        ({"head": "deep"}, "diagonal or linear"),
        ({"likelihood": "normal"}, "laplace or squared"),
    ],
)
def test_wrong_options_are_refused_with_a_sentence(options, sentence):
    with pytest.raises(ValueError, match=sentence):
        make(**options)


@pytest.mark.parametrize(
    ("spec", "sizes"),
    [
        (DataSpec("cifar10", (3, 32, 32), tuple("0123456789")), (100, 200)),
        (DataSpec("faces", (3, 64, 64), tuple(map(str, range(530)))), (530, 512)),
        (MOONS, (3, 2)),
    ],
    ids=["cifar10", "faces", "moons"],
)
def test_it_is_built_on_the_meta_device_at_its_full_size(spec, sizes):
    with torch.device("meta"):
        model, linear = CCVAE(spec), CCVAE(spec, head="linear", relevant=7)
    assert (model.relevant, model.irrelevant) == sizes
    assert linear.relevant == 7
    assert all(p.is_meta for p in model.parameters())


def test_training_lowers_the_objective_and_learns_the_classes():
    model, batch = make(), make_batch()
    adam = torch.optim.Adam(model.parameters(), 2e-3, betas=(0.0, 0.9))
    losses = []
    for _ in range(60):
        values = play(model, batch)
        loss = total(model, values)
        adam.zero_grad()
        loss.backward()
        adam.step()
        losses.append(loss.item())
    assert losses[-1] < 0.8 * losses[0]
    assert (model.class_logits(batch.x).argmax(1) == batch.y).float().mean() > 0.9


def test_linear_head_and_class_means_start_along_each_other():
    model = make(head="linear")
    means = model.prior.means
    torch.testing.assert_close(means @ means.t(), 9 * torch.eye(3))
    torch.testing.assert_close(model.classifier(means), 4 * torch.eye(3))
