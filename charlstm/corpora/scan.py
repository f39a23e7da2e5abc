"""The two passes over a corpus: the first hashes it and counts its characters, the second hashes and encodes it."""

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
"""Receives the bytes read so far and the bytes to read in both passes together."""


@dataclass(frozen=True)
class ScanResult:
    """The result of the first pass."""

    sha256: str
    characters: int
    bytes: int
    counts: dict[str, int]
    """How often each character occurs; empty for the raw view."""


class Scanner:
    """The two passes over one corpus.

    Args:
        corpus: the text.
        raw: whether to read its bytes as they are instead of its text.
        progress: called after each chunk.
    """

    def __init__(self, corpus: Corpus, raw: bool, progress: Progress | None = None) -> None:
        self._corpus = corpus
        self._raw = raw
        self._progress = progress

    def scan(self) -> ScanResult:
        """The first pass.

        Raises:
            TextError: not text in its encoding, or empty.
        """
        digest = _Digest(self._progress, 0, self._corpus.size)
        if self._raw:
            counts = np.zeros(256, np.int64)
            for data in self._corpus.raw_chunks(feed=digest.update):
                counts += byte_counts(data)
            self._check_size(digest)
            continuation_bytes = int(counts[0x80:0xC0].sum())
            return ScanResult(digest.hexdigest(), digest.size - continuation_bytes, digest.size, {})
        counter = CharacterCounter()
        for text in self._corpus.chunks(feed=digest.update):
            counter.push(text)
        self._check_size(digest)
        characters = counter.counts()
        return ScanResult(digest.hexdigest(), sum(characters.values()), digest.size, characters)

    def ids(self, tokenizer: Tokenizer, sha256: str) -> Iterator[Ids]:
        """The second pass: yield the ids, piece by piece.

        Args:
            tokenizer: what encodes the text.
            sha256: the digest from the first pass.

        Raises:
            TextError: the text has changed since the first pass; by then all its ids have been yielded.
        """
        digest = _Digest(self._progress, self._corpus.size, self._corpus.size)
        if self._raw:
            for data in self._corpus.raw_chunks(feed=digest.update):
                yield np.frombuffer(data, np.uint8)
        else:
            yield from self._text_ids(tokenizer, digest)
        if digest.hexdigest() != sha256:
            hint = "Run the command again once nothing writes to it."
            raise TextError("changed while it was read", where=self._corpus.name, hint=hint)

    def _text_ids(self, tokenizer: Tokenizer, digest: _Digest) -> Iterator[Ids]:
        encoder = tokenizer.encoder()
        offset = 0
        for text in self._corpus.chunks(feed=digest.update):
            try:
                yield encoder.push(text)
            except UnknownCharacter as fault:
                hint = "This tokenizer was made from another text."
                raise UnknownCharacter(
                    fault.character, offset + fault.offset, where=self._corpus.name, hint=hint
                ) from None
            offset += len(text)
        yield encoder.flush()

    def _check_size(self, digest: _Digest) -> None:
        if digest.size == 0:
            raise TextError("empty, so there is nothing to read", where=self._corpus.name)


class _Digest:
    """A SHA-256 that counts its bytes and reports progress.

    Args:
        progress: called after each update.
        before: bytes of earlier passes.
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
