"""Whether a model can change one attribute of an image and leave the others."""

from dataclasses import dataclass

import torch
from torch import Tensor

from bench.data.base import DataSpec, Split
from bench.errors import NotApplicable
from bench.metrics.base import Context, Measurement, Quantity, unmeasured
from bench.metrics.encoder_decoder import EncoderDecoder, EncodingMetric
from bench.metrics.extractors.domain_classifier import domain_classifier
from bench.metrics.reconstruction import squared_errors
from bench.training.interface import Code, Infers, Switches


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

    `attribute_switch` is the share of images that show the new value, `attribute_stay` the share of
    the other attributes that stay, in percent, as the domain classifier sees them. A model that
    does nothing has about 0 and 100. `attribute_change` is the mean squared difference between the
    changed images and the originals, as 8-bit images in `[0, 1]`, a mean over the attributes; the
    error of the reconstruction is in it, and a model may change too little or too much. The first
    measurement of either share is the mean over the attributes; the others are of the attribute
    that the protocol names.

    Klys et al. (2018) report the classifier's accuracy on changed images, and the squared error
    of changed faces from true ones of the same person, which no data set here has.

    The classifier knows only the combinations that occur in the data. So an attribute is switched
    only in those images whose new combination is one of them; `n` in the protocol is their number.
    A model that cannot encode or decode without the label is given it, the true one to encode
    (`label=given`).

    Attributes:
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

    extractor_seed: int = 0

    def evaluate(self, coder: EncoderDecoder, test: Split, context: Context) -> list[Measurement]:
        """Measure for both quantities the mean over the attributes, then each of them."""
        spec = context.data.spec
        context.require_attributes()
        class_means = _class_means(coder)
        classifier = domain_classifier(context, self.extractor_seed)
        first = coder.encode(test.x[:1], test.y[:1])
        label = coder.label if first.irrelevant is not None else "label=given"
        source = f"extractor={classifier.name},{label},to=prior mean"
        switched, stayed, changes = [], [], []
        for attribute, name in enumerate(spec.attributes):
            targets = switched_classes(spec, attribute)[test.y]
            indices = torch.nonzero(targets >= 0).flatten()
            value, others, reason = None, None, f"no combination differs in {name} alone"
            if len(indices):
                x, y, new = test.x[indices], test.y[indices], targets[indices]
                wanted = spec.attributes_of(new)
                code = coder.encode(x, y)
                if isinstance(coder.model, Switches):
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
        return [
            *_with_mean(switched, protocol),
            *_with_mean(stayed, protocol),
            Measurement(
                "attribute_change",
                f"mse[8bit,{label},to=prior mean,images<={len(test)}]",
                sum(changes) / len(changes) if changes else None,
                "" if changes else "no combination differs in one attribute alone",
            ),
        ]


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


def _with_mean(measurements: list[Measurement], protocol: str) -> list[Measurement]:
    """Put the mean of the measurements that have a value first."""
    values = [each.value for each in measurements if each.value is not None]
    if not values:
        return measurements
    return [Measurement(measurements[0].metric, protocol, sum(values) / len(values)), *measurements]
