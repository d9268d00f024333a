"""The options by which metrics choose a network: one with a name, the user's own file, or none."""

from typing import Annotated, Any, Literal

from pydantic import Discriminator, Tag

from bench.data.base import DataSpec
from bench.metrics.base import Context
from bench.metrics.extractors.base import Classifier, FeatureExtractor
from bench.metrics.extractors.domain_classifier import domain_classifier, feature_width
from bench.metrics.extractors.inception import FEATURES, inception, inception_features
from bench.metrics.extractors.network_file import Network, network_features, network_logits
from bench.metrics.extractors.pixels import pixel_count, pixel_features
from bench.metrics.extractors.vision_transformers import transformer_features


def _form(value: Any) -> str:
    """Return which form the option has, so that error messages are about that form alone."""
    return "network" if isinstance(value, dict | Network) else "name"


_File = Annotated[Network, Tag("network")]
ExtractorOption = Annotated[
    Annotated[Literal["domain", "inception", "dinov2", "clip", "pixels"], Tag("name")] | _File,
    Discriminator(_form),
]
"""A network that gives features; `bench.metrics.extractors.EXTRACTORS` says what they are."""

LogitsOption = Annotated[
    Annotated[Literal["domain", "inception"], Tag("name")] | _File, Discriminator(_form)
]
"""A network that gives logits of any classes."""

ClassifierOption = Annotated[
    Annotated[Literal["domain"], Tag("name")] | _File, Discriminator(_form)
]
"""A network that gives logits of the classes of the data."""


def choose_classifier(context: Context, option: LogitsOption, seed: int) -> Classifier:
    """Return the network that gives logits; `seed` is that of the domain classifier."""
    if isinstance(option, Network):
        return network_logits(context, option)
    return domain_classifier(context, seed) if option == "domain" else inception(context)


def choose_feature_extractor(
    context: Context, option: ExtractorOption, seed: int
) -> FeatureExtractor:
    """Return the network that gives features; `seed` is that of the domain classifier."""
    if isinstance(option, Network):
        return network_features(context, option)
    if option == "domain":
        return domain_classifier(context, seed).extractor
    if option == "inception":
        return inception_features(context)
    if option == "pixels":
        return pixel_features(context.data.spec, context.device)
    return transformer_features(context, option)


def known_width(option: ExtractorOption, spec: DataSpec) -> int | None:
    """Return the number of features on such data; None where only the network can tell it."""
    if isinstance(option, Network) or not spec.is_image:
        return None
    if option == "domain":
        return feature_width(spec)
    if option == "pixels":
        return pixel_count(spec)
    return FEATURES if option == "inception" else None
