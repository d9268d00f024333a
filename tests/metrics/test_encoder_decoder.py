from dataclasses import replace

import pytest
import torch

from baselines.csvae import CSVAE
from baselines.cvae import CVAE
from bench.data.base import Split, to_float
from bench.data.digits import Digits
from bench.errors import BenchError, NotApplicable
from bench.metrics import encoder_decoder
from bench.metrics.base import SampleSet
from bench.metrics.encoder_decoder import EncoderDecoder
from bench.metrics.images_by_class import ordered_by_content
from bench.metrics.inpainting import Inpainting
from bench.metrics.leakage import Leakage
from bench.metrics.reconstruction import Reconstruction
from bench.metrics.swap import Swap
from models.lr_livae import LrLiVAE
from tests.metrics.autoencoders import SPEC, Fixed, Halves, NeedsLabel, context, marked, measure


@pytest.fixture(scope="module")
def data():
    return marked()


@pytest.mark.parametrize(
    ("model", "needs", "depends"),
    [
        (LrLiVAE, (False, False), (False, False)),
        (CVAE, (True, True), (False, True)),
        (CSVAE, (True, False), (True, False)),
    ],
)
def test_what_sees_the_label_is_found_by_trying(model, needs, depends, data):
    torch.manual_seed(0)
    coder = EncoderDecoder(context(model(SPEC, width=0.25).eval(), data))
    assert (coder.encoder_needs_label, coder.decoder_needs_label) == needs
    assert tuple(map(coder.depends_on_label, ("relevant", "irrelevant"))) == depends
    assert coder.label == ("label=given" if any(needs) else "label=none")


def test_codes_and_images_do_not_depend_on_the_batch_size(data, monkeypatch):
    torch.manual_seed(0)
    coder = EncoderDecoder(context(CSVAE(SPEC, width=0.25).eval(), data))
    x, y = data.test.x, data.test.y
    found = []
    for batch in (7, 250):
        monkeypatch.setattr(encoder_decoder, "BATCH", batch)
        code = coder.encode(x, y)
        found.append((code, coder.draw(x, y), coder.decode(code, y)))
    for first, second in zip(found[0][:2], found[1][:2], strict=True):
        torch.testing.assert_close(tuple(first), tuple(second))
    assert (found[0][2].int() - found[1][2].int()).abs().max() <= 1


def test_draws_have_the_moments_of_the_posterior(data):
    torch.manual_seed(0)
    model = LrLiVAE(SPEC, width=0.25).eval()
    x, y = data.test.x, data.test.y
    coder = EncoderDecoder(context(model, data))
    mean, drawn = coder.encode(x, y), coder.draw(x, y)
    assert torch.equal(mean.relevant, drawn.relevant)
    with torch.inference_mode():
        variance = model.posterior(to_float(x)).irrelevant[1]
    standard = (drawn.irrelevant - mean.irrelevant) / variance.sqrt()
    assert standard.mean().item() == pytest.approx(0, abs=0.05)
    assert standard.std().item() == pytest.approx(1, abs=0.05)


@pytest.mark.parametrize("metric", [Leakage, Reconstruction, Inpainting])
def test_at_most_so_many_images_are_looked_at(metric, data):
    found = [m for m in measure(metric(most=60), Halves(), data) if m.value is not None]
    assert found
    assert all(",n=60" in m.protocol for m in found)


def test_which_images_are_looked_at_follows_from_their_content(data):
    flipped = Split(data.test.x.flip(0), data.test.y.flip(0))
    for most in (60, 160, None):
        first, second = ordered_by_content(data.test, most), ordered_by_content(flipped, most)
        assert len(first) == (most or 160)
        assert torch.equal(first.x, second.x)
        assert torch.equal(first.y, second.y)


def test_an_error_that_the_label_does_not_mend_is_shown(data):
    class Wrong(NeedsLabel):
        def decode(self, code, y=None):
            raise RuntimeError("shapes differ")

    with pytest.raises(RuntimeError, match="shapes differ"):
        measure(Reconstruction(), Wrong(), data)


OTHER = {"name": "digits", "keep_classes": [8, 9]}


def test_images_of_another_data_set_are_measured_in_place_of_the_own(data):
    own = Reconstruction()
    other = Digits(keep_classes=["8", "9"]).load()
    expected = {m.metric: m for m in measure(own, Fixed(-1.0), other)}
    for found in measure(replace(own, data=OTHER), Fixed(-1.0), data):
        alone = expected[found.metric.removesuffix("/digits-8-9")]
        assert found.value == alone.value
        assert found.metric != alone.metric
        assert found.value is None or found.protocol == (
            f"{alone.protocol} on {other.fingerprint[:8]}"
        )


def test_choosing_looks_at_validation_images_of_the_other_data_set(data):
    metric, wanted = Reconstruction(data=OTHER), Digits(keep_classes=["8", "9"]).load().validation
    samples = SampleSet(data.test.x, data.test.y, data.spec)
    chosen = metric.measure(samples, context(Fixed(-1.0), data).on_validation())
    squares = (wanted.x.double() / 255).square().mean().item()
    assert chosen[0].value == pytest.approx(squares)


@pytest.mark.parametrize(
    ("model", "other", "reason"),
    [
        (NeedsLabel, OTHER, "classes of other data are not those it knows"),
        (Halves, {"name": "blobs", "image_size": 9}, r"blobs has examples of shape \(1, 9, 9\)"),
    ],
)
@pytest.mark.parametrize("metric", [Reconstruction, Swap])
def test_images_that_a_model_cannot_encode_have_a_reason(metric, model, other, reason, data):
    with pytest.raises(NotApplicable, match=reason):
        measure(metric(data=other), model(), data)


@pytest.mark.parametrize(
    ("other", "message"),
    [
        ({"name": "digitz"}, "did you mean 'digits'"),
        ({"name": "digits", "keep_classes": ["ten"]}, "unknown class of digits 'ten'"),
        ({"name": "folder", "path": "no/where"}, "there is no folder no/where"),
    ],
)
def test_another_data_set_is_looked_for_before_anything_starts(other, message):
    with pytest.raises(BenchError, match=message):
        Reconstruction(data=other)
