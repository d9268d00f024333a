"""Rules about GPUs, checked without one; those about speed give remarks."""

import warnings

import torch

from bench.conformance.model_under_test import ModelUnderTest
from bench.conformance.outcomes import Remark
from bench.errors import first_line
from bench.spec.places import place_in_stack
from bench.training.passes import compiled


def everything_runs_on_a_gpu(under_test: ModelUnderTest) -> None:
    """Stages, samples and codes run on a GPU, without tensors left on the CPU."""
    _ = under_test.waits  # runs the model on fake CUDA tensors, which raises a `Violation`


def no_stage_waits_for_a_gpu(under_test: ModelUnderTest) -> None:
    """No stage waits for a GPU, as it does where a value is read."""
    if under_test.waits:
        cost = (
            "a stage that waits is right, but slower on a GPU: it is neither a CUDA graph nor "
            "compiled; torch.where in place of if, and tensors in place of numbers, do not wait"
        )
        is_slow = any("cannot be followed" not in line for line in under_test.waits)
        raise Remark("\n".join((*under_test.waits, cost) if is_slow else under_test.waits))


def stages_compile_as_one_graph(under_test: ModelUnderTest) -> None:
    """Every stage compiles as one graph, with its gradients."""
    for stage_pass in under_test.passes():
        torch._dynamo.reset()
        stage_pass.gradients(under_test.batch)  # plans the backwards, which are compiled then
        try:
            with warnings.catch_warnings():  # say in other words what the error says
                warnings.simplefilter("ignore")
                compiled(stage_pass.gradients, backend="eager")(under_test.batch)
        except Exception as error:
            raise Remark(
                f"stage {stage_pass.stage.name!r} does not compile as one graph: "
                f"{first_line(error)}; it trains in eager mode, which is right, but may be slower",
                place_in_stack(getattr(error, "real_stack", ())),
            ) from error
