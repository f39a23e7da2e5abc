"""An engine for a process of its own: its products have as many threads as are quickest at the moment.

NumPy gives every product a thread a core. At narrow networks they cost more than they give; at wide ones they halve a
step, but only while they have the cores to themselves: beside a training in the next terminal 1,500 characters took
12 s instead of 0.7 s. The number holds for all of a process: a library leaves it alone, the command line need not.
"""

from __future__ import annotations

import time
from collections import Counter
from collections.abc import Mapping
from functools import cache
from typing import Any

import numpy as np
from numpy.typing import NDArray
from threadpoolctl import ThreadpoolController

from charlstm.checkpoint.format import Checkpoint
from charlstm.cpu import AdaptiveThreads, cores
from charlstm.engine.layers import Array
from charlstm.engine.network import Engine
from charlstm.engine.protocol import AnyTokenIds
from charlstm.engine.state import StepState, map_arrays
from charlstm.nn.architecture import Architecture
from charlstm.nn.shapes import matmul_weight_count
from charlstm.tokenizers import Tokenizer

_MUCH = 600_000
"""From so many multiplications a step on a second thread pays."""

_FEW_ROWS, _FEW_THREADS = 8, 2
"""Up to so many rows a step is bound by reading the weights, which more threads than that do little faster."""

_FIRST = 8
"""So many steps of as many rows have one thread: numbers of rows that come and go are not worth judging."""

_STEPS, _SECONDS = 64, 0.05
"""So many steps, or so many seconds of them, are enough to judge a number of threads."""


class BlasThreads:
    """The threads of NumPy's products: one, until another number is asked for.

    Attributes:
        most: as many as the environment allows; 1 where they cannot be set.
    """

    def __init__(self) -> None:
        self._libraries = ThreadpoolController().select(user_api="blas").lib_controllers
        self.most = max((library.num_threads for library in self._libraries), default=1)
        self._now = 0
        self.use(1)

    def use(self, threads: int) -> None:
        """Give all products from now on so many."""
        if threads != self._now:
            for library in self._libraries:
                library.set_num_threads(threads)
        self._now = threads


@cache
def blas_threads() -> BlasThreads:
    """Those of this process, which are the same for all engines."""
    return BlasThreads()


class AutoThreadsEngine(Engine):
    """An engine that sets the number of BLAS threads, so that it is quick, gives way, and no bit depends on either.

    Args:
        architecture, tensors, tokenizer: as `Engine`.
        threads: always so many; None finds out.
    """

    def __init__(
        self,
        architecture: Architecture,
        tensors: Mapping[str, NDArray[Any]],
        tokenizer: Tokenizer,
        threads: int | None = None,
    ) -> None:
        super().__init__(architecture, tensors, tokenizer)
        self._multiplied = matmul_weight_count(architecture)
        self._asked = threads
        self._blas = blas_threads()
        self._of_rows: dict[int, AdaptiveThreads] = {}
        self._seen: Counter[int] = Counter()

    @classmethod
    def from_checkpoint(cls, checkpoint: Checkpoint, threads: int | None = None) -> AutoThreadsEngine:
        """The network of a checkpoint that `checkpoint.format.read` has checked."""
        return cls(checkpoint.architecture, checkpoint.tensors, checkpoint.load_tokenizer(), threads)

    def step(self, tokens: AnyTokenIds, state: StepState | None) -> tuple[Array, StepState]:
        """See `Engine.step`."""
        threads = self._of_rows.get(len(tokens))
        if threads is None:
            return self._first_steps(tokens, state)
        self._blas.use(threads.num_threads)
        began = time.perf_counter()
        stepped = super().step(tokens, state)
        threads.after_step(time.perf_counter() - began)
        return stepped

    def _first_steps(self, tokens: AnyTokenIds, state: StepState | None) -> tuple[Array, StepState]:
        """The first ones of so many rows; the last of them tells how many threads these may have."""
        rows = len(tokens)
        if self._asked or rows * self._multiplied < _MUCH:
            return self._settled(tokens, state, self._asked or 1)
        self._seen[rows] += 1
        if self._seen[rows] < _FIRST or state is None:  # most products of zeros are alike
            self._blas.use(1)
            return super().step(tokens, state)
        most = min(self._blas.most, _FEW_THREADS if rows <= _FEW_ROWS else cores())
        threads = AdaptiveThreads(most, self._blas.use, min_steps=_STEPS, min_seconds=_SECONDS)
        self._blas.use(threads.half_threads)
        by_half = super().step(tokens, state)
        self._blas.use(most)
        by_most = super().step(tokens, state)
        if not _equal(by_half, by_most):  # where a seed could write another text, the number may not change
            return self._settled(tokens, state, 1 if rows <= _FEW_ROWS else most)
        self._of_rows[rows] = threads
        return by_most

    def _settled(self, tokens: AnyTokenIds, state: StepState | None, threads: int) -> tuple[Array, StepState]:
        self._of_rows[len(tokens)] = AdaptiveThreads(threads, self._blas.use, enabled=False)
        return self.step(tokens, state)


def _equal(one: tuple[Array, StepState], other: tuple[Array, StepState]) -> bool:
    """Whether two steps from one state came to the same bits; side inputs are whole numbers, which always do."""
    equal = [np.array_equal(one[0], other[0])]

    def compare(a: Array, b: Array) -> Array:
        equal.append(np.array_equal(a, b))
        return a

    map_arrays(compare, one[1], other[1])
    return all(equal)
