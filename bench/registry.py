"""Who is called what: explicit, lazy name tables, and entry points for other packages.

A table maps a name to an import path and one line of description, so that listing names imports
nothing. A package of the user's adds to a table with an entry point in its own
`pyproject.toml`, in the group `bench.models`, `bench.datasets`, `bench.metrics`,
`bench.controls` or `bench.executors`:

    [project.entry-points."bench.models"]
    my_model = "my_package.my_model:MyModel"
"""

import functools
import importlib
import inspect
import typing
from collections.abc import Mapping
from dataclasses import dataclass
from importlib.metadata import entry_points
from typing import Any, Literal

from pydantic import BaseModel, ConfigDict, create_model

from bench.errors import BenchError, UnknownName

Kind = Literal["model", "dataset", "metric", "control", "executor"]


@dataclass(frozen=True)
class Entry:
    """One row of a name table.

    Attributes:
        target: Import path, `module:attribute`.
        summary: One line for people.
        can: What a model can do beyond sampling, as its class says in `capabilities`.
    """

    target: str
    summary: str
    can: tuple[str, ...] = ()


TABLES: Mapping[Kind, Mapping[str, Entry]] = {
    "model": {
        "lr_livae": Entry(
            "models.lr_livae:LRIRVAE",
            "Lr-LiVAE, Zheng & Sun 2019: label-relevant and label-irrelevant codes, VAE-GAN",
            ("encode", "classify", "semi-supervised"),
        ),
        "cvae": Entry(
            "baselines.cvae:CVAE",
            "cVAE, Sohn et al. 2015: label given to encoder and decoder",
            ("encode",),
        ),
        "cvae_gan": Entry(
            "baselines.cvae_gan:CVAEGAN",
            "cVAE-GAN as Zheng & Sun 2019 compare it: critic, losses and weights of Lr-LiVAE",
            ("encode",),
        ),
        "cvae_gan_bao": Entry(
            "baselines.cvae_gan:CVAEGANBao",
            "cVAE-GAN, Bao et al. 2017: feature means and pairs matched, with a classifier",
            ("encode", "classify"),
        ),
        "cgan": Entry(
            "baselines.cgan:CGAN",
            "cGAN, Miyato & Koyama 2018: projection critic with spectral norm",
        ),
        "csvae": Entry(
            "baselines.csvae:CSVAE",
            "CSVAE, Klys et al. 2018: a latent subspace for each label, an adversary on the rest",
            ("encode", "attributes"),
        ),
        "ccvae": Entry(
            "baselines.ccvae:CCVAE",
            "CCVAE, Joy et al. 2021: label-blind encoder, class priors, classifier on the code",
            ("encode", "classify", "semi-supervised", "attributes"),
        ),
        "flow_matching": Entry(
            "baselines.flow_matching:FlowMatching",
            "flow matching, Lipman et al. 2023: a learned flow from noise, a modern reference",
        ),
    },
    "dataset": {
        "digits": Entry("bench.data.digits:Digits", "1 797 real digits, 8x8 gray; no download"),
        "digit_attributes": Entry(
            "bench.data.digits:DigitAttributes", "the same digits: odd, five or more, has a loop"
        ),
        "moons": Entry("bench.data.moons:Moons", "the paper's three arcs in the plane"),
        "blobs": Entry("bench.data.blobs:Blobs", "tiny synthetic images, for tests"),
        "mnist": Entry("bench.data.torchvision_sets:MNIST", "70 000 digits, padded to 32x32 gray"),
        "fashion_mnist": Entry(
            "bench.data.torchvision_sets:FashionMNIST", "70 000 garments, padded to 32x32 gray"
        ),
        "svhn": Entry("bench.data.torchvision_sets:SVHN", "99 289 house numbers, 32x32 color"),
        "cifar10": Entry(
            "bench.data.torchvision_sets:CIFAR10", "60 000 photographs, 10 classes, 32x32"
        ),
        "cifar100": Entry(
            "bench.data.torchvision_sets:CIFAR100", "60 000 photographs, 100 classes, 32x32"
        ),
        "celeba": Entry(
            "bench.data.celeba:CelebA", "202 599 faces, combinations of attributes, 64x64 color"
        ),
        "folder": Entry("bench.data.folders:Folder", "any tree with one folder a class"),
        "npz": Entry("bench.data.npz:Npz", "any .npz with x_train, y_train, x_test, y_test"),
    },
    "metric": {
        "inception_score": Entry(
            "bench.metrics.inception_score:InceptionScore",
            "Inception Score from the domain classifier or the Inception network",
        ),
        "intra_class_diversity": Entry(
            "bench.metrics.intra_class_diversity:IntraClassDiversity",
            "1 - mean MS-SSIM over all pairs within a class",
        ),
        "intra_class_diversity_native": Entry(
            "bench.metrics.intra_class_diversity:NativeIntraClassDiversity",
            "1 - mean MS-SSIM over all pairs within a class, at the images' own size",
        ),
        "within_class_variance": Entry(
            "bench.metrics.within_class_variance:WithinClassVariance",
            "variance of pixels and of the domain classifier's features within a class",
        ),
        "class_accuracy": Entry(
            "bench.metrics.class_accuracy:ClassAccuracy",
            "share of samples that a classifier of real data gives the label asked for",
        ),
        "classification_accuracy_score": Entry(
            "bench.metrics.classification_accuracy_score:ClassificationAccuracyScore",
            "accuracy on real images of a classifier trained on samples, Ravuri & Vinyals 2019",
        ),
        "fid": Entry(
            "bench.metrics.fid:FrechetDistance",
            "Fréchet distance of features of samples and real images; also within the classes",
        ),
        "kid": Entry(
            "bench.metrics.kid:KernelDistance",
            "kernel distance of features, unbiased; also within the classes",
        ),
        "precision_recall": Entry(
            "bench.metrics.precision_recall:PrecisionRecall",
            "improved precision and recall, Kynkäänniemi et al. 2019",
        ),
        "density_coverage": Entry(
            "bench.metrics.density_coverage:DensityCoverage",
            "density and coverage, Naeem et al. 2020",
        ),
        "attribute_accuracy": Entry(
            "bench.metrics.attribute_accuracy:AttributeAccuracy",
            "share of attributes that a classifier of real data sees as they were asked for",
        ),
        "prior_fit": Entry(
            "bench.metrics.prior_fit:PriorFit",
            "distance of codes from their prior, 1 if calibrated; collapsed dimensions",
        ),
        "leakage": Entry(
            "bench.metrics.leakage:Leakage",
            "accuracy of probes that read the label from the codes of real images",
        ),
        "swap": Entry(
            "bench.metrics.swap:Swap",
            "images of exchanged codes: which class they show, and what they keep",
        ),
        "attribute_switch": Entry(
            "bench.metrics.attribute_switch:AttributeSwitch",
            "whether one attribute of a real image can be switched, and the others stay",
        ),
        "reconstruction": Entry(
            "bench.metrics.reconstruction:Reconstruction",
            "MSE, PSNR, SSIM and LPIPS of real images, encoded and decoded",
        ),
        "inpainting": Entry(
            "bench.metrics.inpainting:Inpainting",
            "MSE and PSNR inside a region that was hidden from the encoder",
        ),
        "arc_fit": Entry("bench.metrics.arc_fit:ArcFit", "how well the toy arcs are covered"),
    },
    "control": {
        "real": Entry("bench.evaluation.controls:Real", "real test images"),
        "class_means": Entry("bench.evaluation.controls:ClassMeans", "class means"),
        "shuffled_labels": Entry(
            "bench.evaluation.controls:ShuffledLabels", "real, labels shuffled"
        ),
        "noise": Entry("bench.evaluation.controls:Noise", "noise"),
    },
    "executor": {
        "inline": Entry(
            "bench.execution.executors.inline:Inline", "one run after the other, in this process"
        ),
        "local": Entry(
            "bench.execution.executors.local:Local",
            "processes on this machine, --jobs of them; several take turns at the GPUs",
        ),
        "ray": Entry(
            "bench.execution.executors.ray:Ray",
            "a Ray cluster by its address, or one of this machine alone; extra 'ray'",
        ),
        "slurm": Entry(
            "bench.execution.executors.slurm:Slurm", "an array of Slurm jobs; extra 'slurm'"
        ),
    },
}


@functools.cache
def entries(kind: Kind) -> dict[str, Entry]:
    """Return the table of one kind, built-in names first, entry points added.

    Args:
        kind: Which table.

    Returns:
        Name -> entry, in listing order.

    Raises:
        BenchError: If a package registers a name that is taken.
    """
    table = dict(TABLES[kind])
    for point in entry_points(group=f"bench.{kind}s"):
        package = point.dist.name if point.dist else "another package"
        if point.name in table:
            raise BenchError(
                f"{package} registers the {kind} {point.name!r} as {point.value}, "
                f"but that name belongs to {table[point.name].target}; rename one of them"
            )
        table[point.name] = Entry(point.value, f"from {package}")
    return table


def load(kind: Kind, name: str) -> type[Any]:
    """Import and return the class behind a name.

    Args:
        kind: Which table.
        name: The registered name.

    Returns:
        The class.

    Raises:
        UnknownName: If no table has the name.
        BenchError: If the import path does not lead to a class.
    """
    table = entries(kind)
    if name not in table:
        raise UnknownName(kind, name, table)
    module, _, attribute = table[name].target.partition(":")
    try:
        found = getattr(importlib.import_module(module), attribute)
    except (ImportError, AttributeError) as error:
        raise BenchError(
            f"the {kind} {name!r} is registered as {table[name].target}, "
            f"which cannot be imported: {error}"
        ) from error
    if not inspect.isclass(found):
        raise BenchError(f"the {kind} {name!r} is registered as {table[name].target}: no class")
    return found


def options_schema(factory: type[Any], skip: int = 0) -> type[BaseModel]:
    """Return the schema of the options of a registered class.

    The constructor's signature is the schema: names, annotations and defaults. Unknown names
    are refused.

    Args:
        factory: A class whose options are annotated parameters of `__init__`.
        skip: Leading positional parameters that the harness supplies.

    Returns:
        A pydantic model whose fields are the options.

    Raises:
        BenchError: If an option is not annotated.
    """
    hints = typing.get_type_hints(factory.__init__, include_extras=True)
    fields: dict[str, Any] = {}
    for parameter in list(inspect.signature(factory).parameters.values())[skip:]:
        if parameter.kind in (parameter.VAR_POSITIONAL, parameter.VAR_KEYWORD):
            raise BenchError(
                f"{factory.__module__}.{factory.__qualname__} takes *args or **kwargs; "
                "options must be named parameters, since the signature is their schema"
            )
        if parameter.name not in hints:
            raise BenchError(
                f"{factory.__module__}.{factory.__qualname__}: option {parameter.name!r} "
                "needs a type annotation, since the signature is the schema"
            )
        default = ... if parameter.default is parameter.empty else parameter.default
        fields[parameter.name] = (hints[parameter.name], default)
    return create_model(
        factory.__qualname__,
        __config__=ConfigDict(extra="forbid", strict=True, protected_namespaces=()),
        **fields,
    )
