"""Products of a matrix that never changes with the inputs of a step: the time of a step is that of reading the matrix.

In fp32 NumPy computes them. `Int8Product` reads a quarter of the bytes: each row of the matrix, and each vector of
inputs, is a scale and whole numbers from -127 to 127::

    W_r ≈ s_r Q_r           s_r = max |W_r| / 127
    x   ≈ a q               a   = max |x| / 127
    W x ≈ a s ⊙ (Q q)       Q q is exact, in 32 bits

so it is only rounded twice, and the result depends on neither the processor nor the number of texts.

Source: Jacob et al. 2018, "Quantization and training of neural networks for efficient integer-arithmetic-only
inference"; the products of whole numbers are NumKong's.
"""

from __future__ import annotations

from functools import cache
from importlib.util import find_spec
from typing import Any, Literal, Protocol, TypeAlias

import numpy as np
from numpy.typing import NDArray

from charlstm.engine.buffers import aligned, empty
from charlstm.errors import UsageError

Array = NDArray[np.float32]
Precision: TypeAlias = Literal["fp32", "int8"]

_LARGEST = 127
_SMALL_BATCH = 4
"""Below this batch size one matrix-vector product per text takes half the time of OpenBLAS's matrix product."""


class Product(Protocol):
    """A matrix W, (R, K), to be multiplied by inputs. It is immutable, so that threads can share it."""

    def buffers(self, rows: tuple[int, ...]) -> Any:
        """Allocate the scratch arrays of a product.

        Args:
            rows: ``(B,)``, or ``()`` for a single text without a batch axis.
        """

    def __call__(self, inputs: Array, out: Array, buffers: Any) -> None:
        """Compute ``inputs @ W.T`` into ``out``.

        Args:
            inputs: (B, K) or (K,).
            out: (B, R) or (R,).
            buffers: this thread's buffers for this batch size.
        """


class Float32Product:
    """A product in NumPy.

    Args:
        weight: (R, K).
    """

    def __init__(self, weight: Array) -> None:
        self._weight = aligned(weight).T

    def buffers(self, rows: tuple[int, ...]) -> None:
        """See `Product`: there are none."""

    def __call__(self, inputs: Array, out: Array, buffers: None) -> None:
        """See `Product`."""
        if inputs.ndim == 1 or len(inputs) >= _SMALL_BATCH:
            np.dot(inputs, self._weight, out)
        else:
            for row, target in zip(inputs, out, strict=True):
                np.dot(row, self._weight, target)


class _Int8Buffers:
    """Inputs as whole numbers, and their sums, which NumKong writes into a tensor of its own."""

    def __init__(self, rows: tuple[int, ...], inputs: int, outputs: int) -> None:
        import numkong

        texts = rows[0] if rows else 1
        self.scaled = empty(*rows, inputs)
        self.whole = np.empty((texts, inputs), np.int8)
        self.tensor = numkong.zeros((texts, outputs), dtype="int32")
        self.sums = np.asarray(self.tensor).reshape(*rows, outputs)
        self.whole_rows = self.whole.reshape(*rows, inputs)


class Int8Product:
    """A product of whole numbers of 8 bits.

    Args:
        weight: (R, K).

    Raises:
        UsageError: NumKong is not installed.
    """

    def __init__(self, weight: Array) -> None:
        check_int8()
        import numkong

        self._multiply = numkong.dots_packed
        self._shape = weight.shape
        largest = np.abs(weight).max(1, initial=0.0)
        self._scales = np.where(largest > 0, largest, np.float32(1)) / np.float32(_LARGEST)
        scaled = weight / self._scales[:, None]
        self._packed = numkong.dots_pack(np.rint(scaled, out=scaled).astype(np.int8), "int8")

    def buffers(self, rows: tuple[int, ...]) -> _Int8Buffers:
        """See `Product`."""
        outputs, inputs = self._shape
        return _Int8Buffers(rows, inputs, outputs)

    def __call__(self, inputs: Array, out: Array, buffers: _Int8Buffers) -> None:
        """See `Product`."""
        scaled = np.abs(inputs, out=buffers.scaled)
        scale = np.maximum.reduce(scaled, -1, keepdims=True, initial=_TINY)  # never 0
        scale /= _LARGEST
        np.divide(inputs, scale, out=scaled)
        np.rint(scaled, out=scaled)
        buffers.whole_rows[...] = scaled
        self._multiply(buffers.whole, self._packed, out=buffers.tensor)
        out[...] = buffers.sums
        out *= self._scales
        out *= scale


_TINY = np.float32(1e-30)
"""Inputs that are all zeros have this scale."""

PRODUCTS: dict[Precision, type[Float32Product] | type[Int8Product]] = {"fp32": Float32Product, "int8": Int8Product}


@cache
def has_int8() -> bool:
    """Whether the package is installed that computes `Int8Product`."""
    return find_spec("numkong") is not None


def check_int8() -> None:
    """Check that `Int8Product` can be computed.

    Raises:
        UsageError: NumKong is not installed.
    """
    if not has_int8():
        raise UsageError("int8 needs numkong, which is not installed", hint="pip install numkong")
