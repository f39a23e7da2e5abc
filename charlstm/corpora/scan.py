"""The two passes over a corpus: one hashes and counts, the other hashes again and makes ids."""

from __future__ import annotations

import hashlib
from collections.abc import Callable, Iterator
from dataclasses import dataclass

import numpy as np

from charlstm.corpora.count import CharacterCounter, byte_counts
from charlstm.corpora.read import Corpus
from charlstm.errors import TextError, UnknownCharacter
from charlstm.tokenizers import Ids, Tokenizer

Progress = Callable[[int, int], None]
"""Called with the bytes done and the bytes there are to do, both passes counted."""


@dataclass(frozen=True)
class Survey:
    """What pass 1 finds."""

    sha256: str
    characters: int
    bytes: int
    counts: dict[str, int]
    """Empty for the raw view."""


class Reading:
    """The two passes over one corpus.

    Args:
        corpus: the text.
        raw: whether its bytes are read as they are, or its text.
        progress: called with the bytes done so far and in all.
    """

    def __init__(self, corpus: Corpus, raw: bool, progress: Progress | None = None) -> None:
        self._corpus = corpus
        self._raw = raw
        self._progress = progress

    def survey(self) -> Survey:
        """Pass 1.

        Raises:
            TextError: not text in its encoding, or empty.
        """
        digest = _Digest(self._progress, 0, self._corpus.size)
        if self._raw:
            octets = np.zeros(256, np.int64)
            for data in self._corpus.raw_chunks(feed=digest.update):
                octets += byte_counts(data)
            self._check_size(digest)
            continuing = int(octets[0x80:0xC0].sum())
            return Survey(digest.hexdigest(), digest.size - continuing, digest.size, {})
        counter = CharacterCounter()
        try:
            for text in self._corpus.chunks(feed=digest.update):
                counter.push(text)
        except TextError as fault:  # only what trains can take another tokenizer, so only here is it named
            fault.hint = f"{fault.hint} The byte tokenizer takes any file: --tokenizer byte.".strip()
            raise
        self._check_size(digest)
        counts = counter.counts()
        return Survey(digest.hexdigest(), sum(counts.values()), digest.size, counts)

    def ids(self, tokenizer: Tokenizer, sha256: str) -> Iterator[Ids]:
        """Pass 2: the ids, piece by piece.

        Raises:
            TextError: the text is no longer the one that was surveyed; by then all its ids were passed on.
        """
        digest = _Digest(self._progress, self._corpus.size, self._corpus.size)
        if self._raw:
            for data in self._corpus.raw_chunks(feed=digest.update):
                yield np.frombuffer(data, np.uint8)
        else:
            yield from self._text_ids(tokenizer, digest)
        if digest.hexdigest() != sha256:
            raise self._changed()

    def _text_ids(self, tokenizer: Tokenizer, digest: _Digest) -> Iterator[Ids]:
        encoder = tokenizer.encoder()
        done = 0
        for text in self._corpus.chunks(feed=digest.update):
            try:
                yield encoder.push(text)
            except UnknownCharacter as fault:
                hint = "This tokenizer was made from another text."
                raise UnknownCharacter(
                    fault.character, done + fault.offset, where=self._corpus.name, hint=hint
                ) from None
            done += len(text)
        yield encoder.flush()

    def _check_size(self, digest: _Digest) -> None:
        if digest.size == 0:
            raise TextError("empty, so there is nothing to read", where=self._corpus.name)

    def _changed(self) -> TextError:
        return TextError("changed while it was read", where=self._corpus.name, hint="Start again once it is at rest.")


class _Digest:
    """A SHA-256 that counts its bytes and tells how far it is.

    Args:
        progress: called with the bytes done and in all.
        before: bytes done before.
        size: bytes of the files; what is hashed is the text in UTF-8, so this is an estimate.
    """

    def __init__(self, progress: Progress | None, before: int, size: int) -> None:
        self._sha256 = hashlib.sha256()
        self._progress = progress
        self._before = before
        self._expected = size
        self.size = 0

    def update(self, data: bytes) -> None:
        self._sha256.update(data)
        self.size += len(data)
        if self._progress:
            self._progress(self._before + min(self.size, self._expected), 2 * self._expected)

    def hexdigest(self) -> str:
        return self._sha256.hexdigest()
