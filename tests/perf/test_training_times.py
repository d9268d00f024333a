"""The harness costs little: its loop against a bare one, written by hand for the same networks."""

import statistics
import time

import pytest
import torch
import torch.nn.functional as F

from bench.spec import run_config
from bench.training.trainer import Trainer, build_model

CPU = torch.device("cpu")
OPTIONS = {
    "cvae": {"width": 0.5, "latent": 16},
    "lr_livae": {"width": 0.5, "relevant": 16, "irrelevant": 16},
}


def adam(*parameters):
    return torch.optim.Adam([p for group in parameters for p in group], 5e-4, (0.0, 0.9))


def bare_cvae(m):
    optimizer = adam(m.parameters())

    def iterate(batches):
        x, y = batches[0]
        mean, logvar = m.encoder(x, y).chunk(2, 1)
        z = mean + (logvar / 2).exp() * torch.randn_like(mean)
        image = m.decoder(torch.cat((z, F.one_hot(y, 10).float()), 1))
        loss = 10 * F.mse_loss(image, x)
        loss = loss + 0.5 * (mean.square() + logvar.exp() - 1 - logvar).mean()
        optimizer.zero_grad()
        loss.backward()
        optimizer.step()

    return iterate


def bare_lr_livae(m):
    """Algorithm 1 with detached tensors and one backward a loss, as one would write it."""
    prior, scale = adam(m.encoder_s.parameters(), [m.prior.means]), adam([m.prior.logvars])
    coders = adam(m.encoder_s.parameters(), m.encoder_u.parameters())
    generator, judge = adam(m.decoder.parameters()), adam(m.critic.parameters())
    adversary = adam(m.adversary.parameters())

    def scores(z):
        means, logvars = m.prior()
        distances = (z[:, None] - means).square() * (-logvars).exp() + logvars
        return -0.5 * distances.sum(2)

    def iterate(batches):
        for x, y in batches:
            s = scores(m.encoder_s(x))
            loss = F.cross_entropy(s, y) - 0.1 * s.gather(1, y[:, None]).mean()
            prior.zero_grad()
            scale.zero_grad()
            loss.backward()
            prior.step()
            scale.step()
        z_s = m.encoder_s(x)
        mean, logvar = m.encoder_u(x).chunk(2, 1)
        z_u = mean + (logvar / 2).exp() * torch.randn_like(mean)
        image = m.decoder(torch.cat((z_s, z_u), 1))
        with torch.no_grad():
            labels = torch.randint(10, y.shape)
            drawn = torch.cat((m.prior.sample(labels), torch.randn_like(z_u)), 1)
        sample = m.decoder(drawn)
        weights = m.critic.weights()
        fakes, fake_y = torch.cat((image, sample)), torch.cat((y, labels))
        # the critic
        judge.zero_grad()
        loss = F.relu(1 - m.critic(x, y, weights)).mean()
        loss = loss + 2 * F.relu(1 + m.critic(fakes.detach(), fake_y, weights)).mean()
        loss.backward(inputs=list(m.critic.parameters()))
        # the latent adversary
        adversary.zero_grad()
        F.cross_entropy(m.adversary(z_u.detach()), y).backward()
        # the decoder, against the critic
        generator.zero_grad()
        fixed = [w.detach() for w in weights]
        fool = -2 * m.critic(fakes, fake_y, fixed).mean()
        fool.backward(inputs=list(m.decoder.parameters()), retain_graph=True)
        # reconstruction and priors
        coders.zero_grad()
        means, logvars = (p.detach() for p in m.prior())
        likelihood = 0.5 * ((z_s - means[y]).square() * (-logvars[y]).exp() + logvars[y]).sum(1)
        loss = 10 * F.mse_loss(image, x) + likelihood.mean()
        loss = loss + 0.5 * (mean.square() + logvar.exp() - 1 - logvar).mean()
        loss = loss - F.log_softmax(m.adversary(z_u), 1).mean()
        moving = (m.encoder_s, m.encoder_u, m.decoder)
        loss.backward(inputs=[p for network in moving for p in network.parameters()])
        for optimizer in (judge, adversary, generator, coders):
            optimizer.step()

    return iterate


@pytest.mark.slow
@pytest.mark.parametrize("name", OPTIONS)
def test_training_reaches_95_percent_of_a_bare_loop(name, tmp_path):
    torch.set_num_threads(1)
    settings = {"model": {"name": name, **OPTIONS[name]}, "data": {"name": "digits"}}
    run = run_config.complete_settings({**settings, "seed": 0, "iterations": 10_000})
    data = run.source().load()
    trainer = Trainer(run.training, data, tmp_path, CPU)
    bare = {"cvae": bare_cvae, "lr_livae": bare_lr_livae}[name](
        build_model(run.training, data, CPU).train()
    )
    x, y = data.train.x.float() / 127.5 - 1, data.train.y
    draws = trainer.timetable.draws

    def ours(start):
        for step in range(start, start + 20):
            trainer.iterate(step)

    def by_hand(start):
        for _ in range(20):
            rows = [torch.randperm(len(y))[:96] for _ in range(draws)]
            bare([(x[r], y[r]) for r in rows])

    def seconds(work, start):
        began = time.perf_counter()
        work(start)
        return time.perf_counter() - began

    ours(0), by_hand(0)
    ratios = [seconds(by_hand, 0) / seconds(ours, 20 * turn) for turn in range(1, 16)]
    ratio = statistics.median(ratios)
    print(f"{name}: {ratio:.2f} of the bare loop's images/s")
    assert ratio >= 0.95
