import pytest
import torch
from torch import nn

from baselines.csvae import CSVAE
from baselines.cvae import CVAE
from bench.data.base import Split
from bench.errors import BenchError, NotApplicable
from bench.metrics import codes, swap
from bench.metrics.attribute_switch import AttributeSwitch
from bench.metrics.codes import Coder
from bench.metrics.comparison import chosen
from bench.metrics.inpainting import Inpainting
from bench.metrics.leakage import Leakage
from bench.metrics.reconstruction import Reconstruction
from bench.metrics.swap import Swap
from models.lr_livae import LRIRVAE
from tests.metrics.coders import SPEC, Halves, Reader, Told, context, marked, measure

METRICS = [Leakage, Swap, AttributeSwitch, Reconstruction, Inpainting]


@pytest.fixture(scope="module")
def data():
    return marked()


@pytest.mark.parametrize("metric", METRICS)
def test_real_images_and_models_without_codes_have_none(metric, data):
    with pytest.raises(NotApplicable, match="a model's codes"):
        measure(metric(), None, data)
    with pytest.raises(NotApplicable, match="no encoder"):
        measure(metric(), nn.Linear(2, 2), data)


@pytest.mark.parametrize(
    ("model", "needs", "told"),
    [
        (LRIRVAE, (False, False), (False, False)),
        (CVAE, (True, True), (False, True)),
        (CSVAE, (True, False), (True, False)),
    ],
)
def test_what_sees_the_label_is_found_by_asking(model, needs, told, data):
    torch.manual_seed(0)
    coder = Coder(context(model(SPEC, width=0.25).eval(), data))
    assert (coder.encoder_needs_label, coder.decoder_needs_label) == needs
    assert coder.told == told
    assert coder.label == ("label=given" if any(needs) else "label=none")


def test_codes_and_images_do_not_depend_on_the_batch_size(data, monkeypatch):
    torch.manual_seed(0)
    coder = Coder(context(CSVAE(SPEC, width=0.25).eval(), data))
    x, y = data.test.x, data.test.y
    found = []
    for batch in (7, 250):
        monkeypatch.setattr(codes, "BATCH", batch)
        code = coder.codes(x, y)
        found.append((code, coder.draws(x, y), coder.images(code, y)))
    for first, second in zip(found[0][:2], found[1][:2], strict=True):
        torch.testing.assert_close(tuple(first), tuple(second))
    assert (found[0][2].int() - found[1][2].int()).abs().max() <= 1


def test_draws_have_the_moments_of_the_posterior(data):
    torch.manual_seed(0)
    model = LRIRVAE(SPEC, width=0.25).eval()
    x, y = data.test.x, data.test.y
    coder = Coder(context(model, data))
    mean, drawn = coder.codes(x, y), coder.draws(x, y)
    assert torch.equal(mean.relevant, drawn.relevant)
    with torch.inference_mode():
        variance = model.posterior(codes.to_float(x)).irrelevant[1]
    standard = (drawn.irrelevant - mean.irrelevant) / variance.sqrt()
    assert standard.mean().item() == pytest.approx(0, abs=0.05)
    assert standard.std().item() == pytest.approx(1, abs=0.05)


@pytest.mark.parametrize("metric", [Leakage(), Swap(pairs=50), Reconstruction(), Inpainting()])
def test_figures_are_the_same_again_and_leave_the_random_state_alone(metric, data, monkeypatch):
    monkeypatch.setattr(swap, "domain_classifier", lambda *_: Reader())
    torch.manual_seed(3)
    state = torch.get_rng_state()
    first, second = (measure(metric, Halves(), data) for _ in range(2))
    assert first == second
    assert torch.equal(state, torch.get_rng_state())


@pytest.mark.parametrize("metric", [Leakage, Reconstruction, Inpainting])
def test_at_most_so_many_images_are_looked_at(metric, data):
    found = [m for m in measure(metric(most=60), Halves(), data) if m.value is not None]
    assert found
    assert all(",n=60" in m.protocol for m in found)


def test_which_images_are_looked_at_follows_from_their_content(data):
    shuffled = Split(data.test.x.flip(0), data.test.y.flip(0))
    for most in (60, 160, None):
        first, second = chosen(data.test, most), chosen(shuffled, most)
        assert len(first) == (most or 160)
        assert torch.equal(first.x, second.x)
        assert torch.equal(first.y, second.y)


def test_values_that_are_not_finite_are_refused(data):
    class Broken(Halves):
        def decode(self, code, y=None):
            return super().decode(code) / 0

    with pytest.raises(BenchError, match="decoded real codes to values that are not finite"):
        measure(Reconstruction(), Broken(), data)


def test_an_error_that_the_label_does_not_mend_is_shown(data):
    class Wrong(Told):
        def decode(self, code, y=None):
            raise RuntimeError("shapes differ")

    with pytest.raises(RuntimeError, match="shapes differ"):
        measure(Reconstruction(), Wrong(), data)


@pytest.mark.parametrize("metric", [Leakage, AttributeSwitch, Reconstruction, Inpainting])
def test_no_images_are_refused(metric):
    with pytest.raises(ValueError, match="most must be at least 1, got 0"):
        metric(most=0)
