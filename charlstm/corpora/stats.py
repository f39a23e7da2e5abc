"""A text in numbers: sizes, alphabet, newlines, and how well it compresses."""

from __future__ import annotations

import bz2
import hashlib
import lzma
import math
import zlib
from collections import Counter
from collections.abc import Iterable, Mapping
from dataclasses import dataclass, replace
from typing import Protocol

from charlstm.corpora.chunks import evenly
from charlstm.corpora.count import CharacterCounter
from charlstm.corpora.encodings import MARK_SIZE, detect
from charlstm.corpora.read import Corpus
from charlstm.errors import TextError

COMPRESSED = 1 << 22
"""The most characters given to the compressors: more would take minutes and change little."""


@dataclass(frozen=True)
class NewlineCounts:
    """How lines end in the files, before the newline rule is applied."""

    lf: int = 0
    crlf: int = 0
    cr: int = 0


@dataclass(frozen=True)
class Stats:
    """A text in numbers."""

    name: str
    sha256: str
    """Of the text in UTF-8, after decoding and the newline rule."""
    parts: int
    size: int
    """Bytes of the files."""
    encodings: dict[str, int]
    """The number of parts in each encoding."""
    characters: int
    bytes: int
    """Of the text in UTF-8."""
    lines: int
    """LF characters, after the newline rule."""
    newlines: NewlineCounts
    alphabet: dict[str, int]
    """The characters by code point, with their counts."""
    entropy: float
    """Bits per character of a model that knows the counts alone."""
    compressors: dict[str, float]
    """Bits per character of gzip, bz2 and xz at their best settings, over at most `COMPRESSED` characters."""
    true_entropy: float | None = None
    """Bits per character, of a synthetic source."""


def stats(corpus: Corpus) -> Stats:
    """Measure a corpus, in memory that does not grow with it.

    Raises:
        TextError: not text in its encoding, or empty.
        NotFoundError, StorageError: a file cannot be read.
    """
    digest, counter = hashlib.sha256(), CharacterCounter()
    for text in corpus.chunks(feed=digest.update):
        counter.push(text)
    alphabet = counter.counts()
    characters = sum(alphabet.values())
    if not characters:
        raise TextError("empty, so there is nothing to read", where=corpus.name)
    size = sum(len(character.encode("utf-8", "surrogatepass")) * n for character, n in alphabet.items())
    return Stats(
        name=corpus.name,
        sha256=digest.hexdigest(),
        parts=len(corpus.parts),
        size=corpus.size,
        encodings=_encodings(corpus),
        characters=characters,
        bytes=size,
        lines=alphabet.get("\n", 0),
        newlines=count_newlines(replace(corpus, decoding=replace(corpus.decoding, newlines="keep")).chunks()),
        alphabet=alphabet,
        entropy=entropy(alphabet),
        compressors=compressors(evenly(corpus.chunks(), COMPRESSED / characters)),
        true_entropy=None if corpus.entropy_rate is None else corpus.entropy_rate / math.log(2),
    )


def entropy(counts: Mapping[str, int]) -> float:
    """The entropy of independent characters with these counts, in bits per character."""
    total = sum(counts.values())
    return 0.0 - sum(count / total * math.log2(count / total) for count in counts.values())


def count_newlines(chunks: Iterable[str]) -> NewlineCounts:
    """Count LF, CR LF and CR in a text whose newlines were kept, however its chunks are cut."""
    lf = crlf = cr = 0
    previous = ""
    for text in chunks:
        crlf += text.count("\r\n") + (previous == "\r" and text[0] == "\n")
        lf += text.count("\n")
        cr += text.count("\r")
        previous = text[-1]
    return NewlineCounts(lf - crlf, crlf, cr - crlf)


class _Compressor(Protocol):
    def compress(self, data: bytes, /) -> bytes: ...
    def flush(self) -> bytes: ...


def compressors(pieces: Iterable[str]) -> dict[str, float]:
    """The bits per character that general compressors need at their best settings: what a model has to beat.

    Args:
        pieces: the text; empty gives 0 for each.
    """
    # The dictionary of xz -9 is 64 MB and costs ten times that in memory; this one holds all that is ever passed here.
    xz = [{"id": lzma.FILTER_LZMA2, "preset": 9 | lzma.PRESET_EXTREME, "dict_size": 4 * COMPRESSED}]
    packers: dict[str, _Compressor] = {
        "gzip": zlib.compressobj(9, wbits=31),
        "bz2": bz2.BZ2Compressor(9),
        "xz": lzma.LZMACompressor(filters=xz),
    }
    packed: Counter[str] = Counter()
    characters = 0
    for piece in pieces:
        characters += len(piece)
        data = piece.encode("utf-8", "surrogatepass")
        for name, packer in packers.items():
            packed[name] += len(packer.compress(data))
    for name, packer in packers.items():
        packed[name] += len(packer.flush())
    return {name: 8 * packed[name] / characters if characters else 0.0 for name in packers}


def _encodings(corpus: Corpus) -> dict[str, int]:
    encodings: Counter[str] = Counter()
    for part in corpus.parts:
        head = next(part.blocks(MARK_SIZE), b"")
        encodings[detect(head, corpus.decoding_of(part).encoding)[0]] += 1
    return dict(encodings)
