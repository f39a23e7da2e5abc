"""A corpus as the token ids of a trained model, in a temporary file: in memory that does not grow with the text."""

from __future__ import annotations

import codecs
import math
import tempfile
from collections import Counter
from collections.abc import Callable, Iterator
from pathlib import Path

import numpy as np

from charlstm.corpora.read import Corpus
from charlstm.corpora.reading_notes import reading_notes
from charlstm.errors import TextError, UnknownCharacter
from charlstm.evaluation.score import EncodedText
from charlstm.files import storage_error
from charlstm.sampling.prompts import Unknown, fit_prompt
from charlstm.tokenizers import Ids, Tokenizer, narrowest
from charlstm.tokenizers.equivalent import known_form, whole_sequences
from charlstm.tokenizers.nearest import describe_character

Progress = Callable[[int, int], None]
"""Called with the bytes done and the bytes in all."""

_LISTED = 6  # characters named one by one in `KnownText.notes`


class KnownText:
    """A corpus in characters that a tokenizer knows, read in chunks, any number of times.

    Args:
        corpus: the text.
        tokenizer: of the model; the byte tokenizer reads the corpus's bytes as they are.
        unknown: what to do with characters outside the alphabet: error, skip or map.
    """

    def __init__(self, corpus: Corpus, tokenizer: Tokenizer, unknown: Unknown) -> None:
        self._corpus, self._tokenizer, self._unknown = corpus, tokenizer, unknown
        self._raw = tokenizer.kind == "byte"
        self._replacements: dict[str, str] = {}
        self._counts: Counter[str] = Counter()
        self._characters = 0

    def chunks(self, progress: Progress) -> Iterator[str]:
        """The text in chunks.

        Args:
            progress: called with the bytes read, and those of the corpus.

        Raises:
            UnknownCharacter: an unknown character, where that is an error.
            TextError: the text cannot be decoded.
            NotFoundError: a part of it is gone.
            StorageError: a part of it cannot be read.
        """
        self._counts.clear()
        self._characters = read_bytes = 0
        size = self._corpus.size

        def count(data: bytes) -> None:
            nonlocal read_bytes
            read_bytes += len(data)
            progress(min(read_bytes, size), size)

        for chunk in whole_sequences(self._decoded(count)):
            known = self._in_known_characters(chunk, self._characters)
            self._characters += len(chunk)
            if known:
                yield known

    def utf8(self, progress: Progress) -> Iterator[bytes]:
        """The bytes of the text in chunks.

        Args:
            progress: as `chunks`.
        """
        for chunk in self.chunks(progress):
            yield self._encoded(chunk)

    def encode(self, folder: Path, progress: Progress) -> EncodedText:
        """The text's token ids, memory-mapped from a nameless file that vanishes with them.

        Args:
            folder: where the temporary file is made.
            progress: as `chunks`.

        Raises:
            TextError: nothing is left of the text; besides what `chunks` raises.
            StorageError: the disk is full, or the folder cannot be written.
        """
        characters = size = 0

        def ids() -> Iterator[Ids]:
            nonlocal characters, size
            encoder = self._tokenizer.encoder()
            for chunk in self.chunks(progress):
                characters += len(chunk)
                size += len(self._encoded(chunk))
                yield encoder.push(chunk)
            yield encoder.flush()

        dtype = narrowest(self._tokenizer.vocab_size)
        try:
            folder.mkdir(parents=True, exist_ok=True)
            with tempfile.TemporaryFile(dir=folder) as file:
                for part in ids():
                    file.write(np.ascontiguousarray(part, dtype).data)
                file.flush()
                if not characters:
                    raise TextError("no character of it is known to the model", where=self._corpus.name)
                return EncodedText(np.memmap(file, dtype, "r"), characters, size)
        except OSError as fault:
            raise storage_error(folder, fault, "cannot be written") from fault

    def notes(self) -> list[str]:
        """What a person should know about how the text was read the last time, one line each."""
        lines = [
            f"{describe_character(character)}, {'once' if count == 1 else f'{count:,} times'}: {self._fate(character)}"
            for character, count in self._counts.items()
        ]
        if len(lines) > _LISTED + 1:
            lines[_LISTED:] = [f"and {len(lines) - _LISTED} more characters the same way"]
        left_out = sum(count for character, count in self._counts.items() if not self._replacements[character])
        if left_out:
            scored, of_all = self._characters - left_out, f"{self._characters:,} characters"
            lines.append(f"the score is of {scored:,} of {of_all} ({_percent(scored / self._characters)})")
        return [*reading_notes(self._corpus), *lines]

    def _decoded(self, feed: Callable[[bytes], None]) -> Iterator[str]:
        if not self._raw:
            yield from self._corpus.chunks(feed=feed)
            return
        decoder = codecs.getincrementaldecoder("utf-8")("surrogateescape")
        for data in self._corpus.raw_chunks(feed=feed):
            yield decoder.decode(data)
        yield decoder.decode(b"", final=True)

    def _encoded(self, chunk: str) -> bytes:
        return chunk.encode("utf-8", "surrogateescape" if self._raw else "surrogatepass")

    def _in_known_characters(self, chunk: str, offset: int) -> str:
        """A chunk with its unknown characters replaced; ``offset`` is its position in the text, for an error."""
        if not self._tokenizer.unknown_characters("".join(set(chunk))):
            return chunk
        chunk = known_form(self._tokenizer, chunk)
        strangers = self._tokenizer.unknown_characters("".join(set(chunk)))
        if self._unknown == "error":
            try:
                fit_prompt(self._tokenizer, chunk, where="text")
            except UnknownCharacter as fault:
                raise UnknownCharacter(
                    fault.character, offset + fault.offset, where=fault.where, hint=fault.hint
                ) from None
        for character in sorted(strangers, key=chunk.index):
            if character not in self._replacements:
                self._replacements[character], _ = fit_prompt(self._tokenizer, character, self._unknown)
            self._counts[character] += chunk.count(character)
        return chunk.translate({ord(character): text for character, text in self._replacements.items()})

    def _fate(self, character: str) -> str:
        replacement = self._replacements[character]
        if replacement == character:
            return "read as the unknown symbol"
        if replacement:
            return f"read as {replacement!r}"
        return "left out" if self._unknown == "skip" else "left out, as nothing known is near it"


def _percent(share: float) -> str:
    """A share below 1, which is never told as 100 %."""
    return f"{min(math.floor(1000 * share) / 10, 99.9):g} %"
