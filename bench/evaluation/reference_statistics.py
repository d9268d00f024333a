"""Files of reference statistics, made of a split of a data set or of images from elsewhere."""

import json
from pathlib import Path

import numpy as np
import torch

import bench
from bench.data.base import Split, fingerprint
from bench.errors import BenchError, SpecError
from bench.evaluation.external_images import read_images
from bench.evaluation.trained_run import refuse_absent
from bench.metrics.base import SampleSet
from bench.metrics.extractors.extractor_option import choose_feature_extractor
from bench.metrics.extractors.feature_cache import features
from bench.metrics.features.fid import moments
from bench.metrics.features.statistics_file import write_statistics
from bench.metrics.images_by_class import sampled
from bench.process.worker import Worker
from bench.spec.components import complete_component, construct, read_component
from bench.spec.located import Located
from bench.spec.located_yaml import parse_value


def write_reference(
    data: str,
    target: Path,
    worker: Worker,
    split: str | None = None,
    images: Path | None = None,
    extractor: str = "inception",
) -> list[str]:
    """Write the statistics of all images of a split, or of `images`; return what to say.

    `data` and `extractor` are names or YAML. A `BenchError` says what is wrong before features are
    computed, a `NotApplicable` why there is no such extractor.
    """
    if target.suffix != ".npz":
        raise SpecError("must end in .npz", where=f"--to {target}")
    if images is not None and split is not None:
        raise SpecError("--split applies only to images of DATA; --images names others")
    option = parse_value(extractor, where := f"command line, --extractor {extractor}")
    component = {"name": "fid", "extractor": option}
    with Located({}, where).locating_errors():
        metric = construct("metric", complete_component("metric", component, ()))
    component = read_component("dataset", "bench statistics", data)
    if images is not None:
        refuse_absent(images)
    context = worker.context_of(component)
    split = split or "train"
    notes = list(context.data.notices)
    if images is None:
        part: Split = getattr(context.data, split)
        if not len(part):
            raise BenchError(f"{context.data.spec.name} has no {split} images")
        chosen = SampleSet(part.x, part.y, context.data.spec)
        source = f"{split} of {json.dumps(component)}"
    else:
        chosen, _, _, told = read_images(images, context.data.spec)
        notes += told
        source = images.name
    with worker.computing(context.data.spec):
        network = choose_feature_extractor(context, metric.extractor, metric.extractor_seed)
        found = moments(features(context, network, sampled(chosen), is_real=images is None))
    counts = torch.bincount(chosen.y, minlength=chosen.spec.classes)
    about = {
        "extractor": network.name,
        "count": len(chosen.y),
        "images": fingerprint(Split(chosen.x, chosen.y)),
        "source": source,
        "bench": bench.__version__,
    }
    if chosen.labeled:
        about |= {"class_counts": counts.numpy(), "class_names": np.array(chosen.spec.class_names)}
    write_statistics(target, found, about)
    return [
        *(f"note: {text}" for text in notes),
        f"statistics of {network.width} features of {len(chosen.y)} images by {network.name} are "
        f"in {target}",
    ]
