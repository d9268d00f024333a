"""How much of the label can be read from a model's codes."""

from typing import Any, ClassVar, Literal

import numpy as np
import torch
from sklearn.linear_model import LogisticRegression
from sklearn.model_selection import StratifiedKFold
from sklearn.svm import SVC
from torch import Tensor

from bench.metrics.base import Context, Direction, Measurement, Metric, SampleSet
from bench.metrics.codes import Coder
from bench.metrics.comparison import chosen
from bench.seeding import seed_for

PROBES = (
    ("leakage_linear", "irrelevant", "logistic"),
    ("leakage_nonlinear", "irrelevant", "rbf-svm"),
    ("relevant_linear", "relevant", "logistic"),
)
MISSING = {
    "relevant": "the label itself is the relevant code",
    "irrelevant": "the model has no irrelevant code",
}
FOLDS = 5
FLOOR = 1e-4  # least deviation that is scaled to 1, of the largest: below lies rounding

Array = np.ndarray[Any, np.dtype[Any]]


class Leakage(Metric):
    """Accuracy of classifiers that are trained to read the label from codes of real test images.

    `leakage_linear` and `leakage_nonlinear` read it from the irrelevant code, `relevant_linear`
    from the relevant one. The linear probe is a logistic regression, the other a support vector
    machine with Gaussian kernels; both are deterministic. Codes are standardized by dimension, with
    the moments of the codes that a probe is fitted to.

    The floor of leakage is chance, not 0: the share of the most frequent class, which stands in the
    protocol. A probe that finds nothing scatters around it, by 1.3 points for 500 images of ten
    classes, and may fall below it. On data with attributes the label is their combination.

    Codes are draws from the posterior, one an image: what the decoder was trained on, what the
    adversaries of Lr-LiVAE and CSVAE try to read, and what the divergence from the prior bounds. A
    posterior mean may tell what no draw does: probes do not care how small a difference is, and a
    code that has collapsed onto its prior still has means, from which the label can often be read.
    So `codes: mean` is an upper bound, and what swaps and reconstructions pass on. For Lr-LiVAE
    after 200 iterations on digits the two probes read 22 and 34 % from draws, 44 and 71 % from
    means. A model without posteriors has points for codes, which are read as they are.

    The encoder of some models is told the label (cVAE, cVAE-GAN, `w` of CSVAE). It can copy the
    label into the code, so what is read there says what the encoder chose to pass on, not what the
    image shows. The protocol tells such codes, `encoder=label-given`, from all others,
    `label-blind`. For a code that is label-given and also relevant, 100 % are no achievement.

    The images are those of the test split, which no model has seen: relevant codes of training
    images are easier to read than those of others. Each is classified by a probe that was fitted to
    the other four fifths. Where a class has too few test images, `fit: train` fits probes to
    training images and judges all test images.

    Args:
        codes: Whether codes are one draw from each posterior, or posterior means.
        fit: Split that probes are fitted to; `test` is cross-validated in five folds.
        most: Images of each split at most, chosen at random. The second probe takes the time: 20
            seconds for 5000 codes of 128 dimensions.
    """

    name: ClassVar[str] = "leakage"
    direction: ClassVar[Direction] = "lower"
    unit: ClassVar[str] = "%"

    def __init__(
        self,
        *,
        codes: Literal["draw", "mean"] = "draw",
        fit: Literal["test", "train"] = "test",
        most: int = 5000,
    ) -> None:
        if most < 1:
            raise ValueError(f"most must be at least 1, got {most}")
        self.codes = codes
        self.fit = fit
        self.most = most

    def measure(self, samples: SampleSet, context: Context) -> list[Measurement]:
        """Return three figures in percent.

        Args:
            samples: Not looked at.
            context: The model, and the test images.

        Returns:
            Both probes of the irrelevant code, then the linear one of the relevant code.

        Raises:
            NotApplicable: If there is no model, or it has no encoder.
        """
        coder = Coder(context)
        kind = self.codes if coder.infers else "point"
        encode = coder.draws if kind == "draw" else coder.codes
        test = chosen(context.data.test, self.most)
        found, y = encode(test.x, test.y), test.y.numpy()
        counts = torch.bincount(test.y)
        fewest = int(counts[counts > 0].min())
        reason, source, fitted = "", f"{FOLDS} folds", None
        if (counts > 0).sum() < 2:
            reason = "the test images have one class only"
        elif self.fit == "train":
            train = chosen(context.data.train, self.most)
            fitted = encode(train.x, train.y), train.y.numpy()
            source = f"train:{len(train)}"
        elif fewest < FOLDS:
            reason = f"a class has {fewest} test images, fewer than {FOLDS} folds; use fit: train"
        chance = f"chance={100 * int(counts.max()) / len(test):.1f}"
        figures = []
        for name, part, probe in PROBES:
            sees = f"encoder=label-{'given' if getattr(coder.told, part) else 'blind'}"
            how = f"code={part}:{kind},{sees},probe={probe},fit={source},{chance}"
            z, value = getattr(found, part), None
            missing = MISSING[part] if z is None else ""
            if not (missing or reason):
                others = fitted and (getattr(fitted[0], part), fitted[1])
                value = 100 * accuracy(z, y, is_linear=probe == "logistic", fitted=others)
            protocol = f"accuracy[{how},n={len(test)}]"
            figures.append(Measurement(name, protocol, value, missing or reason))
        return figures


def accuracy(
    z: Tensor, y: Array, *, is_linear: bool, fitted: tuple[Tensor, Array] | None = None
) -> float:
    """Return the share of codes from which a probe reads the label.

    Args:
        z: Codes `[N, D]` that are judged.
        y: Their labels `[N]`.
        is_linear: Which probe.
        fitted: Codes and labels that the probe is fitted to; `FOLDS - 1` folds of `z` where None.

    Returns:
        A share of 1.
    """
    codes = z.double().numpy()
    if fitted is not None:
        return float((_read(fitted[0].double().numpy(), fitted[1], codes, is_linear) == y).mean())
    folds = StratifiedKFold(FOLDS, shuffle=True, random_state=seed_for(0, "leakage") % 2**32)
    found = np.empty_like(y)
    for own, others in folds.split(codes, y):
        found[others] = _read(codes[own], y[own], codes[others], is_linear)
    return float((found == y).mean())


def _read(codes: Array, y: Array, others: Array, is_linear: bool) -> Array:
    """Return the labels that a probe reads from codes it was not fitted to."""
    mean, deviation = codes.mean(axis=0), codes.std(axis=0)
    scale = np.maximum(deviation, max(FLOOR * deviation.max(), 1e-6))
    probe = LogisticRegression(max_iter=1000) if is_linear else SVC()
    probe.fit((codes - mean) / scale, y)
    found: Array = probe.predict((others - mean) / scale)
    return found
