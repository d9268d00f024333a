"""Models, batches and a second computation of the objective, for the tests of CCVAE."""

from itertools import product

import numpy as np
import torch

from baselines.ccvae import CCVAE
from bench.data.base import DataSpec
from tests.small import GRAY, MOONS

SOME = ((0, 0, 1), (1, 0, 0), (1, 1, 0), (1, 1, 1))  # of the eight combinations
TRAITS = DataSpec("traits", (1, 8, 8), tuple("wxyz"), ("p", "q", "r"), SOME)
PLANE_TRAITS = DataSpec("plane traits", (2,), tuple("wxyz"), ("p", "q", "r"), SOME)
WANTED = frozenset({"reconstruct", "kl_relevant", "kl_irrelevant", "certainty", "classify"})
SMALL = {"width": 0.25, "relevant": 6, "irrelevant": 4}
FORMS = {
    "diagonal": (GRAY, "diagonal"),
    "linear": (GRAY, "linear"),
    "attributes": (TRAITS, "diagonal"),
}


def make(spec=GRAY, **options):
    torch.manual_seed(0)
    return CCVAE(spec, **({} if spec is MOONS else SMALL) | options)


def play(model, batch, wanted=WANTED):
    torch.manual_seed(2)
    return model.terms("main", batch, wanted)


def total(model, values):
    return sum(weight * values[term] for term, weight in model.objective["encoder"].items())


def disturb(model):
    """Move classifier and prior away from where they start, where much is equal."""
    with torch.no_grad():
        for p in (*model.classifier.parameters(), *model.prior.parameters()):
            p.add_(0.5 * torch.randn_like(p))
    return model


def numpy_objective(model, batch):
    """Evaluate both bounds of each example from their definitions, with the noise of `terms`.

    Attributes are treated as one label whose values are all their combinations. Returns `[B, 6]`:
    the weight of each example, `log p(x | z)`, the KLs of `z_c` and the rest, `log q(y | z_c)` and
    `log q(y | x)`; expected under `q(y | z_c)` for examples without label, which have no last one.
    """
    torch.manual_seed(2)
    with torch.no_grad():
        code = model.encoder(batch.x)
        noise = torch.randn(len(code), 10)
        draws = torch.randn(model.label_samples, batch.labeled, 6).double().numpy()
        z = code[:, :10] + (code[:, 10:] / 2).exp() * noise
        images = model.decoder(z).double().numpy()
        table = [p.double().numpy() for p in model.prior()]
        a, b = (p.double().numpy() for p in model.classifier.parameters())
    binary = batch.y.ndim == 2
    labels = list(product((0, 1), repeat=3)) if binary else [(k,) for k in range(3)]

    def log_q(z_c):
        read = [z_c[2 * k : 2 * k + 2] if a.shape[1] == 2 else z_c for k in range(3)]
        logits = np.array([np.dot(a[k], read[k]) + b[k] for k in range(3)])
        if binary:
            logits = np.array([np.dot(label, logits) for label in labels])
        return logits - np.log(np.exp(logits).sum())

    def prior_of(label, values):
        return np.concatenate(
            [values[2 * i + v] for i, v in enumerate(label)] if binary else values[label[0]][None]
        )

    found = []
    for i in range(len(code)):
        mean, scale = code[i, :10].double().numpy(), np.exp(code[i, 10:].double().numpy() / 2)
        log_q_of_z = log_q((mean + scale * noise[i].double().numpy())[:6])
        kls = []
        for label in labels:
            p_mean = np.concatenate((prior_of(label, table[0]), np.zeros(4)))
            p_scale = np.concatenate((np.exp(prior_of(label, table[1]) / 2), np.ones(4)))
            d = np.log(p_scale / scale) + (scale**2 + (mean - p_mean) ** 2) / (2 * p_scale**2) - 0.5
            kls.append((d[:6].sum(), d[6:].sum()))
        kl_c, kl_u = np.array(kls).T
        # The density of pixels in [0, 1], under Laplace distributions of scale 1.
        error = np.abs(images[i] - batch.x[i].double().numpy()) / 2
        log_p = -(error + np.log(2)).sum()
        if model.likelihood == "squared":
            log_p = -10 * (4 * error**2).mean()
        if i < batch.labeled:
            at = labels.index(tuple(batch.y[i].reshape(-1).tolist()))
            each = [log_q(mean[:6] + scale[:6] * e)[at] for e in draws[:, i]]
            log_q_of_x = np.log(np.mean(np.exp(each)))
            w = min(np.exp(log_q_of_z[at] - log_q_of_x), 100)
            found.append((w, log_p, kl_c[at], kl_u[0], log_q_of_z[at], log_q_of_x))
        else:
            q = np.exp(log_q_of_z)
            found.append((1, log_p, q @ kl_c, kl_u[0], q @ log_q_of_z, 0))
    return np.array(found)
