"""Bytes to text, block by block: encoding, byte order mark, newlines, and the exact place of a bad byte.

Where the blocks are cut changes nothing: not the text, not the offset of a bad byte.
"""

from __future__ import annotations

import codecs
import io
from collections.abc import Iterable, Iterator
from itertools import chain
from typing import Literal

from charlstm.corpora.encodings import MARK_SIZE, bad_byte, detect, zero_byte
from charlstm.errors import TextError

Newlines = Literal["normalise", "keep"]
"""Whether CR LF and CR become LF."""


class Decoder:
    """The text of one part, from its bytes in blocks.

    Args:
        name: what messages call the part.
        encoding: None is UTF-8, with a byte order mark of UTF-8, UTF-16 or UTF-32 recognised. A mark is removed. Then a
            zero byte in UTF-8 is taken for the sign of a file that is no text; an encoding that is said lets it pass.
        newlines: ``"normalise"`` turns CR LF and CR into LF, ``"keep"`` leaves them.
    """

    def __init__(self, name: str, encoding: str | None, newlines: Newlines) -> None:
        self._name = name
        self._said = encoding
        # The standard library's own, in C: it keeps a CR at a piece's end until it knows what follows.
        self._newlines = io.IncrementalNewlineDecoder(None, translate=True) if newlines == "normalise" else None

    def decode(self, blocks: Iterable[bytes]) -> Iterator[tuple[str, bytes]]:
        """The text in pieces, none empty, each with its UTF-8.

        Raises:
            TextError: a byte does not fit the encoding.
            UsageError: there is no such encoding.
        """
        rest = iter(blocks)
        head = b""
        while len(head) < MARK_SIZE and (block := next(rest, b"")):
            head += block
        self.codec, self._offset = detect(head, self._said)
        self._codec = codecs.getincrementaldecoder(self.codec)()
        for block in chain((head[self._offset :],), rest):
            if block:
                yield from self._piece(block)
        yield from self._piece(b"", final=True)

    def _piece(self, block: bytes, final: bool = False) -> Iterator[tuple[str, bytes]]:
        """The text that is certain once a block has arrived."""
        zero = block.find(b"\0") if self._said is None and self.codec == "utf-8" else -1
        # Up to the zero and with it, so that a bad byte before it is told first.
        fed = block if zero < 0 else block[: zero + 1]
        kept = self._kept()
        decoded = self._decode(fed, final)
        if zero >= 0:
            raise zero_byte(self._name, self._offset, block)
        self._offset += len(fed)
        text = decoded if self._newlines is None else self._newlines.decode(decoded, final)
        if not text:
            return
        if self.codec == "utf-8" and text == decoded:
            # The bytes themselves: to encode them again would take as long as all the rest.
            yield text, (kept + fed)[: len(kept) + len(fed) - len(self._kept())]
        else:
            yield text, text.encode("utf-8", "surrogatepass")

    def _kept(self) -> bytes:
        """The beginning of a character that the codec waits with."""
        return self._codec.getstate()[0]

    def _decode(self, fed: bytes, final: bool) -> str:
        try:
            return self._codec.decode(fed, final)
        except UnicodeDecodeError as fault:
            # `fault.object` begins with what was kept from the block before.
            begin = self._offset + len(fed) - len(fault.object)
            raise bad_byte(self._name, begin, fault, self.codec, self._said) from None
        except UnicodeError as fault:
            hint = "Name the right encoding with --encoding."
            raise TextError(f"not {self.codec.upper()}: {fault}", where=self._name, hint=hint) from None
