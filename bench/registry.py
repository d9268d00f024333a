"""Names of models, data sets, metrics, controls and executors, and the classes behind them.

A table maps a name to an import path and one line of description, so that listing names imports
nothing. Another package adds to a table with an entry point in its own `pyproject.toml`, in the
group `bench.models`, `bench.datasets`, `bench.metrics`, `bench.controls` or `bench.executors`:

    [project.entry-points."bench.models"]
    my_model = "my_package.my_model:MyModel"
"""

import functools
import importlib
import inspect
from collections.abc import Mapping
from contextlib import suppress
from dataclasses import dataclass
from importlib.metadata import EntryPoint, entry_points
from typing import Any, Literal

from bench.errors import BenchError, UnknownName

Kind = Literal["model", "dataset", "metric", "control", "executor"]

RENAMED = {
    "references": "controls",
}
"""Keys of sweeps, and groups of entry points, that have a new name: old name -> new name."""


@dataclass(frozen=True)
class Registration:
    """What a name stands for: an import path, `module:attribute`, and one line for people."""

    target: str
    summary: str


TABLES: Mapping[Kind, Mapping[str, Registration]] = {
    "model": {
        "lr_livae": Registration(
            "models.lr_livae:LRIRVAE",
            "Lr-LiVAE, Zheng & Sun 2019: label-relevant and label-irrelevant codes, VAE-GAN",
        ),
        "cvae": Registration(
            "baselines.cvae:CVAE",
            "cVAE, Sohn et al. 2015: label given to encoder and decoder",
        ),
        "cvae_gan": Registration(
            "baselines.cvae_gan:CVAEGAN",
            "cVAE-GAN as Zheng & Sun 2019 compare it: critic, losses and weights of Lr-LiVAE",
        ),
        "cvae_gan_bao": Registration(
            "baselines.cvae_gan:CVAEGANBao",
            "cVAE-GAN, Bao et al. 2017: feature means and pairs matched, with a classifier",
        ),
        "cgan": Registration(
            "baselines.cgan:CGAN",
            "cGAN, Miyato & Koyama 2018: projection critic with spectral norm",
        ),
        "csvae": Registration(
            "baselines.csvae:CSVAE",
            "CSVAE, Klys et al. 2018: a latent subspace for each label, an adversary on the rest",
        ),
        "ccvae": Registration(
            "baselines.ccvae:CCVAE",
            "CCVAE, Joy et al. 2021: label-blind encoder, class priors, classifier on the code",
        ),
        "flow_matching": Registration(
            "baselines.flow_matching:FlowMatching",
            "flow matching, Lipman et al. 2023: a learned flow from noise, a modern baseline",
        ),
    },
    "dataset": {
        "digits": Registration(
            "bench.data.digits:Digits", "1 797 real digits, 8x8 gray; no download"
        ),
        "digit_attributes": Registration(
            "bench.data.digits:DigitAttributes", "the same digits: odd, five or more, has a loop"
        ),
        "moons": Registration("bench.data.moons:Moons", "the paper's three arcs in the plane"),
        "blobs": Registration("bench.data.blobs:Blobs", "tiny synthetic images, for tests"),
        "mnist": Registration(
            "bench.data.torchvision_sets:MNIST", "70 000 digits, padded to 32x32 gray"
        ),
        "fashion_mnist": Registration(
            "bench.data.torchvision_sets:FashionMNIST", "70 000 garments, padded to 32x32 gray"
        ),
        "svhn": Registration(
            "bench.data.torchvision_sets:SVHN", "99 289 house numbers, 32x32 color"
        ),
        "cifar10": Registration(
            "bench.data.torchvision_sets:CIFAR10", "60 000 photographs, 10 classes, 32x32"
        ),
        "cifar100": Registration(
            "bench.data.torchvision_sets:CIFAR100", "60 000 photographs, 100 classes, 32x32"
        ),
        "celeba": Registration(
            "bench.data.celeba:CelebA", "202 599 faces, combinations of attributes, 64x64 color"
        ),
        "folder": Registration("bench.data.folders:Folder", "any tree with one folder a class"),
        "npz": Registration("bench.data.npz:Npz", "any .npz with x_train, y_train, x_test, y_test"),
    },
    "metric": {
        "inception_score": Registration(
            "bench.metrics.inception_score:InceptionScore",
            "Inception Score from the domain classifier or the Inception network",
        ),
        "intra_class_diversity": Registration(
            "bench.metrics.intra_class_diversity:IntraClassDiversity",
            "1 - mean MS-SSIM over all pairs within a class",
        ),
        "intra_class_diversity_native": Registration(
            "bench.metrics.intra_class_diversity:NativeIntraClassDiversity",
            "1 - mean MS-SSIM over all pairs within a class, at the images' own size",
        ),
        "within_class_variance": Registration(
            "bench.metrics.within_class_variance:WithinClassVariance",
            "variance of pixels and of the domain classifier's features within a class",
        ),
        "class_accuracy": Registration(
            "bench.metrics.class_accuracy:ClassAccuracy",
            "share of samples that a classifier of real data gives the label asked for",
        ),
        "classification_accuracy_score": Registration(
            "bench.metrics.classification_accuracy_score:ClassificationAccuracyScore",
            "accuracy on real images of a classifier trained on samples, Ravuri & Vinyals 2019",
        ),
        "fid": Registration(
            "bench.metrics.fid:FrechetDistance",
            "Fréchet distance of features of samples and real images; also within the classes",
        ),
        "kid": Registration(
            "bench.metrics.kid:KernelDistance",
            "kernel distance of features, unbiased; also within the classes",
        ),
        "precision_recall": Registration(
            "bench.metrics.precision_recall:PrecisionRecall",
            "improved precision and recall, Kynkäänniemi et al. 2019",
        ),
        "density_coverage": Registration(
            "bench.metrics.density_coverage:DensityCoverage",
            "density and coverage, Naeem et al. 2020",
        ),
        "attribute_accuracy": Registration(
            "bench.metrics.attribute_accuracy:AttributeAccuracy",
            "share of samples that show the attribute asked for, for each attribute",
        ),
        "prior_fit": Registration(
            "bench.metrics.prior_fit:PriorFit",
            "distance of codes from their prior, 1 if calibrated; collapsed dimensions",
        ),
        "leakage": Registration(
            "bench.metrics.leakage:Leakage",
            "accuracy of probes that read the label from the codes of real images",
        ),
        "swap": Registration(
            "bench.metrics.swap:Swap",
            "images of exchanged codes: which class they show, and what they keep",
        ),
        "attribute_switch": Registration(
            "bench.metrics.attribute_switch:AttributeSwitch",
            "one attribute of a real image changed: whether it changes, and the others stay",
        ),
        "reconstruction": Registration(
            "bench.metrics.reconstruction:Reconstruction",
            "MSE, PSNR, SSIM and LPIPS of real images, encoded and decoded",
        ),
        "inpainting": Registration(
            "bench.metrics.inpainting:Inpainting",
            "MSE and PSNR inside a region that was hidden from the encoder",
        ),
        "arc_fit": Registration(
            "bench.metrics.arc_fit:ArcFit", "how well the toy arcs are covered"
        ),
    },
    "control": {
        "real": Registration("bench.evaluation.controls:Real", "real test images"),
        "class_means": Registration("bench.evaluation.controls:ClassMeans", "class means"),
        "shuffled_labels": Registration(
            "bench.evaluation.controls:ShuffledLabels", "real, labels shuffled"
        ),
        "noise": Registration("bench.evaluation.controls:Noise", "noise"),
    },
    "executor": {
        "inline": Registration(
            "bench.execution.executors.inline:Inline", "one run after the other, in this process"
        ),
        "local": Registration(
            "bench.execution.executors.local:Local",
            "processes on this machine, --jobs of them; several take turns at the GPUs",
        ),
        "ray": Registration(
            "bench.execution.executors.ray:Ray",
            "a Ray cluster by its address, or one of this machine alone; extra 'ray'",
        ),
        "slurm": Registration(
            "bench.execution.executors.slurm:Slurm", "an array of Slurm jobs; extra 'slurm'"
        ),
    },
}


@functools.cache
def registered(kind: Kind) -> dict[str, Registration]:
    """Return the names of one kind: built-in ones first, then those of other packages."""
    table, group = dict(TABLES[kind]), f"{kind}s"
    for old in (old for old, new in RENAMED.items() if new == group):
        for point in entry_points(group=f"bench.{old}"):
            raise BenchError(
                f"{_package(point)} registers {point.name!r} in the entry point group "
                f"bench.{old}, which is called bench.{group} now"
            )
    for point in entry_points(group=f"bench.{group}"):
        if point.name in table:
            raise BenchError(
                f"{_package(point)} registers the {kind} {point.name!r} as {point.value}, "
                f"but that name belongs to {table[point.name].target}; rename one of them"
            )
        table[point.name] = Registration(point.value, f"from {_package(point)}")
    return table


def load(kind: Kind, name: str) -> type[Any]:
    """Import and return the class behind a name; an `UnknownName` suggests a near one."""
    table = registered(kind)
    if name not in table:
        raise UnknownName(kind, name, table)
    target = table[name].target
    module, _, attribute = target.partition(":")
    try:
        factory = getattr(importlib.import_module(module), attribute)
    except (ImportError, AttributeError) as error:
        raise BenchError(
            f"the {kind} {name!r} is registered as {target}, which cannot be imported: {error}"
        ) from error
    if not inspect.isclass(factory):
        raise BenchError(f"the {kind} {name!r} is registered as {target}: no class")
    return factory


def model_capabilities() -> dict[str, tuple[str, ...]]:
    """Return what each model that can be imported declares to do beyond sampling."""
    capabilities = {}
    for name in registered("model"):
        with suppress(BenchError):
            capabilities[name] = tuple(load("model", name).capabilities)
    return capabilities


def _package(point: EntryPoint) -> str:
    return point.dist.name if point.dist else "another package"
