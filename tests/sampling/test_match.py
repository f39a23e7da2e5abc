"""A guide of a regular expression against Python's own: the same language, and no way into a dead end."""

from __future__ import annotations

import itertools
import re
from dataclasses import dataclass
from typing import Any

import numpy as np
import pytest
from hypothesis import example, given, settings
from hypothesis import strategies as st

from charlstm.errors import UnknownCharacter, UsageError
from charlstm.sampling.config import SampleConfig
from charlstm.sampling.rules.match import Automaton, MatchGuide
from charlstm.sampling.rules.utf8 import ByteRanges, byte_ranges
from charlstm.sampling.sampler import sample
from charlstm.tokenizers import ByteTokenizer, CharTokenizer, Tokenizer
from tests.fake_models import Markov, random_markov

ALPHABET = "ab1 é\n"

ATOMS = st.sampled_from(
    ["a", "b", "1", " ", "é", "\n", ".", r"\d", r"\D", r"\w", r"\W", r"\s", r"\S", "[ab]", "[^a]", "[a-f1]", r"[\s\d]",
     r"[^\n]", r"\x61", r"\n", "()", "[]a]", "[^]a]", r"[b\-]", "[a-]", r"\.", "é", r"\u00e9", r"\141"]
)  # fmt: skip
QUANTIFIERS = st.sampled_from(
    ["*", "+", "?", "{2}", "{1,2}", "{,2}", "{2,}", "*?", "+?", "??", "{1,3}?", "{", "{}", "{a}"]
)
PATTERNS = st.recursive(
    ATOMS,
    lambda inner: st.one_of(
        st.tuples(inner, inner).map("".join),
        st.tuples(inner, inner).map(lambda two: f"(?:{two[0]}|{two[1]})"),
        st.tuples(inner, inner).map(lambda two: f"({two[0]}|{two[1]}|)"),
        st.tuples(inner, QUANTIFIERS).map(lambda two: f"(?:{two[0]}){two[1]}"),
    ),
    max_leaves=6,
)


@dataclass
class Pieces:
    """A tokenizer of pieces of several characters, as SentencePiece has them, each a text or some bytes."""

    pieces: tuple[bytes, ...]
    kind: str = "sentencepiece"
    unknown_id: int | None = 0

    @property
    def vocab_size(self) -> int:
        return len(self.pieces)

    def token_bytes(self, token: int) -> bytes:
        return self.pieces[token]

    def decode(self, ids: Any) -> str:
        return b"".join(self.pieces[token] for token in ids).decode("utf-8", "replace")


PIECES = Pieces((b"?", b"a", b"b", b"ab", b"aa1", b"1 ", b"\n", "é".encode(), b"\xc3", b"\xa9", b"b\xc3", b"\xa9a"))


def accepts(automaton: Automaton, tokens: Any) -> bool:
    """Whether some tokens can be drawn one after the other, and the text may end with them."""
    guide = MatchGuide(automaton)
    for token in tokens:
        if not guide.allowed()[token]:
            return False
        guide = guide.advance(token)
    return guide.may_end()


def automaton_or_none(pattern: str, tokenizer: Any) -> Automaton | None:
    """The automaton; None if no text but the empty one matches."""
    try:
        return Automaton(pattern, tokenizer)
    except UsageError as fault:
        if not re.search("no text but the empty one|alphabet", str(fault)):
            raise
        return None


@pytest.mark.slow
@given(pattern=PATTERNS)
@settings(max_examples=300, deadline=None)
@example(pattern="(?:a|a1)(?:1b|b)")
@example(pattern="(?:a*)*b")
@example(pattern="^a$|b|^1")
@example(pattern=r"\A(?P<name>a*)b{2}\Z")
def test_the_language_is_that_of_python(pattern: str) -> None:
    tokenizers: tuple[Tokenizer, ...] = (CharTokenizer(sorted(ALPHABET)), ByteTokenizer())
    for tokenizer in tokenizers:
        automaton = automaton_or_none(pattern, tokenizer)
        for length in range(5):
            for letters in itertools.product(ALPHABET, repeat=length):
                text = "".join(letters)
                matches = re.fullmatch(pattern, text) is not None
                if automaton is None:
                    assert not (matches and text), (pattern, text)
                elif text or automaton.distance[0] == 0 or matches:
                    assert accepts(automaton, tokenizer.encode(text).tolist()) == matches, (pattern, text)


@given(pattern=PATTERNS)
@settings(max_examples=150, deadline=None)
def test_pieces_of_several_characters_are_allowed_where_a_text_of_pieces_can_follow(pattern: str) -> None:
    automaton = automaton_or_none(pattern, PIECES)
    accepted = {tokens for length in range(4) for tokens in itertools.product(range(12), repeat=length)
                if 0 not in tokens and (text := _text(tokens)) is not None and re.fullmatch(pattern, text)}  # fmt: skip
    if automaton is None:
        assert not accepted - {()}
        return
    begun = {tokens[:length] for tokens in accepted for length in range(len(tokens) + 1)}
    for tokens in begun:
        guide = MatchGuide(automaton)
        for token in tokens:
            assert guide.allowed()[token]
            guide = guide.advance(token)
        assert guide.may_end() == (tokens in accepted)
        following = {token for token in range(12) if (*tokens, token) in begun}
        assert following <= set(np.flatnonzero(guide.allowed()).tolist())


def _text(tokens: tuple[int, ...]) -> str | None:
    """The text of some pieces; None if they are no UTF-8."""
    try:
        return b"".join(PIECES.pieces[token] for token in tokens).decode()
    except UnicodeDecodeError:
        return None


@given(pattern=PATTERNS)
@settings(max_examples=150, deadline=None)
def test_from_every_state_an_end_can_be_reached_in_as_many_tokens_as_it_says(pattern: str) -> None:
    for tokenizer in (CharTokenizer(sorted(ALPHABET)), ByteTokenizer(), PIECES):
        automaton = automaton_or_none(pattern, tokenizer)
        if automaton is None:
            continue
        waiting = seen = {MatchGuide(automaton)}
        while waiting:
            after = {
                guide: [guide.advance(int(token)) for token in np.flatnonzero(guide.allowed())] for guide in waiting
            }
            for guide, following in after.items():
                distances = guide.distances()[guide.allowed()]
                assert distances.tolist() == [automaton.distance[each.state] for each in following]
                assert guide.may_end() or distances.min() == automaton.distance[guide.state] - 1
            waiting = {each for following in after.values() for each in following} - seen
            seen = seen | waiting


@given(
    pattern=PATTERNS,
    seed=st.integers(0, 1000),
    length=st.integers(1, 40),
    temperature=st.sampled_from([0.0, 1.0, 5.0]),
    particles=st.sampled_from([1, 1, 5]),
)
@settings(max_examples=150, deadline=None)
def test_every_text_that_is_drawn_matches(
    pattern: str, seed: int, length: int, temperature: float, particles: int
) -> None:
    model = random_markov(ALPHABET, seed, unknown=seed % 2 == 1)
    automaton = automaton_or_none(pattern, model.tokenizer)
    if automaton is None:
        return
    config = SampleConfig(length=length, temperature=temperature, seed=seed)
    texts, reasons = ["", ""], ["", ""]
    for fragment in sample(model, [0], config, rows=2, guide=MatchGuide(automaton), particles=particles):
        texts[fragment.row] += fragment.text
        reasons[fragment.row] = fragment.finish_reason or ""
    for text, reason in zip(texts, reasons, strict=True):
        assert re.fullmatch(pattern, text), (pattern, text)
        assert (len(text) >= length) == (reason == "length") or reason == "rule"


def test_a_text_that_would_never_match_by_itself_is_led_to_its_end() -> None:
    table = np.zeros((3, 3))
    table[:, 0] = 40.0
    model = Markov(table, CharTokenizer("ab1"))
    config = SampleConfig(length=10, temperature=0)
    for pattern, end in (("a*b1b1b1b1", "b1b1b1b1"), ("[ab]*1", "1"), ("(a{9}[b1]{9})*", "b" * 9)):
        fragments = list(sample(model, [0], config, guide=MatchGuide(Automaton(pattern, model.tokenizer))))
        text = "".join(fragment.text for fragment in fragments)
        assert re.fullmatch(pattern, text)
        assert text.endswith(end)
        assert len(text) <= 10 + 64 + 18
        assert fragments[-1].finish_reason in ("length", "rule")


def test_bytes_never_end_inside_a_character() -> None:
    model = Markov(np.random.default_rng(3).normal(size=(256, 256)) * 3, ByteTokenizer())
    guide = MatchGuide(Automaton(r"[äöü€𝄞\w]{3,}[^\x00-\uffff]?", model.tokenizer))
    for length in range(1, 12):
        fragments = sample(model, [65], SampleConfig(length=length, seed=length), rows=4, guide=guide)
        texts = ["", "", "", ""]
        for fragment in fragments:
            texts[fragment.row] += fragment.text
        assert all(re.fullmatch(r"[äöü€𝄞\w]{3,}[^\x00-\uffff]?", text) for text in texts)


@given(first=st.integers(0, 0x10FFFF), size=st.integers(0, 0x30000), offsets=st.lists(st.integers(-3, 0x30003)))
def test_ranges_of_characters_as_bytes(first: int, size: int, offsets: list[int]) -> None:
    last = min(first + size, 0x10FFFF)
    ranges = list(byte_ranges(first, last))
    for point in {first, last, first - 1, last + 1, *(first + offset for offset in offsets)}:
        if 0 <= point <= 0x10FFFF and not 0xD800 <= point <= 0xDFFF:
            data = chr(point).encode()
            found = [each for each in ranges if len(each) == len(data) and _is_within(data, each)]
            assert len(found) == (first <= point <= last)


def _is_within(data: bytes, ranges: ByteRanges) -> bool:
    return all(low <= byte <= high for byte, (low, high) in zip(data, ranges, strict=True))


@pytest.mark.parametrize(
    ("pattern", "words"),
    [
        (r"(a)\1", "refers back to a group, at position 3"),
        ("(?P<x>a)(?P=x)", "refers back to a group, at position 8"),
        ("a(?=b)", "looks ahead, at position 1"),
        ("a(?!b)", "looks ahead"),
        ("(?<=a)b", "looks back, at position 0"),
        ("(?<!a)b", "looks back"),
        ("(a)?(?(1)b|c)", "depends on a group"),
        ("(?i)a", "a flag, at position 0"),
        ("(?#no)a", "is a comment"),
        ("(?>a)b", "forbids to try again"),
        ("a*+", "forbids to try again, at position 2"),
        (r"\bword\b", "has a word boundary, at position 0"),
        ("a^b", "has an anchor in its midst, at position 1"),
        ("(a$)b", "has an anchor in its midst, at position 2"),
        ("*a", "repeats nothing, at position 0"),
        ("a|+", "repeats nothing, at position 2"),
        ("a**", "repeats a repetition, at position 2"),
        ("a{2}{3}", "repeats a repetition"),
        ("a{3,2}", "repeats something less often than at least, at position 1"),
        ("(ab", "opens a group and does not close it, at position 0"),
        ("ab)", "closes a group that was not opened, at position 2"),
        ("[ab", "opens a class and does not close it, at position 0"),
        ("[a-", "opens a class and does not close it"),
        ("[b-a]", "has no such range, at position 1"),
        (r"[a-\d]", "has no such range"),
        ("a\\", "ends with a backslash, at position 1"),
        (r"\q", "has \\q, which means nothing, at position 0"),
        (r"\x6", "has no character of 2 hexadecimal digits"),
        (r"\U00110000", "has no character of 8 hexadecimal digits"),
        ("(" * 101 + "a" + ")" * 101, "more than 100 groups in each other"),
        ("(a|b)*a(a|b){20}", "needs more than 20,000 states. Let it repeat less"),
        ("(a{1000}){1000}", "needs more than 20,000 states"),
        ("((a?){141}){141}", "needs states that are too large. Let it repeat less"),
        ("a{99999999999999}", "needs more than 20,000 states"),
        ("", "no text but the empty one matches"),
        ("(b|)(?:){5}[^\\s\\S]?", None),
        (r"[^\s\S]", r"no character of [^\s\S], at position 0, is in the alphabet"),
    ],
)
def test_what_cannot_be_is_one_line(pattern: str, words: str | None) -> None:
    if words is None:
        Automaton(pattern, CharTokenizer("ab1"))
        return
    with pytest.raises(UsageError) as caught:
        Automaton(pattern, CharTokenizer("ab1"))
    assert words in str(caught.value)
    assert "\n" not in str(caught.value)


@pytest.mark.parametrize(
    ("pattern", "place"),
    [
        ("naïve", 2),
        ("a(b|ï)*ï", 7),
        ("(xï|ï)a", 1),
        ("[ï]a", 0),
        ("a(ï?b){2,}ï", 10),
        ("(aï){1,2}", 2),
        ("a|b|ï", None),
    ],
)
def test_the_first_character_that_cannot_be_is_named(pattern: str, place: int | None) -> None:
    tokenizer = CharTokenizer("abeinv", unknown=True)
    if place is None:
        Automaton(pattern, tokenizer)
        return
    with pytest.raises(UnknownCharacter) as caught:
        Automaton(pattern, tokenizer)
    assert caught.value.offset == place
    assert "match: character" in str(caught.value)
    if pattern[place] == "ï":
        assert str(caught.value).endswith("The nearest known is 'i'.")


def test_with_many_pieces_there_may_be_fewer_states() -> None:
    pieces = Pieces(tuple(b"%d" % number for number in range(10_000)))
    with pytest.raises(UsageError, match="needs more than 2,000 states with 10,000 tokens"):
        Automaton("[0-9]{3000}", pieces)
