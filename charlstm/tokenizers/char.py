"""One id per character: the alphabet of the training text, sorted by code point."""

from __future__ import annotations

from collections.abc import Iterable, Mapping
from typing import Any

import numpy as np
from numpy.typing import NDArray

from charlstm.errors import TextError, UnknownCharacter
from charlstm.tokenizers.base import Ids, StatelessEncoder, narrowest

UNKNOWN = "\ufffd"


class CharTokenizer:
    """One id per character.

    Args:
        alphabet: every character with an id of its own; ids follow its order.
        unknown: whether one more id, the last, stands for all other characters.
    """

    kind = "char"

    def __init__(self, alphabet: Iterable[str], *, unknown: bool = False) -> None:
        self.alphabet = tuple(alphabet)
        self.vocab_size = len(self.alphabet) + unknown
        self.unknown_id = len(self.alphabet) if unknown else None
        points = np.array([ord(character) for character in self.alphabet], np.int64)
        # A direct table from code point to id; its last entry serves every code point beyond the alphabet's.
        self._missing = self.vocab_size - 1 if unknown else -1
        self._table = np.full(int(points.max(initial=0)) + 2, self._missing, np.int32)
        self._table[points] = np.arange(len(points))
        self._ids_type = narrowest(self.vocab_size)
        self._ascii = _ascii_table(self._table)

    @classmethod
    def fit(cls, counts: Mapping[str, int], *, min_count: int = 1) -> CharTokenizer:
        """The tokenizer of a text, from its character counts.

        Args:
            counts: how often each character occurs.
            min_count: characters rarer than this share the unknown symbol.

        Raises:
            TextError: all of them are rarer.
        """
        alphabet = sorted(character for character, count in counts.items() if count >= min_count)
        if counts and not alphabet:
            raise TextError(f"no character occurs {min_count:,} times", hint="Lower `min_count`.")
        return cls(alphabet, unknown=len(alphabet) < len(counts))

    @classmethod
    def from_state(cls, state: Mapping[str, Any]) -> CharTokenizer:
        """Undo `to_state`.

        Raises:
            ValueError: it is not what that returns.
        """
        alphabet, unknown = state["alphabet"], state["unknown"]
        if not isinstance(alphabet, str) or not isinstance(unknown, bool) or len(set(alphabet)) < len(alphabet):
            raise ValueError("an alphabet is a text of different characters, and unknown true or false")
        return cls(alphabet, unknown=unknown)

    def to_state(self) -> dict[str, Any]:
        """The alphabet as one string, and whether there is an unknown symbol."""
        return {"kind": self.kind, "alphabet": "".join(self.alphabet), "unknown": self.unknown_id is not None}

    def encode(self, text: str) -> Ids:
        """The id of each character.

        Raises:
            UnknownCharacter: a character is outside the alphabet, and no id stands for unknown ones.
        """
        if self._ascii is not None and text.isascii():
            data = text.encode("ascii").translate(self._ascii)
            if self._missing >= 0 or _ABSENT not in data:
                return np.frombuffer(data, np.uint8).astype(self._ids_type)
        ids = np.take(self._table, code_points(text), mode="clip")
        if self._missing < 0 and ids.min(initial=0) < 0:
            offset = int(np.argmax(ids < 0))
            raise UnknownCharacter(text[offset], offset)
        return ids.astype(self._ids_type)

    def decode(self, ids: Iterable[int]) -> str:
        """The character of each id."""
        return "".join(self._character(token) for token in ids)

    def encoder(self) -> StatelessEncoder:
        """A new streaming encoder."""
        return StatelessEncoder(self)

    def decoder(self) -> CharDecoder:
        """A new streaming decoder."""
        return CharDecoder(self)

    def unknown_characters(self, text: str) -> list[str]:
        """The characters of ``text`` outside the alphabet, each once, in order."""
        known = set(self.alphabet)
        return list(dict.fromkeys(character for character in text if character not in known))

    def token_bytes(self, token: int) -> bytes:
        """The UTF-8 bytes of one character."""
        return self._character(token).encode("utf-8", "surrogatepass")

    def grown(self, characters: Iterable[str], *, unknown: bool = False) -> CharTokenizer:
        """A tokenizer with a larger alphabet, in which known characters keep their ids.

        Args:
            characters: the characters to add at the end, sorted, as far as they are new.
            unknown: whether to add an unknown symbol; an existing one stays in any case.
        """
        new = sorted(set(characters) - set(self.alphabet))
        return CharTokenizer((*self.alphabet, *new), unknown=unknown or self.unknown_id is not None)

    def ids_in(self, other: CharTokenizer) -> NDArray[np.int64]:
        """The id in another tokenizer of each of this one's tokens, (vocab_size,); -1 where it has none.

        Args:
            other: the other tokenizer; the two unknown symbols correspond.
        """
        known = {character: token for token, character in enumerate(other.alphabet)}
        ids = [known.get(character, -1) for character in self.alphabet]
        if self.unknown_id is not None:
            ids.append(-1 if other.unknown_id is None else other.unknown_id)
        return np.array(ids, np.int64)

    def _character(self, token: int) -> str:
        return UNKNOWN if token == self.unknown_id else self.alphabet[token]


class CharDecoder:
    """The streaming decoder of `CharTokenizer`: every id is a whole character."""

    def __init__(self, tokenizer: CharTokenizer) -> None:
        self._characters = (*tokenizer.alphabet, UNKNOWN)

    def push(self, token: int) -> str:
        """The character of one id."""
        return self._characters[token]

    @property
    def pending(self) -> bool:
        """Never: every id is a whole character."""
        return False

    def flush(self) -> str:
        """Nothing: no character is ever incomplete."""
        return ""

    def copy(self) -> CharDecoder:
        """This one: it remembers nothing."""
        return self


_ABSENT = 255


def _ascii_table(table: NDArray[np.int32]) -> bytes | None:
    """The id of each ASCII character in the form of `bytes.translate`, `_ABSENT` where there is none.

    It is several times as fast as any indexing by NumPy. None if an id does not fit.
    """
    ids = table[np.minimum(np.arange(256), len(table) - 1)]
    ids[128:] = 0
    if ids.max(initial=0) >= _ABSENT:
        return None
    return np.where(ids < 0, _ABSENT, ids).astype(np.uint8).tobytes()


def code_points(text: str) -> NDArray[np.unsignedinteger[Any]]:
    """The code point of each character, (characters,), in 16 bits where that is enough."""
    data = text.encode("utf-16-le", "surrogatepass")
    if len(data) == 2 * len(text):
        return np.frombuffer(data, "<u2")
    return np.frombuffer(text.encode("utf-32-le", "surrogatepass"), "<u4")
