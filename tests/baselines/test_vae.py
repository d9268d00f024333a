import pytest
import torch

from baselines.vae import UnconditionalVAE
from bench.training.interface import Code
from models import terms
from tests.small import GRAY, make_batch

WANTED = frozenset({"reconstruct", "kl"})


@pytest.fixture
def model():
    torch.manual_seed(0)
    return UnconditionalVAE(GRAY, width=0.25, latent=5).eval()


def test_terms_are_the_bound_and_do_not_see_the_label(model):
    batch = make_batch()
    torch.manual_seed(2)
    found = model.terms("main", batch, WANTED)
    torch.manual_seed(2)
    mean, logvar = model.encoder(batch.x).chunk(2, dim=1)
    z = mean + (0.5 * logvar).exp() * torch.randn_like(mean)
    torch.testing.assert_close(found["reconstruct"], (model.decoder(z) - batch.x).square().mean())
    torch.testing.assert_close(found["kl"], terms.kl_to_standard_normal(mean, logvar))
    torch.manual_seed(2)
    other = model.terms("main", batch._replace(y=(batch.y + 1) % 3), WANTED)
    assert other == found


def test_classes_are_drawn_from_the_moments_of_their_codes(model):
    batch = make_batch(examples=300)
    with torch.no_grad():
        model.encoder.rest[-1].bias[5:] = -9  # draws are the means, within 0.02
        model.finish([batch])
        means, variances = model.class_prior()
        codes = model.encode(batch.x).relevant
        for label in range(3):
            own = codes[batch.y == label]
            torch.testing.assert_close(means[label], own.mean(dim=0), atol=0.02, rtol=0.05)
        model.moments.variances.fill_(1e-4)
        drawn = model.sample(torch.tensor([0, 1, 2]))
        torch.testing.assert_close(drawn, model.decode(Code(means, None)), atol=0.05, rtol=0)
    assert variances.min() > 0


def test_a_code_is_all_relevant(model):
    assert model.encode(make_batch().x).irrelevant is None
    with pytest.raises(ValueError, match="needs a code to decode"):
        model.decode(Code(None, torch.zeros(1, 5)))
