"""Leakage: the label as read from a model's codes."""

from concurrent.futures import ThreadPoolExecutor
from dataclasses import dataclass
from typing import Any, Literal

import numpy as np
import torch
from torch import Tensor

from bench.data.base import Split
from bench.metrics.base import Context, Measurement, Quantity
from bench.metrics.encoder_decoder import EncoderDecoder, EncodingMetric
from bench.metrics.images_by_class import ordered_by_content
from bench.seeding import seed_for
from bench.training.interface import Infers

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
FLOOR = 1e-4  # smallest deviation that is scaled to 1, relative to the largest: below is rounding

Array = np.ndarray[Any, np.dtype[Any]]


@dataclass(frozen=True, kw_only=True)
class Leakage(EncodingMetric):
    """Accuracy of probes: classifiers that are trained to read the label from codes of test images.

    `leakage_linear` and `leakage_nonlinear` read the irrelevant code, `relevant_linear` the
    relevant one. The linear probe is a logistic regression, the other a support vector machine with
    Gaussian kernels; both are deterministic. Codes are standardized by dimension, with the moments
    of the codes that a probe is fitted to. On data with attributes the label is their combination.

    Without leakage the accuracy is chance, the share of the most frequent class (in the protocol),
    give or take 1.3 points for 500 images of ten classes.

    Codes are draws from the posterior: what the decoder was trained on, what the adversaries of
    Lr-LiVAE and CSVAE try to read, and what the divergence from the prior bounds. Means of a code
    that has collapsed onto its prior may show the label though no draw does, so `codes: mean` gives
    an upper bound; swaps and reconstructions pass on means. For Lr-LiVAE after 200 iterations on
    digits the two probes read 22 and 34 % from draws, 44 and 71 % from means. Codes of a model
    without posteriors are points.

    Encoders that are given the label (cVAE, cVAE-GAN, `w` of CSVAE) can copy it into the code; the
    protocol says `encoder=label-given` for such codes and `label-blind` for others. 100 % of a code
    that is label-given and relevant are not an achievement.

    Attributes:
        codes: Whether codes are one draw from each posterior, or posterior means.
        fit: Split that probes are fitted to; `test` is cross-validated in five folds, `train` is
            for data with too few test images of a class.
        most: Number of images of each split at most, the first ones in the order of their content
            hashes. The second probe takes most of the time: 20 seconds for 5000 codes of 128
            dimensions.
    """

    name = "leakage"
    quantities = {
        "leakage_linear": Quantity("Label from irrelevant code, linear (%)", "lower", 1),
        "leakage_nonlinear": Quantity("Label from irrelevant code, RBF (%)", "lower", 1),
        "relevant_linear": Quantity("Label from relevant code, linear (%)", "higher", 1),
    }

    codes: Literal["draw", "mean"] = "draw"
    fit: Literal["test", "train"] = "test"

    def evaluate(self, coder: EncoderDecoder, test: Split, context: Context) -> list[Measurement]:
        """Measure both probes of the irrelevant code, then the linear one of the relevant code."""
        kind = self.codes if isinstance(coder.model, Infers) else "point"
        encode = coder.draw if kind == "draw" else coder.encode
        code, y = encode(test.x, test.y), test.y.numpy()
        counts = np.unique(y, return_counts=True)[1]
        reason, source, fitted = "", f"{FOLDS} folds", None
        if len(counts) < 2:
            reason = "the test images have one class only"
        elif self.fit == "train":
            train = ordered_by_content(context.data.train, self.most)
            fitted = encode(train.x, train.y), train.y.numpy()
            source = f"train:{len(train)}"
        elif (fewest := counts.min()) < FOLDS:
            reason = f"a class has {fewest} test images, fewer than {FOLDS} folds; use fit: train"
        chance = f"chance={100 * counts.max() / len(test):.1f}"
        measurements = []
        for name, part, probe in PROBES:
            label = "given" if coder.depends_on_label(part) else "blind"
            protocol = (
                f"accuracy[code={part}:{kind},encoder=label-{label},probe={probe},fit={source},"
                f"{chance},n={len(test)}]"
            )
            z, value = getattr(code, part), None
            missing = MISSING[part] if z is None else ""
            if not (missing or reason):
                other = fitted and (getattr(fitted[0], part), fitted[1])
                value = 100 * probe_accuracy(z, y, is_linear=probe == "logistic", fitted=other)
            measurements.append(Measurement(name, protocol, value, missing or reason))
        return measurements


def probe_accuracy(
    z: Tensor, y: Array, *, is_linear: bool, fitted: tuple[Tensor, Array] | None = None
) -> float:
    """Return the share of codes `[N, D]` from which a probe reads the right label.

    The probe is fitted to other codes and their labels, or cross-validated where these are None.
    """
    codes = z.double().numpy()
    if fitted is not None:
        return float((_read(fitted[0].double().numpy(), fitted[1], codes, is_linear) == y).mean())
    from sklearn.model_selection import StratifiedKFold  # takes a second

    folds = StratifiedKFold(FOLDS, shuffle=True, random_state=seed_for(0, "leakage") % 2**32)

    def right_in(fold: tuple[Array, Array]) -> int:
        fitted_to, others = fold
        labels = _read(codes[fitted_to], y[fitted_to], codes[others], is_linear)
        return int((labels == y[others]).sum())

    with ThreadPoolExecutor(torch.get_num_threads()) as pool:  # they release Python's lock
        return sum(pool.map(right_in, folds.split(codes, y))) / len(y)


def _read(codes: Array, y: Array, others: Array, is_linear: bool) -> Array:
    """Return the labels that a probe, fitted to codes `[N, D]`, reads from others."""
    from sklearn.linear_model import LogisticRegression
    from sklearn.svm import SVC

    mean, deviation = codes.mean(axis=0), codes.std(axis=0)
    scale = np.maximum(deviation, max(FLOOR * deviation.max(), 1e-6))
    # Neither is random, but without a state of its own a probe advances numpy's global one.
    alone = {"random_state": 0}
    probe = LogisticRegression(max_iter=1000, **alone) if is_linear else SVC(**alone)
    probe.fit((codes - mean) / scale, y)
    labels: Array = probe.predict((others - mean) / scale)
    return labels
