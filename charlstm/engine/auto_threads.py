"""An engine that sets the number of BLAS threads of its process to whatever is fastest at the moment.

By default NumPy's matrix products use one thread per core. For narrow networks that costs more than it gains; for wide
ones it halves the time of a step, but only while the cores are idle: next to a training run, 1,500 characters took 12 s
instead of 0.7 s. The number of threads is a setting of the whole process, so a library must not change it; a program
may.
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
from charlstm.engine.network import Engine
from charlstm.engine.products import Array, Precision
from charlstm.engine.protocol import AnyTokenIds
from charlstm.engine.state import StepState, map_arrays
from charlstm.nn.architecture import Architecture
from charlstm.nn.shapes import matmul_weight_count
from charlstm.tokenizers import Tokenizer

_MIN_PRODUCTS = 600_000
"""Multiplications per step from which a second thread is worth its cost."""

_FEW_ROWS, _FEW_THREADS = 8, 2
"""Up to this many rows a step is bound by reading the weights, and more than this many threads hardly speed it up."""

_WARMUP_STEPS = 8
"""Steps on one thread before a batch size is judged: one that occurs only briefly is not worth measuring."""

_JUDGE_STEPS, _JUDGE_SECONDS = 64, 0.05
"""Steps, or seconds of steps, after which a number of threads is judged."""


class BlasThreads:
    """The number of threads of NumPy's matrix products, initially one.

    Attributes:
        most: the most threads that the environment allows; 1 where the number cannot be set.
    """

    def __init__(self) -> None:
        self._libraries = ThreadpoolController().select(user_api="blas").lib_controllers
        self.most = max((library.num_threads for library in self._libraries), default=1)
        self._current = 0
        self.use(1)

    def use(self, threads: int) -> None:
        """Use this many threads for all following products."""
        if threads != self._current:
            for library in self._libraries:
                library.set_num_threads(threads)
        self._current = threads


@cache
def blas_threads() -> BlasThreads:
    """Return the BLAS threads of this process, which all engines share."""
    return BlasThreads()


class AutoThreadsEngine(Engine):
    """An engine that sets the number of BLAS threads: fast on idle cores, considerate on busy ones, and reproducible.

    The logits do not depend on the number of threads, bit for bit.

    Args:
        architecture: the architecture of the network.
        tensors: its weights, by name.
        tokenizer: the tokenizer it was trained with.
        precision: of the products in its recurrent layers; those of int8 have one thread.
        threads: a fixed number of threads; None chooses it by measurement.
    """

    def __init__(
        self,
        architecture: Architecture,
        tensors: Mapping[str, NDArray[Any]],
        tokenizer: Tokenizer,
        precision: Precision = "fp32",
        threads: int | None = None,
    ) -> None:
        self._blas = blas_threads()  # before the first product: two threads on a busy machine wait for each other
        super().__init__(architecture, tensors, tokenizer, precision)
        self._products_per_row = matmul_weight_count(architecture)
        self._fixed_threads = threads or (1 if precision == "int8" else None)
        self._threads_by_rows: dict[int, AdaptiveThreads] = {}
        self._steps_by_rows: Counter[int] = Counter()

    @classmethod
    def from_checkpoint(
        cls, checkpoint: Checkpoint, threads: int | None = None, *, precision: Precision = "fp32"
    ) -> AutoThreadsEngine:
        """Create the engine of a checkpoint that `checkpoint.format.read` has checked.

        Args:
            checkpoint: a causal model.
            threads: a fixed number of threads; None chooses it by measurement.
            precision: of the products in its recurrent layers.

        Returns:
            The engine.

        Raises:
            UsageError: the precision needs a package that is not installed.
        """
        return cls(checkpoint.architecture, checkpoint.tensors, checkpoint.load_tokenizer(), precision, threads)

    def step(self, tokens: AnyTokenIds, state: StepState | None) -> tuple[Array, StepState]:
        """See `Engine.step`."""
        threads = self._threads_by_rows.get(len(tokens))
        if threads is None:
            return self._warmup_step(tokens, state)
        self._blas.use(threads.num_threads)
        start = time.perf_counter()
        result = super().step(tokens, state)
        threads.after_step(time.perf_counter() - start)
        return result

    def _warmup_step(self, tokens: AnyTokenIds, state: StepState | None) -> tuple[Array, StepState]:
        """Take one of the first steps with a batch size; the last of them decides which numbers of threads to try."""
        rows = len(tokens)
        if self._fixed_threads or rows * self._products_per_row < _MIN_PRODUCTS:
            return self._step_with_fixed(tokens, state, self._fixed_threads or 1)
        self._steps_by_rows[rows] += 1
        if self._steps_by_rows[rows] < _WARMUP_STEPS or state is None:  # products of zeros are equal anyway
            self._blas.use(1)
            return super().step(tokens, state)
        most = min(self._blas.most, _FEW_THREADS if rows <= _FEW_ROWS else cores())
        threads = AdaptiveThreads(most, self._blas.use, min_steps=_JUDGE_STEPS, min_seconds=_JUDGE_SECONDS)
        self._blas.use(threads.half_threads)
        with_half = super().step(tokens, state)
        self._blas.use(most)
        with_most = super().step(tokens, state)
        if not _equal(with_half, with_most):  # the same seed could give another text, so the number must not change
            return self._step_with_fixed(tokens, state, 1 if rows <= _FEW_ROWS else most)
        self._threads_by_rows[rows] = threads
        return with_most

    def _step_with_fixed(self, tokens: AnyTokenIds, state: StepState | None, threads: int) -> tuple[Array, StepState]:
        self._threads_by_rows[len(tokens)] = AdaptiveThreads(threads, self._blas.use, enabled=False)
        return self.step(tokens, state)


def _equal(one: tuple[Array, StepState], other: tuple[Array, StepState]) -> bool:
    """Whether two steps gave the same bits; the integers of side inputs are always equal."""
    equal = [np.array_equal(one[0], other[0])]

    def compare(a: Array, b: Array) -> Array:
        equal.append(np.array_equal(a, b))
        return a

    map_arrays(compare, one[1], other[1])
    return all(equal)
