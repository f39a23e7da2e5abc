"""Making a prompt readable: what to do with characters the model has never seen, and where an empty prompt begins."""

from __future__ import annotations

import unicodedata
from collections.abc import Iterator
from itertools import chain
from typing import Literal, TypeAlias

from charlstm.errors import UnknownCharacter
from charlstm.tokenizers import Tokenizer

Unknown: TypeAlias = Literal["error", "skip", "map"]
"""What to do with a character the model does not know: refuse it, leave it out, or write the nearest known one."""

# Characters that look or mean alike and that no decomposition of Unicode's leads to, the nearest first.
_LOOK_ALIKES: dict[str, tuple[str, ...]] = {
    **dict.fromkeys("\u2018\u2019\u201a\u201b\u2032\u2039\u203a`\u00b4\u02bc'", ("'", "\u2019", "`", '"')),
    **dict.fromkeys('\u201c\u201d\u201e\u201f\u2033\u00ab\u00bb"', ('"', "\u201d", "''", "'")),
    **dict.fromkeys("\u2010\u2011\u2012\u2013\u2212\u00ad-", ("-", "\u2013", "\u2014")),
    **dict.fromkeys("\u2014\u2015", ("--", "\u2014", "-")),
    **dict.fromkeys("\t\v\f\u0085\u00a0\u1680\u202f\u205f\u3000", (" ",)),
    **dict.fromkeys(map(chr, range(0x2000, 0x200B)), (" ",)),
    **dict.fromkeys("\r\u2028\u2029", ("\n", " ")),
    "\n": (" ",),
    "\u2026": ("...", "."),
    "\u2022": ("*", "-"),
    "\u00b7": (".", "*", "-"),
    "\u00d7": ("x", "*"),
    "\u00f7": ("/", ":"),
    "\u2044": ("/",),
    "\u00e6": ("ae",),
    "\u00c6": ("Ae", "AE", "ae"),
    "\u0153": ("oe",),
    "\u0152": ("Oe", "OE", "oe"),
    "\u00f0": ("d",),
    "\u00fe": ("th",),
    "\u0131": ("i",),
    ";": (",", ":"),
    ":": (";",),
    "[": ("(",),
    "]": (")",),
    "{": ("(",),
    "}": (")",),
    "&": ("and",),
}
_PLAIN_WORDS = frozenset({"LETTER", "SMALL", "CAPITAL", "SIGN", "MARK", "WITH", "SYMBOL", "AND", "OF"})
_NEAR_ENOUGH = 0.5  # of two names' words, the share they have in common
_SHOWN = 3
_TOLD = 6  # characters, of those that had to change


def opening(tokenizer: Tokenizer) -> list[int]:
    """What is read, unseen, before a text that begins from nothing: a network needs one token to say what follows.

    A newline, since texts and lines begin behind one; without a newline in the alphabet a space, and without that
    the first token there is.
    """
    for character in "\n ":
        if not tokenizer.unknown_characters(character):
            return [int(token) for token in tokenizer.encode(character)]
    return [next((token for token in range(tokenizer.vocab_size) if token != tokenizer.unknown_id), 0)]


def fit_prompt(
    tokenizer: Tokenizer, text: str, unknown: Unknown = "error", *, remedy: str = 'unknown="{}"', where: str = "prompt"
) -> tuple[str, list[str]]:
    """The prompt in characters the model can read, and one line about each that had to change.

    Args:
        tokenizer: the model's.
        text: the prompt.
        unknown: ``"error"`` refuses unknown characters, ``"skip"`` leaves them out, ``"map"`` writes the nearest known
            ones instead; where there is none, the model's unknown symbol is read if it has one, else nothing.
        remedy: how the caller spells that choice, ``{}`` for its value: an error's hint must name what works there.
        where: what the caller calls the text.

    Raises:
        UnknownCharacter: for ``"error"``, the first such character, its name and place, and the nearest known ones.
    """
    strangers = tokenizer.unknown_characters(text)
    if not strangers:
        return text, []
    known = _alphabet(tokenizer)
    if unknown == "error":
        raise _refusal(text, strangers, list(nearest(strangers[0], known)), remedy, where)
    replacements: dict[str, str] = {}
    notes = []
    for character in strangers:
        near = None if unknown == "skip" else next(nearest(character, known), None)
        replacements[character], fate = near or "", f"read as {near!r}"
        if unknown == "skip":
            fate = "left out"
        elif near is None and tokenizer.unknown_id is not None:
            replacements[character], fate = character, "read as the unknown symbol"
        elif near is None:
            fate = "left out, as nothing known is near it"
        times = text.count(character)
        notes.append(f"{name(character)}, {'once' if times == 1 else f'{times} times'}: {fate}")
    if len(notes) > _TOLD + 1:
        notes[_TOLD:] = [f"and {len(notes) - _TOLD} more characters the same way"]
    return "".join(replacements.get(character, character) for character in text), notes


def nearest(character: str, known: frozenset[str] | set[str]) -> Iterator[str]:
    """Texts of known characters that come closest to a character, the closest first, each once.

    Look-alikes first (a curly quote is a straight one, ``…`` three full stops), then the base letter without its
    accents, then the other case, then characters whose Unicode names have most words in common.
    """
    candidates = chain(
        _LOOK_ALIKES.get(character, ()),
        _simpler(character),
        *((simple.swapcase(), *_LOOK_ALIKES.get(simple, ())) for simple in (character, *_simpler(character))),
        _same_words(character, known),
    )
    for candidate in dict.fromkeys(candidates):
        if candidate and candidate != character and known.issuperset(candidate):
            yield candidate


def name(character: str) -> str:
    """A character as a person can look it up: ``'é' (U+00E9 LATIN SMALL LETTER E WITH ACUTE)``."""
    words = unicodedata.name(character, "")
    code = f"U+{ord(character):04X}{' ' if words else ''}{words}"
    return f"{character!r} ({code})" if character.isprintable() else code


def _simpler(character: str) -> list[str]:
    """The character without accents, ligatures, styles; a digit of another script as 0 to 9."""
    parts = unicodedata.normalize("NFKD", character)
    bare = "".join(part for part in parts if not unicodedata.combining(part))
    digit = unicodedata.decimal(character, None)
    return [form for form in (bare, "" if digit is None else str(digit), character.casefold()) if form]


def _same_words(character: str, known: frozenset[str] | set[str]) -> list[str]:
    """Known characters of the same kind and case whose names share at least half of their telling words."""
    words = _words(character)
    if not words:
        return []
    likeness = {}
    for other in known:
        theirs = _words(other)
        if theirs and unicodedata.category(other) == unicodedata.category(character):
            likeness[other] = len(words & theirs) / len(words | theirs)
    near = [other for other, share in likeness.items() if share >= _NEAR_ENOUGH]
    return sorted(near, key=lambda other: (-likeness[other], other))


def _words(character: str) -> set[str]:
    return set(unicodedata.name(character, "").replace("-", " ").split()) - _PLAIN_WORDS


def _alphabet(tokenizer: Tokenizer) -> frozenset[str]:
    """Every single character that has an id of its own."""
    texts = (tokenizer.decode((token,)) for token in range(tokenizer.vocab_size) if token != tokenizer.unknown_id)
    return frozenset(text for text in texts if len(text) == 1)


def _refusal(text: str, strangers: list[str], near: list[str], remedy: str, where: str) -> UnknownCharacter:
    """The error that names the first stranger, what is near to it, and how many others there are."""
    first, others = strangers[0], strangers[1:]
    words = unicodedata.name(first, "")
    parts = [f"It is {words}"] if words else []
    if near:
        parts.append(f"the nearest known: {', '.join(map(repr, near[:_SHOWN]))}")
        parts.append(f"{remedy.format('map')} reads that instead, {remedy.format('skip')} leaves it out")
    else:
        parts.append(f"nothing known is near it; {remedy.format('skip')} leaves it out")
    if others:
        more = f" and {len(others) - _SHOWN} more" if len(others) > _SHOWN else ""
        parts.append(f"also unknown: {', '.join(map(repr, others[:_SHOWN]))}{more}")
    hint = "; ".join(parts)
    return UnknownCharacter(first, text.index(first), where=where, hint=hint[0].upper() + hint[1:] + ".")
