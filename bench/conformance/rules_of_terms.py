"""Rules about `terms`, on the first batch of the training stream."""

from collections.abc import Callable
from copy import deepcopy
from functools import partial

import torch

from bench.conformance.model_under_test import ModelUnderTest
from bench.conformance.outcomes import Violation, require
from bench.conformance.watching import (
    States,
    refuse_other_randomness,
    refuse_traces,
    training_modes,
    values_of,
)
from bench.spec.places import line_with, place_of
from bench.training.passes import reached_leaves


def terms_are_scalars(under_test: ModelUnderTest) -> None:
    """Every wanted term is a finite 0-d float32 tensor."""
    for stage_pass in under_test.passes():
        values = under_test.terms(stage_pass)
        for term in sorted(stage_pass.wanted):
            value = values[term]
            shown = value.tolist() if value.ndim == 0 else "numbers"
            if value.ndim or value.dtype != torch.float32 or not torch.isfinite(value):
                raise Violation(
                    f"term {term!r} is {value.dtype} {list(value.shape)} {shown}, "
                    "expected one finite float32 number",
                    line_with(under_test.factory, "terms", term),
                )


def terms_draw_from_torch(under_test: ModelUnderTest) -> None:
    """Terms draw from torch, not from NumPy or from `random`."""
    for stage_pass in under_test.passes():
        refuse_other_randomness(partial(under_test.terms, stage_pass))


def terms_leave_no_trace(under_test: ModelUnderTest) -> None:
    """Terms change no parameter, mode or example; buffers are written in place."""

    def start(index: int) -> tuple[Callable[[], object], States]:
        stage_pass, batch = under_test.passes()[index], under_test.batch
        model = stage_pass.model
        return partial(under_test.terms, stage_pass, batch=batch), {
            "terms() changes the parameters {}; parameters are moved by the optimizers of their "
            "players alone": lambda: values_of(model.named_parameters()),
            "terms() assigns another tensor to the buffers {}, which a CUDA graph cannot see; "
            "write in place: self.NAME.copy_(...)": lambda: {
                name: id(buffer) for name, buffer in model.named_buffers()
            },
            "terms() switches {} between training and evaluation mode; the trainer does that, and "
            "leaves frozen modules in evaluation mode": lambda: training_modes(model),
            "terms() writes into batch.{}, which later passes may see; work on a copy": (
                lambda: values_of({"x": batch.x, "y": batch.y}.items())
            ),
        }

    for index, _ in enumerate(under_test.passes()):
        refuse_traces(partial(start, index))


def terms_ignore_what_else_is_wanted(under_test: ModelUnderTest) -> None:
    """A term has the same value whichever other terms are wanted."""
    for stage_pass in under_test.passes():
        together = under_test.terms(deepcopy(stage_pass))
        for term in sorted(stage_pass.wanted):
            alone = under_test.terms(deepcopy(stage_pass), frozenset({term}))
            require(
                torch.allclose(alone[term], together[term], rtol=1e-5, atol=1e-6),
                f"term {term!r} is {alone[term].item():.7g} alone and "
                f"{together[term].item():.7g} with the others; draw randomness in an order "
                "that does not depend on `wanted`",
            )


def terms_use_only_parameters_of_the_model(under_test: ModelUnderTest) -> None:
    """Every parameter that a term depends on belongs to the model."""
    for stage_pass in under_test.passes():
        known = set(map(id, stage_pass.model.parameters()))
        for term, value in under_test.terms(stage_pass).items():
            leaves = reached_leaves(value).values()
            foreign = [
                p for p in leaves if isinstance(p, torch.nn.Parameter) and id(p) not in known
            ]
            if foreign:
                shapes = ", ".join(str(list(p.shape)) for p in foreign[:3])
                raise Violation(
                    f"term {term!r} depends on {len(foreign)} parameters, of shape {shapes}, that "
                    "are not the model's, so that nobody trains or saves them; keep modules as "
                    "attributes or in nn.ModuleList and nn.ModuleDict, not in a list or dict",
                    place_of(under_test.factory),
                )


def terms_reach_their_players(under_test: ModelUnderTest) -> None:
    """Every term depends on parameters of each player that descends it."""
    for stage_pass in under_test.passes():
        values = under_test.terms(stage_pass)
        for player, weights in stage_pass.weights.items():
            parameters = set(map(id, stage_pass.parameters[player]))
            for term in weights:
                if parameters.isdisjoint(reached_leaves(values[term])):
                    raise Violation(
                        f"player {player!r} descends {term!r} in stage {stage_pass.stage.name!r}, "
                        "which depends on none of its parameters; is something detached on the "
                        "way?",
                        line_with(under_test.factory, "terms", term),
                    )
