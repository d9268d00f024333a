import math

import pytest
import torch
from torch import nn

from bench.process.worker import Worker
from bench.spec.run_config import complete_settings
from bench.training.interface import Batch, Code
from bench.training.trainer import Trainer
from models import terms
from models.lr_livae import LrLiVAE
from tests.small import GRAY, MOONS, make_batch

TERMS = {
    stage.name: frozenset(t for p in stage.players for t in LrLiVAE.objective[p])
    for stage in LrLiVAE.stages
}


def make(spec=GRAY, **options):
    torch.manual_seed(0)
    small = {} if spec is MOONS else {"width": 0.25, "relevant": 4, "irrelevant": 5}
    return LrLiVAE(spec, **(small | options))


def play(model, stage, batch, wanted=None, seed=2):
    torch.manual_seed(seed)
    return model.terms(stage, batch, TERMS[stage] if wanted is None else frozenset(wanted))


def loss_of(model, player, values):
    return sum(weight * values[term] for term, weight in model.objective[player].items())


def iterate(model, batch, optimizers):
    """Algorithm 1: each player descends its own weights, all gradients before steps."""
    for stage in model.stages:
        for _ in range(stage.repeat):
            values = model.terms(stage.name, batch, TERMS[stage.name])
            players = {p: q for p, q in model.players().items() if p in stage.players}
            found = {
                p: torch.autograd.grad(loss_of(model, p, values), own, retain_graph=True)
                for p, own in players.items()
            }
            for player, own in players.items():
                for parameter, gradient in zip(own, found[player], strict=True):
                    parameter.grad = gradient
                optimizers[player].step()
    return values


def optimizers_of(model, rate=5e-4):
    return {
        player: torch.optim.Adam(own, rate, betas=(0.0, 0.9))
        for player, own in model.players().items()
    }


def test_it_is_the_table_of_the_paper():
    model = make()
    assert [(s.name, s.repeat, s.fresh) for s in model.stages] == [
        ("prior", 3, True),
        ("main", 1, False),
    ]
    assert model.objective["encoder_s"] == {"reconstruct": 10.0, "gm_likelihood": 1.0}


def test_players_share_the_relevant_encoder():
    model = make()
    players = model.players()
    assert {id(p) for p in players["prior"]} - {id(p) for p in players["encoder_s"]} == {
        id(model.prior.means)
    }
    assert [id(p) for p in players["prior_scale"]] == [id(model.prior.logvars)]


def test_the_critic_rests_where_nobody_wants_it():
    model, batch = make(), make_batch()
    before = [u.clone() for u in model.critic.buffers()]
    found = play(model, "main", batch, {"reconstruct", "kl", "confuse"})
    assert "fool" not in found
    assert all(torch.equal(u, v) for u, v in zip(before, model.critic.buffers(), strict=True))


def test_prior_stage_is_the_mixture_loss_of_the_codes():
    model, batch = make().eval(), make_batch()
    found = play(model, "prior", batch)
    z_s = model.encode(batch.x).relevant
    components = torch.distributions.Normal(model.prior.means[:, None], 1.0)
    log_density = components.log_prob(z_s).sum(dim=2).t()
    expected = nn.functional.cross_entropy(log_density, batch.y)
    torch.testing.assert_close(found["gm_classify"], expected)
    own = -log_density.gather(1, batch.y[:, None]).mean() - 2 * math.log(2 * math.pi)
    torch.testing.assert_close(found["gm_likelihood"], own)


def test_main_stage_reconstructs_from_a_point_and_a_draw():
    model, batch = make().eval(), make_batch()
    found = play(model, "main", batch)
    torch.manual_seed(2)
    mean, logvar = model.encoder_u(batch.x).chunk(2, dim=1)
    z_u = mean + (0.5 * logvar).exp() * torch.randn_like(mean)
    x = model.decode(Code(model.encode(batch.x).relevant, z_u))
    torch.testing.assert_close(found["reconstruct"], (x - batch.x).square().mean())
    torch.testing.assert_close(found["classify_u"], terms.classify(model.adversary(z_u), batch.y))


def test_adversarial_terms_judge_reals_reconstructions_and_samples():
    """The losses are those of three separate calls of the critic, draws in their fixed order."""
    model, batch = make().eval(), make_batch()
    for parameter in model.critic.parameters():  # a critic with strong opinions
        nn.init.normal_(parameter)
    found = play(model, "main", batch)
    torch.manual_seed(2)
    mean, logvar = model.encoder_u(batch.x).chunk(2, dim=1)
    z_u = mean + (0.5 * logvar).exp() * torch.randn_like(mean)
    y_sample = torch.randint(3, (12,))
    fakes = {
        "reconstruction": (model.decode(Code(model.encode(batch.x).relevant, z_u)), batch.y),
        "sample": (model.sample(y_sample), y_sample),
    }
    weights = model.critic.weights()
    real = model.critic(batch.x, batch.y, weights)
    scores = [model.critic(x, y, weights) for x, y in fakes.values()]
    hinges = [(1 - real).relu(), *((1 + score).relu() for score in scores)]
    assert real.std() > 0.1
    torch.testing.assert_close(found["discriminate"], sum(h.mean() for h in hinges))
    torch.testing.assert_close(found["fool"], -sum(score.mean() for score in scores))


def test_descending_fool_raises_the_scores_of_both_fakes():
    model, batch = make().eval(), make_batch()
    decoder = model.players()["decoder"]
    before = play(model, "main", batch)["fool"]
    slopes = torch.autograd.grad(before, decoder)
    with torch.no_grad():
        for parameter, slope in zip(decoder, slopes, strict=True):
            parameter -= 0.1 * slope
    assert play(model, "main", batch)["fool"] < before


def test_confuse_pulls_the_irrelevant_encoder_where_the_adversary_is_blind():
    model, batch = make().eval(), make_batch()
    own = model.players()["encoder_u"]
    first = play(model, "main", batch)["confuse"].item()
    for _ in range(60):
        slopes = torch.autograd.grad(play(model, "main", batch, {"confuse"})["confuse"], own)
        with torch.no_grad():
            for parameter, slope in zip(own, slopes, strict=True):
                parameter -= 0.1 * slope
    last = play(model, "main", batch)["confuse"].item()
    assert math.log(3) <= last < first


def test_a_uniform_adversary_gives_the_encoder_no_gradient_to_confuse():
    model, batch = make().eval(), make_batch()
    nn.init.zeros_(model.adversary[-1].weight)
    nn.init.zeros_(model.adversary[-1].bias)
    confuse = play(model, "main", batch)["confuse"]
    assert confuse.item() == pytest.approx(math.log(3))
    for slope in torch.autograd.grad(confuse, model.players()["encoder_u"]):
        assert slope.abs().max() < 1e-7


def test_nothing_is_detached_between_players():
    model, batch = make(), make_batch()
    values = play(model, "main", batch)
    for term, player in (
        ("fool", "encoder_s"),
        ("fool", "encoder_u"),
        ("discriminate", "decoder"),
        ("classify_u", "encoder_u"),
        ("confuse", "adversary"),
        ("fool", "prior_scale"),
    ):
        own = model.players()[player]
        slopes = torch.autograd.grad(values[term], own, retain_graph=True, allow_unused=True)
        assert any(g is not None and g.abs().max() > 0 for g in slopes), (term, player)


def test_decoder_keeps_the_statistics_of_codes_and_draws_apart():
    model, batch = make(), make_batch()
    play(model, "main", batch, {"reconstruct"})
    norm = next(m for m in model.decoder if isinstance(m, nn.BatchNorm1d))
    assert norm.num_batches_tracked == 1
    play(model, "main", batch)
    assert norm.num_batches_tracked == 3


def test_samples_decode_draws_from_the_class_gaussians():
    model, y = make().eval(), torch.tensor([2, 0])
    with torch.inference_mode():
        found = model.sample(y, torch.Generator().manual_seed(5))
        generator = torch.Generator().manual_seed(5)
        means, logvars = model.prior()
        noise = torch.randn(2, 4, generator=generator)
        code = Code(means[y] + (0.5 * logvars[y]).exp() * noise, None)
        code = code._replace(irrelevant=torch.randn(2, 5, generator=generator))
        torch.testing.assert_close(found, model.decode(code))


def test_codes_and_class_logits_have_their_shapes():
    model, batch = make().eval(), make_batch()
    code = model.encode(batch.x)
    assert (code.relevant.shape, code.irrelevant.shape) == ((12, 4), (12, 5))
    assert model.decode(code).shape == batch.x.shape
    assert model.class_logits(batch.x).shape == (12, 3)
    assert torch.equal(model.encode(batch.x).irrelevant, code.irrelevant)
    with pytest.raises(ValueError, match="both parts"):
        model.decode(Code(code.relevant, None))


def test_class_logits_prefer_the_nearest_mean():
    model, batch = make().eval(), make_batch()
    with torch.no_grad():
        model.prior.means.copy_(model.encode(batch.x[:3]).relevant)
    assert model.class_logits(batch.x[:3]).argmax(dim=1).tolist() == [0, 1, 2]


def test_only_the_variances_have_a_schedule():
    schedule = {"name": "drop", "at": 2, "factor": 0.01, "unit": "epochs"}
    assert make().optimizers == {"prior_scale": {"schedule": schedule}}


def test_points_are_learned_in_seconds():
    """Three separated clusters: codes are classified, reconstructed and sampled in place."""
    model = make(MOONS)
    torch.manual_seed(3)
    y = torch.arange(96) % 3
    centers = torch.tensor([[-2.2, 0.0], [0.0, 0.0], [2.2, 0.0]])
    batch = Batch(centers[y] + 0.15 * torch.randn(96, 2), y, 96)
    first = play(model, "main", batch)["reconstruct"]
    optimizers = optimizers_of(model, rate=2e-3)
    for _ in range(150):
        last = iterate(model, batch, optimizers)["reconstruct"]
    model.eval()
    with torch.inference_mode():
        assert last < 0.25 * first
        assert (model.class_logits(batch.x).argmax(dim=1) == y).float().mean() > 0.95


def test_images_without_label_alone_move_neither_the_gaussians_nor_the_classifier(tmp_path):
    """Fine-tuning of section 4.4: three losses that need labels are switched off."""
    options = {"name": "lr_livae", "width": 0.25, "relevant": 4, "irrelevant": 4}
    run = complete_settings(
        {
            **{"model": options, "data": {"name": "digits", "keep_classes": [0, 1]}},
            **{"unlabeled": {"name": "digits", "keep_classes": [8, 9]}, "labeled_rows": 0},
            **{"seed": 0, "iterations": 2, "batch_size": 16},
        }
    )
    device = torch.device("cpu")
    data = Worker("cpu").context(run).data
    trainer = Trainer(run.training, data, tmp_path, device)
    before = {name: value.clone() for name, value in trainer.model.state_dict().items()}
    trainer.train()
    players = {name.partition(".")[0] for name, _ in trainer.model.named_parameters()}
    moved = {
        name.partition(".")[0]
        for name, value in trainer.model.named_parameters()
        if not torch.equal(value, before[name])
    }
    assert players - moved == {"prior", "adversary"}
    assert bool(trainer.model.moments.variances.ne(1).all())  # those of the labeled images
