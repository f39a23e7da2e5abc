r"""From plain settings to the guide of a text: the one door for the command line, the library and servers.

The rules about single characters are regular expressions, also where nobody types one: the beginnings of lines are
``Dear[^\n]*\nYours[^\n]*``, and a longest line is ``[^\n]{0,60}(\n[^\n]{0,60})*``.
"""

from __future__ import annotations

import re
from collections.abc import Callable, Collection, Sequence
from dataclasses import dataclass
from functools import lru_cache
from typing import Any

from numpy.typing import NDArray

from charlstm.corpora.words import find_words
from charlstm.errors import UnknownCharacter, UsageError
from charlstm.sampling.guides import Guide
from charlstm.sampling.no_copy import LEAST, CopyRule
from charlstm.sampling.rules.both import Both
from charlstm.sampling.rules.joint import Joint, all_of
from charlstm.sampling.rules.match import Automaton, MatchGuide
from charlstm.sampling.rules.rhymes import Rhymes
from charlstm.sampling.rules.ways import Ways
from charlstm.sampling.words import Vocabulary, WordGuide
from charlstm.schemas import require, require_flag, require_whole
from charlstm.tokenizers import Ids, Tokenizer

_LONGEST_LINE, _MOST_PARTICLES = 1000, 1000
_PARTICLES = 8
"""Texts drawn for each one under a rule that ends lines or the text: enough that most lines end between words."""
_KEPT = 8
"""Automata that are kept, for texts that begin at different columns of a line: each may take twenty megabytes."""


@dataclass(frozen=True)
class RuleSettings:
    """The rules that a text keeps: all of those that are set.

    Raises:
        UsageError: a value has the wrong type or is out of range.
    """

    match: str | None = None
    """A regular expression that the whole of what is drawn matches; None is any text."""
    starts: str | tuple[str, ...] = ()
    """What the lines begin with, in order, after which the text is over; in one text they are separated by commas."""
    max_line: int = 0
    """Characters of a line, at most; 0 is any number."""
    words: bool | str | Collection[str] = False
    """Whether letters may form only words of the training text; or only those of another text, or of a list."""
    no_copy: int = 0
    """No so many characters in a row, 20 or more, stand in the training text; 0 is off."""
    rhyme: bool = False
    """Whether it is written in pairs of lines that rhyme (`sampling.couplets`)."""
    particles: int | None = None
    """Texts drawn for each one wanted, so that the rules do not lead it up the garden path; 1 is off. None is 8 with
    rules that end lines or the text: ``match``, ``starts``, ``max_line``. With ``rhyme`` it is lines to choose from."""

    def __post_init__(self) -> None:
        object.__setattr__(self, "starts", _starts(self.starts))
        require("match", self.match, self.match is None or isinstance(self.match, str), "a regular expression")
        for name in ("max_line", "no_copy"):
            require_whole(name, getattr(self, name))
        lines = f"0 (any number) to {_LONGEST_LINE:,}"
        require("max_line", self.max_line, 0 <= self.max_line <= _LONGEST_LINE, lines)
        require("no_copy", self.no_copy, self.no_copy == 0 or self.no_copy >= LEAST, f"{LEAST} or more, or 0 (off)")
        if self.particles is not None:
            require_whole("particles", self.particles)
            particles = f"1 (off) to {_MOST_PARTICLES:,}"
            require("particles", self.particles, 1 <= self.particles <= _MOST_PARTICLES, particles)
        require("words", self.words, _are_words(self.words), "True, a text or a list of words")
        require_flag("rhyme", self.rhyme)
        if (self.particles or 1) > 1 and not self.given:
            hint = "Set `match`, `starts`, `max_line`, `words`, `no_copy` or `rhyme`."
            raise UsageError(f"`particles={self.particles}` is for a text under a rule", hint=hint)

    @property
    def texts_for_each(self) -> int:
        """Texts drawn for each one wanted: so many as are given, or as the rules need."""
        ends = self.match is not None or bool(self.starts or self.max_line)
        return self.particles or (_PARTICLES if ends and not self.rhyme else 1)

    @property
    def given(self) -> tuple[str, ...]:
        """The names of the rules that are set."""
        rules = {
            "match": self.match is not None,
            "starts": bool(self.starts),
            "max_line": bool(self.max_line),
            "words": self.words is not False,
            "no_copy": bool(self.no_copy),
            "rhyme": bool(self.rhyme),
        }
        return tuple(name for name, is_set in rules.items() if is_set)


class Rules:
    """Makes the guides of some rules for one network.

    Args:
        settings: at least one rule.
        tokenizer: the network's.
        own_words: those of its training text, `Checkpoint.words`.
        record: what ends each of its texts, `Writing.record`: then it ends what matches, too.
        training_ids: reads its training text; called only for ``no_copy``.

    Raises:
        UnknownCharacter: no text can keep a rule without a character that the network does not know.
        UsageError: no text can keep a rule for another reason, or the network cannot keep to it.

    Attributes:
        rhymes: the words that can rhyme; None without ``rhyme``.
        particles: as many as the settings say, or as the rules need.
    """

    def __init__(
        self,
        settings: RuleSettings,
        tokenizer: Tokenizer,
        *,
        own_words: Collection[str] = (),
        record: str = "",
        training_ids: Callable[[], Ids | NDArray[Any]] | None = None,
    ) -> None:
        self._settings, self._tokenizer = settings, tokenizer
        self.particles = settings.texts_for_each
        self._automata: list[Automaton] = []
        if settings.match is not None:
            self._automata.append(Automaton(settings.match, tokenizer, end=record))
        if starts := _starts(settings.starts):
            _check_starts(starts, tokenizer)
            lines = "\n".join(f"{re.escape(start)}[^\n]*" for start in starts)
            pattern = lines if record else lines + "\n?"
            self._automata.append(Automaton(pattern, tokenizer, end=record, name="starts"))
        if settings.max_line and tokenizer.unknown_characters("\n"):
            raise UsageError("`max_line` cannot be kept: this model has no newline in its alphabet")
        self._joined = lru_cache(_KEPT)(self._join)
        self._vocabulary = _vocabulary(settings.words, own_words, tokenizer)
        self.rhymes = _rhymes(settings, own_words, tokenizer, record) if settings.rhyme else None
        self._copy_rule: CopyRule | None = None
        if settings.no_copy:
            require("no_copy", settings.no_copy, training_ids is not None, "0 where the training text is unknown")
            assert training_ids is not None
            self._copy_rule = CopyRule(training_ids(), settings.no_copy, tokenizer)

    def after(self, text: str) -> Guide | None:
        """The guide of what follows a text, which need not keep to any rule itself; None if they need none.

        Args:
            text: in characters of the network's alphabet.

        Raises:
            UsageError: nothing can follow that keeps to all rules, or nothing was found.
        """
        words = [] if self._vocabulary is None else [WordGuide.after_text(self._vocabulary, text)]
        column = len(text) - (text.rfind("\n") + 1)
        automata, joined = self._joined(max(0, self._settings.max_line - column))
        guides: list[Guide] = [*map(MatchGuide, joined), *words]
        other = all_of(guides) if guides else None
        if other is not None and not other.allowed().any():
            raise self._nothing_follows([*map(MatchGuide, automata), *words])
        if self._copy_rule is None:
            return other
        guide = self._copy_rule.after(self._tokenizer.encode(text), other)
        if not guide.allowed().any():
            raise UsageError(f"no text but the empty one keeps to {self._names()}")
        return guide

    def _join(self, first: int) -> tuple[list[Automaton], list[Automaton | Both]]:
        """All automata, and the same in as few as can be.

        Args:
            first: the characters that the first line may still have.
        """
        automata, most = [*self._automata], self._settings.max_line
        if most:
            pattern = f"[^\n]{{0,{first}}}(?:\n[^\n]{{0,{most}}})*"
            automata.append(Automaton(pattern, self._tokenizer, name="max_line"))
        joined: list[Automaton | Both] = []
        for automaton in automata:
            try:
                joined[-1:] = [Both(joined[-1], automaton) if joined else automaton]
            except OverflowError:
                joined.append(automaton)
        return automata, joined

    def _nothing_follows(self, parts: Sequence[Guide]) -> UsageError:
        ways = Ways()
        if ways.steps(Joint(tuple(parts))) == 0:
            return UsageError(f"no text but the empty one keeps to {self._names()}")
        farthest = self._tokenizer.decode(ways.farthest)
        return UsageError(f"no text was found that keeps to {self._names()}: nothing can follow {farthest!r}")

    def _names(self) -> str:
        names = [f"`{name}`" for name in self._settings.given]
        return names[0] if len(names) == 1 else f"{', '.join(names[:-1])} and {names[-1]} together"


def _starts(value: object) -> tuple[str, ...]:
    if isinstance(value, str):
        value = tuple(start.strip() for start in value.split(",")) if value else ()
    require("starts", value, isinstance(value, tuple | list), "texts, or one text that commas separate")
    for start in value:  # type: ignore[attr-defined]
        require("starts", start, isinstance(start, str) and "\n" not in start, "texts of one line")
    return tuple(value)  # type: ignore[arg-type]


def _are_words(value: object) -> bool:
    """Whether it is one of what `RuleSettings.words` may be."""
    if isinstance(value, bool | str):
        return True
    return isinstance(value, Collection) and all(isinstance(word, str) for word in value)


def _check_starts(starts: tuple[str, ...], tokenizer: Tokenizer) -> None:
    for number, start in enumerate(starts, 1):
        unknown = tokenizer.unknown_characters(start)
        if unknown:
            raise UnknownCharacter(unknown[0], start.index(unknown[0]), where=f"line {number} of starts")
    if len(starts) > 1 and tokenizer.unknown_characters("\n"):
        raise UsageError("`starts` cannot be kept: this model has no newline in its alphabet")


def _rhymes(settings: RuleSettings, own_words: Collection[str], tokenizer: Tokenizer, record: str) -> Rhymes:
    """The words that lines may end with."""
    if record:
        raise UsageError("`rhyme` is for a network that has read one text, and no list of texts")
    if tokenizer.kind != "char":
        raise UsageError("`rhyme` is for a network of characters", hint="Train one with `tokenizer='char'`.")
    if tokenizer.unknown_characters("\n"):
        raise UsageError("`rhyme` cannot be kept: this model has no newline in its alphabet")
    words = own_words if isinstance(settings.words, bool) else _listed(settings.words)
    known = [word for word in words if not tokenizer.unknown_characters(word)]
    if not known:
        what = "this network knows no words that could rhyme: its text has none, or is older than their list"
        raise UsageError(what, hint="Train it again, or give it a list of words.")
    rhymes = Rhymes(known)
    if not any(map(rhymes.of, known)):
        raise UsageError("no two of the words rhyme", hint="Give it a longer list of words.")
    return rhymes


def _listed(words: str | Collection[str]) -> Collection[str]:
    """The words of a text or of a list, whose texts may be of several words, or of none."""
    return find_words(words if isinstance(words, str) else "\n".join(words))


def _vocabulary(
    words: bool | str | Collection[str], own_words: Collection[str], tokenizer: Tokenizer
) -> Vocabulary | None:
    """The words that the text may have; None is any."""
    if words is False:
        return None
    if words is True:
        return Vocabulary(own_words, tokenizer)
    listed = _listed(words)
    if all(tokenizer.unknown_characters(word) for word in listed):
        raise UsageError("the list of words has none in letters that this model knows")
    return Vocabulary(listed, tokenizer)
