"""The option `extractor` of metrics: the domain classifier, Inception, or the user's own file."""

from typing import Annotated, Any, Literal

from pydantic import Discriminator, Tag

from bench.data.base import DataSpec
from bench.metrics.base import Context
from bench.metrics.extractors.base import Classifier, FeatureExtractor
from bench.metrics.extractors.domain_classifier import domain_classifier, feature_width
from bench.metrics.extractors.inception import FEATURES, inception, inception_features
from bench.metrics.extractors.network_file import Network, network_features, network_logits


def _form(value: Any) -> str:
    """Return which form the option has, so that error messages are about that form alone."""
    return "network" if isinstance(value, dict | Network) else "name"


_File = Annotated[Network, Tag("network")]
ExtractorOption = Annotated[
    Annotated[Literal["domain", "inception"], Tag("name")] | _File, Discriminator(_form)
]
ClassifierOption = Annotated[
    Annotated[Literal["domain"], Tag("name")] | _File, Discriminator(_form)
]


def choose_classifier(context: Context, option: ExtractorOption, seed: int) -> Classifier:
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
    return inception_features(context)


def known_width(option: ExtractorOption, spec: DataSpec) -> int | None:
    """Return the number of features on such data; None where only the network can tell it."""
    if isinstance(option, Network) or not spec.is_image:
        return None
    return FEATURES if option == "inception" else feature_width(spec)
