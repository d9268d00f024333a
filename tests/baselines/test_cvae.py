import pytest
import torch
from torch import nn

from baselines.cvae import CVAE, CVAEInfo
from bench.training.interface import Code
from models import terms
from tests.small import GRAY, make_batch

WANTED = frozenset({"reconstruct", "kl"})


def make():
    torch.manual_seed(0)
    return CVAE(GRAY, width=0.25, latent=5)


def play(model, batch, wanted=WANTED):
    torch.manual_seed(2)
    return model.terms("main", batch, wanted)


def test_terms_are_the_two_halves_of_the_bound():
    model, batch = make().eval(), make_batch()
    found = play(model, batch)
    torch.manual_seed(2)
    mean, logvar = model.encoder(batch.x, batch.y).chunk(2, dim=1)
    z = mean + (0.5 * logvar).exp() * torch.randn_like(mean)
    x = model.decode(Code(None, z), batch.y)
    torch.testing.assert_close(found["reconstruct"], (x - batch.x).square().mean())
    torch.testing.assert_close(found["kl"], terms.kl_to_standard_normal(mean, logvar))


def test_decoder_sees_the_label_behind_the_code():
    model, z, y = make().eval(), torch.randn(3, 5), torch.tensor([2, 0, 1])
    codes = torch.cat((z, nn.functional.one_hot(y, 3)), dim=1)
    torch.testing.assert_close(model.decode(Code(None, z), y), model.decoder(codes))


def test_encoder_sees_the_label_as_planes_behind_the_image():
    model, batch = make().eval(), make_batch()
    planes = nn.functional.one_hot(batch.y, 3)[:, :, None, None].expand(-1, -1, 8, 8)
    tiled = model.encoder(torch.cat((batch.x, planes), dim=1))
    torch.testing.assert_close(model.encoder(batch.x, batch.y), tiled)
    other = model.encode(batch.x, (batch.y + 1) % 3)
    assert not torch.equal(other.irrelevant, model.encode(batch.x, batch.y).irrelevant)


def test_codes_are_irrelevant_ones_and_need_the_label():
    model, batch = make().eval(), make_batch()
    code = model.encode(batch.x, batch.y)
    assert code.relevant is None
    assert code.irrelevant.shape == (12, 5)
    assert model.decode(code, batch.y).shape == batch.x.shape
    with pytest.raises(ValueError, match="needs labels to encode"):
        model.encode(batch.x)
    with pytest.raises(ValueError, match="needs labels"):
        model.decode(code)


def test_training_lowers_both_halves_together():
    model, batch = make(), make_batch()
    adam = torch.optim.Adam(model.parameters(), 2e-3, betas=(0.0, 0.9))
    losses = []
    for _ in range(40):
        values = play(model, batch)
        loss = 10 * values["reconstruct"] + values["kl"]
        adam.zero_grad()
        loss.backward()
        adam.step()
        losses.append(loss.item())
    assert losses[-1] < 0.8 * losses[0]


def info():
    torch.manual_seed(0)
    return CVAEInfo(GRAY, width=0.25, latent=5).eval()


def test_with_an_adversary_the_encoder_is_blind_and_the_decoder_is_not():
    model, batch = info(), make_batch()
    code = model.encode(batch.x)
    assert torch.equal(code.irrelevant, model.encode(batch.x, batch.y).irrelevant)
    with pytest.raises(ValueError, match="cVAE-info needs labels"):
        model.decode(code)
    assert not torch.equal(model.decode(code, batch.y), model.decode(code, (batch.y + 1) % 3))


def test_the_adversary_reads_draws_of_the_code():
    model, batch = info(), make_batch()
    found = play(model, batch, WANTED | {"negative_entropy", "classify_z"})
    torch.manual_seed(2)
    mean, logvar = model.encoder(batch.x).chunk(2, dim=1)
    logits = model.adversary(mean + (0.5 * logvar).exp() * torch.randn_like(mean))
    torch.testing.assert_close(found["classify_z"], nn.functional.cross_entropy(logits, batch.y))
    entropy = torch.distributions.Categorical(logits=logits).entropy().mean()
    torch.testing.assert_close(found["negative_entropy"], -entropy)
    assert model.objective["adversary"] == {"classify_z": 1.0}
    assert "classify_z" not in model.objective["encoder"]
