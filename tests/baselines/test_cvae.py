import copy

import pytest
import torch
from torch import nn

from baselines.cvae import CVAE
from bench.data.base import DataSpec
from bench.training.interface import Batch, Classifies, Code, Encodes
from models import terms

GRAY = DataSpec("gray", (1, 8, 8), ("a", "b", "c"))
MOONS = DataSpec("moons", (2,), ("left", "middle", "right"))
WANTED = frozenset({"reconstruct", "kl"})


def make(spec=GRAY, **options):
    torch.manual_seed(0)
    small = {} if spec is MOONS else {"width": 0.25, "latent": 5}
    return CVAE(spec, **(small | options))


def make_batch(spec=GRAY, rows=12):
    torch.manual_seed(1)
    y = torch.arange(rows) % spec.classes
    return Batch(torch.rand(rows, *spec.shape) * 2 - 1, y, rows)


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
    rows = torch.cat((z, nn.functional.one_hot(y, 3)), dim=1)
    torch.testing.assert_close(model.decode(Code(None, z), y), model.decoder(rows))


def test_encoder_sees_the_label_as_planes_behind_the_image():
    model, batch = make().eval(), make_batch()
    planes = nn.functional.one_hot(batch.y, 3)[:, :, None, None].expand(-1, -1, 8, 8)
    tiled = model.encoder(torch.cat((batch.x, planes), dim=1))
    torch.testing.assert_close(model.encoder(batch.x, batch.y), tiled)
    other = model.encode(batch.x, (batch.y + 1) % 3)
    assert not torch.equal(other.irrelevant, model.encode(batch.x, batch.y).irrelevant)


@pytest.mark.parametrize("spec", [GRAY, MOONS], ids=["image", "points"])
def test_players_own_and_reach_every_parameter(spec):
    model, batch = make(spec), make_batch(spec)
    assert model.stages[0].players == tuple(model.players()) == tuple(model.objective)
    owned = [p for own in model.players().values() for p in own]
    assert {id(p) for p in owned} == {id(p) for p in model.parameters()}
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


@pytest.mark.parametrize("spec", [GRAY, MOONS], ids=["image", "points"])
def test_samples_are_a_function_of_the_generator(spec):
    model, y = make(spec).eval(), torch.tensor([2, 0, 1, 1])
    state = torch.get_rng_state()
    with torch.inference_mode():
        first, again, other = (
            model.sample(y, torch.Generator().manual_seed(seed)) for seed in (5, 5, 6)
        )
    assert first.shape == (4, *spec.shape)
    assert torch.equal(first, again)
    assert not torch.equal(first, other)
    assert torch.equal(torch.get_rng_state(), state)
    if spec.is_image:
        assert first.abs().max() <= 1


def test_codes_are_irrelevant_ones_and_need_the_label():
    model, batch = make().eval(), make_batch()
    code = model.encode(batch.x, batch.y)
    assert code.relevant is None
    assert code.irrelevant.shape == (12, 5)
    assert model.decode(code, batch.y).shape == batch.x.shape
    assert isinstance(model, Encodes)
    assert not isinstance(model, Classifies)
    with pytest.raises(ValueError, match="needs labels to encode"):
        model.encode(batch.x)
    with pytest.raises(ValueError, match="needs labels"):
        model.decode(code)


@pytest.mark.parametrize(
    ("spec", "latent"),
    [
        (DataSpec("cifar10", (3, 32, 32), tuple("0123456789")), 200),
        (DataSpec("faces", (3, 64, 64), tuple(map(str, range(530)))), 512),
        (MOONS, 2),
    ],
    ids=["cifar10", "faces", "moons"],
)
def test_it_is_built_on_the_meta_device_at_its_full_size(spec, latent):
    with torch.device("meta"):
        model = CVAE(spec)
    assert model.latent == latent
    assert all(p.is_meta for p in model.parameters())


def test_wrong_sizes_are_refused_with_a_sentence():
    with pytest.raises(ValueError, match="at least one dimension"):
        make(latent=0)


def test_terms_trace_as_one_graph_on_points():
    torch._dynamo.reset()
    traced = torch.compile(make(MOONS).terms, fullgraph=True, backend="eager")
    torch.manual_seed(2)
    assert traced("main", make_batch(MOONS), WANTED).keys() >= WANTED


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
