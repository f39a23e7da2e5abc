"""Pieces of words as ids: a SentencePiece model, unigram or BPE, that restores every text exactly.

By itself SentencePiece rewrites texts: it normalises, joins spaces, drops newlines and takes U+2581 for a space. Here
all of that is off, and what it cannot represent never reaches it: newlines have an id of their own, and U+2581 and
bytes that are not UTF-8 are encoded as ids of single bytes.
"""

from __future__ import annotations

import base64
import re
from collections.abc import Iterable, Iterator, Mapping
from itertools import chain
from typing import Any

import numpy as np
import sentencepiece as spm

from charlstm.errors import UnknownCharacter
from charlstm.tokenizers.base import Ids, narrowest
from charlstm.tokenizers.byte import Utf8Decoder
from charlstm.tokenizers.char import UNKNOWN

LONGEST_RUN = 4096
"""Characters: text without a newline is cut there, so that encoding takes bounded memory and time."""

FIXED = ("\n", "\t")
"""Pieces that are not learnt."""

_ERRORS = 2
"""The lowest level of messages that SentencePiece prints."""
_SPACE = "\u2581"  # SentencePiece's representation of a space
_FOREIGN = re.compile(f"([{_SPACE}\udc80-\udcff]+)")
_LONE_SURROGATE = re.compile("[\ud800-\udc7f\udd00-\udfff]")


class SentencePieceTokenizer:
    """Pieces of words as ids.

    Id 0 is SentencePiece's unknown piece, which it requires. No text is ever encoded to it, since every character can
    be written in bytes; samplers exclude it by `unknown_id`.

    Args:
        model: a serialised SentencePiece model with byte fallback and a piece for the newline.

    Raises:
        ValueError: it is not such a model.
    """

    kind = "sentencepiece"

    def __init__(self, model: bytes) -> None:
        self._model = model
        spm.SetMinLogLevel(_ERRORS)  # of odd pieces it would tell on stderr
        self._pieces = spm.SentencePieceProcessor()
        try:
            self._pieces.LoadFromSerializedProto(model)
        except RuntimeError as fault:
            raise ValueError(f"not a SentencePiece model: {fault}") from fault
        self.vocab_size: int = self._pieces.vocab_size()
        self.unknown_id: int | None = self._pieces.unk_id()
        self._bytes = [self._bytes_of(token) for token in range(self.vocab_size)]
        self._byte_ids = [self._pieces.piece_to_id(f"<0x{byte:02X}>") for byte in range(256)]
        self._newline = self._pieces.piece_to_id("\n")
        if self.unknown_id in (self._newline, *self._byte_ids):
            raise ValueError("a SentencePiece model without bytes or newline")
        self._ids_type = narrowest(self.vocab_size)

    @classmethod
    def from_state(cls, state: Mapping[str, Any]) -> SentencePieceTokenizer:
        """Undo `to_state`."""
        return cls(base64.b64decode(state["model"], validate=True))

    def to_state(self) -> dict[str, Any]:
        """The serialised model in base64."""
        return {"kind": self.kind, "model": base64.b64encode(self._model).decode("ascii")}

    def encode(self, text: str) -> Ids:
        """The ids of a whole text.

        Raises:
            UnknownCharacter: half of a surrogate pair, which UTF-8 cannot encode.
        """
        encoder = self.encoder()
        return np.concatenate((encoder.push(text), encoder.flush()))

    def decode(self, ids: Iterable[int]) -> str:
        """The text of the ids; U+FFFD for bytes that are not UTF-8."""
        return b"".join(map(self.token_bytes, ids)).decode("utf-8", "replace")

    def encoder(self) -> LineEncoder:
        """A new streaming encoder: ids are final at the end of each line, or after 4096 characters without one."""
        return LineEncoder(self)

    def decoder(self) -> Utf8Decoder:
        """A new streaming decoder: single bytes wait until they make a whole character."""
        return Utf8Decoder(self)

    def unknown_characters(self, text: str) -> list[str]:
        """Halves of surrogate pairs, each once, in order; everything else can be written in bytes."""
        return list(dict.fromkeys(_LONE_SURROGATE.findall(text)))

    def token_bytes(self, token: int) -> bytes:
        """The UTF-8 bytes of one piece, or the one byte."""
        return self._bytes[token]

    @property
    def byte_ids(self) -> tuple[int, ...]:
        """The id of each single byte, from 0 to 255."""
        return tuple(self._byte_ids)

    def scored_pieces(self) -> dict[str, tuple[int, float]]:
        """The id and the score of each learnt piece, with spaces as spaces; those of `FIXED` have no score."""
        unlearnt = {self.unknown_id, *self._byte_ids, *map(self._pieces.piece_to_id, FIXED)}
        learnt = (token for token in range(self.vocab_size) if token not in unlearnt)
        return {self._bytes[token].decode("utf-8"): (token, self._pieces.get_score(token)) for token in learnt}

    def encode_cut(self, text: str) -> Ids:
        """The ids of text between two cuts of a `LineEncoder`, which no further text can change."""
        lines = text.split("\n")
        newline = [self._newline]
        parts = [part for ids in self._encode_lines(lines, plain=not _FOREIGN.search(text)) for part in (ids, newline)]
        return np.fromiter(chain.from_iterable(parts[:-1]), self._ids_type)

    def _encode_lines(self, lines: list[str], *, plain: bool) -> Iterator[list[int]]:
        """Yield the ids of each line; ``plain`` if SentencePiece can represent all of them."""
        if plain and max(map(len, lines)) <= LONGEST_RUN:
            yield from self._pieces.encode(lines)
            return
        for line in lines:
            runs = [line[start : start + LONGEST_RUN] for start in range(0, len(line), LONGEST_RUN)]
            yield [token for run in runs for token in self._encode_run(run)]

    def _encode_run(self, run: str) -> list[int]:
        ids: list[int] = []
        for number, part in enumerate(_FOREIGN.split(run)):
            if number % 2:  # a match of the pattern
                ids += [self._byte_ids[byte] for byte in part.encode("utf-8", "surrogateescape")]
            else:
                ids += self._pieces.encode(part)
        return ids

    def _bytes_of(self, token: int) -> bytes:
        piece: str = self._pieces.id_to_piece(token)
        if self._pieces.is_byte(token):
            return bytes.fromhex(piece[3:5])
        return (UNKNOWN if token == self.unknown_id else piece.replace(_SPACE, " ")).encode("utf-8")


class LineEncoder:
    """The streaming encoder of `SentencePieceTokenizer`: cuts at newlines and after every 4096 characters without one.

    Text between two cuts is encoded at once, so the ids do not depend on how the text arrives.
    """

    def __init__(self, tokenizer: SentencePieceTokenizer) -> None:
        self._tokenizer = tokenizer
        self._pending = ""

    def push(self, text: str) -> Ids:
        """The ids up to the last cut.

        Raises:
            UnknownCharacter: half of a surrogate pair, which UTF-8 cannot encode.
        """
        lone = _LONE_SURROGATE.search(text)
        if lone:
            raise UnknownCharacter(lone[0], lone.start())
        text = self._pending + text
        line = text.rfind("\n") + 1
        cut = line + (len(text) - line) // LONGEST_RUN * LONGEST_RUN
        self._pending = text[cut:]
        return self._tokenizer.encode_cut(text[:cut])

    def flush(self) -> Ids:
        """The ids after the last cut."""
        text, self._pending = self._pending, ""
        return self._tokenizer.encode_cut(text)
