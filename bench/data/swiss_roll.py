r"""The toy set of CSVAE: points on a rolled-up sheet in space, cut into two classes.

.. math:: x = (t \cos t, \; h, \; t \sin t), \qquad t \in [1.5 \pi, 4.5 \pi], \quad h \in [0, 21]

Klys, Snell & Zemel (2018), section 5.1, with scikit-learn's `make_swiss_roll`, `t` and `h` uniform
and no noise. They cut the roll in half at a coordinate of 10. The text was not at hand: public
reproductions read it as `h < 10`, which leaves two whole spirals, or as `x_1 < 10`, which would cut
a sliver from the outermost turn. The default is the former; `cut: turn` is the other cut that
halves the sheet, between its inner and its outer turns.
"""

import math
from dataclasses import dataclass
from typing import Literal

import torch
from torch import Tensor

from bench.data.base import DataSpec
from bench.data.made_points import MadePoints
from bench.spec.run_settings import AtLeastOne, NonNegative

SHEET = {"turn": (1.5 * math.pi, 4.5 * math.pi), "height": (0.0, 21.0)}
CUTS = {"height": 10.0, "turn": 3 * math.pi}
"""Where the sheet is cut: at a height, or at an angle."""


@dataclass(kw_only=True)
class SwissRoll(MadePoints):
    """Points `[N, 3]` of two classes; the test points are further draws.

    `split_seed` is the seed of the points too. The other options are those of `SplitOptions` and
    `HeldOutTestOptions`. There are equally many points of both classes, of the paper's 48 % and
    52 %.

    Attributes:
        per_class: Training points of each class, those for validation included. The paper has
            10 000 of both together.
        noise: Standard deviation of isotropic Gaussian noise; the paper has none.
        cut: What tells the classes apart: `height` along the axis of the roll, or the `turn`.
    """

    per_class: AtLeastOne = 5000
    noise: NonNegative = 0.0
    cut: Literal["height", "turn"] = "height"

    @property
    def full_spec(self) -> DataSpec:
        """The shape: `(3,)`, two classes named by their place, which is an attribute too."""
        names = ("low", "high") if self.cut == "height" else ("inner", "outer")
        return DataSpec("swiss_roll", (3,), names, names[1:], ((0,), (1,)))

    def without_noise(self, label: int, count: int, generator: torch.Generator) -> Tensor:
        """Return points that are uniform in angle and height."""
        ranges = dict(SHEET)
        low, high = ranges[self.cut]
        ranges[self.cut] = (CUTS[self.cut], high) if label else (low, CUTS[self.cut])
        shares = torch.rand(count, 2, generator=generator, dtype=torch.float64).T
        turn, height = (
            low + (high - low) * share
            for (low, high), share in zip(ranges.values(), shares, strict=True)
        )
        return roll(turn, height)


def roll(turn: Tensor, height: Tensor) -> Tensor:
    """Return the points `[N, 3]` at angles and heights `[N]` of the sheet.

    >>> roll(torch.tensor([2 * math.pi]), torch.tensor([5.0])).round(decimals=1).tolist()
    [[6.300000190734863, 5.0, 0.0]]
    """
    return torch.stack((turn * turn.cos(), height, turn * turn.sin()), dim=1)
