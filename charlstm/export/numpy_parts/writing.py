"""Writing a text, token by token."""

from __future__ import annotations

import codecs
import itertools
from collections.abc import Iterator
from typing import Any

import numpy as np

from charlstm.export.numpy_parts.arrays import Array
from charlstm.export.numpy_parts.network import State, empty_state, remember, step
from charlstm.export.numpy_parts.sampling import WINDOW, choose
from charlstm.export.numpy_parts.settings import ALPHABET, BEGIN, LENGTH, MATCH_ORDERS, RECORD, STARTS, TOKENIZER
from charlstm.export.numpy_parts.tokens import encode, spelled


def read(ids: list[int], state: State) -> tuple[Array, State]:
    """Read a text that the network did not write.

    Args:
        ids: its tokens, at least one.
        state: what is known of the text before it.

    Returns:
        The logits of the token that follows, (V,), and what is known now.
    """
    for token in ids:
        if MATCH_ORDERS:
            state = remember(token, state)
        logits, state = step(token, state)
    return logits, state


def opening(rng: np.random.Generator) -> list[int]:
    """What is read, unseen, before a text that begins with nothing."""
    if STARTS:
        return encode(STARTS[rng.integers(len(STARTS))])
    return list(BEGIN)


def drawn(begin: list[int], ids: list[int], rng: np.random.Generator, settings: dict[str, Any]) -> Iterator[int]:
    """Draw token after token, without an end: each is read like those before it, and the next one drawn.

    Args:
        begin: what is read first.
        ids: as much of it as belongs to the text.
        rng: makes chance.
        settings: of `choose`.

    Yields:
        Ids.
    """
    logits, state = read(begin, empty_state())
    text = np.array(ids, np.int64)
    while True:
        token = choose(logits.astype(np.float64), text, rng, **settings)
        yield token
        text = np.append(text, token)[-2 * WINDOW :]
        logits, state = step(token, state)


def whole_characters(tokens: Iterator[int], length: int) -> Iterator[str]:
    """The text of tokens, several of which may make a character.

    Args:
        tokens: ids.
        length: how many of them, and at most three more, which complete a character; 0 is all.

    Yields:
        Pieces of the text.
    """
    utf8 = codecs.getincrementaldecoder("utf-8")("replace")
    for count, token in enumerate(tokens, 1):
        yield utf8.decode(spelled(token))
        begun = utf8.getstate()[0] != b""
        if length and count >= length and (count == length + 3 or not begun):
            break
    yield utf8.decode(b"", final=True)


def first_record(pieces: Iterator[str]) -> Iterator[str]:
    """A text as far as its first record goes, in pieces."""
    text = ""
    for piece in pieces:
        text += piece
        if RECORD in text:
            yield text[: text.index(RECORD)]
            return
        certain = max(0, len(text) - len(RECORD) + 1)  # what follows may be the beginning of its end
        yield text[:certain]
        text = text[certain:]
    yield text


def stream(
    prompt: str = "", length: int = LENGTH, *, seed: int | None = None, number: int = 0, **settings: Any
) -> Iterator[str]:
    """Write on from a prompt, a few characters at a time.

    Args:
        prompt: the text to go on with; without one something new begins.
        length: tokens to write, at most; 0 is endless.
        seed: the same one gives the same text; None is random.
        number: of the text, if several have one seed.
        settings: of `choose`: temperature, top_p, min_p, no_repeat, longest_run.

    Returns:
        Pieces of the text, without the prompt.

    Raises:
        ValueError: the network does not know a character of the prompt.
    """
    rng = np.random.default_rng(np.random.SeedSequence(seed, spawn_key=(number,)))
    ids = encode(prompt)
    if RECORD:
        ids = encode(RECORD)[-1:] + ids  # it begins where another has ended
    tokens = drawn(ids or opening(rng), ids, rng, settings)
    if TOKENIZER == "char":
        pieces: Iterator[str] = (ALPHABET[token] for token in itertools.islice(tokens, length or None))
    else:
        pieces = whole_characters(tokens, length)
    if RECORD:
        pieces = first_record(pieces)
    return pieces


def write(prompt: str = "", length: int = LENGTH, **settings: Any) -> str:
    """Write on from a prompt.

    Args:
        prompt: the text to go on with; without one something new begins.
        length: tokens to write, at most.
        settings: those of `stream`.

    Returns:
        The text, without the prompt.

    Raises:
        ValueError: the network does not know a character of the prompt.
    """
    return "".join(stream(prompt, length, **settings))
