"""The search for the likeliest fillings of a text's blanks: a beam search from left to right."""

from __future__ import annotations

import unicodedata
from collections.abc import Iterator
from typing import Any

import numpy as np

from charlstm.engine.softmax import log_softmax
from charlstm.errors import UsageError
from charlstm.filling.answers import answers_of
from charlstm.filling.beam import Beam
from charlstm.filling.blanks import Blank, Blanked
from charlstm.filling.candidates import Candidates
from charlstm.filling.config import FillConfig
from charlstm.filling.lookahead import read_ahead
from charlstm.filling.readers import MASK, Reader
from charlstm.sampling import filters
from charlstm.sampling.prompts import banned_ids, bos_ids, prompt_ids
from charlstm.tokenizers import Tokenizer

_NEAR = 16  # tokens read after a blank before candidates of all its lengths are compared
_ASSUMED = 4  # masks that stand for a later blank of variable length


class Search:
    """A search for the fillings of one text's blanks.

    Args:
        reader: the network.
        tokenizer: the network's.
        blanked: the text and its blanks.
        config: how many candidates, how they are drawn, how many answers.
        record: what ends a record, `checkpoint.writing.Writing.record`: the text is the beginning of one.

    Raises:
        UsageError: there is no token that may stand in a blank.
    """

    def __init__(
        self, reader: Reader, tokenizer: Tokenizer, blanked: Blanked, config: FillConfig, record: str = ""
    ) -> None:
        self._reader, self._tokenizer, self._config = reader, tokenizer, config
        self._blanks = blanked.blanks
        self._texts: list[list[int]] = [tokenizer.encode(text).tolist() for text in blanked.texts]
        opening = prompt_ids(tokenizer, blanked.texts[0], record).tolist()
        self._opening: list[int] = opening or bos_ids(tokenizer)
        self._banned = never_in_blanks(tokenizer, newlines=config.newlines)
        # After a blank at the end of the text a word has to end.
        self._word_ends = [] if self._texts[-1] else word_end_ids(tokenizer)
        self._rng = np.random.default_rng(config.seed)

    def run(self) -> list[tuple[tuple[str, ...], float]]:
        """Search; return the text in each blank and its share of the probability, the likeliest answer first."""
        left = self._reader.begin(self._opening)
        candidates = Candidates(left, ((),), Beam.start(self._config.temperature, self._rng))
        for number in range(len(self._blanks)):
            candidates = self._fill_blank(candidates, number)
        return answers_of(candidates, self._tokenizer, self._config.count)

    def _fill_blank(self, candidates: Candidates, number: int) -> Candidates:
        """Fill one blank with every length it may have, and read the text after it as far as that is needed."""
        blank, text, last = self._blanks[number], self._texts[number + 1], self._is_last(number)
        lookahead = self._reader.lookahead(blank.variable)
        scored = len(text) if lookahead is None else min(lookahead, len(text))
        needed = scored if last else len(text)
        by_length = [
            self._fill_length(branch, number, length, scored, min(_NEAR, needed))
            for length, branch in self._lengths(candidates, blank)
        ]
        candidates = Candidates.join(self._reader, by_length)
        candidates = candidates.select(self._reader, candidates.beam.best(self._config.beam_width))
        far = text[_NEAR:needed]
        return read_ahead(self._reader, candidates, far, scored=scored > _NEAR, last=last, count=self._config.count)

    def _fill_length(self, candidates: Candidates, number: int, length: int, scored: int, near: int) -> Candidates:
        """Fill a blank with one length, read ``near`` tokens of the text after it, and score the first ``scored``."""
        text = self._texts[number + 1]
        right = self._reader.read_right([MASK] * (length + scored) + text[scored:] + self._rest(number + 1))
        for index in range(length):
            candidates = self._fill_token(candidates, right, index)
        for index, token in enumerate(text[:near]):
            candidates = candidates.read(self._reader, token, right=right, index=length + index, scored=index < scored)
        if self._word_ends and self._is_last(number):
            candidates = self._end_word(candidates, right, length)
        return candidates

    def _is_last(self, number: int) -> bool:
        return number == len(self._blanks) - 1

    def _lengths(self, candidates: Candidates, blank: Blank) -> Iterator[tuple[int, Candidates]]:
        """Each length a blank may have, all equally likely, with the candidates that start it."""
        lengths = range(blank.shortest, blank.longest + 1)
        rows = len(candidates)
        children = candidates.beam.branch(np.zeros((rows, len(lengths))), self._rng)
        fillings = tuple((*filling, ()) for filling in candidates.fillings)
        for column, length in enumerate(lengths):
            beam = children.select(np.arange(rows) * len(lengths) + column)
            yield length, Candidates(candidates.left, fillings, beam)

    def _fill_token(self, candidates: Candidates, right: Any, index: int) -> Candidates:
        """Extend every candidate by every token, and keep the best."""
        logits = filters.ban(self._reader.predict(candidates.left, right, index), self._banned)
        children = candidates.beam.branch(logits, self._rng)
        best = children.best(self._config.beam_width)
        rows, ids = np.divmod(best, logits.shape[1])
        return candidates.extend(self._reader, rows.tolist(), ids.tolist(), children.select(best))

    def _end_word(self, candidates: Candidates, right: Any, index: int) -> Candidates:
        """Score that a word ends at an index."""
        ends = log_softmax(self._reader.predict(candidates.left, right, index))[:, self._word_ends]
        beam = candidates.beam.add(np.logaddexp.reduce(ends, axis=1))
        return Candidates(candidates.left, candidates.fillings, beam)

    def _rest(self, number: int) -> list[int]:
        """The tokens from a blank on, `MASK` in each blank."""
        tokens: list[int] = []
        for blank, text in zip(self._blanks[number:], self._texts[number + 1 :], strict=True):
            tokens += [MASK] * min(blank.longest, max(blank.shortest, _ASSUMED)) + text
        return tokens + [MASK] * bool(self._word_ends)


def never_in_blanks(tokenizer: Tokenizer, *, newlines: bool = False) -> list[int]:
    """The ids that may not stand in a blank.

    Args:
        tokenizer: the network's.
        newlines: whether a newline may.

    Raises:
        UsageError: no other is left.
    """
    banned = list(banned_ids(tokenizer))
    if not newlines:
        banned += [token for token in range(tokenizer.vocab_size) if b"\n" in tokenizer.token_bytes(token)]
    if len(banned) == tokenizer.vocab_size:
        raise UsageError("the model knows no character that may stand in a blank")
    return banned


def word_end_ids(tokenizer: Tokenizer) -> list[int]:
    """The ids of tokens that begin with white space or a punctuation mark."""
    texts = ((token, tokenizer.decode((token,))) for token in range(tokenizer.vocab_size))
    return [token for token, text in texts if text and (text[0].isspace() or unicodedata.category(text[0])[0] == "P")]
