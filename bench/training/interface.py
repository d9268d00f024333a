"""The training interface: a model is a game.

Named *players* own parameters. Named *terms* are scalar losses, one for each equation. An
*objective* says which player descends which terms at which weight. *Stages* say which players are
updated when. The trainer does everything else.
"""

from abc import ABC, abstractmethod
from collections.abc import Iterable, Mapping, Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import Any, ClassVar, NamedTuple, Protocol, TypeVar, runtime_checkable

import torch
from torch import Tensor, nn

from bench.data.base import Batch as Batch
from bench.data.base import DataSpec
from bench.spec.run_settings import AtLeastOne as AtLeastOne
from bench.spec.run_settings import BelowOne as BelowOne
from bench.spec.run_settings import NonNegative as NonNegative
from bench.spec.run_settings import Positive as Positive
from bench.training.pretrained import load_pretrained

Module = TypeVar("Module", bound=nn.Module)

Objective = Mapping[str, Mapping[str, float | Mapping[str, Any]]]
"""Player -> term -> weight. A weight of 0 drops the term; a player without terms stays as it was
initialized. A weight that changes is written `{"weight": 1.0, "schedule": {"name": "linear"}}`."""

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
    """A point of the iteration at which some players take an optimizer step, simultaneously.

    Times are shares of the run if they are `float`, and numbers of iterations if they are `int`.
    A stage consumes its batches also in iterations in which it is inactive, so moving a stage in
    an ablation does not change the data order.

    Attributes:
        name: Passed to `ConditionalGenerator.terms`.
        players: Names of the players that are updated.
        repeat: Passes per iteration; each updates every player of the stage once.
        fresh: Whether each pass draws a new batch, or reuses the last one drawn.
        start: Time from which the stage is active.
        end: Time from which it is inactive again; None is the end of the run.
        every: It is active in every `every`-th iteration, counted from `start`.
        batch: Examples of a batch, as a multiple of the run's batch size.
    """

    name: str
    players: tuple[str, ...]
    repeat: int = 1
    fresh: bool = True
    start: int | float = 0
    end: int | float | None = None
    every: int = 1
    batch: float = 1

    def span(self, iterations: int) -> tuple[int, int]:
        """Return the first iteration, counted from 0, and the one after the last.

        >>> Stage("prior", ("prior",), start=0.5).span(1000)
        (500, 1000)
        >>> Stage("warm-up", ("encoder",), end=100).span(1000)
        (0, 100)
        """
        start, end = (
            round(time * iterations) if isinstance(time, float) else time
            for time in (self.start, 1.0 if self.end is None else self.end)
        )
        return start, end


class TrainingProgress(nn.Module):
    """Training progress as tensors for use in `terms`.

    They are not saved with the weights. After training they keep their final values, so samples do
    not depend on when they are drawn. A model that the trainer did not build has `share` 1 and
    `step` 0.

    Attributes:
        step: The iteration, counted from 0, 0-d `int64`.
        share: Its share of the run, from 0 to 1, 0-d `float32`.
    """

    step: Tensor
    share: Tensor

    def __init__(self) -> None:
        super().__init__()
        self.register_buffer("step", torch.zeros((), dtype=torch.int64), persistent=False)
        self.register_buffer("share", torch.ones(()), persistent=False)

    def set(self, step: int, iterations: int) -> None:
        """Go to an iteration of a training of that length."""
        self.step.fill_(step)
        self.share.fill_(step / iterations)


class ConditionalGenerator(nn.Module, ABC):
    """A conditional generator, as the harness trains and samples it.

    A subclass is constructed as `Model(spec, **options)`: `spec` is a
    `bench.data.base.DataSpec`, and the options are keyword arguments with annotations and
    defaults, against which a sweep's `model:` section is checked. The constructor must also work
    under `torch.device("meta")`, where the harness builds the model once to read what it declares.

    Attributes:
        stages: Which players are updated when; one trip through them is an iteration.
        objective: The weights of the paper, which a sweep may edit.
        optimizers: Settings that differ from the harness's default of Adam.
        nats: For each term in nats, the divisor already applied to the term (say, the dimensions of
            a code). A sweep sets one price of a nat in all models by `price_per_nat`.
        label_terms: Player -> which of its terms need labeled examples, for models that are
            semi-supervised; a run without labeled examples drops them. None if the model cannot be
            trained without labels.
        average: A moving average of weights that belongs to the method, from which samples then
            come: `{"decay": 0.999, "players": ["generator"]}`, of all players where none are named.
            A sweep may set its own, or none.
        progress: The training progress, for weights and temperatures that change.
    """

    stages: tuple[Stage, ...]
    objective: Objective
    optimizers: OptimizerTable = {}
    nats: Mapping[str, int] = {}
    label_terms: Mapping[str, Sequence[str]] | None = None
    average: Mapping[str, Any] | None = None

    #: What the model can be given besides labeled batches: with `semi-supervised` examples without
    #: label if a sweep asks for that, with `attributes` labels `[B, A]` on data that has them.
    capabilities: ClassVar[tuple[str, ...]] = ()

    def __init__(self) -> None:
        super().__init__()
        self.progress = TrainingProgress()

    def players(self) -> dict[str, list[nn.Parameter]]:
        """Return who owns which parameters; by default each child module with any is a player.

        Returns:
            Player name -> parameters. Every parameter of the model belongs to a player, except
            those of `frozen` modules, which belong to none. It may belong to several, each with an
            optimizer state of its own for it.
        """
        players = {
            name: [p for p in child.parameters() if p.requires_grad]
            for name, child in self.named_children()
        }
        return {name: parameters for name, parameters in players.items() if parameters}

    @abstractmethod
    def terms(self, stage: str, batch: Batch, wanted: frozenset[str]) -> dict[str, Tensor]:
        """Return the losses of one pass.

        A pure function of parameters, buffers, batch and the default random generator. Nothing is
        detached to stop gradients between players, since the trainer takes for each player only
        the gradient of its own terms with respect to its own parameters. Without `.item()` and
        branches on values, and with static shapes, a GPU trains it fastest.

        Args:
            stage: Name of the stage.
            batch: The batch of this pass.
            wanted: The terms that the updated players descend; others may be left out. A term has
                the same value whichever others are wanted.

        Returns:
            At least the wanted terms: 0-d `float32` means over the examples of the batch.
        """

    @abstractmethod
    def sample(self, y: Tensor, generator: torch.Generator | None = None) -> Tensor:
        """Draw one example for each label.

        Random numbers are drawn on the device of the generator, so that all machines draw the same,
        and then moved, as `draw_normal` does. Loops that read values are fine here.

        Args:
            y: Labels `[B]`, or `[B, A]` as in `Batch`.
            generator: Source of all randomness, on the CPU; the default generator where None.

        Further parameters, keyword-only, with annotations and defaults, are sampling options: a
        sweep checks and sets them, and draws a row for each choice from the same weights. A
        `ValueError` for a value, raised at the beginning, is found before the training.

        Returns:
            Images `[B, C, H, W]` in `[-1, 1]`, or points `[B, D]`.
        """

    def finish(self, data: Iterable[Batch]) -> None:
        """Optional: one pass over the training data after training, for example for class moments.

        Results go into buffers, which the constructor makes; they keep names and shapes. Called
        after the last iteration, and on the weights of every snapshot, in evaluation mode and
        without gradients, with the averaged weights if there are any. Random numbers come from the
        default generator.

        Args:
            data: All training examples once, as training sees them but not flipped, those with
                label first; a batch holds one kind. May be iterated as often as needed. Test and
                validation images are never among them.
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
    """A variational model; metrics measure how well its codes fit their priors."""

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


def frozen(module: Module, weights: Path | None = None) -> Module:
    """Return a module that does not learn: a pre-trained network, as a part of a model.

    It belongs to no player and stays in evaluation mode, so its batch-norm statistics stay, too.
    Gradients flow through it to what made its input.

    Args:
        module: The network; it is changed in place.
        weights: File with its state dict, `.safetensors` or of `torch.save`. Make it an option of
            the model, annotated as `Path`: then what it holds is part of a run's id. It is not
            read where tensors have no values, as under `torch.device("meta")`.

    Returns:
        The same module.

    Raises:
        BenchError: If the file cannot be read, or names or shapes differ; the message lists them.
    """
    if weights is not None:
        load_pretrained(module, weights)
    return module.requires_grad_(False).eval()


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


def draw_normal(
    *size: int,
    device: torch.device,
    generator: torch.Generator | None = None,
    dtype: torch.dtype = torch.float32,
) -> Tensor:
    """Return standard normal noise.

    Args:
        *size: Its shape.
        device: Where it is needed.
        generator: Source; numbers are drawn on its device and then moved. None is the default
            generator of `device`.
        dtype: Its type.

    Returns:
        Noise of that shape and type on that device.
    """
    drawn_on = device if generator is None else generator.device
    return torch.randn(size, generator=generator, device=drawn_on, dtype=dtype).to(device)


def draw_uniform(
    *size: int, device: torch.device, generator: torch.Generator | None = None
) -> Tensor:
    """Return uniform noise in [0, 1); arguments are those of `draw_normal`."""
    drawn_on = device if generator is None else generator.device
    return torch.rand(size, generator=generator, device=drawn_on).to(device)


def overrides_finish(model: ConditionalGenerator) -> bool:
    """Return whether a model overrides `finish`."""
    return type(model).finish is not ConditionalGenerator.finish


def as_given(model: ConditionalGenerator, spec: DataSpec, y: Tensor) -> Tensor:
    """Return classes `[B]` as a model is given them: as attributes `[B, A]` if both have any."""
    if spec.attributes and "attributes" in model.capabilities:
        return spec.attributes_of(y)
    return y
