"""Pieces of words as ids: a SentencePiece model, unigram or BPE, that gives every text back exactly.

SentencePiece itself rewrites texts: it normalises, joins spaces, drops newlines and takes U+2581 for a space. Here
it is told to do none of that, and what it cannot carry never reaches it: newlines have an id of their own, U+2581 and
bytes that are no UTF-8 are written as ids of single bytes.
"""

from __future__ import annotations

import base64
import io
import re
from collections import Counter
from collections.abc import Callable, Iterable, Iterator, Mapping
from itertools import chain
from typing import Any, Literal

import numpy as np
import sentencepiece as spm

from charlstm.errors import TextError, UnknownCharacter, UsageError
from charlstm.tokenizers.base import Ids, narrowest
from charlstm.tokenizers.byte import Utf8Decoder
from charlstm.tokenizers.char import UNKNOWN

DEFAULT_VOCAB_SIZE = 1024
SMALLEST_VOCAB_SIZE = 260
"""The unknown piece, newline, tab, 256 bytes, and the space."""

_SPACE = "\u2581"  # what SentencePiece writes for a space, and takes for one
_LONGEST = 4096  # characters: what has no newline is cut there, so that encoding needs bounded memory and time
_ENOUGH = 5_000_000  # characters: more of a text teaches no better pieces, only costs time and memory
_CHARACTERS_A_PIECE = 200  # of text, so that a piece of a small text is seen often enough to be learnt
_COVERAGE = 0.9995  # SentencePiece's own default: the rest of the characters is written in bytes
_FOREIGN = re.compile(f"([{_SPACE}\udc80-\udcff]+)")
_LONE = re.compile("[\ud800-\udc7f\udd00-\udfff]")
_TOO_MANY = re.compile(r"Vocabulary size too high .* a value <= (\d+)")


class SentencePieceTokenizer:
    """Pieces of words as ids.

    Id 0 is SentencePiece's unknown piece, which it insists on. No text is ever encoded to it, since every character can
    be written in bytes; samplers keep from drawing it by `unknown_id`.

    Args:
        model: a serialised SentencePiece model with byte fallback and a piece for the newline.

    Raises:
        ValueError: it is none.
    """

    kind = "sentencepiece"

    def __init__(self, model: bytes) -> None:
        self._model = model
        self._pieces = spm.SentencePieceProcessor()
        try:
            self._pieces.LoadFromSerializedProto(model)
        except RuntimeError as fault:
            raise ValueError(f"no SentencePiece model: {fault}") from fault
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
            UnknownCharacter: half of a surrogate pair, which no UTF-8 can write.
        """
        encoder = self.encoder()
        return np.concatenate((encoder.push(text), encoder.flush()))

    def decode(self, ids: Iterable[int]) -> str:
        """The text of the ids; bytes that are no UTF-8 become U+FFFD."""
        return b"".join(map(self.token_bytes, ids)).decode("utf-8", "replace")

    def encoder(self) -> LineEncoder:
        """Ids are certain at the end of each line, or of 4096 characters without one."""
        return LineEncoder(self)

    def decoder(self) -> Utf8Decoder:
        """Single bytes wait until they make a whole character."""
        return Utf8Decoder(self)

    def unknown_characters(self, text: str) -> list[str]:
        """Halves of surrogate pairs, each once, in order; everything else can be written in bytes."""
        return list(dict.fromkeys(_LONE.findall(text)))

    def token_bytes(self, token: int) -> bytes:
        """The UTF-8 bytes of one piece, or the one byte."""
        return self._bytes[token]

    def encode_cut(self, text: str) -> Ids:
        """The ids of whole lines, or of what is between two cuts: what `LineEncoder` knows no more text will change."""
        lines = text.split("\n")
        newline = [self._newline]
        parts = [part for ids in self._encode_lines(lines, plain=not _FOREIGN.search(text)) for part in (ids, newline)]
        return np.fromiter(chain.from_iterable(parts[:-1]), self._ids_type)

    def _encode_lines(self, lines: list[str], *, plain: bool) -> Iterator[list[int]]:
        """The ids of each line; ``plain`` when there is nothing in them that SentencePiece cannot carry."""
        if plain and max(map(len, lines)) <= _LONGEST:
            yield from self._pieces.encode(lines)
            return
        for line in lines:
            runs = [line[start : start + _LONGEST] for start in range(0, len(line), _LONGEST)]
            yield [token for run in runs for token in self._encode_run(run)]

    def _encode_run(self, run: str) -> list[int]:
        ids: list[int] = []
        for number, part in enumerate(_FOREIGN.split(run)):
            if number % 2:  # what the pattern caught
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
    """The streaming encoder of `SentencePieceTokenizer`: cuts at newlines and every 4096 characters without one.

    What is between two cuts is encoded at once, so the ids do not depend on how the text arrives.
    """

    def __init__(self, tokenizer: SentencePieceTokenizer) -> None:
        self._tokenizer = tokenizer
        self._held = ""

    def push(self, text: str) -> Ids:
        """The ids up to the last cut.

        Raises:
            UnknownCharacter: half of a surrogate pair, which no UTF-8 can write.
        """
        lone = _LONE.search(text)
        if lone:
            raise UnknownCharacter(lone[0], lone.start())
        text = self._held + text
        line = text.rfind("\n") + 1
        cut = line + (len(text) - line) // _LONGEST * _LONGEST
        self._held = text[cut:]
        return self._tokenizer.encode_cut(text[:cut])

    def flush(self) -> Ids:
        """The ids behind the last cut."""
        rest, self._held = self._held, ""
        return self._tokenizer.encode_cut(rest)


# ---- training ---------------------------------------------------------------------------------------------------


def train(
    lines: Iterable[str], *, model: Literal["unigram", "bpe"] = "unigram", vocab_size: int | None = None
) -> SentencePieceTokenizer:
    """Learn the pieces of a text; the same lines always give the same tokenizer.

    Of a text above five million characters, lines spread evenly over all of it are used.

    Args:
        lines: the text; newlines are not learnt from and may be left out.
        model: ``"unigram"`` (Kudo 2018) or ``"bpe"`` (Sennrich et al. 2016).
        vocab_size: the number of ids; None is 1024, or fewer when the text is small.

    Raises:
        UsageError: a vocabulary this text cannot fill, with the largest it can; or below 260.
    """
    sample = _thinned(lines)
    counts = Counter(chain.from_iterable(sample))
    if vocab_size is None:
        room = max(16, sum(counts.values()) // _CHARACTERS_A_PIECE)
        vocab_size = min(DEFAULT_VOCAB_SIZE, SMALLEST_VOCAB_SIZE + room)
        return SentencePieceTokenizer(_fit(sample, counts, model, vocab_size, exact=False))
    if vocab_size < SMALLEST_VOCAB_SIZE:
        what = f"a SentencePiece vocabulary of {vocab_size} is too small"
        raise UsageError(what, hint=f"Bytes, newline, tab, space and unknown alone are {SMALLEST_VOCAB_SIZE}.")
    try:
        return SentencePieceTokenizer(_fit(sample, counts, model, vocab_size, exact=True))
    except _TooManyError as fault:
        largest = _largest(fault.reachable, lambda size: _fit(sample, counts, model, size, exact=True))
        what = f"this text does not fill a {model} vocabulary of {vocab_size}"
        raise UsageError(what, hint=f"The largest that works is {largest}.") from None


class _TooManyError(Exception):
    """The text does not fill the vocabulary; SentencePiece thinks ``reachable`` would do."""

    def __init__(self, reachable: int) -> None:
        super().__init__(reachable)
        self.reachable = reachable


def _largest(guess: int, fit: Callable[[int], object]) -> int:
    """The largest vocabulary from a guess downwards that has really been filled."""
    while guess > SMALLEST_VOCAB_SIZE:
        try:
            fit(guess)
        except _TooManyError as fault:
            guess = max(min(fault.reachable, guess - 1), SMALLEST_VOCAB_SIZE)
        else:
            break
    return guess


def _thinned(lines: Iterable[str]) -> list[str]:
    """Runs of text without newlines, at most as many as are enough: every 2nd, 4th … of them if there are more."""
    runs: list[str] = []
    total, stride = 0, 1
    pieces = (piece for line in lines for piece in line.split("\n"))
    cut = (piece[start : start + _LONGEST] for piece in pieces for start in range(0, len(piece), _LONGEST))
    for number, run in enumerate(cut):
        if number % stride == 0:
            runs.append(run)
            total += len(run)
        if total > _ENOUGH:
            runs, stride = runs[::2], stride * 2
            total = sum(map(len, runs))
    return runs


def _fit(sample: list[str], counts: Counter[str], model: str, vocab_size: int, *, exact: bool) -> bytes:
    """A serialised model. At first only half the free ids may go to single characters: the rest is for pieces.

    Raises:
        _TooManyError: ``exact`` is asked for and not to be had.
    """
    room = vocab_size - SMALLEST_VOCAB_SIZE
    try:
        return _learn(sample, counts, room // 2, model, vocab_size, exact=exact)
    except _TooManyError as first:
        try:
            return _learn(sample, counts, room, model, vocab_size, exact=exact)
        except _TooManyError as second:
            raise _TooManyError(max(first.reachable, second.reachable)) from None


def _learn(sample: list[str], counts: Counter[str], most: int, model: str, vocab_size: int, *, exact: bool) -> bytes:
    """Run SentencePiece's trainer on the text cut at the characters that get no piece."""
    alphabet = _alphabet(counts, most)
    others = dict.fromkeys(map(ord, counts.keys() - alphabet), "\n")
    runs = [run for line in sample for run in (line.translate(others) if others else line).split("\n") if run]
    written = io.BytesIO()
    try:
        spm.SentencePieceTrainer.train(
            # A space must have a piece: in bytes it would be those of U+2581.
            sentence_iterator=chain(runs, [" "]),
            model_writer=written,
            model_type=model,
            vocab_size=vocab_size,
            hard_vocab_limit=exact,
            character_coverage=1.0,  # the runs hold nothing else
            normalization_rule_name="identity",
            add_dummy_prefix=False,
            remove_extra_whitespaces=False,
            allow_whitespace_only_pieces=True,
            byte_fallback=True,
            user_defined_symbols=["\n", "\t"],
            unk_id=0,
            bos_id=-1,
            eos_id=-1,
            pad_id=-1,
            max_sentence_length=4 * _LONGEST + 1,  # bytes
            num_threads=1,  # more make the result depend on their race
            minloglevel=2,
        )
    except RuntimeError as fault:
        too_many = _TOO_MANY.search(str(fault))
        if too_many:
            raise _TooManyError(int(too_many[1])) from None
        raise TextError(f"SentencePiece cannot learn from this text ({fault})") from fault
    return written.getvalue()


def _alphabet(counts: Counter[str], most: int) -> set[str]:
    """The space, and the commonest characters, at most ``most``, as far as they are needed to cover the text.

    Without what the trainer stumbles over: it takes U+2581 for a space, skips lines with U+2585, and has no bytes for
    surrogates.
    """
    ranked = sorted(counts.items(), key=lambda item: (-item[1], item[0]))
    wanted = _COVERAGE * sum(counts.values())
    alphabet = {" "}
    covered = 0
    for character, count in ranked:
        if len(alphabet) > most or covered >= wanted:
            break
        covered += count
        if character not in "\u2581\u2585\t\0" and not "\ud800" <= character <= "\udfff":
            alphabet.add(character)
    return alphabet
