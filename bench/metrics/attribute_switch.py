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
from bench.metrics.reconstruction import squared_errors
from bench.seeding import generator_for
from bench.training.interface import Code, Infers, Switches

GOALS = {"mean": "prior mean", "image": "other image"}  # of the part, in the protocol


@dataclass(frozen=True, kw_only=True)
class AttributeSwitch(EncodingMetric):
    """Attributes of images decoded from real codes in which one attribute was switched.

    What a model keeps of the label moves to the mean of its prior given the new value, and the rest
    of the code stays (`to=prior mean`). It depends on the model what that is:

    - a part of the code for each attribute (CSVAE, CCVAE), of which one moves;
    - a relevant code with a prior for each combination (Lr-LiVAE), all of which is replaced. If
      there is no other code (VAE), it is moved by the difference between the means of the new and
      the old combination, for which the label has to be given;
    - the label itself (cVAE): the image is decoded with that of the new combination.

    With `to: image` the part of the attribute, which a model must have, is that of another test
    image that has the other value: a characteristic swap (Joy et al., ICLR 2021).

    `attribute_switch` is the share of images that show the new value, `attribute_stay` the share of
    the other attributes that stay, in percent, as the domain classifier sees them. A model that
    does nothing has about 0 and 100. `attribute_change` is the mean squared difference between the
    changed images and the originals, as 8-bit images in `[0, 1]`, a mean over the attributes; the
    error of the reconstruction is in it, and a model may change too little or too much. The first
    measurement of either share is the mean over the attributes; the others are of the attribute
    that the protocol names.

    Klys et al. (2018) report the classifier's accuracy on changed images, and the squared error
    of changed faces from true ones of the same person, which no data set here has.

    The attributes that it sees are those of the most probable combination, of which the classifier
    knows only those that occur in the data. So an attribute is switched only in those images whose
    new combination is one of them; `n` in the protocol is their number. A model that cannot encode
    or decode without the label is given it, the true one to encode (`label=given`).

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
        "attribute_change": Quantity("Squared change of switched images", decimals=4),
    }

    later_options: ClassVar[tuple[str, ...]] = ("to",)

    to: Literal["mean", "image"] = "mean"
    extractor_seed: int = 0

    def evaluate(self, coder: EncoderDecoder, test: Split, context: Context) -> list[Measurement]:
        """Measure for both quantities the mean over the attributes, then each of them."""
        spec = context.data.spec
        context.require_attributes()
        if self.to == "image" and not isinstance(coder.model, Switches):
            raise NotApplicable("the model has no part of its code for each attribute")
        class_means = _class_means(coder)
        classifier = domain_classifier(context, self.extractor_seed)
        first = coder.encode(test.x[:1], test.y[:1])
        label = coder.label if first.irrelevant is not None else "label=given"
        how = f"{label},to={GOALS[self.to]}"
        source = f"extractor={classifier.name},{how}"
        switched, stayed, changes = [], [], []
        for attribute, name in enumerate(spec.attributes):
            targets = switched_classes(spec, attribute)[test.y]
            indices = torch.nonzero(targets >= 0).flatten()
            shown = spec.attributes_of(test.y)[:, attribute]
            value, others, reason = None, None, f"no combination differs in {name} alone"
            if len(indices) and self.to == "image" and len(torch.unique(shown)) < 2:
                reason = f"{name} is the same in all {len(test)} test images, so none has another"
            elif len(indices):
                x, y, new = test.x[indices], test.y[indices], targets[indices]
                wanted = spec.attributes_of(new)
                code = coder.encode(x, y)
                if self.to == "image":
                    donors = donors_of(shown, indices)
                    donor = coder.encode(test.x[donors], test.y[donors])
                    code = coder.transplant(code, donor, attribute)
                elif isinstance(coder.model, Switches):
                    code = coder.switch(code, attribute, wanted[:, attribute])
                elif class_means is not None:
                    code = _moved(code, class_means[y], class_means[new])
                images = coder.decode(code, new)
                changes.append(squared_errors(x, images).mean().item())
                seen = classifier.logits(images).argmax(dim=1)
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
        change = Measurement(
            "attribute_change",
            f"mse[8bit,{how},images<={len(test)}]",
            sum(changes) / len(changes) if changes else None,
            "" if changes else "no combination differs in one attribute alone",
        )
        return [*with_mean(switched, protocol), *with_mean(stayed, protocol), change]


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


@torch.inference_mode()
def _class_means(coder: EncoderDecoder) -> Tensor | None:
    """Return the prior means of relevant codes `[K, D_s]`, None if the label itself is relevant.

    A `NotApplicable` says if the model keeps the label in no known place.
    """
    prior = coder.model.class_prior() if isinstance(coder.model, Infers) else None
    if prior is not None:
        return prior[0].float().cpu()
    if not isinstance(coder.model, Switches) and not coder.decoder_needs_label:
        raise NotApplicable(
            "the model has no part of its code for each attribute, no prior for each class, and "
            "decodes without a label"
        )
    return None


def _moved(code: Code, old: Tensor, new: Tensor) -> Code:
    """Return codes with the relevant part at new means; moved from the old ones if it is all."""
    assert code.relevant is not None
    return Code(new if code.irrelevant is not None else code.relevant + new - old, code.irrelevant)


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
