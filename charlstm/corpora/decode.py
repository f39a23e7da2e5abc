"""Bytes to text, block by block: encoding, byte order mark, newlines, and the exact place of a bad byte.

Where the blocks are cut changes nothing: neither the text nor the offset of a bad byte.
"""

from __future__ import annotations

import codecs
import io
from collections.abc import Iterable, Iterator
from itertools import chain
from typing import Literal

from charlstm.corpora.encodings import MARK_SIZE, bad_byte, detect, zero_byte
from charlstm.errors import EncodingError

Newlines = Literal["normalise", "keep"]
"""Whether CR LF and CR become LF."""


class TextDecoder:
    """The text of one part, from its bytes in blocks.

    Args:
        name: the part's name, for messages.
        encoding: None is UTF-8, with a byte order mark of UTF-8, UTF-16 or UTF-32 recognised and removed; a NUL then
            means that the file is not text. An encoding that is set lets a NUL pass.
        newlines: ``"normalise"`` turns CR LF and CR into LF, ``"keep"`` leaves them.
    """

    def __init__(self, name: str, encoding: str | None, newlines: Newlines) -> None:
        self._name = name
        self._encoding = encoding
        # The standard library's own, in C: it holds back a CR at the end of a piece until the next piece arrives.
        self._newlines = io.IncrementalNewlineDecoder(None, translate=True) if newlines == "normalise" else None

    def decode(self, blocks: Iterable[bytes]) -> Iterator[tuple[str, bytes]]:
        """Yield the text in pieces, none empty, each with its UTF-8.

        Raises:
            EncodingError: a byte does not fit the encoding.
            UsageError: there is no such encoding.
        """
        remaining = iter(blocks)
        head = b""
        while len(head) < MARK_SIZE and (block := next(remaining, b"")):
            head += block
        self.codec, self._offset = detect(head, self._encoding)
        self._codec = codecs.getincrementaldecoder(self.codec)()
        for block in chain((head[self._offset :],), remaining):
            if block:
                yield from self._piece(block)
        yield from self._piece(b"", final=True)

    def _piece(self, block: bytes, final: bool = False) -> Iterator[tuple[str, bytes]]:
        """The text that is complete once a block has arrived."""
        zero = block.find(b"\0") if self._encoding is None and self.codec == "utf-8" else -1
        # Decode up to and including the NUL, so that a bad byte before it is reported first.
        end = len(block) if zero < 0 else zero + 1
        pending = self._pending()
        decoded = self._decode(block, end, final)
        if zero >= 0:
            raise zero_byte(self._name, self._offset, block)
        self._offset += len(block)
        text = decoded if self._newlines is None else self._newlines.decode(decoded, final)
        if not text:
            return
        if self.codec == "utf-8" and text == decoded:
            # The bytes themselves: encoding them again would take as long as everything else.
            yield text, (pending + block)[: len(pending) + len(block) - len(self._pending())]
        else:
            yield text, text.encode("utf-8", "surrogatepass")

    def _pending(self) -> bytes:
        """The start of a character whose other bytes are still to come."""
        return self._codec.getstate()[0]

    def _decode(self, block: bytes, end: int, final: bool) -> str:
        try:
            return self._codec.decode(block[:end], final)
        except UnicodeDecodeError as fault:
            # `fault.object` begins with the bytes pending from the previous block.
            begin = self._offset + end - len(fault.object)
            raise bad_byte(self._name, begin, fault, block[end:], self.codec, self._encoding) from None
        except UnicodeError as fault:
            hint = "Set `encoding` to the right one."
            raise EncodingError(f"not {self.codec.upper()}: {fault}", where=self._name, hint=hint) from None
