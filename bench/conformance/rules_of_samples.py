"""Rules about `sample`."""

from collections.abc import Callable
from functools import partial
from typing import Any, Literal, get_args, get_origin

import torch

from bench.conformance.fake_cuda import WrongGenerator, play_on_fake_cuda
from bench.conformance.model_under_test import CPU, ModelUnderTest
from bench.conformance.outcomes import Remark, Violation, require, require_range
from bench.conformance.watching import (
    States,
    line_that_changes,
    refuse_other_randomness,
    refuse_traces,
    training_modes,
    values_of,
)
from bench.errors import NotApplicable
from bench.evaluation.sampling import draw_samples, remark_on_range
from bench.seeding import generator_for
from bench.spec.components import sampling_arguments, sampling_schema


def samples_fit_the_data(under_test: ModelUnderTest) -> None:
    """Samples have the shape and the range of the data, one for each label."""
    model, y, spec = under_test.model().eval(), under_test.labels(), under_test.data.spec
    with torch.inference_mode():
        for seed in (0, 1):
            samples = model.sample(y, generator_for(seed, "contract"))
            shape, expected = list(samples.shape), [len(y), *spec.shape]
            require(shape == expected, f"sample() returned {shape}, not {expected}")
            dtype = samples.dtype
            require(dtype.is_floating_point, f"sample() returned {dtype}, not floating point")
            require_range(samples, "samples")


def samples_leave_no_trace(under_test: ModelUnderTest) -> None:
    """Sampling changes neither parameters, buffers nor modes of the model."""

    def start() -> tuple[Callable[[], object], States]:
        model = under_test.model().eval()
        draw = partial(model.sample, under_test.labels(), generator_for(0, "contract"))
        return draw, {
            "sample() switches {} between training and evaluation mode; it is called in "
            "evaluation mode": lambda: training_modes(model),
            "sample() changes {}; samples must not depend on how many were drawn before": (
                lambda: values_of([*model.named_parameters(), *model.named_buffers()])
            ),
        }

    with torch.no_grad():
        refuse_traces(start)


def samples_follow_their_generator(under_test: ModelUnderTest) -> None:
    """Samples depend on the generator alone, and on all of its seeds."""
    model, y = under_test.model().eval(), under_test.labels()
    draw = partial(model.sample, y, generator_for(0, "contract"))
    random_state = torch.get_rng_state()
    defaults = sampling_arguments(under_test.factory, {})
    with torch.inference_mode():
        first, other = (model.sample(y, generator_for(s, "contract")) for s in (0, 1))
        again = model.sample(y, generator_for(0, "contract"), **defaults)
        has_drawn = not torch.equal(random_state, torch.get_rng_state())
        refuse_other_randomness(draw)
    if has_drawn:
        problem = "sample() drew from the default generator instead of the one it was given"
        state = torch.default_generator.get_state
        raise Violation(problem, line_that_changes(lambda: state().tolist(), draw))
    require(torch.equal(first, again), "the same generator gave different samples")
    problem = "different generators gave the same samples; draw with generator=generator"
    require(not torch.equal(first, other), problem)


def samples_can_be_drawn_in_every_way(under_test: ModelUnderTest) -> None:
    """Every word and switch among the sampling options draws samples, by the generator alone."""
    model, y = under_test.model().eval(), under_test.labels()
    ways = [
        {name: value}
        for name, field in sampling_schema(under_test.factory).model_fields.items()
        for value in choices_of(field.annotation)
        if value != field.default
    ]
    if not ways:
        raise NotApplicable("sample() has no options that are words or switches")
    for way in ways:
        arguments = sampling_arguments(under_test.factory, way)
        [(name, value)] = way.items()
        with torch.inference_mode():
            try:
                first = model.sample(y, generator_for(0, "contract"), **arguments)
            except ValueError:  # refused, as it may be
                continue
            torch.manual_seed(1)  # which must not matter
            again = model.sample(y, generator_for(0, "contract"), **arguments)
        problem = f"with {name}={value!r}, the same generator gave different samples"
        require(torch.equal(first, again), problem)
        require_range(first, f"samples with {name}={value!r}")


def choices_of(annotation: Any) -> tuple[Any, ...]:
    """Return all values that an annotation has, if they are words or switches."""
    if annotation is bool:
        return (False, True)
    if get_origin(annotation) is Literal:
        return get_args(annotation)
    return tuple(choice for part in get_args(annotation) for choice in choices_of(part))


def samples_are_drawn_on_the_generators_device(under_test: ModelUnderTest) -> None:
    """Random numbers are drawn on the device of their generator, and then moved."""
    try:
        play_on_fake_cuda(under_test.training, under_test.data.spec, only="sample()")
    except WrongGenerator:
        raise
    except Violation:  # another rule's
        pass


def samples_use_the_whole_range(under_test: ModelUnderTest) -> None:
    """Samples of images use negative values too."""
    try:
        samples = draw_samples(under_test.model().eval(), under_test.data.spec, 10, 0, CPU)
    except Exception:  # the checks before this one say why
        return
    if remark := remark_on_range(samples, under_test.data):
        raise Remark(remark)


def samples_ignore_each_other(under_test: ModelUnderTest) -> None:
    """A sample does not depend on the labels of the others."""
    model, y = under_test.model().eval(), under_test.labels()
    others = torch.cat([y[:1], y[:1].expand_as(y[1:])])
    with torch.inference_mode():
        one, other = (model.sample(labels, generator_for(0, "contract")) for labels in (y, others))
    if not torch.allclose(one[0], other[0], rtol=1e-3, atol=1e-4):
        raise Remark(
            "the first sample is another one if the other labels change, so that images depend on "
            "how many are drawn at a time; is there a batch norm without running statistics?"
        )
