"""Fixed-length windows of the encoded text.

``stateful``, the alphabet in 3 streams, batch 3, window 4 (offset 0)::

    a b c d | e f g h | i         a window reads one letter and predicts the next; the state of each
    j k l m | n o p q | r         stream is carried from window to window, left to right, until the
    s t u v | w x y z | a         epoch's end; the next epoch begins at another letter of the ring.

With more streams than rows in a batch, steps take the groups of rows in turn. So the order of the data depends on
nothing but the seed, the epoch and the index in it: a cursor of two numbers is enough to go on exactly.

For a bidirectional network some tokens of a window are hidden (`cloze`), and those are what it predicts.
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
from charlstm.nn.masking import hide


@dataclass(frozen=True)
class Window:
    """One step's worth of text."""

    inputs: Tensor
    """Ids, (batch, time)."""
    targets: Tensor
    """Ids one later, (batch, time); of a cloze the same ids, with none hidden."""
    fresh: Tensor
    """Rows whose state starts from zero, (batch,) bool."""
    group: int
    """Which group of streams the rows are: each group has its own carried state."""
    epoch: int
    index: int
    """The window's place in its epoch, from 0."""


class Windows:
    """The windows of a text, epoch after epoch, without end.

    The text is a ring: the streams of epoch e start at a random place of it, so each epoch cuts it elsewhere. Where
    the ring closes, one prediction an epoch crosses from the text's end to its beginning.

    Args:
        ids: the training tokens, in memory or memory-mapped, (tokens,).
        config: `batch_size`, `seq_len`, `streams`, `windows`, `state_reset`.
        seed: of where windows start, and of what is hidden.
        mask: the id that stands for a hidden token, if this is to be a cloze.
    """

    def __init__(self, ids: NDArray[Any], config: DataConfig, seed: int, mask: int | None = None) -> None:
        self._ids = ids
        self._seed = seed
        self._mask = mask
        self._seq_len = config.seq_len
        self.batch_size = config.batch_size
        self.shuffled = config.windows == "shuffled"
        self.groups = 1 if self.shuffled else max(1, config.streams // config.batch_size)
        self._reset = config.state_reset
        rows = self.batch_size * self.groups
        if self.shuffled:
            self._windows = max(1, len(ids) // self._seq_len)
            self.per_epoch = max(1, self._windows // self.batch_size)
        else:
            self._span = max(1, len(ids) // rows)
            self.per_epoch = self.groups * -(-self._span // self._seq_len)

    def start_from(self, epoch: int, index: int) -> Iterator[Window]:
        """The windows from a cursor on; ``(0, 0)`` is the beginning."""
        while True:
            offset = int(np.random.default_rng((self._seed, epoch)).integers(len(self._ids)))
            for place in range(index, self.per_epoch):
                yield (self._shuffled if self.shuffled else self._stateful)(epoch, place, offset)
            epoch, index = epoch + 1, 0

    def _stateful(self, epoch: int, index: int, offset: int) -> Window:
        column, group = divmod(index, self.groups)
        begin = column * self._seq_len
        length = min(self._seq_len, self._span - begin)
        streams = np.arange(group * self.batch_size, (group + 1) * self.batch_size)
        if column == 0:
            fresh = np.ones(self.batch_size, bool)
        else:
            fresh = np.random.default_rng((self._seed, epoch, index)).random(self.batch_size) < self._reset
        return self._window(offset + streams * self._span + begin, length, fresh, group, epoch, index)

    def _shuffled(self, epoch: int, index: int, offset: int) -> Window:
        place = np.arange(index * self.batch_size, (index + 1) * self.batch_size) % self._windows
        starts = offset + permuted(place, self._windows, (self._seed, epoch)) * self._seq_len
        return self._window(starts, self._seq_len, np.ones(self.batch_size, bool), 0, epoch, index)

    def _window(
        self, starts: NDArray[np.int64], length: int, fresh: NDArray[np.bool_], group: int, epoch: int, index: int
    ) -> Window:
        places = (starts[:, None] + np.arange(length + 1)) % len(self._ids)
        ids = self._ids[places].astype(np.int64)
        inputs, targets = ids[:, :-1], ids[:, 1:]
        if self._mask is not None:
            hidden = hide(np.random.default_rng((self._seed, epoch, index, 1)), len(starts), length)
            inputs, targets = np.where(hidden, self._mask, inputs), inputs
        return Window(torch.from_numpy(inputs), torch.from_numpy(targets), torch.from_numpy(fresh), group, epoch, index)


def permuted(places: NDArray[np.int64], size: int, key: tuple[int, ...]) -> NDArray[np.int64]:
    """Where a random permutation of ``range(size)`` puts some places, without ever holding all of it.

    A Feistel network permutes the smallest even power of two that holds ``size``; what falls outside is sent
    through again until it falls inside (cycle walking; Black & Rogaway 2002).
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
