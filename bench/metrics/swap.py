"""Swaps: images made of the parts of two codes show what each part carries."""

from dataclasses import dataclass

import torch
from torch import Tensor

from bench.data.base import Split
from bench.errors import NotApplicable
from bench.metrics.base import AtLeastOne, Context, Measurement, Quantity
from bench.metrics.encoder_decoder import CodeMetric, EncoderDecoder
from bench.metrics.extractors.domain_classifier import domain_classifier
from bench.metrics.images_by_class import ordered_by_content
from bench.seeding import generator_for
from bench.training.interface import Code


@dataclass(frozen=True, kw_only=True)
class Swap(CodeMetric):
    r"""Class and code of images made of the codes of two real test images of different classes.

    The image made of the relevant code of `a` and the irrelevant code of `b` should show the class
    of `a`. `swap_relevant` is the share of pairs for which the domain classifier sees that class,
    `swap_irrelevant` the share for which it sees the class of `b`, in percent. Where the label
    itself is the relevant code, the image is made with the label of `a` (`relevant=label`).

    `swap_keeps_irrelevant` is the correlation of the irrelevant code of `b` and that of the new
    image, encoded again, over pairs, pooled over dimensions,

    .. math:: \sum_d \mathrm{cov}(u_d, u'_d) \big/
              \sqrt{\textstyle\sum_d \mathrm{var}(u_d) \sum_d \mathrm{var}(u'_d)}

    between -1 and 1: 1 if the new codes are the old ones, shifted or scaled as a whole, and 0 if
    they do not depend on `b`. A model that writes everything into the irrelevant code has 1, but
    a `swap_relevant` of 0: read them together.

    Codes are posterior means. A model that cannot encode without a label is given the true one of
    `a` and `b`, and for the new image that of `a` (`label=given`). The other option is that of
    `CodeMetric`.

    Attributes:
        pairs: Number of pairs: classes of `a` in turn, those of `b` at random among the others,
            images of a class at random.
        extractor_seed: Seed of the domain classifier.
    """

    name = "swap"
    quantities = {
        "swap_relevant": Quantity("Swaps with the class of the relevant code (%)", "higher", 1),
        "swap_irrelevant": Quantity("Swaps with the class of the irrelevant code (%)", "lower", 1),
        "swap_keeps_irrelevant": Quantity("Irrelevant code kept by swaps", "higher", 3),
    }

    pairs: AtLeastOne = 2000
    extractor_seed: int = 0

    def evaluate_codes(self, coder: EncoderDecoder, context: Context) -> list[Measurement]:
        """Measure both shares and the correlation."""
        test = ordered_by_content(context.data.test)
        classifier = domain_classifier(context, self.extractor_seed)
        pairs = torch.cat(pairs_of(test, self.pairs))
        indices, positions = torch.unique(pairs, return_inverse=True)  # each is encoded once
        x, y = test.x[indices], test.y[indices]
        a, b = positions.chunk(2)
        code = coder.encode(x, y)
        if code.irrelevant is None:
            raise NotApplicable("the model has no irrelevant code to swap")
        images = exchange(coder, code, y, a, b)
        seen = classifier.logits(images).argmax(dim=1)
        kept = correlation(code.irrelevant[b], coder.encode(images, y[a]).irrelevant)
        relevant = "label" if code.relevant is None else "code"
        source = f"relevant={relevant},{coder.label},codes=mean"
        shares = f"accuracy[extractor={classifier.name},{source},pairs={self.pairs}]"
        return [
            Measurement("swap_relevant", shares, 100 * (seen == y[a]).double().mean().item()),
            Measurement("swap_irrelevant", shares, 100 * (seen == y[b]).double().mean().item()),
            Measurement(
                "swap_keeps_irrelevant",
                f"correlation[{source},pairs={self.pairs}]",
                kept,
                "" if kept is not None else "the irrelevant code is the same for all images",
            ),
        ]


def exchange(coder: EncoderDecoder, code: Code, y: Tensor, a: Tensor, b: Tensor) -> Tensor:
    """Return images `[P, C, H, W]` of the relevant codes (or labels) of `a` and irrelevant of `b`.

    `code` and `y` are the codes and classes of all images, `a` and `b` indices `[P]`.
    """
    parts = (None if part is None else part[i] for part, i in zip(code, (a, b), strict=True))
    return coder.decode(Code(*parts), y[a])


def pairs_of(split: Split, count: int) -> tuple[Tensor, Tensor]:
    """Return the indices of `a` and of `b`, always the same; an example may occur several times."""
    labels = torch.unique(split.y)
    if len(labels) < 2:
        raise NotApplicable("the test images have one class only")
    generator = generator_for(0, "swap")
    of_a = torch.arange(count) % len(labels)
    others = torch.randint(1, len(labels), (count,), generator=generator)
    order = torch.argsort(split.y, stable=True)
    sizes = torch.bincount(split.y)[labels]
    starts = sizes.cumsum(0) - sizes

    def random_members(label: Tensor) -> Tensor:
        share = torch.rand(count, generator=generator, dtype=torch.float64)
        return order[starts[label] + (share * sizes[label]).long()]

    return random_members(of_a), random_members((of_a + others) % len(labels))


def correlation(u: Tensor, v: Tensor | None) -> float | None:
    """Return the correlation of codes `[N, D]`, pooled over dimensions, in `[-1, 1]`.

    It is 0 where only `u` varies, and None where `u` does not.

    >>> u = torch.tensor([[0.0, 1.0], [1.0, 0.0], [2.0, 5.0]])
    >>> round(correlation(u, 3 - 2 * u), 6)
    -1.0
    """
    if v is None:
        return None
    u, v = (z.double() - z.double().mean(dim=0) for z in (u, v))
    if not bool(u.any()):
        return None
    scale = (u.square().sum() * v.square().sum()).sqrt()
    return ((u * v).sum() / scale).item() if scale > 0 else 0.0
