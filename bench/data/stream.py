"""The stream of training batches.

The whole training split stays on the device as bytes, and batch number `draw` is a pure function
of `(seed, draw)`: a resumed run needs no saved state, and two variants of one seed see the same
images in the same order.
"""

from collections.abc import Callable, Collection, Iterator
from math import ceil
from typing import NamedTuple

import torch
from torch import Tensor

from bench.data.base import LEVELS, Batch, DataSet, DataSpec, Split, to_float
from bench.data.splits import choose_per_class
from bench.errors import Interrupted, SpecError
from bench.seeding import generator_for
from bench.spec.run_settings import Training

AHEAD = 128  # draws that are determined and sent to the device at a time


class Draws(NamedTuple):
    """Successive draws: all that tells one batch from another, on the device.

    Attributes:
        indices: The examples that each takes, `int64` `[D, B]`.
        flips: 255 where an image is mirrored, else 0, `uint8` `[D, B]`; all 0 without flips.
    """

    indices: Tensor
    flips: Tensor


class Stream:
    """The training examples as an endless sequence of batches.

    The first `labeled_rows` examples of a batch, by default all, carry their label. The others come
    from `unlabeled` `[N, ...]`, which has epochs of its own. `flip` mirrors each image with
    probability one half. With `attributes`, the shape of the data, labels are given as attributes
    `[B, A]`. Draws may be asked for in any order; in sequence is fast, since permutations are kept.
    """

    def __init__(
        self,
        split: Split,
        *,
        batch_size: int,
        seed: int,
        flip: bool = False,
        device: torch.device | str = "cpu",
        unlabeled: Tensor | None = None,
        labeled_rows: int | None = None,
        attributes: DataSpec | None = None,
    ) -> None:
        if flip and split.x.ndim != 4:
            raise ValueError(f"only images can be flipped, got examples {list(split.x.shape[1:])}")
        labeled = batch_size if labeled_rows is None else labeled_rows
        if unlabeled is None:
            if labeled != batch_size:
                raise ValueError(
                    f"batch_size is {batch_size} with only {labeled} labeled rows, and there is no "
                    "unlabeled data"
                )
            if batch_size < 1:
                raise ValueError(f"a batch has at least one example, got {batch_size}")
        elif not 0 <= labeled < batch_size:
            raise ValueError(f"labeled_rows must be in [0, {batch_size}), got {labeled}")
        self.batch_size, self.labeled_rows = batch_size, labeled
        self._seed, self._flip, self._device = seed, flip, torch.device(device)
        x, y = split.x, split.y
        self._labeled_and_not = [labeled] if unlabeled is None else [labeled, batch_size - labeled]
        self._pools = [_Pool(0, len(x), labeled, seed, "order")]
        if unlabeled is not None:
            taken = batch_size - labeled
            size = len(unlabeled)
            pool = _Pool(len(x), size, taken, seed, "unlabeled order")
            self._pools.append(pool)
            x, y = torch.cat((x, unlabeled)), torch.cat((y, y.new_full((size,), -1)))
        if attributes is not None:
            y = attributes.attributes_of(y)
        seen = sum(pool.size for pool in self._pools if pool.taken)
        self.draws_per_epoch = max(1, seen // batch_size)
        self._x, self._y = x.to(self._device).contiguous(), y.to(self._device)
        self._levels = LEVELS.to(self._device)
        self._first, self._ahead = 0, self._determine(0, 0)

    def batch(self, draw: int) -> Batch:
        """Return the batch of a draw, counted from 0, as new tensors on the device."""
        return self.assemble(self.draws(draw, 1), 0)

    def draws(self, first: int, count: int) -> Draws:
        """Return `count` draws from number `first` on, as views that may only be read."""
        if first < 0:
            raise ValueError(f"draws count from 0, got {first}")
        start = first - self._first
        if start < 0 or start + count > len(self._ahead.indices):
            self._first, self._ahead = first, self._determine(first, max(AHEAD, count))
            start = 0
        return Draws(*(part[start : start + count] for part in self._ahead))

    def assemble(self, draws: Draws, number: int, size: float = 1) -> Batch:
        """Return the batch of one of several draws, as new tensors, without waiting for a GPU.

        With another `size` than 1 it has `size` times the examples, the first ones of each kind
        from this draw on.
        """
        taken, labeled = self._taken(draws, number, size)
        indices, flips = taken
        x, y = self._x.index_select(0, indices), self._y.index_select(0, indices)
        if self._flip:
            # Masked images become x ^ (x ^ flipped) = flipped. On bytes this is five times as fast
            # as torch.where on the CPU, and unlike boolean indexing it never waits for a GPU.
            x ^= (x ^ x.flip(3)) & flips.view(-1, 1, 1, 1)
        return Batch(to_float(x, self._levels), y, labeled)

    def _taken(self, draws: Draws, number: int, size: float) -> tuple[Draws, int]:
        """Return what a batch takes of draws, `[B]`, and how many of its examples have a label."""
        if size == 1:
            return Draws(*(part[number] for part in draws)), self.labeled_rows
        counts = [max(1, round(size * n)) if n else 0 for n in self._labeled_and_not]
        parts = []
        for part in draws:
            kinds = part[number : number + ceil(size)].split_with_sizes(
                self._labeled_and_not, dim=1
            )
            chosen = [kind.flatten()[:n] for kind, n in zip(kinds, counts, strict=True)]
            parts.append(torch.cat(chosen))
        return Draws(*parts), counts[0]

    def once(self, size: int) -> Iterator[Batch]:
        """Yield every example once, in batches of at most `size`, not flipped.

        Those with label come first; a batch has one kind.
        """
        for number, pool in enumerate(self._pools):
            for start in range(0, pool.size, size):
                part = slice(pool.first + start, pool.first + min(start + size, pool.size))
                x, y = to_float(self._x[part], self._levels), self._y[part]
                yield Batch(x, y, 0 if number else len(x))

    def _determine(self, first: int, count: int) -> Draws:
        indices = torch.empty(count, self.batch_size, dtype=torch.int64)
        flips = torch.zeros(count, self.batch_size, dtype=torch.uint8)
        for number, draw in enumerate(range(first, first + count)):
            indices[number] = torch.cat([p.indices(draw) for p in self._pools if p.taken])
            if self._flip:
                generator = generator_for(self._seed, "flip", draw)
                is_flipped = torch.rand(self.batch_size, 1, 1, 1, generator=generator) < 0.5
                flips[number] = 255 * is_flipped.flatten()
        return Draws(indices.to(self._device), flips.to(self._device))


class _Pool:
    """The examples of one kind, from index `first` on, and which of them each draw takes.

    Each epoch is a new permutation cut into whole draws; examples that do not fill a draw are left
    out of it. A draw of more examples than there are is an epoch of repeated permutations.
    """

    def __init__(self, first: int, size: int, taken: int, seed: int, purpose: str) -> None:
        self.first, self.size, self.taken = first, size, taken
        self._seed, self._purpose = seed, purpose
        self._epoch, self._order = -1, torch.empty(0, dtype=torch.int64)

    def indices(self, draw: int) -> Tensor:
        """Return the indices of the examples that a draw takes."""
        epoch, position = divmod(draw, max(1, self.size // self.taken))
        if epoch != self._epoch:
            generator = generator_for(self._seed, self._purpose, epoch)
            repeats = -(-self.taken // self.size)
            permutations = [torch.randperm(self.size, generator=generator) for _ in range(repeats)]
            self._order = torch.cat(permutations) + self.first
            self._epoch = epoch
        return self._order[position * self.taken :][: self.taken]


def make_stream(
    training: Training, data: DataSet, device: torch.device, capabilities: Collection[str]
) -> Stream:
    """Return the batches of a run for a model of these capabilities."""
    split, spec, unlabeled = data.train, data.spec, data.unlabeled
    if training.labeled_fraction < 1:
        split, hidden = hide_labels(split, training.labeled_fraction, training.seed, spec.classes)
        if not len(hidden):
            raise SpecError(
                f"{training.labeled_fraction} of {len(split)} training examples leaves none "
                "without label",
                key="labeled_fraction",
            )
        if training.labeled_rows != training.batch_size:
            unlabeled = hidden if unlabeled is None else torch.cat((hidden, unlabeled))
    return Stream(
        split,
        batch_size=training.batch_size,
        seed=training.seed,
        flip=data.flip,
        device=device,
        unlabeled=unlabeled,
        labeled_rows=training.labeled_rows,
        attributes=spec if spec.attributes and "attributes" in capabilities else None,
    )


def hide_labels(split: Split, fraction: float, seed: int, classes: int) -> tuple[Split, Tensor]:
    """Return a random share of the examples of each class, and the others without their labels.

    At least one of each class keeps its label; a larger fraction keeps those that a smaller one
    keeps.
    """
    counts = torch.bincount(split.y, minlength=classes)
    kept = [max(1, round(fraction * int(count))) for count in counts]
    mask = choose_per_class(split.y, kept, seed, "labeled")
    return split.take(mask), split.x[~mask]


class TrainingExamples:
    """The training examples for `ConditionalGenerator.finish`, batch by batch.

    If `stop`, asked before every batch, returns True, `Interrupted` is raised.
    """

    def __init__(self, stream: Stream, size: int, stop: Callable[[], bool]) -> None:
        self._stream, self._size, self._stop = stream, size, stop

    def __iter__(self) -> Iterator[Batch]:
        for batch in self._stream.once(self._size):
            if self._stop():
                raise Interrupted("stopped after the last iteration, checkpoint saved")
            yield batch
