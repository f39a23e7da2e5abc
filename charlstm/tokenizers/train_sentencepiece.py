"""Train a SentencePiece tokenizer on a text."""

from __future__ import annotations

import io
import re
from collections import Counter
from collections.abc import Callable, Iterable
from itertools import chain
from typing import Literal

import sentencepiece as spm

from charlstm.errors import TextError, UsageError
from charlstm.tokenizers.sentencepiece import FIXED, LONGEST_RUN, SentencePieceTokenizer

DEFAULT_VOCAB_SIZE = 1024
SMALLEST_VOCAB_SIZE = 260
"""The unknown piece, newline, tab, 256 bytes, and the space."""

_SAMPLE_SIZE = 5_000_000
"""The most characters learnt from: more improve no pieces and only cost time and memory."""
_CHARACTERS_PER_PIECE = 200
"""Characters of text per piece, so that each piece of a small text occurs often enough to be learnt."""
_COVERAGE = 0.9995
"""Share of the text whose characters get pieces, SentencePiece's own default; other characters are written in bytes."""
_TOO_MANY = re.compile(r"Vocabulary size too high .* a value <= (\d+)")


def train(
    lines: Iterable[str], *, model: Literal["unigram", "bpe"] = "unigram", vocab_size: int | None = None
) -> SentencePieceTokenizer:
    """Train a tokenizer on a text; the same lines always give the same tokenizer.

    Of a text above five million characters, lines spread evenly over all of it are used.

    Args:
        lines: the text; newlines are not learnt from and may be left out.
        model: ``"unigram"`` (Kudo 2018) or ``"bpe"`` (Sennrich et al. 2016).
        vocab_size: the number of ids; None is 1024, or fewer if the text is small.

    Returns:
        The tokenizer.

    Raises:
        UsageError: a vocabulary below 260, or one this text cannot fill; the error names the largest it can.
        TextError: SentencePiece fails on this text.
    """
    sample = sample_runs(lines)
    counts = Counter(chain.from_iterable(sample))
    if vocab_size is None:
        pieces = max(16, sum(counts.values()) // _CHARACTERS_PER_PIECE)
        vocab_size = min(DEFAULT_VOCAB_SIZE, SMALLEST_VOCAB_SIZE + pieces)
        return SentencePieceTokenizer(_fit(sample, counts, model, vocab_size, exact=False))
    if vocab_size < SMALLEST_VOCAB_SIZE:
        what = f"`vocab_size={vocab_size}` is too small for SentencePiece"
        raise UsageError(what, hint=f"Bytes, newline, tab, space and unknown alone take {SMALLEST_VOCAB_SIZE}.")
    try:
        return SentencePieceTokenizer(_fit(sample, counts, model, vocab_size, exact=True))
    except _TooManyError as fault:
        largest = _largest(fault.reachable, lambda size: _fit(sample, counts, model, size, exact=True))
        what = f"this text does not fill a {model} vocabulary of `vocab_size={vocab_size}`"
        raise UsageError(what, hint=f"The largest that works is {largest}.") from None


class _TooManyError(Exception):
    """The text does not fill the vocabulary; SentencePiece suggests ``reachable``."""

    def __init__(self, reachable: int) -> None:
        super().__init__(reachable)
        self.reachable = reachable


def _largest(guess: int, fit: Callable[[int], object]) -> int:
    """The largest vocabulary, at most ``guess``, that the text really fills."""
    while guess > SMALLEST_VOCAB_SIZE:
        try:
            fit(guess)
        except _TooManyError as fault:
            guess = max(min(fault.reachable, guess - 1), SMALLEST_VOCAB_SIZE)
        else:
            break
    return guess


def sample_runs(lines: Iterable[str]) -> list[str]:
    """Runs of text without newlines, of at most `_SAMPLE_SIZE` characters: every 2nd, 4th … run of a longer text."""
    runs: list[str] = []
    total, stride = 0, 1
    pieces = (piece for line in lines for piece in line.split("\n"))
    cut = (piece[start : start + LONGEST_RUN] for piece in pieces for start in range(0, len(piece), LONGEST_RUN))
    for number, run in enumerate(cut):
        if number % stride == 0:
            runs.append(run)
            total += len(run)
        if total > _SAMPLE_SIZE:
            runs, stride = runs[::2], stride * 2
            total = sum(map(len, runs))
    return runs


def _fit(sample: list[str], counts: Counter[str], model: str, vocab_size: int, *, exact: bool) -> bytes:
    """Train a serialised model, at first with at most half the free ids for single characters and the rest for pieces.

    Raises:
        _TooManyError: ``exact`` is set and the text does not fill the vocabulary.
    """
    free = vocab_size - SMALLEST_VOCAB_SIZE
    try:
        return _learn(sample, counts, free // 2, model, vocab_size, exact=exact)
    except _TooManyError as first:
        try:
            return _learn(sample, counts, free, model, vocab_size, exact=exact)
        except _TooManyError as second:
            raise _TooManyError(max(first.reachable, second.reachable)) from None


def _learn(sample: list[str], counts: Counter[str], most: int, model: str, vocab_size: int, *, exact: bool) -> bytes:
    """Run SentencePiece's trainer on the text, cut at the characters that get no piece."""
    alphabet = _alphabet(counts, most)
    others = dict.fromkeys(map(ord, counts.keys() - alphabet), "\n")
    runs = [run for line in sample for run in (line.translate(others) if others else line).split("\n") if run]
    output = io.BytesIO()
    try:
        spm.SentencePieceTrainer.train(
            # A space must have a piece: in bytes it would be those of U+2581.
            sentence_iterator=chain(runs, [" "]),
            model_writer=output,
            model_type=model,
            vocab_size=vocab_size,
            hard_vocab_limit=exact,
            character_coverage=1.0,  # the runs contain nothing else
            normalization_rule_name="identity",
            add_dummy_prefix=False,
            remove_extra_whitespaces=False,
            allow_whitespace_only_pieces=True,
            byte_fallback=True,
            user_defined_symbols=list(FIXED),
            unk_id=0,
            bos_id=-1,
            eos_id=-1,
            pad_id=-1,
            max_sentence_length=4 * LONGEST_RUN + 1,  # bytes
            num_threads=1,  # with more the result would depend on their timing
            minloglevel=2,
        )
    except RuntimeError as fault:
        too_many = _TOO_MANY.search(str(fault))
        if too_many:
            raise _TooManyError(int(too_many[1])) from None
        raise TextError(f"SentencePiece cannot learn from this text ({fault})") from fault
    return output.getvalue()


def _alphabet(counts: Counter[str], most: int) -> set[str]:
    """The space and the most frequent characters needed to cover the text, at most ``most``.

    Characters that the trainer cannot handle are left out: it takes U+2581 for a space, skips lines with U+2585, and
    has no bytes for surrogates.
    """
    ranked = sorted(counts.items(), key=lambda item: (-item[1], item[0]))
    enough = _COVERAGE * sum(counts.values())
    alphabet = {" "}
    covered = 0
    for character, count in ranked:
        if len(alphabet) > most or covered >= enough:
            break
        covered += count
        if character not in "\u2581\u2585\t\0" and not "\ud800" <= character <= "\udfff":
            alphabet.add(character)
    return alphabet
