"""cVAE: a VAE conditioned on the label (Sohn, Lee & Yan, NeurIPS 2015), and one with an adversary.

The encoder `q(z | x, y)` and the decoder `p(x | z, y)` both see the label; the prior of the code is
the standard normal for every class. The label is tiled over the image as one-hot planes for the
encoder, and appended to the code for the decoder.

Departures from Sohn et al.: their prior depends on the condition, `p(z | y)`, which Zheng & Sun
(2019) leave out when they compare with this method, as is usual for class labels; and their hybrid
objective with a second, recognition-free path is for prediction, not for generation. Networks,
reductions and weights are those of Lr-LiVAE, so that the two differ in method alone. Nobody has
published the size of the baseline's code; here it is that of Lr-LiVAE's irrelevant code.

`cvae_info` is the baseline "CondVAE-info" of Klys, Snell & Zemel (2018) after Creswell et al.
(2017): the encoder `q(z | x)` does not see the label, and an adversary `r(y | z)` reads it from
samples of `z`. Their encoder ascends the adversary's cross-entropy; here it descends the negative
entropy of CSVAE, at the same weight, so that the two differ in how the decoder is told the label
alone: by itself, or by a subspace.
"""

from typing import ClassVar

from torch import Tensor

from bench.data.base import DataSpec
from bench.training.interface import AtLeastOne, Batch, Objective, Positive, Stage
from models import backbones, terms
from models.autoencoders import LabelConditionedVAE


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
        *_, values = self._reconstruct(batch)
        return values


class CVAEInfo(LabelConditionedVAE):
    """The conditional VAE whose code an adversary keeps free of the label.

    Args:
        spec: Shape of the data.
        backbone: Family of networks; `auto` fits the data.
        width: Multiplier of the layer sizes.
        latent: Size of the code, the family's irrelevant code where None.
    """

    title: ClassVar[str] = "cVAE-info"
    encoder_sees_label: ClassVar[bool] = False
    stages = (Stage("main", ("encoder", "decoder", "adversary")),)
    objective: Objective = {
        "encoder": {"reconstruct": 10.0, "kl": 1.0, "negative_entropy": 1.0},
        "decoder": {"reconstruct": 10.0},
        "adversary": {"classify_z": 1.0},
    }

    def __init__(
        self,
        spec: DataSpec,
        *,
        backbone: backbones.Backbone = "auto",
        width: Positive = 1.0,
        latent: AtLeastOne | None = None,
    ) -> None:
        super().__init__(spec, backbone=backbone, width=width, latent=latent)
        self.adversary = backbones.latent_classifier(spec, backbone, self.latent)

    def terms(self, stage: str, batch: Batch, wanted: frozenset[str]) -> dict[str, Tensor]:
        """Return the halves of the bound, and the two sides of the game about the label."""
        z, _, values = self._reconstruct(batch)
        logits = self.adversary(z)
        return values | {
            "negative_entropy": terms.negative_entropy(logits),
            "classify_z": terms.classify(logits, batch.y),
        }
