"""What general compressors need for a text, in one pass and in constant memory (xz takes up to 700 MB)."""

from __future__ import annotations

import bz2
import lzma
import zlib
from collections.abc import Iterable
from typing import Protocol


class _Compressor(Protocol):
    def compress(self, data: bytes, /) -> bytes: ...

    def flush(self) -> bytes: ...


def bits_per_byte(chunks: Iterable[bytes]) -> dict[str, float]:
    """The bits that gzip, bzip2 and xz, each at its best, need for a byte of a text.

    Args:
        chunks: the text, at least one byte in all.
    """
    compressors: dict[str, _Compressor] = {
        "gzip -9": zlib.compressobj(9, wbits=16 + zlib.MAX_WBITS),
        "bzip2 -9": bz2.BZ2Compressor(9),
        "xz -9e": lzma.LZMACompressor(preset=9 | lzma.PRESET_EXTREME),
    }
    sizes = dict.fromkeys(compressors, 0)
    size = 0
    for chunk in chunks:
        size += len(chunk)
        for name, compressor in compressors.items():
            sizes[name] += len(compressor.compress(chunk))
    return {name: 8 * (sizes[name] + len(compressors[name].flush())) / size for name in compressors}
