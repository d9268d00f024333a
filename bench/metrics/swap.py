"""What each part of a code carries: an image made of the parts of two."""

from typing import ClassVar

import torch
from torch import Tensor

from bench.data.base import Split
from bench.errors import NotApplicable
from bench.metrics.base import Context, Direction, Measurement, Metric, SampleSet
from bench.metrics.codes import Coder
from bench.metrics.comparison import chosen
from bench.metrics.extractors.domain import domain_classifier
from bench.seeding import generator_for
from bench.training.interface import Code


class Swap(Metric):
    r"""What becomes of two real test images of different classes whose codes are exchanged.

    The image made of the relevant code of `a` and the irrelevant code of `b` should show the class
    of `a`. `swap_relevant` is the share of pairs for which the classifier of the data says so, and
    `swap_irrelevant` the share for which it says the class of `b`, both in percent. The classifier
    errs as often as the row of the real images in `class_accuracy` says. Where the label itself is
    the relevant code, the image is made with the label of `a` (`relevant=label`).

    `swap_keeps_irrelevant` says whether the irrelevant code of the new image, encoded anew, is
    still that of `b`: the correlation of both over pairs, pooled over dimensions,

    .. math:: \sum_d \mathrm{cov}(u_d, u'_d) \big/
              \sqrt{\textstyle\sum_d \mathrm{var}(u_d) \sum_d \mathrm{var}(u'_d)}

    It lies between -1 and 1. It is 1 where the new codes are the old ones, shifted or scaled as a
    whole, and 0 where they know nothing of `b`, as those of unrelated images. Dimensions count as
    much as they vary, so collapsed ones do not count. Here a model judges its own images, and one
    that writes all it knows into the irrelevant code has it for nothing, but then no
    `swap_relevant`: read them together.

    Codes are posterior means. A model that cannot encode without a label is given the true one of
    `a` and `b`, and for the new image that of `a` (`label=given`).

    Args:
        pairs: Number of pairs: classes of `a` in turn, those of `b` at random among the others,
            images of a class at random.
        extractor_seed: Which domain classifier.
    """

    name: ClassVar[str] = "swap"
    direction: ClassVar[Direction] = "higher"

    def __init__(self, *, pairs: int = 2000, extractor_seed: int = 0) -> None:
        if pairs < 1:
            raise ValueError(f"pairs must be at least 1, got {pairs}")
        self.pairs = pairs
        self.extractor_seed = extractor_seed

    def measure(self, samples: SampleSet, context: Context) -> list[Measurement]:
        """Return three figures.

        Args:
            samples: Not looked at.
            context: The model, and the test images.

        Returns:
            The two shares in percent, then the correlation.

        Raises:
            NotApplicable: If there is no model, it has no encoder or no irrelevant code, the data
                are no images, or the test images have one class only.
        """
        coder, test = Coder(context), chosen(context.data.test)
        judge = domain_classifier(context, self.extractor_seed)
        pairs = torch.cat(pairs_of(test, self.pairs))
        rows, places = torch.unique(pairs, return_inverse=True)
        x, y = test.x[rows], test.y[rows]
        a, b = places.chunk(2)
        found = coder.codes(x, y)
        if found.irrelevant is None:
            raise NotApplicable("the model has no irrelevant code to swap")
        images = exchange(coder, found, y, a, b)
        seen = judge.logits(images).argmax(dim=1)
        kept = correlation(found.irrelevant[b], coder.codes(images, y[a]).irrelevant)
        source = (
            f"relevant={'label' if found.relevant is None else 'code'},{coder.label},codes=mean"
        )
        shares = f"accuracy[extractor={judge.name},{source},pairs={self.pairs}]"
        return [
            Measurement("swap_relevant", shares, _percent(seen == y[a])),
            Measurement("swap_irrelevant", shares, _percent(seen == y[b])),
            Measurement(
                "swap_keeps_irrelevant",
                f"correlation[{source},pairs={self.pairs}]",
                kept,
                "" if kept is not None else "the irrelevant code is the same for all images",
            ),
        ]


def exchange(coder: Coder, code: Code, y: Tensor, a: Tensor, b: Tensor) -> Tensor:
    """Return images made of the relevant codes of some rows and the irrelevant codes of others.

    Args:
        coder: The model.
        code: Codes of `N` images.
        y: Their classes `[N]`.
        a: Rows `[P]` that give the relevant code; the label itself where there is none.
        b: Rows `[P]` that give the irrelevant code.

    Returns:
        `uint8` `[P, C, H, W]`.
    """
    parts = (None if part is None else part[rows] for part, rows in zip(code, (a, b), strict=True))
    return coder.images(Code(*parts), y[a])


def pairs_of(split: Split, count: int) -> tuple[Tensor, Tensor]:
    """Choose pairs of examples of different classes, always the same ones.

    Args:
        split: Real examples.
        count: Number of pairs.

    Returns:
        Rows of `a` and of `b`, each `[count]`; one may occur several times.

    Raises:
        NotApplicable: If the examples have one class only.
    """
    labels = torch.unique(split.y)
    if len(labels) < 2:
        raise NotApplicable("the test images have one class only")
    generator = generator_for(0, "swap")
    of_a = torch.arange(count) % len(labels)
    others = torch.randint(1, len(labels), (count,), generator=generator)
    order = torch.argsort(split.y, stable=True)
    sizes = torch.bincount(split.y)[labels]
    starts = sizes.cumsum(0) - sizes

    def row_of(place: Tensor) -> Tensor:
        share = torch.rand(count, generator=generator, dtype=torch.float64)
        return order[starts[place] + (share * sizes[place]).long()]

    return row_of(of_a), row_of((of_a + others) % len(labels))


def correlation(u: Tensor, v: Tensor | None) -> float | None:
    """Return the correlation of codes, pooled over dimensions.

    Args:
        u: Codes `[N, D]`.
        v: Codes `[N, D]`, row by row to be compared with `u`.

    Returns:
        A number in `[-1, 1]`; 0 where only `u` varies, and None where `u` does not.

    Example:
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


def _percent(right: Tensor) -> float:
    return 100 * right.double().mean().item()
