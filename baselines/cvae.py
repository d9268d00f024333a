"""cVAE: a VAE that is told the label (Sohn, Lee & Yan, NeurIPS 2015).

The encoder `q(z | x, y)` and the decoder `p(x | z, y)` both see the label; the prior of the code is
the standard normal for every class. The label is tiled over the image as one-hot planes for the
encoder, and appended to the code for the decoder.

Departures from Sohn et al.: their prior depends on what is given, `p(z | y)`, which Zheng & Sun
(2019) leave out when they compare with this method, as is usual for class labels; and their hybrid
objective with a second, recognition-free path is for prediction, not for generation. Networks,
reductions and weights are those of Lr-LiVAE, so that the two differ in method alone. Nobody has
published the size of the baseline's code; it is that of Lr-LiVAE's irrelevant code here.
"""

from typing import ClassVar

from torch import Tensor, nn

from bench.data.base import DataSpec
from bench.training.interface import Batch, Objective, Stage
from models import backbones
from models.label_given import LabelGivenVAE


class CVAE(LabelGivenVAE):
    """The conditional VAE.

    Args:
        spec: Shape of the data.
        backbone: Family of networks; `auto` fits the data.
        width: Multiplier of the layer sizes.
        latent: Size of the code, the family's irrelevant code where None.
    """

    title: ClassVar[str] = "cVAE"
    stages = (Stage("main", ("encoder", "decoder")),)
    objective: Objective = {
        "encoder": {"reconstruct": 10.0, "kl": 1.0},
        "decoder": {"reconstruct": 10.0},
    }
    capabilities: ClassVar[tuple[str, ...]] = ("encode",)

    def __init__(
        self,
        spec: DataSpec,
        *,
        backbone: backbones.Backbone = "auto",
        width: float = 1.0,
        latent: int | None = None,
    ) -> None:
        super().__init__()
        self.classes = spec.classes
        self.latent = backbones.code_sizes(spec, backbone, irrelevant=latent)[1]
        self.encoder = backbones.encoder(spec, backbone, width, self.latent, labels=True, heads=2)
        self.decoder = backbones.decoder(spec, backbone, width, self.latent + spec.classes)

    def players(self) -> dict[str, list[nn.Parameter]]:
        """Return who owns what."""
        return {
            "encoder": list(self.encoder.parameters()),
            "decoder": list(self.decoder.parameters()),
        }

    def terms(self, stage: str, batch: Batch, wanted: frozenset[str]) -> dict[str, Tensor]:
        """Return the two halves of the evidence lower bound (Eq. 1 and 3)."""
        return self._reconstruct(batch)[1]
