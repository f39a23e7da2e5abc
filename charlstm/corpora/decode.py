"""Bytes to text, block by block: encoding, byte order marks, newlines, and the exact place of a bad byte.

Where the blocks are cut changes nothing: neither the text nor the place of a bad byte.
"""

from __future__ import annotations

import codecs
import io
from collections.abc import Iterable, Iterator
from dataclasses import dataclass, field
from itertools import chain
from typing import Literal

from charlstm.config import DataConfig
from charlstm.corpora.documents import HEAD_SIZE, refuse_documents
from charlstm.corpora.encodings import AUTO, MARK, bad_byte, detect, zero_byte
from charlstm.errors import EncodingError

Newlines = Literal["normalise", "keep"]
"""Whether CR LF and CR become LF."""
BadBytes = Literal["error", "replace", "skip"]
"""What becomes of bytes that do not fit the encoding: an error, U+FFFD, or nothing."""

_REPLACEMENT: dict[str, str] = {"replace": "\ufffd", "skip": ""}
_BAD = "\ud800"
"""What stands for bad bytes until they are counted: half of a surrogate pair, which no text in an encoding holds."""
codecs.register_error("charlstm.bad-bytes", lambda fault: (_BAD, getattr(fault, "end", 0)))


@dataclass(frozen=True)
class Decoding:
    """How bytes become text."""

    encoding: str | None = None
    """None is UTF-8, with a byte order mark of UTF-8, UTF-16 or UTF-32 recognised and removed; ``"auto"`` is what the
    text reads well in."""
    newlines: Newlines = "normalise"
    bad_bytes: BadBytes = "error"

    @classmethod
    def of(cls, data: DataConfig) -> Decoding:
        """As the settings of a run say."""
        return cls(data.encoding, data.newlines, data.bad_bytes)

    @property
    def codec(self) -> str | None:
        """The encoding, if it is set to a certain one."""
        return None if self.encoding == AUTO else self.encoding


PLAIN = Decoding()
"""UTF-8, unless a mark says otherwise, with a bad byte as an error."""


@dataclass
class Places:
    """Where something was found in a text."""

    count: int = 0
    lines: tuple[int, ...] = ()
    """The first lines with it, from 1."""

    def add(self, count: int, lines: Iterable[int]) -> None:
        """Count more.

        Args:
            count: how many more there are.
            lines: those that they are in.
        """
        self.count += count
        self.lines = tuple(dict.fromkeys((*self.lines, *lines)))[:_LISTED]


_LISTED = 3
"""Lines that are remembered."""


@dataclass
class Repairs:
    """What was not taken from a text as it stands."""

    bad_bytes: Places = field(default_factory=Places)
    """Where bytes do not fit the encoding."""
    marks: Places = field(default_factory=Places)
    """Byte order marks behind the beginning, where files were joined; they are left out."""
    ragged: Places = field(default_factory=Places)
    """Rows of a table that have fewer or more cells than its first line."""


class TextDecoder:
    """The text of one part, from its bytes in blocks.

    Args:
        name: the part's name, for messages.
        decoding: how it is read. A NUL means that the file is not text; an encoding that is set lets it pass.

    Attributes:
        repairs: what was not taken as it stands, so far.
    """

    def __init__(self, name: str, decoding: Decoding) -> None:
        self._name = name
        self._encoding = decoding.codec
        self._replacement = _REPLACEMENT.get(decoding.bad_bytes)
        # The standard library's own, in C: it holds back a CR at the end of a piece until the next piece arrives.
        keep = decoding.newlines == "keep"
        self._newlines = None if keep else io.IncrementalNewlineDecoder(None, translate=True)
        self._line, self._column = 1, 1  # of the next character
        self.repairs = Repairs()

    def decode(self, blocks: Iterable[bytes]) -> Iterator[tuple[str, bytes]]:
        """Yield the text in pieces, none empty, each with its UTF-8.

        Raises:
            EncodingError: a byte does not fit the encoding, and that is an error.
            TextError: it is a document of another kind.
            UsageError: there is no such encoding.
        """
        remaining = iter(blocks)
        head = b""
        while len(head) < HEAD_SIZE and (block := next(remaining, b"")):
            head += block
        self.codec, self._offset = detect(head, self._encoding)
        if self._encoding is None:
            refuse_documents(self._name, head)
        errors = "strict" if self._replacement is None else "charlstm.bad-bytes"
        self._codec = codecs.getincrementaldecoder(self.codec)(errors)
        self._may_have_marks = self.codec.startswith("utf-")
        for block in chain((head[self._offset :],), remaining):
            if block:
                yield from self._piece(block)
        yield from self._piece(b"", final=True)

    def _piece(self, block: bytes, final: bool = False) -> Iterator[tuple[str, bytes]]:
        """The text that is complete once a block has arrived."""
        pending = self._pending()
        decoded = self._decode(block, final)
        self._offset += len(block)
        text = self._repaired(decoded)
        if self._newlines is not None:
            text = self._newlines.decode(text, final)
        if not text:
            return
        self._line, self._column = self._place_after(text)
        if self.codec == "utf-8" and text == decoded:
            # The bytes themselves: encoding them again would take as long as everything else.
            yield text, (pending + block)[: len(pending) + len(block) - len(self._pending())]
        else:
            yield text, text.encode("utf-8", "surrogatepass")

    def _pending(self) -> bytes:
        """The start of a character whose other bytes are still to come."""
        return self._codec.getstate()[0]

    def _decode(self, block: bytes, final: bool) -> str:
        zero = block.find(b"\0") if self._forbids_zero() and self._replacement is None else -1
        # Decode up to and including the NUL, so that a bad byte before it is reported first.
        end = len(block) if zero < 0 else zero + 1
        before = self._codec.getstate()
        try:
            decoded = self._codec.decode(block[:end], final)
        except UnicodeDecodeError as fault:
            # `fault.object` begins with the bytes pending from the previous block.
            begin = self._offset + end - len(fault.object)
            place = self._place_in(before, block, fault.start - (len(fault.object) - end))
            raise bad_byte(self._name, begin, fault, block[end:], self.codec, self._encoding, place) from None
        except UnicodeError as fault:
            hint = "Set `encoding` to the right one."
            raise EncodingError(f"not {self.codec.upper()}: {fault}", where=self._name, hint=hint) from None
        if zero >= 0:
            raise zero_byte(self._name, self._offset, block, self._place_behind(decoded[:-1]))
        return decoded

    def _forbids_zero(self) -> bool:
        return self._encoding is None and self.codec == "utf-8"

    def _repaired(self, text: str) -> str:
        """The text without bad bytes and without byte order marks, which are counted."""
        if self._replacement is not None:
            if self._forbids_zero():
                text = text.replace("\0", _BAD)
            text = self._without(text, _BAD, self._replacement, self.repairs.bad_bytes)
        return self._without(text, MARK, "", self.repairs.marks) if self._may_have_marks else text

    def _without(self, text: str, sign: str, replacement: str, found: Places) -> str:
        if sign not in text:
            return text
        lines = enumerate(self._unbroken(text).split("\n"), self._line)
        found.add(text.count(sign), [number for number, line in lines if sign in line])
        return text.replace(sign, replacement)

    def _place_in(self, state: tuple[bytes, int], block: bytes, length: int) -> tuple[int, int]:
        """The line and column behind so many good bytes of a block, which the decoder begins in a given state."""
        self._codec.setstate(state)
        try:
            return self._place_behind(self._codec.decode(block[:length]) if length > 0 else "")
        except UnicodeError:  # an encoding in which a text can be read only as a whole
            return self._line, self._column

    def _place_behind(self, decoded: str) -> tuple[int, int]:
        """The line and column behind what is decoded next, whose newlines are still as they were."""
        return self._place_after(self._unbroken(decoded))

    def _unbroken(self, decoded: str) -> str:
        """What is decoded next, with the newlines that it will have."""
        if self._newlines is None:
            return decoded
        held_back = "\r" if self._newlines.getstate()[1] else ""
        return (held_back + decoded).replace("\r\n", "\n").replace("\r", "\n")

    def _place_after(self, text: str) -> tuple[int, int]:
        """The line and column of the character that follows this text, both from 1."""
        newlines = text.count("\n")
        column = len(text) - text.rindex("\n") if newlines else self._column + len(text)
        return self._line + newlines, column
