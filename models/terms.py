"""Loss terms and the densities they are made of, shared by the model and the baselines.

Equation numbers are those of Zheng & Sun (2019), arXiv 1812.09502; 11a, the adversarial loss of the
generator, is printed before Eq. 11. Terms are 0-d tensors, averaged over the examples of the batch.
Each docstring says how it is reduced over the other dimensions: as in the reference implementation,
so that published weights can be used as they are.
Arithmetic is in float32 at least, also under autocast; float64 stays float64.
"""

from math import log

import torch
import torch.nn.functional as F
from torch import Tensor


def widen(x: Tensor) -> Tensor:
    """Return a tensor in float32, or in float64 if it has that type already."""
    return x if x.dtype == torch.float64 else x.float()


def reconstruct(x: Tensor, reconstruction: Tensor) -> Tensor:
    r"""Squared error, the negative log-likelihood of Eq. 2 up to scale and constant.

    .. math:: \tfrac1N \lVert x - G(\hat z_s, z_u) \rVert_2^2

    A mean over all `N` elements of an example: the published weight is `10 / N` on the sum.

    Args:
        x: Examples `[B, ...]`.
        reconstruction: Their decoded codes, same shape.

    Returns:
        Mean squared error, 0-d.

    Examples:
        >>> reconstruct(torch.zeros(2, 3), torch.full((2, 3), 0.5)).item()
        0.25
    """
    return F.mse_loss(widen(reconstruction), widen(x))


def kl_to_standard_normal(mean: Tensor, logvar: Tensor) -> Tensor:
    r"""KL divergence of diagonal Gaussians from the standard normal, per latent dimension.

    .. math:: \tfrac1D \sum_d \tfrac12 (\mu_d^2 + \sigma_d^2 - 1 - \log \sigma_d^2)

    Eq. 3 is the sum over the `D` dimensions; the published weight is `1 / D` on it.

    Args:
        mean: Posterior means `[B, D]`.
        logvar: Posterior log-variances `[B, D]`, natural logarithm.

    Returns:
        Nats per example and dimension, 0-d.

    Examples:
        >>> zeros = torch.zeros(4, 8)  # means of 0 and of 1, at unit variance
        >>> [kl_to_standard_normal(zeros + mean, zeros).item() for mean in (0, 1)]
        [0.0, 0.5]
    """
    mean, logvar = widen(mean), widen(logvar)
    return 0.5 * (mean.square() + logvar.exp() - 1 - logvar).mean()


def gaussian_kl(mean: Tensor, logvar: Tensor, prior_mean: Tensor, prior_logvar: Tensor) -> Tensor:
    r"""KL divergence of diagonal Gaussians from others, not reduced: a summand a dimension.

    .. math:: \tfrac12 [(\mu_d - m_d)^2 e^{-\ell_d} + e^{r_d} - 1 - r_d], \qquad
              r_d = \log \sigma_d^2 - \ell_d

    Args:
        mean: Posterior means `[B, D]`.
        logvar: Posterior log-variances `[B, D]`, natural logarithm.
        prior_mean: Prior means `[B, D]` or `[D]`.
        prior_logvar: Prior log-variances `[B, D]` or `[D]`.

    Returns:
        Nats `[B, D]`; their mean is a term.

    Examples:
        >>> zero, one = torch.zeros(1, 1), torch.ones(1, 1)
        >>> gaussian_kl(one, zero, -one, zero).item()
        2.0
    """
    mean, logvar = widen(mean), widen(logvar)
    prior_mean, prior_logvar = widen(prior_mean), widen(prior_logvar)
    distance = (mean - prior_mean).square() * (-prior_logvar).exp()
    excess = logvar - prior_logvar
    return 0.5 * (distance + excess.exp() - 1 - excess)


def gaussian_kl_to_each(mean: Tensor, logvar: Tensor, means: Tensor, logvars: Tensor) -> Tensor:
    r"""KL divergence of diagonal Gaussians from each of several others.

    .. math:: \tfrac12 \sum_d [(\mu_d - m_{c,d})^2 e^{-\ell_{c,d}} + e^{r_{c,d}} - 1 - r_{c,d}],
              \qquad r_{c,d} = \log \sigma_d^2 - \ell_{c,d}

    A sum over the dimensions. As in `gm_logits` the square is expanded into one matrix product, so
    that no `[B, K, D]` tensor is made, and the origin is moved to the center of the means.

    Args:
        mean: Posterior means `[..., B, D]`.
        logvar: Posterior log-variances `[..., B, D]`, natural logarithm.
        means: Means of the others `[..., K, D]`.
        logvars: Their log-variances `[..., K, D]`.

    Returns:
        Nats `[..., B, K]`.

    Examples:
        >>> means = torch.tensor([[0.0, 0.0], [2.0, 0.0]])
        >>> gaussian_kl_to_each(torch.zeros(1, 2), torch.zeros(1, 2), means, 0 * means).tolist()
        [[0.0, 2.0]]
    """
    with torch.autocast(mean.device.type, enabled=False):
        mean, logvar, means, logvars = map(widen, (mean, logvar, means, logvars))
        center = means.detach().mean(dim=-2, keepdim=True)  # exact, as in gm_logits
        mean, means = mean - center, means - center
        half_precisions = 0.5 * (-logvars).exp()
        scaled = means * half_precisions
        offsets = (means * scaled + 0.5 * logvars).sum(dim=-1)
        features = torch.cat((mean.square() + logvar.exp(), mean), dim=-1)
        weights = torch.cat((half_precisions, -2 * scaled), dim=-1)
        entropies = 0.5 * (1 + logvar).sum(dim=-1, keepdim=True)  # without log(2 pi)
        return features @ weights.transpose(-1, -2) + offsets.unsqueeze(-2) - entropies


def classify(logits: Tensor, y: Tensor) -> Tensor:
    """Cross-entropy of logits `[B, K]` with labels `[B]`, in nats per example: Eq. 4.

    With `gm_logits` it is that of the mixture's posterior, Eq. 8 without a margin.
    """
    return F.cross_entropy(widen(logits), y)


def confuse(logits: Tensor) -> Tensor:
    r"""Cross-entropy of logits `[B, K]` with the uniform distribution, in nats per example.

    .. math:: -\sum_c \tfrac1K \log q_\omega(c \mid z_u)

    Eq. 5, which trains the irrelevant encoder against the latent adversary. It is not the negative
    of Eq. 4: its least value, `log K`, is where the classifier knows nothing.

    >>> confuse(torch.zeros(3, 4)).exp().item()
    4.0
    """
    return -F.log_softmax(widen(logits), dim=1).mean()


def negative_entropy(logits: Tensor) -> Tensor:
    r"""Negative entropy of logits `[B, K]` in nats per example, the term M2 of CSVAE.

    .. math:: \sum_c q_\delta(c \mid z) \log q_\delta(c \mid z)

    Least where the classifier knows nothing, like `confuse`, but bounded by 0 and with a gradient
    that vanishes where the classifier is certain.

    >>> (-negative_entropy(torch.zeros(3, 4))).exp().item()
    4.0
    """
    log_q = F.log_softmax(widen(logits), dim=1)
    return (log_q.exp() * log_q).sum(dim=1).mean()


def gm_logits(z_s: Tensor, means: Tensor, logvars: Tensor) -> Tensor:
    r"""Log-densities of the class Gaussians of Eq. 6, without their common constant.

    .. math:: s_c(z) = -\tfrac12 \sum_d [(z_d - \mu_{c,d})^2 e^{-\ell_{c,d}} + \ell_{c,d}]

    As classes are equally likely, these are the logits of the posterior `p(c | z)`. The square is
    expanded into one matrix product, so that no `[B, K, D]` tensor is made; codes and means are
    first moved to the center of the means, which changes no distance and keeps the products small.

    Args:
        z_s: Relevant codes `[B, D]`.
        means: Class means `[K, D]`.
        logvars: Class log-variances `[K, D]`.

    Returns:
        Logits `[B, K]`.

    Examples:
        >>> means = torch.tensor([[0.0, 0.0], [2.0, 0.0]])
        >>> gm_logits(torch.tensor([[2.0, 1.0]]), means, torch.zeros(2, 2)).tolist()
        [[-2.5, -0.5]]
    """
    with torch.autocast(z_s.device.type, enabled=False):
        z_s, means, logvars = widen(z_s), widen(means), widen(logvars)
        center = means.detach().mean(dim=0)  # exact: distances do not depend on it
        z_s, means = z_s - center, means - center
        half_precisions = 0.5 * (-logvars).exp()
        scaled = means * half_precisions
        offsets = (means * scaled + 0.5 * logvars).sum(dim=1)
        features = torch.cat((z_s.square(), z_s), dim=1)
        weights = torch.cat((half_precisions, -2 * scaled), dim=1)
        return -torch.addmm(offsets, features, weights.t())


def gaussian_nll(z: Tensor, mean: Tensor, logvar: Tensor) -> Tensor:
    r"""Negative log-density of diagonal Gaussians, without the constant.

    .. math:: \tfrac12 \sum_d [(z_d - \mu_d)^2 e^{-\ell_d} + \ell_d]

    A sum over the dimensions. The constant left out is `D / 2 * log(2 * pi)`.

    Args:
        z: Codes `[B, D]`.
        mean: Means `[B, D]` or `[D]`.
        logvar: Log-variances `[B, D]` or `[D]`.

    Returns:
        Nats per example, 0-d.
    """
    z, mean, logvar = widen(z), widen(mean), widen(logvar)
    return 0.5 * ((z - mean).square() * (-logvar).exp() + logvar).sum(dim=1).mean()


def gm_likelihood(z_s: Tensor, y: Tensor, means: Tensor, logvars: Tensor) -> Tensor:
    r"""Negative log-density of codes under the Gaussians of their own classes, Eq. 7.

    .. math:: -\log \mathcal N(\hat z_s; \mu_y, \Sigma_y)

    `gaussian_nll`, so a sum over the dimensions without the constant. Equal to the mean of
    `-gm_logits(...)[i, y[i]]`, but computed from differences: no cancellation near the means.

    Args:
        z_s: Relevant codes `[B, D]`.
        y: Labels `[B]`.
        means: Class means `[K, D]`.
        logvars: Class log-variances `[K, D]`.

    Returns:
        Nats per example, 0-d.
    """
    return gaussian_nll(z_s, F.embedding(y, means), F.embedding(y, logvars))


def moment_match(means: Tensor, logvars: Tensor) -> tuple[Tensor, Tensor]:
    r"""The single Gaussian with the mean and the variances of the mixture, Eq. 11.

    .. math:: \bar\mu = \tfrac1K \sum_c \mu_c, \qquad \bar\sigma^2 =
              \tfrac1K \sum_c [\sigma_c^2 + (\mu_c - \bar\mu)^2]

    Args:
        means: Class means `[K, D]`.
        logvars: Class log-variances `[K, D]`.

    Returns:
        Mean and log-variance, each `[D]`: the prior of relevant codes that have no label.
    """
    means, logvars = widen(means), widen(logvars)
    mean = means.mean(dim=0)
    return mean, (logvars.exp() + (means - mean).square()).mean(dim=0).log()


def mixture_nll(logits: Tensor) -> Tensor:
    r"""Negative log-density of codes under the mixture of all classes, Eq. 6, in nats per example.

    .. math:: -\log \tfrac1K \sum_c \mathcal N(\hat z_s; \mu_c, \Sigma_c)

    From their `gm_logits` `[B, K]`; the constant of `gaussian_nll` is left out.
    """
    logits = widen(logits)
    return log(logits.shape[1]) - logits.logsumexp(dim=1).mean()


def discriminate(real: Tensor, *fakes: Tensor, balanced: bool = False) -> Tensor:
    r"""Hinge loss of the critic, Eq. 10 in the form of the reference implementation.

    .. math:: \mathbb E[\max(0, 1 - D(x, y))] + \sum_i \mathbb E[\max(0, 1 + D(x'_i, y_i))]

    With two kinds of fakes a critic that says -1 to everything has a loss of 2, less than the 3 of
    one that says 0, and no gradient from the fakes. Where kinds are balanced, no constant is better
    than another between -1 and 1.

    Args:
        real: Scores of real examples `[B]`.
        *fakes: Scores `[B]` of each kind of fake, a summand each.
        balanced: Whether to average over the kinds of fakes, so that they weigh as much as reals.

    Returns:
        0-d; where the critic says 0, the number of kinds plus one (2 if balanced).

    Examples:
        >>> discriminate(torch.zeros(2), torch.zeros(2), torch.zeros(2)).item()
        3.0
    """
    loss = F.relu(1 - widen(real)).mean()
    weight = 1 / len(fakes) if balanced else 1.0
    for fake in fakes:
        loss = loss + weight * F.relu(1 + widen(fake)).mean()
    return loss


def fool(*fakes: Tensor) -> Tensor:
    r"""Generator loss that belongs to the hinge loss, Eq. 11a, of scores `[B]` of each fake.

    .. math:: -\sum_i \mathbb E[D(x'_i, y_i)]
    """
    return -torch.stack([widen(fake).mean() for fake in fakes]).sum()
