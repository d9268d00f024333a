"""cVAE: a VAE conditioned on the label (Sohn, Lee & Yan, NeurIPS 2015).

The encoder `q(z | x, y)` and the decoder `p(x | z, y)` both see the label; the prior of the code is
the standard normal for every class. The label is tiled over the image as one-hot planes for the
encoder, and appended to the code for the decoder.

Departures from Sohn et al.: their prior depends on the condition, `p(z | y)`, which Zheng & Sun
(2019) leave out when they compare with this method, as is usual for class labels; and their hybrid
objective with a second, recognition-free path is for prediction, not for generation. Networks,
reductions and weights are those of Lr-LiVAE, so that the two differ in method alone. Nobody has
published the size of the baseline's code; here it is that of Lr-LiVAE's irrelevant code.
"""

from typing import ClassVar

from torch import Tensor

from bench.training.interface import Batch, Objective, Stage
from models.vae import LabelConditionedVAE


class CVAE(LabelConditionedVAE):
    """The conditional VAE; its options are those of `LabelConditionedVAE`."""

    title: ClassVar[str] = "cVAE"
    stages = (Stage("main", ("encoder", "decoder")),)
    objective: Objective = {
        "encoder": {"reconstruct": 10.0, "kl": 1.0},
        "decoder": {"reconstruct": 10.0},
    }

    def terms(self, stage: str, batch: Batch, wanted: frozenset[str]) -> dict[str, Tensor]:
        """Return the two halves of the evidence lower bound (Eq. 2 and 3)."""
        return self._reconstruct(batch)[1]
