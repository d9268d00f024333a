"""The equations of the VQ-VAE among the examples."""

import pytest
import torch
import torch.nn.functional as F

from bench.data.base import DataSpec
from bench.training.interface import Batch
from tests.examples.load import load

VQVAE = load("vqvae").VQVAE
SPEC = DataSpec("colors", (3, 8, 6), ("a", "b", "c"))


@pytest.fixture
def model():
    torch.manual_seed(0)
    return VQVAE(SPEC, codes=7, size=5, width=16)


@pytest.fixture
def batch():
    torch.manual_seed(1)
    return Batch(torch.rand(4, *SPEC.shape) * 2 - 1, torch.tensor([0, 1, 2, 1]), 4)


def test_a_position_gets_the_nearest_code(model, batch):
    z, codebook = model.encoder(batch.x), model.codebook.weight
    distances = model.distances(z)
    quantized = model.codes_of(distances.argmin(-1))
    for b in range(4):
        for row in range(4):
            for column in range(3):
                apart = [(z[b, :, row, column] - code).square().sum() for code in codebook]
                torch.testing.assert_close(distances[b, row, column], torch.stack(apart))
                nearest = codebook[torch.stack(apart).argmin()]
                assert torch.equal(quantized[b, :, row, column], nearest)


def test_the_gradient_of_the_reconstruction_passes_straight_through(model, batch):
    """It is that of a decoder that sees the code, taken at the code, handed to the encoder."""
    terms = model.terms("codes", batch, frozenset({"reconstruct"}))
    parameters = list(model.encoder.parameters())
    found = torch.autograd.grad(terms["reconstruct"], parameters)
    z = model.encoder(batch.x)
    code = model.codes_of(model.distances(z).argmin(-1)).detach().requires_grad_()
    loss = F.mse_loss(model.decoder(code), batch.x)
    (of_code,) = torch.autograd.grad(loss, code)
    torch.testing.assert_close(terms["reconstruct"], loss)
    torch.testing.assert_close(found, torch.autograd.grad(z, parameters, grad_outputs=of_code))


def test_codebook_and_commitment_loss_are_one_term_of_two_players(model, batch):
    """What stop-gradients say in Eq. 3 is said by the objective."""
    quantize = model.terms("codes", batch, frozenset())["quantize"]
    z = model.encoder(batch.x)
    e = model.codes_of(model.distances(z).argmin(-1))
    for player, equation in (
        ("codebook", F.mse_loss(z.detach(), e)),
        ("encoder", F.mse_loss(z, e.detach())),
    ):
        parameters = model.players()[player]
        expected = torch.autograd.grad(equation, parameters, retain_graph=True)
        found = torch.autograd.grad(quantize, parameters, retain_graph=True)
        torch.testing.assert_close(found, expected)


def test_a_code_that_nothing_uses_comes_closer_to_the_data(model, batch):
    with torch.no_grad():
        model.codebook.weight[3] = 50.0
    distances = model.distances(model.encoder(batch.x))
    assert not (distances.argmin(-1) == 3).any()
    revive = model.terms("codes", batch, frozenset())["revive"]
    torch.testing.assert_close(revive, torch.stack([d.min() for d in distances.unbind(-1)]).mean())
    (gradient,) = torch.autograd.grad(revive, model.codebook.weight)
    assert (gradient[3] > 0).all()


def test_the_prior_sees_the_label_and_what_comes_before(model):
    indices, y = torch.randint(7, (1, 4, 3)), torch.tensor([1])
    logits = model.prior(indices, y).flatten(2)
    for position in range(12):
        changed = indices.flatten(1).clone()
        changed[:, position] = (changed[:, position] + 1) % 7
        other = model.prior(changed.view(1, 4, 3), y).flatten(2)
        moved = (other != logits).any(1)[0]
        assert not moved[: position + 1].any(), position
        assert position == 11 or moved[position + 1 :].any(), position
    assert (model.prior(indices, y + 1).flatten(2) != logits).any(1).all()


def test_a_temperature_scales_the_logits_of_each_draw(model):
    with torch.no_grad():
        model.prior.last.weight.zero_()
        model.prior.last.bias.copy_(torch.arange(7.0) / 2)
    drawn = []
    model.codes_of = lambda indices: drawn.append(indices) or torch.zeros(len(indices), 5, 4, 3)
    y = torch.zeros(500, dtype=torch.int64)
    for temperature in (0.5, 1.0):
        with torch.no_grad():
            model.sample(y, torch.Generator().manual_seed(0), temperature=temperature)
        shares = torch.bincount(drawn[-1].flatten(), minlength=7) / drawn[-1].numel()
        expected = (torch.arange(7.0) / 2 / temperature).softmax(0)
        assert (shares - expected).abs().max() < 0.02  # of 6000 draws: 3 standard deviations
    with torch.no_grad():
        model.sample(y, torch.Generator(), temperature=0.0)
    assert (drawn[-1] == 6).all()
    with pytest.raises(ValueError, match="at least 0, got -1"):
        model.sample(y, temperature=-1.0)
