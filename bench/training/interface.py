"""The training interface: a model is a game.

Named *players* own parameters. Named *terms* are scalar losses, one for each equation. An
*objective* says which player descends which terms at which weight. *Stages* say who moves when. The
trainer does everything else.
"""

from abc import ABC, abstractmethod
from collections.abc import Mapping
from dataclasses import dataclass
from typing import Any, ClassVar, NamedTuple, Protocol, runtime_checkable

import torch
from torch import Tensor, nn

from bench.data.base import Batch as Batch
from bench.data.base import DataSpec

Objective = Mapping[str, Mapping[str, float]]
"""Player -> term -> weight. A weight of 0 drops the term; a player without terms stays as it was
initialized."""

OptimizerTable = Mapping[str, Mapping[str, Any]]
"""Player, or `default` for all players -> the optimizer settings that differ from the harness's."""


class Code(NamedTuple):
    """A latent code: its label-relevant part `[B, D_s]` and its irrelevant part `[B, D_u]`.

    A part that a model lacks is None.
    """

    relevant: Tensor | None
    irrelevant: Tensor | None


@dataclass(frozen=True)
class Stage:
    """A point of the iteration at which some players move, simultaneously.

    Attributes:
        name: Passed to `ConditionalGenerator.terms`.
        players: Names of the players that move.
        repeat: Passes in an iteration; in each, every player of the stage moves once.
        fresh: Whether each pass draws a new batch, or reuses the last one drawn.
    """

    name: str
    players: tuple[str, ...]
    repeat: int = 1
    fresh: bool = True


class ConditionalGenerator(nn.Module, ABC):
    """A conditional generator, as the harness trains and samples it.

    A subclass is constructed as `Model(spec, **options)`: `spec` is a
    `bench.data.base.DataSpec`, and the options are keyword arguments with annotations and
    defaults, against which a sweep's `model:` section is checked. The constructor must also work
    under `torch.device("meta")`, where the harness builds the model once to read what it declares.

    Attributes:
        stages: Who moves when; one trip through them is an iteration.
        objective: The weights of the paper, which a sweep may edit.
        optimizers: Settings that differ from the harness's default of Adam.
    """

    stages: tuple[Stage, ...]
    objective: Objective
    optimizers: OptimizerTable = {}

    #: What the model can do beyond sampling. `encode` and `classify` name the interfaces `Encodes`
    #: and `Classifies`. With `semi-supervised` it is given examples without label if a sweep asks
    #: for that, with `attributes` labels `[B, A]` on data that has them.
    capabilities: ClassVar[tuple[str, ...]] = ()

    def players(self) -> dict[str, list[nn.Parameter]]:
        """Return who owns which parameters; by default each child module with any is a player.

        Returns:
            Player name -> parameters. Every parameter of the model belongs to a player, except
            those with `requires_grad=False`, which belong to none. It may belong to several, each
            with an optimizer state of its own for it.
        """
        players = {
            name: [p for p in child.parameters() if p.requires_grad]
            for name, child in self.named_children()
        }
        return {name: parameters for name, parameters in players.items() if parameters}

    @abstractmethod
    def terms(self, stage: str, batch: Batch, wanted: frozenset[str]) -> dict[str, Tensor]:
        """Return the losses of one pass.

        A pure function of parameters, buffers, batch and the default random generator: no
        `.item()`, no branch on the value of a tensor, static shapes, and nothing detached to
        stop gradients between players, since the trainer takes for each player only the gradient
        of its own terms with respect to its own parameters.

        Args:
            stage: Name of the stage.
            batch: The batch of this pass.
            wanted: The terms that some moving player descends; others may be left out. A term has
                the same value whichever others are wanted.

        Returns:
            At least the wanted terms: 0-d `float32` means over the examples of the batch.
        """

    @abstractmethod
    def sample(self, y: Tensor, generator: torch.Generator | None = None) -> Tensor:
        """Draw one example for each label.

        Args:
            y: Labels `[B]`, or `[B, A]` as in `Batch`.
            generator: Source of all randomness; the default generator where None.

        Further parameters, keyword-only, with annotations and defaults, are options of sampling: a
        sweep checks and sets them, and draws a row for each choice from the same weights. A
        `ValueError` for a value, raised at the beginning, is found before the training.

        Returns:
            Images `[B, C, H, W]` in `[-1, 1]`, or points `[B, 2]`.
        """


@runtime_checkable
class Encodes(Protocol):
    """A model with codes, which probes, swaps and reconstructions need."""

    def encode(self, x: Tensor, y: Tensor | None = None) -> Code:
        """Return the codes of examples `[B, ...]` without noise; `y` if the model needs it."""
        ...

    def decode(self, code: Code, y: Tensor | None = None) -> Tensor:
        """Return the examples `[B, ...]` of codes; `y` if the model needs it."""
        ...


class Posterior(NamedTuple):
    """Diagonal Gaussians of the codes of examples; None for a part that a model lacks.

    Means and variances are each `[B, D_s]` or `[B, D_u]`; variances are 0 if codes are points.
    """

    relevant: tuple[Tensor, Tensor] | None
    irrelevant: tuple[Tensor, Tensor] | None


@runtime_checkable
class Infers(Protocol):
    """A variational model, so that it can be measured how well its codes fit their priors."""

    def posterior(self, x: Tensor, y: Tensor | None = None) -> Posterior:
        """Return the posteriors of examples `[B, ...]`; `y` if the model needs it."""
        ...

    def class_prior(self) -> tuple[Tensor, Tensor] | None:
        """Return means and variances `[K, D_s]` of the relevant codes of each class.

        None if there is no relevant code. The prior of irrelevant codes is the standard normal.
        """
        ...


@runtime_checkable
class Classifies(Protocol):
    """A model that can classify examples."""

    def class_logits(self, x: Tensor) -> Tensor:
        """Return class logits `[B, K]` of examples."""
        ...


@runtime_checkable
class Switches(Protocol):
    """A model whose relevant code has a part for each attribute."""

    def switch(self, code: Code, attribute: int, values: Tensor) -> Code:
        """Return codes with other values of one attribute, and everything else as it was.

        Args:
            code: Codes of `B` examples, which stay as they are.
            attribute: Its index.
            values: Its new values, `int64` `[B]`: 0 or 1.

        Returns:
            Codes in which its part is at the mean of the prior given the new value.
        """
        ...


def frozen_modules(model: nn.Module) -> dict[str, nn.Module]:
    """Return the modules, by name, that have parameters, none of which requires a gradient."""
    frozen = {}
    for name, module in model.named_modules():
        parameters = list(module.parameters())
        if parameters and not any(p.requires_grad for p in parameters):
            frozen[name] = module
    return frozen


def begin_training(model: nn.Module) -> None:
    """Put a model in training mode, but leave frozen modules and all inside in evaluation mode."""
    model.train()
    for module in frozen_modules(model).values():
        module.eval()


def as_given(model: ConditionalGenerator, spec: DataSpec, y: Tensor) -> Tensor:
    """Return classes `[B]` as a model is given them: as attributes `[B, A]` if both have any."""
    if spec.attributes and "attributes" in model.capabilities:
        return spec.attributes_of(y)
    return y
