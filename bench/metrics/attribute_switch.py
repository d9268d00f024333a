"""Whether a model can change one attribute of an image and leave the others."""

from dataclasses import dataclass
from typing import ClassVar, Literal

import torch
from torch import Tensor

from bench.data.base import DataSpec, Split
from bench.errors import NotApplicable
from bench.metrics.base import Context, Measurement, Quantity, unmeasured, with_mean
from bench.metrics.encoder_decoder import EncoderDecoder, EncodingMetric
from bench.metrics.extractors.domain_classifier import domain_classifier
from bench.seeding import generator_for
from bench.training.interface import Switches

GOALS = {"mean": "prior mean", "image": "other image"}  # of the part, in the protocol


@dataclass(frozen=True, kw_only=True)
class AttributeSwitch(EncodingMetric):
    """Attributes of images decoded from real codes in which one attribute was switched.

    The model moves the attribute's part of the code to the mean of the prior of the other value;
    the rest of the code stays. With `to: image` the part is that of another test image that has the
    other value: a characteristic swap (Joy et al., ICLR 2021).

    `attribute_switch` is the share of images that show the new value, `attribute_stay` the share of
    the other attributes that stay, in percent, as the domain classifier sees them. A model that
    does nothing has about 0 and 100. The first measurement of each is the mean over the attributes;
    the others are of the attribute that the protocol names.

    The classifier knows only the combinations that occur in the data. So an attribute is switched
    only in those images whose new combination is one of them; `n` in the protocol is their number.
    A model that cannot encode without attributes is given the true ones (`label=given`).

    Attributes:
        to: Where the attribute's part of the code goes: to the prior mean of the other value, or to
            where that part is in the code of a random image that has this value.
        most: Number of test images at most: the first ones in the order of their content hashes,
            for all attributes the same.
        extractor_seed: Seed of the domain classifier.
    """

    name = "attribute_switch"
    quantities = {
        "attribute_switch": Quantity("Switched attributes that turn (%)", "higher", 1),
        "attribute_stay": Quantity("Other attributes that stay (%)", "higher", 1),
    }

    later_options: ClassVar[tuple[str, ...]] = ("to",)

    to: Literal["mean", "image"] = "mean"
    extractor_seed: int = 0

    def evaluate(self, coder: EncoderDecoder, test: Split, context: Context) -> list[Measurement]:
        """Measure for both quantities the mean over the attributes, then each of them."""
        spec = context.data.spec
        context.require_attributes()
        if not isinstance(coder.model, Switches):
            raise NotApplicable("the model has no part of its code for each attribute")
        classifier = domain_classifier(context, self.extractor_seed)
        source = f"extractor={classifier.name},{coder.label},to={GOALS[self.to]}"
        switched, stayed = [], []
        for attribute, name in enumerate(spec.attributes):
            targets = switched_classes(spec, attribute)[test.y]
            indices = torch.nonzero(targets >= 0).flatten()
            shown = spec.attributes_of(test.y)[:, attribute]
            value, others, reason = None, None, f"no combination differs in {name} alone"
            if len(indices) and self.to == "image" and len(torch.unique(shown)) < 2:
                reason = f"{name} is the same in all {len(test)} test images, so none has another"
            elif len(indices):
                wanted = spec.attributes_of(targets[indices])
                code = coder.encode(test.x[indices], test.y[indices])
                if self.to == "image":
                    donors = donors_of(shown, indices)
                    donor = coder.encode(test.x[donors], test.y[donors])
                    code = coder.transplant(code, donor, attribute)
                else:
                    code = coder.switch(code, attribute, wanted[:, attribute])
                seen = classifier.logits(coder.decode(code, targets[indices])).argmax(dim=1)
                right = 100 * (spec.attributes_of(seen) == wanted).double().mean(dim=0)
                value = right[attribute].item()
                others = (right.sum().item() - value) / max(1, len(right) - 1)
                reason = ""
            protocol = f"accuracy[of={name},{source},n={len(indices)}]"
            switched.append(Measurement("attribute_switch", protocol, value, reason))
            stayed.append(Measurement("attribute_stay", protocol, others, reason))
        if len(spec.attributes) == 1:
            stayed = unmeasured(["attribute_stay"], "", "there is no other attribute")
        protocol = f"accuracy[{source},images<={len(test)}]"
        return [*with_mean(switched, protocol), *with_mean(stayed, protocol)]


def donors_of(values: Tensor, indices: Tensor) -> Tensor:
    """Return for each of some images a random one with the other value, always the same.

    `values` `[N]` are 0 or 1, `indices` `[P]` those images; both values occur.

    >>> donors_of(torch.tensor([0, 1, 0]), torch.tensor([0, 2])).tolist()
    [1, 1]
    """
    generator = generator_for(0, "attribute_switch")
    share = torch.rand(len(values), generator=generator, dtype=torch.float64)
    donors = torch.empty_like(values)
    for value in (0, 1):
        others = torch.nonzero(values != value).flatten()
        mine = values == value
        donors[mine] = others[(share[mine] * len(others)).long()]
    return donors[indices]


def switched_classes(spec: DataSpec, attribute: int) -> Tensor:
    """Return for each class the one that differs in one attribute alone, -1 if there is none.

    >>> spec = DataSpec("set", (2,), ("0", "a", "ab"), ("a", "b"), ((0, 0), (1, 0), (1, 1)))
    >>> switched_classes(spec, 0).tolist(), switched_classes(spec, 1).tolist()
    ([1, 0, -1], [-1, 2, 1])
    """
    label_of = {combination: label for label, combination in enumerate(spec.combinations)}
    switched = []
    for combination in spec.combinations:
        target = list(combination)
        target[attribute] = 1 - target[attribute]
        switched.append(label_of.get(tuple(target), -1))
    return torch.tensor(switched)
