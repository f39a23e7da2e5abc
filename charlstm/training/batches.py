"""Batches of fixed-length windows of the encoded text.

``stateful``, the alphabet in 3 streams, batch 3, windows of 4 (offset 0)::

    a b c d | e f g h | i         a window predicts each letter's successor; the state of each
    j k l m | n o p q | r         stream is carried from window to window, left to right, until the
    s t u v | w x y z | a         epoch's end; the next epoch begins at another letter of the ring.

With more streams than rows in a batch, steps take the groups of rows in turn. So the order of the data depends on
nothing but the seed, the epoch and the index in it: two numbers are enough to resume exactly.

What a window's inputs and targets are is the objective's to say (`evaluation.objective`).
"""

from __future__ import annotations

from collections.abc import Iterator
from dataclasses import dataclass
from typing import Any

import numpy as np
import torch
from numpy.typing import NDArray
from torch import Tensor

from charlstm.config import DataConfig
from charlstm.evaluation.objective import Causal, Objective


@dataclass(frozen=True)
class Batch:
    """What one step trains on."""

    inputs: Tensor
    """Ids, (batch, time)."""
    targets: Tensor
    """Ids to predict, (batch, time): of causal prediction the inputs one later."""
    reset_mask: Tensor
    """Rows whose state begins as zeros, (batch,) bool."""
    group: int
    """Which group of streams the rows are: each group has a carried state of its own."""
    epoch: int
    index: int
    """The batch's place in its epoch, from 0."""


class TbpttBatches:
    """The batches of truncated back-propagation through a text, epoch after epoch, without end.

    The text is a ring: the streams of an epoch start at a random place of it, so each epoch cuts it elsewhere. Where
    the ring closes, one prediction an epoch crosses from the text's end to its beginning.

    Args:
        ids: the training tokens, in memory or memory-mapped, (tokens,).
        config: `batch_size`, `seq_len`, `streams`, `windows` and `reset_prob` are used.
        seed: of where windows start, and of what the objective draws.
        objective: what is predicted; None is each token from those before it.
    """

    def __init__(self, ids: NDArray[Any], config: DataConfig, seed: int, objective: Objective | None = None) -> None:
        self._ids = ids
        self._seed = seed
        self._objective = objective or Causal()
        self._seq_len = config.seq_len
        self.batch_size = config.batch_size
        self.shuffled = config.windows == "shuffled"
        self.groups = 1 if self.shuffled else max(1, config.streams // config.batch_size)
        self._reset_prob = config.reset_prob
        rows = self.batch_size * self.groups
        if self.shuffled:
            self._windows = max(1, len(ids) // self._seq_len)
            self.per_epoch = max(1, self._windows // self.batch_size)
        else:
            self._span = max(1, len(ids) // rows)
            self.per_epoch = self.groups * -(-self._span // self._seq_len)

    def start_from(self, epoch: int, index: int) -> Iterator[Batch]:
        """The batches from a place on; ``(0, 0)`` is the beginning.

        Args:
            epoch: from 0.
            index: of the batch in its epoch, from 0.
        """
        while True:
            offset = int(np.random.default_rng((self._seed, epoch)).integers(len(self._ids)))
            for place in range(index, self.per_epoch):
                yield (self._shuffled if self.shuffled else self._stateful)(epoch, place, offset)
            epoch, index = epoch + 1, 0

    def _stateful(self, epoch: int, index: int, offset: int) -> Batch:
        column, group = divmod(index, self.groups)
        begin = column * self._seq_len
        length = min(self._seq_len, self._span - begin)
        streams = np.arange(group * self.batch_size, (group + 1) * self.batch_size)
        if column == 0:
            reset = np.ones(self.batch_size, bool)
        else:
            reset = np.random.default_rng((self._seed, epoch, index)).random(self.batch_size) < self._reset_prob
        return self._batch(offset + streams * self._span + begin, length, reset, group, epoch, index)

    def _shuffled(self, epoch: int, index: int, offset: int) -> Batch:
        place = np.arange(index * self.batch_size, (index + 1) * self.batch_size) % self._windows
        starts = offset + permuted(place, self._windows, (self._seed, epoch)) * self._seq_len
        return self._batch(starts, self._seq_len, np.ones(self.batch_size, bool), 0, epoch, index)

    def _batch(
        self, starts: NDArray[np.int64], length: int, reset: NDArray[np.bool_], group: int, epoch: int, index: int
    ) -> Batch:
        places = (starts[:, None] + np.arange(length + 1)) % len(self._ids)
        ids = self._ids[places].astype(np.int64)
        inputs, targets = self._objective.example(ids, (self._seed, epoch, index))
        return Batch(torch.from_numpy(inputs), torch.from_numpy(targets), torch.from_numpy(reset), group, epoch, index)


def permuted(places: NDArray[np.int64], size: int, key: tuple[int, ...]) -> NDArray[np.int64]:
    """Where a random permutation of ``range(size)`` puts some places, without ever holding all of it.

    A Feistel network permutes the smallest even power of two that holds ``size``; what falls outside is sent
    through again until it falls inside (cycle walking; Black & Rogaway 2002).

    Args:
        places: numbers below ``size``.
        size: of the permutation.
        key: chooses the permutation.
    """
    bits = max(1, (max(2, size) - 1).bit_length() + 1 >> 1)
    mask = (1 << bits) - 1
    keys = np.random.default_rng(key).integers(1, 1 << 31, 4) | 1
    placed = places.copy()
    outside = np.ones(len(placed), bool)
    while outside.any():
        left, right = placed[outside] >> bits, placed[outside] & mask
        for multiplier in keys:
            mixed = (right + multiplier) * multiplier
            left, right = right, left ^ ((mixed ^ mixed >> 15) * 0x2545F491 >> 7 & mask)
        placed[outside] = left << bits | right
        outside = placed >= size
    return placed
