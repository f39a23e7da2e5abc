"""Matrices stored as 8-bit integers, each row with a scale of its own: a quarter of the size of float32.

For a row w of a matrix, with s its scale::

    s = max |w| / 127, rounded to a bfloat16
    q = round(w / s)        in -127, …, 127; the largest is ±127, as s is off by less than 1 in 256
    w ≈ q · s               off by at most s / 2

q · s is exact in float32, so packing what was unpacked gives the same integers and scales. Vectors (biases) stay
float32.

Source: Krishnamoorthi 2018, "Quantizing deep convolutional networks for efficient inference", section 3.1.1 (symmetric,
a scale for each row).
"""

from __future__ import annotations

from collections.abc import Collection, Mapping
from typing import Any, TypeVar

import numpy as np
from numpy.typing import NDArray

_LARGEST = 127
_LEAST_SCALE = 2.0**-110
"""A row with a smaller scale is stored as zeros: there float32 has too few bits left."""
_SCALE = ".scale"
_Described = TypeVar("_Described")


def pack(tensors: Mapping[str, NDArray[Any]]) -> dict[str, NDArray[Any]]:
    """Turn matrices into integers and scales.

    Args:
        tensors: a model's tensors by name, floating-point and finite.

    Returns:
        For each matrix (R, C) its integers, (R, C) int8, under its name, and its scales, (R,) uint16, the upper halves
        of float32 numbers, under ``NAME.scale``; everything else as float32.
    """
    packed: dict[str, NDArray[Any]] = {}
    for name, tensor in tensors.items():
        if tensor.ndim != 2:
            packed[name] = tensor.astype(np.float32)
            continue
        scale = _upper_halves(np.abs(tensor).max(1, initial=0.0).astype(np.float32) / _LARGEST)
        divisor = _from_upper_halves(scale).astype(np.float64)
        divisor[divisor == 0] = np.inf
        packed[name] = np.rint(tensor / divisor[:, None]).clip(-_LARGEST, _LARGEST).astype(np.int8)
        packed[name + _SCALE] = scale
    return packed


def unpack(tensors: Mapping[str, NDArray[Any]]) -> dict[str, NDArray[Any]]:
    """Turn integers and scales into the float32 matrices that they stand for: the inverse of `pack`.

    Args:
        tensors: what `pack` returned, or tensors without any that is packed.

    Returns:
        The tensors by name. An integer tensor without fitting scales is left as it is, and so are scales without one.
    """
    unpacked = dict(tensors)
    for name in packed_names({name: (tensor.dtype == np.int8, tensor.shape) for name, tensor in tensors.items()}):
        with np.errstate(over="ignore", invalid="ignore"):  # of damaged scales; the check of the values finds them
            unpacked[name] = tensors[name] * _from_upper_halves(unpacked.pop(name + _SCALE))[:, None]
    return unpacked


def pack_matrix(matrix: NDArray[Any]) -> tuple[NDArray[np.int8], NDArray[np.float32]]:
    """Return the integers q and the scales s of one matrix, so that q · s is what `pack` and `unpack` make of it.

    Args:
        matrix: (R, C), floating-point and finite.

    Returns:
        q, (R, C), and s, (R,).
    """
    packed = pack({"": matrix})
    return packed[""], _from_upper_halves(packed[_SCALE])


def packed_names(layout: Mapping[str, tuple[bool, tuple[int, ...]]]) -> list[str]:
    """Return the names of the matrices that are packed.

    Args:
        layout: by name whether a tensor holds 8-bit integers, and its shape.
    """
    return [
        name
        for name, (is_int8, shape) in layout.items()
        if is_int8 and len(shape) == 2 and layout.get(name + _SCALE, (False, ()))[1] == shape[:1]
    ]


def without_scales(tensors: Mapping[str, _Described], names: Collection[str]) -> dict[str, _Described]:
    """Return tensors, or what describes them, without the scales of packed matrices.

    Args:
        tensors: by name.
        names: the packed matrices, from `packed_names`.
    """
    scales = {name + _SCALE for name in names}
    return {name: tensor for name, tensor in tensors.items() if name not in scales}


def _upper_halves(values: NDArray[np.float32]) -> NDArray[np.uint16]:
    """Round non-negative numbers to bfloat16, stored as the upper halves of their bits; tiny ones become 0."""
    bits = np.where(values < _LEAST_SCALE, np.float32(0), values).view(np.uint32)
    return ((bits + 0x8000) >> 16).astype(np.uint16)


def _from_upper_halves(halves: NDArray[np.uint16]) -> NDArray[np.float32]:
    """Return the float32 numbers whose bits have these upper halves and zeros below."""
    return (halves.astype(np.uint32) << 16).view(np.float32)
