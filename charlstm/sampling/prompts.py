"""Prompts: characters outside the model's alphabet, what an empty prompt starts from, what is never drawn."""

from __future__ import annotations

import unicodedata
from collections.abc import Sequence
from typing import Literal, TypeAlias, cast

import numpy as np

from charlstm.errors import UnknownCharacter
from charlstm.schemas import require
from charlstm.tokenizers import Ids, Tokenizer
from charlstm.tokenizers.equivalent import known_form
from charlstm.tokenizers.nearest import describe_character, nearest

Unknown: TypeAlias = Literal["error", "skip", "map"]
"""What happens to a character outside the alphabet: refuse it, leave it out, or replace it by the nearest known one."""

_MAX_SUGGESTIONS = 3
_MAX_NOTES = 6  # replaced characters that get a line of their own


def bos_ids(tokenizer: Tokenizer) -> list[int]:
    """The ids fed to the network, unseen, before a text without a prompt: it needs a token to predict the next.

    A newline, since texts and lines begin after one; without a newline in the alphabet a space, and without that the
    first token.
    """
    for character in "\n ":
        if not tokenizer.unknown_characters(character):
            return [int(token) for token in tokenizer.encode(character)]
    return [next((token for token in range(tokenizer.vocab_size) if token != tokenizer.unknown_id), 0)]


def opening_ids(tokenizer: Tokenizer, starts: Sequence[str], rng: np.random.Generator) -> list[int]:
    """The ids fed to the network, unseen, before a text without a prompt: a place where such texts begin.

    Args:
        tokenizer: the model's.
        starts: pieces of the training text that end at such a place, `checkpoint.writing.Writing.starts`; without any,
            it is `bos_ids`.
        rng: chooses one of them.

    Returns:
        At least one id.
    """
    if not starts:
        return bos_ids(tokenizer)
    ids: list[int] = tokenizer.encode(starts[int(rng.integers(len(starts)))]).tolist()
    return ids or bos_ids(tokenizer)


def prompt_ids(tokenizer: Tokenizer, text: str, record: str = "") -> Ids:
    """The ids that the network is fed before a text that begins with a prompt.

    Args:
        tokenizer: the model's.
        text: the prompt, in characters of the alphabet.
        record: what ends a record, `checkpoint.writing.Writing.record`: the prompt then begins one, after the end of
            another.

    Returns:
        The prompt's ids, behind the last one of ``record``; none without either.
    """
    ids = tokenizer.encode(text)
    return np.concatenate((tokenizer.encode(record)[-1:], ids)) if record else ids


def banned_ids(tokenizer: Tokenizer) -> tuple[int, ...]:
    """The ids that are never drawn: the unknown symbol, if there is one."""
    return () if tokenizer.unknown_id is None else (tokenizer.unknown_id,)


def parse_unknown(value: str) -> Unknown:
    """Check the choice of what happens to unknown characters.

    Raises:
        UsageError: it is not one of the three.
    """
    require("unknown", value, value in ("error", "skip", "map"), "error, skip or map")
    return cast("Unknown", value)


def fit_prompt(
    tokenizer: Tokenizer, text: str, unknown: Unknown = "error", *, where: str = "prompt"
) -> tuple[str, list[str]]:
    """Put a prompt into characters of the model's alphabet.

    Args:
        tokenizer: the model's.
        text: the prompt.
        unknown: ``"error"`` refuses unknown characters, ``"skip"`` leaves them out, ``"map"`` replaces them by known
            ones that stand for the same; without such, by the model's unknown symbol, or by nothing if it has none.
            A character in another canonical form than the model's is not unknown: see `tokenizers.equivalent`.
        where: what to call the text in an error.

    Returns:
        The text, and a line about each character that was replaced.

    Raises:
        UnknownCharacter: with ``"error"``, for the first such character: its name and place, and the nearest known.
        UsageError: ``unknown`` is not one of the three.
    """
    text = known_form(tokenizer, text)
    if parse_unknown(unknown) == "error":
        refuse_unknown(tokenizer, text, where=where)
    strangers = tokenizer.unknown_characters(text)
    if not strangers:
        return text, []
    known = _alphabet(tokenizer)
    replacements, notes = {}, []
    for character in strangers:
        replacements[character], note = _replacement(tokenizer, character, known, unknown)
        times = text.count(character)
        notes.append(f"{describe_character(character)}, {'once' if times == 1 else f'{times} times'}: {note}")
    if len(notes) > _MAX_NOTES + 1:
        notes[_MAX_NOTES:] = [f"and {len(notes) - _MAX_NOTES} more characters the same way"]
    return "".join(replacements.get(character, character) for character in text), notes


def refuse_unknown(tokenizer: Tokenizer, text: str, *, where: str) -> None:
    """Check that every character of a text is in the model's alphabet, in the form in which it stands there.

    Args:
        tokenizer: the model's.
        text: the text.
        where: what to call the text in an error.

    Raises:
        UnknownCharacter: for the first character that is not: its name and place, and the nearest known.
    """
    strangers = tokenizer.unknown_characters(text)
    if strangers:
        raise _refusal(text, strangers, list(nearest(strangers[0], _alphabet(tokenizer))), where)


def _replacement(tokenizer: Tokenizer, character: str, known: frozenset[str], unknown: Unknown) -> tuple[str, str]:
    """The text that replaces an unknown character, and words for it."""
    if unknown == "skip":
        return "", "left out"
    near = next(nearest(character, known), None)
    if near is not None:
        return near, f"read as {near!r}"
    if tokenizer.unknown_id is not None:
        return character, "read as the unknown symbol"
    return "", "left out, as nothing known is near it"


def _alphabet(tokenizer: Tokenizer) -> frozenset[str]:
    """Every single character that has an id of its own."""
    texts = (tokenizer.decode((token,)) for token in range(tokenizer.vocab_size) if token != tokenizer.unknown_id)
    return frozenset(text for text in texts if len(text) == 1)


def _refusal(text: str, strangers: list[str], near: list[str], where: str) -> UnknownCharacter:
    """The error that names the first unknown character, what is near it, and the other unknown ones."""
    first, others = strangers[0], strangers[1:]
    words = unicodedata.name(first, "")
    known, choice, also = "nothing known is near it", '`unknown="skip"` leaves it out', ""
    if near:
        known = f"the nearest known: {', '.join(map(repr, near[:_MAX_SUGGESTIONS]))}"
        choice = f'`unknown="map"` reads that instead, {choice}'
    if others:
        extra = len(others) - _MAX_SUGGESTIONS
        more = f" and {extra} more" if extra > 0 else ""
        also = f"also unknown: {', '.join(map(repr, others[:_MAX_SUGGESTIONS]))}{more}"
    about = f"It is {words}" if words else ""
    hint, facts = (_sentence(about, known, *choices, also) for choices in ([choice], []))
    return UnknownCharacter(first, text.index(first), where=where, hint=hint, facts=facts)


def _sentence(*parts: str) -> str:
    joined = "; ".join(part for part in parts if part)
    return joined[0].upper() + joined[1:] + "."
