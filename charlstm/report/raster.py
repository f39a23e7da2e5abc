"""A heat map as a PNG of one pixel a cell, written with the standard library alone.

Source: the PNG specification (W3C, third edition), sections 5 (chunks), 9 (filtering) and 10 (deflate).
"""

from __future__ import annotations

import struct
import zlib
from typing import Any

import numpy as np
from numpy.typing import NDArray

from charlstm.report.scales import Scale


def png(values: NDArray[np.floating[Any]], scale: Scale) -> bytes:
    """Draw each value as one pixel, in the colour of its shade; a value without shade is transparent.

    Args:
        values: (rows, columns), at least one of each.
        scale: of the values.

    Returns:
        The file. Its colours are a palette, the shades of the scale.
    """
    steps = np.digitize(values, scale.limits).astype(np.uint8)  # NaN has the highest step, as in `Scale.step_of`
    height, width = steps.shape
    rows = np.zeros((height, 1 + width), np.uint8)  # each row begins with the number of its filter: 0, none
    rows[:, 1:] = steps
    palette = b"".join(bytes.fromhex(shade.background[1:] or "ffffff") for shade in scale.shades)
    opacity = bytes(255 if shade.background else 0 for shade in scale.shades)
    header = struct.pack(">IIBBBBB", width, height, 8, 3, 0, 0, 0)
    chunks = (b"IHDR", header), (b"PLTE", palette), (b"tRNS", opacity), (b"IDAT", zlib.compress(rows.tobytes(), 9))
    return b"\x89PNG\r\n\x1a\n" + b"".join(_chunk(*chunk) for chunk in (*chunks, (b"IEND", b"")))


def spread_rows(values: NDArray[np.floating[Any]], rows: int) -> NDArray[np.floating[Any]]:
    """Choose rows at equal distances, the first and the last among them, so that a map has at most so many.

    Means of neighbouring rows would hide what a map shows: units that are open or shut come out half open.

    Args:
        values: (any number of rows, columns).
        rows: at most how many rows the result has, at least one.

    Returns:
        The chosen rows, (at most ``rows``, columns).
    """
    count = len(values)
    return values if count <= rows else values[np.linspace(0, count - 1, rows).round().astype(int)]


def _chunk(name: bytes, data: bytes) -> bytes:
    return struct.pack(">I", len(data)) + name + data + struct.pack(">I", zlib.crc32(name + data))
