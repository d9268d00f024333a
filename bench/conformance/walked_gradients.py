"""Gradients by a walk over torch's graph in Python, for tensors that torch's engine cannot take."""

from collections.abc import Sequence
from typing import Any

import torch
from torch import Tensor
from torch.autograd.graph import get_gradient_edge

Pending = dict[Any, list[Tensor | None]]
"""Node -> gradients of the tensors that it computed."""


def walked_gradients(
    outputs: Tensor | Sequence[Tensor],
    inputs: Tensor | Sequence[Tensor],
    grad_outputs: Tensor | Sequence[Tensor] | None = None,
    *,
    create_graph: bool = False,
    **_: Any,
) -> tuple[Tensor | None, ...]:
    """Return what `torch.autograd.grad` does, but for hooks; every graph is retained."""
    outputs = [outputs] if isinstance(outputs, Tensor) else outputs
    inputs = [inputs] if isinstance(inputs, Tensor) else inputs
    if grad_outputs is None:
        grad_outputs = [torch.ones_like(output) for output in outputs]
    elif isinstance(grad_outputs, Tensor):
        grad_outputs = [grad_outputs]
    pending: Pending = {}
    for output, gradient in zip(outputs, grad_outputs, strict=True):
        _add(pending, *get_gradient_edge(output)[:2], gradient)
    edges = [get_gradient_edge(tensor)[:2] for tensor in inputs]
    with torch.set_grad_enabled(create_graph):
        for node in _from_the_end([output.grad_fn for output in outputs]):
            if node not in pending or hasattr(node, "variable"):
                continue
            backward = node if callable(node) else node.apply  # a function written in Python
            passed_on = backward(*pending[node])
            passed_on = passed_on if isinstance(passed_on, tuple) else (passed_on,)
            for (before, number), gradient in zip(node.next_functions, passed_on, strict=False):
                if before is not None and gradient is not None:
                    _add(pending, before, number, gradient)
    return tuple(pending[node][number] if node in pending else None for node, number in edges)


def _add(pending: Pending, node: Any, number: int, gradient: Tensor) -> None:
    """Add a gradient of the tensor of that number; of a broadcast one it is still too large."""
    like = node._input_metadata[number]
    if gradient.shape != like.shape:
        gradient = gradient.sum_to_size(like.shape)
    if gradient.dtype != like.dtype:
        gradient = gradient.to(like.dtype)
    gradients = pending.setdefault(node, [None] * len(node._input_metadata))
    before = gradients[number]
    gradients[number] = gradient if before is None else before + gradient


def _from_the_end(roots: Sequence[Any]) -> list[Any]:
    """Return the nodes of a graph, each before those that it passes gradients on to."""
    order: list[Any] = []
    seen: set[Any] = set()
    stack = [(root, False) for root in roots]
    while stack:
        node, is_done = stack.pop()
        if is_done:
            order.append(node)
        elif node not in seen:
            seen.add(node)
            stack.append((node, True))
            stack += [(before, False) for before, _ in node.next_functions if before is not None]
    return order[::-1]
