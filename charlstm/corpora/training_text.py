"""The text that a model was trained on, found again: its files, or what the cache of encoded texts still has of them.

Texts of a model of bytes are read as bytes, one character for each (Latin-1), so that lengths are in bytes.
"""

from __future__ import annotations

from collections.abc import Callable, Iterator, Sequence
from contextlib import contextmanager
from dataclasses import dataclass
from pathlib import Path

from charlstm.checkpoint.format import Checkpoint
from charlstm.config import DataConfig
from charlstm.corpora import ids_cache
from charlstm.corpora.decode import Decoding
from charlstm.corpora.encode import Encoded, cached, encode, train_size
from charlstm.corpora.known_text import as_list, training_and_validation
from charlstm.corpora.read import Corpus
from charlstm.corpora.scan import Progress
from charlstm.corpora.sources import STDIN, open_sources
from charlstm.errors import NotFoundError, UnknownCharacter
from charlstm.paths import starter_folder
from charlstm.tokenizers import Tokenizer, from_state

Parts = Iterator[tuple[str, str]]
"""Pieces of text in order, each with the name of the file that it is from."""


@dataclass(frozen=True)
class TrainingText:
    """A training text, which can be read again and again in constant memory."""

    name: str
    read: Callable[[], Parts]
    size: int
    """Characters of the whole text, with its validation part."""
    border: int
    """Characters at its beginning that were trained on; the rest is the validation part."""
    is_list: bool = False
    """Whether it is a list of records, read in another order than its file has."""
    is_changed: bool = False
    """Whether it is not the text that the model was trained on, to the last character."""

    def trained(self) -> Parts:
        """The part that was trained on."""
        left = self.border
        for name, text in self.read():
            if left <= 0:
                return
            yield name, text[:left]
            left -= len(text)

    def excerpts(self, begins: Sequence[int], length: int) -> list[str]:
        """Excerpts of equal length.

        Args:
            begins: where each begins, in characters.
            length: of each, in characters.

        Returns:
            The excerpts, shorter where the text ends.
        """
        found = [""] * len(begins)
        if not begins:
            return found
        at = 0
        for _, text in self.read():
            for number, begin in enumerate(begins):
                found[number] += text[max(0, begin - at) : max(0, begin + length - at)]
            at += len(text)
            if at >= max(begins) + length:
                break
        return found


def named_text(sources: Sequence[str], cache: Path) -> TrainingText:
    """A text as the training text of no model in particular: all of it was trained on.

    Args:
        sources: as `open_sources` takes them.
        cache: charlstm's cache folder.

    Raises:
        CharlstmError: it cannot be read.
    """
    corpus = open_sources(sources, cache=cache)
    size = sum(map(len, corpus.chunks()))
    return TrainingText(corpus.name, corpus.named_chunks, size, size)


def training_text(saved: Checkpoint, sources: Sequence[str] | None, cache: Path) -> TrainingText:
    """Find the text that a model was trained on.

    Args:
        saved: the model.
        sources: where the text is now; None is where it was.
        cache: charlstm's cache folder, which may have it encoded.

    Returns:
        The text, in the order in which it was read.

    Raises:
        NotFoundError: it is not there any more.
        CharlstmError: it cannot be read.
    """
    data, tokenizer = saved.run.data, from_state(saved.tokenizer)
    raw, about = tokenizer.kind == "byte", saved.provenance.corpus
    corpus = _open(data, sources, cache)
    same = corpus is not None and (
        (about.fingerprint != "" and about.fingerprint == corpus.fingerprint())
        or corpus.sha256(raw=raw) == about.sha256
    )
    encoded = None if same else cached(about.sha256, tokenizer, cache)
    if corpus is None and encoded is None:
        raise _gone(saved)
    if encoded is not None and not (sources and corpus):
        size, of_border = _encoded_size_and_border(encoded, data)
        name = about.name or "the training text"
        return TrainingText(name, lambda: _decoded(encoded, name), size, of_border, data.lists_records)
    assert corpus is not None
    read = (lambda: _raw_parts(corpus)) if raw else corpus.named_chunks
    with _of_this_text(saved, corpus):
        size, of_border = _size_and_border(corpus, read, data, tokenizer, cache)
    return TrainingText(corpus.name, read, size, of_border, data.lists_records, is_changed=not same)


def training_ids(
    saved: Checkpoint, sources: Sequence[str] | None, cache: Path, progress: Progress | None = None
) -> Encoded:
    """Find the ids of the text that a model was trained on, with its validation part.

    Args:
        saved: the model.
        sources: where the text is now; None is where it was.
        cache: charlstm's cache folder, which may have it encoded.
        progress: called while encoding, with the bytes done and the total.

    Returns:
        The ids; their ``corpus_sha256`` is another where the text has changed.

    Raises:
        NotFoundError: it is not there any more.
        CharlstmError: it cannot be read.
    """
    tokenizer = from_state(saved.tokenizer)
    encoded = None if sources else cached(saved.provenance.corpus.sha256, tokenizer, cache)
    if encoded is not None:
        return encoded
    corpus = _open(saved.run.data, sources, cache)
    if corpus is None:
        raise _gone(saved)
    with _of_this_text(saved, corpus):
        return encode(corpus, saved.run.data, cache, tokenizer=tokenizer, progress=progress)


@contextmanager
def _of_this_text(saved: Checkpoint, corpus: Corpus) -> Iterator[None]:
    """Take a character that the model does not know, in a ``with`` block, for the sign of another text.

    Raises:
        NotFoundError: there was one.
    """
    try:
        yield
    except UnknownCharacter as fault:
        what = f"{corpus.name} is not, or no longer, the text it was trained on: {fault.what}"
        raise NotFoundError(what, where=saved.run.name, hint="Name it with `source=TEXT`.") from fault


def _gone(saved: Checkpoint) -> NotFoundError:
    if saved.run.name == starter_folder().name:  # its one file was made from them
        what = "the books it was trained on do not come with it"
        hint = "Fetch them: charlstm corpora fetch classics. Then add `source='classics'`."
        return NotFoundError(what, where=saved.run.name, hint=hint)
    what = f"the text it was trained on, {', '.join(saved.run.data.sources)}, is not here"
    return NotFoundError(what, where=saved.run.name, hint="Name it with `source=TEXT`.")


def _open(data: DataConfig, sources: Sequence[str] | None, cache: Path) -> Corpus | None:
    """The text in the order in which it was read; None if it is not where it was."""
    names = tuple(sources or data.sources)
    if STDIN in names and not sources:
        return None
    try:
        corpus = open_sources(names, decoding=Decoding.of(data), cache=cache)
    except NotFoundError:
        if sources:
            raise
        return None
    return as_list(corpus, data.records, cache)


def _size_and_border(
    corpus: Corpus, read: Callable[[], Parts], data: DataConfig, tokenizer: Tokenizer, cache: Path
) -> tuple[int, int]:
    """The characters of a text, and those of them that were trained on."""
    if tokenizer.kind in ("char", "byte") and not data.lists_records:  # a token is a character
        size = sum(len(text) for _, text in read())
        return size, train_size(size, data.val_fraction)
    return _encoded_size_and_border(encode(corpus, data, cache, tokenizer=tokenizer), data)


def _encoded_size_and_border(encoded: Encoded, data: DataConfig) -> tuple[int, int]:
    trained, validated = training_and_validation(encoded, data)
    return _units(encoded, len(trained) + len(validated)), _units(encoded, len(trained))


def _units(encoded: Encoded, end: int) -> int:
    size = encoded.text_size(0, end)
    return size.bytes if encoded.tokenizer.kind == "byte" else size.characters


def _raw_parts(corpus: Corpus) -> Parts:
    for part in corpus.parts:
        for block in part.blocks():
            yield part.name, block.decode("latin-1")


def _decoded(encoded: Encoded, name: str) -> Parts:
    """A text from its ids; the unknown symbol is U+FFFD."""
    decoder, kind = encoded.tokenizer.decoder(), encoded.tokenizer.kind
    for ids in ids_cache.pieces(encoded.path, encoded.ids, 0, len(encoded.ids)):
        if kind == "byte":
            yield name, ids.tobytes().decode("latin-1")
        else:
            yield name, "".join(map(decoder.push, ids.tolist()))
