from math import e, expm1, log1p

import pytest
import torch
from torch.distributions import Bernoulli, Independent

from baselines.ccvae import CCVAE, BlockClassifier
from bench.training.passes import StagePass
from tests.baselines.ccvae_cases import FORMS, PLANE_TRAITS, SOME, TRAITS, make, play, total
from tests.small import GRAY, MOONS, make_batch


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


def test_attributes_start_at_two_where_they_are_1_and_at_minus_two_where_0():
    model = make(TRAITS)
    assert model.prior.means.tolist() == [[-2, -2], [2, 2]] * 3
    z_c = torch.tensor([[-2.0, -2, 2, 2, 2, 2]])
    assert model.classifier(z_c).tolist() == [[-2, 2, 2]]


PLAYED = [*FORMS.values(), (MOONS, "diagonal"), (MOONS, "linear"), (PLANE_TRAITS, "diagonal")]


@pytest.mark.parametrize("labeled", [12, 7])
@pytest.mark.parametrize(("spec", "head"), PLAYED, ids=lambda v: getattr(v, "name", v))
def test_players_reach_every_parameter(spec, head, labeled):
    model, batch = make(spec, head=head), make_batch(spec, labeled=labeled)
    stage_pass = StagePass(model, model.stages[0], model.objective, {})
    _, gradients = stage_pass.gradients(batch)  # which refuses parameters that are not reached
    assert all(g.isfinite().all() for own in gradients.values() for g in own)


def test_samples_come_from_the_gaussian_of_the_label():
    model, codes = make().eval(), []
    model.decoder.register_forward_pre_hook(lambda _, args: codes.append(args[0]))
    with torch.no_grad():
        model.sample(torch.full((4000,), 1), torch.Generator().manual_seed(5))
    z_c, z_u = codes[0].split((6, 4), dim=1)
    own = torch.tensor([-2.0, -2, 2, 2, -2, -2])
    torch.testing.assert_close(z_c.mean(0), own, atol=0.08, rtol=0)
    torch.testing.assert_close(z_u.mean(0), torch.zeros(4), atol=0.08, rtol=0)
    torch.testing.assert_close(codes[0].var(0), torch.ones(10), atol=0.1, rtol=0)


def test_samples_come_from_the_gaussian_of_each_attribute():
    model = make(TRAITS).eval()
    with torch.no_grad():
        model.prior.means.add_(torch.arange(6.0).unsqueeze(1))
        model.prior.logvars[3] = 1.0  # of the second attribute where it is 1
    codes = []
    model.decoder.register_forward_pre_hook(lambda _, args: codes.append(args[0]))
    with torch.no_grad():
        model.sample(torch.tensor([[0, 1, 0]]).expand(4000, 3), torch.Generator().manual_seed(5))
    mean = torch.tensor([-2.0, -2, 5, 5, 2, 2, 0, 0, 0, 0])
    variance = torch.tensor([1, 1, torch.e, torch.e, 1, 1, 1, 1, 1, 1])
    torch.testing.assert_close(codes[0].mean(0), mean, atol=0.1, rtol=0)
    torch.testing.assert_close(codes[0].var(0), variance, atol=0, rtol=0.1)
    off = codes[0].t().corrcoef() - torch.eye(10)
    assert off.abs().max() < 0.06


def test_codes_and_classes_need_no_label():
    model, batch = make().eval(), make_batch()
    code = model.encode(batch.x)
    assert code.relevant.shape == (12, 6)
    assert code.irrelevant.shape == (12, 4)
    assert torch.equal(code.relevant, model.encode(batch.x, batch.y).relevant)
    assert model.decode(code).shape == batch.x.shape
    expected = model.classifier(code.relevant).log_softmax(1)
    torch.testing.assert_close(model.class_logits(batch.x), expected)
    with pytest.raises(ValueError, match="both parts"):
        model.decode(code._replace(irrelevant=None))


def test_classes_of_attributes_are_their_combinations():
    model, batch = make(TRAITS).eval(), make_batch(TRAITS)
    with torch.no_grad():
        model.classifier.bias.copy_(torch.tensor([0.5, -1.0, 2.0]))
    code = model.encode(batch.x).relevant
    says = Independent(Bernoulli(logits=model.classifier(code)), 1)
    expected = torch.stack([says.log_prob(torch.tensor(row).float()) for row in SOME], dim=1)
    torch.testing.assert_close(model.class_logits(batch.x), expected)


def test_data_with_attributes_may_be_taken_as_classes():
    class Classes(CCVAE):
        capabilities = ("semi-supervised",)

    model = Classes(TRAITS, width=0.25, head="linear", relevant=6)
    assert model.class_logits(make_batch(TRAITS).x).shape == (12, 4)
    assert model.sample(torch.arange(4)).shape == (4, 1, 8, 8)


@pytest.mark.parametrize(
    ("spec", "other", "sentence"),
    [
        (TRAITS, GRAY, r"needs labels \[12, 3\] of this data, got \[12\]"),
        (GRAY, TRAITS, r"needs labels \[12\] of this data, got \[12, 3\]"),
    ],
    ids=["attributes", "classes"],
)
def test_labels_of_the_other_form_are_refused(spec, other, sentence):
    batch = make_batch(other)
    for call in (lambda: play(make(spec), batch), lambda: make(spec).sample(batch.y)):
        with pytest.raises(ValueError, match=sentence):
            call()


@pytest.mark.parametrize("labeled", [12, 7])
@pytest.mark.parametrize("spec", [GRAY, TRAITS], ids=["classes", "attributes"])
def test_training_lowers_the_objective_and_learns_the_classes(spec, labeled):
    model, batch = make(spec), make_batch(spec, labeled=labeled)
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
    y = torch.arange(labeled) % spec.classes
    assert (model.class_logits(batch.x[:labeled]).argmax(1) == y).float().mean() > 0.9


def test_linear_head_and_class_means_start_along_each_other():
    model = make(head="linear")
    means = model.prior.means
    torch.testing.assert_close(means @ means.t(), 9 * torch.eye(3))
    torch.testing.assert_close(model.classifier(means), 4 * torch.eye(3))


def test_published_scales_are_softplus_of_what_is_learned():
    model, batch = make(TRAITS, scales="softplus").eval(), make_batch(TRAITS)
    with torch.no_grad():
        model.prior.logvars[0] = torch.tensor([0.5, -20.0])
        output = model.encoder(batch.x)
        (_, relevant), (_, irrelevant) = model.posterior(batch.x)
        scales = torch.cat((relevant, irrelevant), dim=1).sqrt()
        means, logvars = model.prior()
    torch.testing.assert_close(scales, torch.log1p(output[:, 10:].exp()))
    expected = torch.full((6, 2), log1p(e))  # from 1 on
    expected[0] = torch.tensor([log1p(e**0.5), 1e-3])
    torch.testing.assert_close((logvars / 2).exp(), expected)
    assert means.tolist() == [[-2, -2], [2, 2]] * 3


def test_published_form_is_the_bound_in_nats_at_its_scales():
    """Softplus of `log(e^s - 1)` is the scale `s`, so both forms have the same terms."""
    published = make(TRAITS, scales="softplus", likelihood="laplace").eval()
    other = make(TRAITS, likelihood="laplace").eval()
    batch = make_batch(TRAITS, labeled=7)
    with torch.no_grad():
        head = published.encoder.rest[-1]
        of_scales = slice(10, 20)
        head.weight[of_scales] = other.encoder.rest[-1].weight[of_scales] = 0
        head.bias[of_scales] = torch.tensor(expm1(0.5)).log()
        other.encoder.rest[-1].bias[of_scales] = 2 * torch.tensor(0.5).log()
        published.prior.logvars.fill_(torch.tensor(expm1(1.0)).log())
    torch.testing.assert_close(play(published, batch), play(other, batch))
