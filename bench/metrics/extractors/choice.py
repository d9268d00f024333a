"""Which network judges: the classifier of the data set, Inception, or a file of the user's."""

from typing import Annotated, Any, Literal

from pydantic import Discriminator, Tag

from bench.metrics.base import Context
from bench.metrics.extractors.domain import Extractor, FeatureExtractor, domain_classifier
from bench.metrics.extractors.inception import inception, inception_features
from bench.metrics.extractors.network_file import Network, network_features, network_logits


def _kind(value: Any) -> str:
    """Return which form an option has, so that complaints are about that form alone."""
    return "network" if isinstance(value, dict | Network) else "name"


_File = Annotated[Network, Tag("network")]
ExtractorChoice = Annotated[
    Annotated[Literal["domain", "inception"], Tag("name")] | _File, Discriminator(_kind)
]
ClassifierChoice = Annotated[
    Annotated[Literal["domain"], Tag("name")] | _File, Discriminator(_kind)
]


def logits_judge(context: Context, choice: ExtractorChoice, seed: int) -> Extractor:
    """Return what gives logits.

    Args:
        context: The data, the device, the caches and the file of the Inception weights.
        choice: Which network.
        seed: Which domain classifier.

    Returns:
        The extractor.

    Raises:
        NotApplicable: Where there is no network to judge.
        BenchError: If a file is no such network.
    """
    if isinstance(choice, Network):
        return network_logits(context, choice)
    return domain_classifier(context, seed) if choice == "domain" else inception(context)


def features_judge(context: Context, choice: ExtractorChoice, seed: int) -> FeatureExtractor:
    """Return what gives features.

    Args:
        context: The data, the device, the caches and the file of the Inception weights.
        choice: Which network.
        seed: Which domain classifier.

    Returns:
        The extractor.

    Raises:
        NotApplicable: Where there is no network to judge.
        BenchError: If a file is no such network.
    """
    if isinstance(choice, Network):
        return network_features(context, choice)
    if choice == "domain":
        return domain_classifier(context, seed).penultimate
    return inception_features(context)
