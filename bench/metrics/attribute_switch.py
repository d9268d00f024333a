"""Whether a model can change one attribute of an image and leave the others."""

from typing import ClassVar

import torch
from torch import Tensor

from bench.data.base import DataSpec
from bench.errors import NotApplicable
from bench.metrics.base import Context, Direction, Measurement, Metric, SampleSet
from bench.metrics.codes import Coder
from bench.metrics.comparison import chosen
from bench.metrics.extractors.domain import domain_classifier
from bench.training.interface import Code, Switches


class AttributeSwitch(Metric):
    """What becomes of real test images in whose code one attribute is turned into its opposite.

    The model puts the attribute's part of the code at the mean of the prior of the other value, and
    the rest of the code is left. `attribute_switch` is the share of images that show the new value,
    `attribute_stay` the share of the other attributes that are still what they were, in percent, as
    a classifier of real images sees them. A model that does nothing has about 0 and 100.

    The classifier knows the combinations that occur in the data and no others. So an attribute is
    switched in those images alone whose new combination is one of them; `n` in the protocol says
    how many these are.

    A model that cannot encode without attributes is given the true ones (`label=given`).

    Args:
        most: Test images at most, chosen at random, for all attributes the same.
        extractor_seed: Which domain classifier.
    """

    name: ClassVar[str] = "attribute_switch"
    direction: ClassVar[Direction] = "higher"
    unit: ClassVar[str] = "%"

    def __init__(self, *, most: int = 5000, extractor_seed: int = 0) -> None:
        if most < 1:
            raise ValueError(f"most must be at least 1, got {most}")
        self.most = most
        self.extractor_seed = extractor_seed

    def measure(self, samples: SampleSet, context: Context) -> list[Measurement]:
        """Return the figures in percent.

        Args:
            samples: Not looked at.
            context: The model, and the test images.

        Returns:
            For both metrics the mean over the attributes, then each of them, named in its protocol.

        Raises:
            NotApplicable: If there is no model, the data have no attributes, or the model has no
                way to switch one.
        """
        coder, spec = Coder(context), context.data.spec
        if not spec.attributes:
            raise NotApplicable(f"images of {spec.name} have one label, no attributes")
        model = coder.model
        if not isinstance(model, Switches):
            raise NotApplicable("the model has no part of its code for each attribute")
        judge = domain_classifier(context, self.extractor_seed)
        test = chosen(context.data.test, self.most)
        switched, stayed = [], []
        for attribute, of in enumerate(spec.attributes):
            targets = turned(spec, attribute)[test.y]
            rows = torch.nonzero(targets >= 0).flatten()
            how = f"of={of},extractor={judge.name},{coder.label},to=prior mean,n={len(rows)}"
            value, others, reason = None, None, f"no combination differs in {of} alone"
            if len(rows):
                wanted = spec.attributes_of(targets[rows])
                code = coder.codes(test.x[rows], test.y[rows])
                code = _switched(model, code, attribute, wanted[:, attribute], context.device)
                seen = judge.logits(coder.images(code, targets[rows])).argmax(dim=1)
                right = 100 * (spec.attributes_of(seen) == wanted).double().mean(dim=0)
                value = right[attribute].item()
                others = (right.sum().item() - value) / max(1, len(right) - 1)
                reason = ""
            switched.append(Measurement("attribute_switch", f"accuracy[{how}]", value, reason))
            stayed.append(Measurement("attribute_stay", f"accuracy[{how}]", others, reason))
        if len(spec.attributes) == 1:
            stayed = []
        how = f"extractor={judge.name},{coder.label},to=prior mean,images<={len(test)}"
        return [*_with_mean(switched, how), *_with_mean(stayed, how)]


def turned(spec: DataSpec, attribute: int) -> Tensor:
    """Return for each class the one that differs in one attribute alone, -1 where there is none.

    Args:
        spec: Data with attributes.
        attribute: Index of the attribute.

    Returns:
        Classes `[K]`.

    Example:
        >>> spec = DataSpec("set", (2,), ("0", "a", "ab"), ("a", "b"), ((0, 0), (1, 0), (1, 1)))
        >>> turned(spec, 0).tolist(), turned(spec, 1).tolist()
        ([1, 0, -1], [-1, 2, 1])
    """
    place = {combination: label for label, combination in enumerate(spec.combinations)}
    found = []
    for combination in spec.combinations:
        target = list(combination)
        target[attribute] = 1 - target[attribute]
        found.append(place.get(tuple(target), -1))
    return torch.tensor(found)


@torch.inference_mode()
def _switched(
    model: Switches, code: Code, attribute: int, values: Tensor, device: torch.device
) -> Code:
    parts = (None if part is None else part.to(device) for part in code)
    return model.switch(Code(*parts), attribute, values.to(device))


def _with_mean(found: list[Measurement], how: str) -> list[Measurement]:
    """Put the mean of all that have a value first."""
    values = [each.value for each in found if each.value is not None]
    if not values:
        return found
    return [Measurement(found[0].metric, f"accuracy[{how}]", sum(values) / len(values)), *found]
