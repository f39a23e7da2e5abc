"""Several rules at once: each is kept, no text gets stuck, and no token is removed that some text needs."""

from __future__ import annotations

import re
from dataclasses import dataclass
from functools import cache
from typing import ClassVar

import numpy as np
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st
from numpy.typing import NDArray

from charlstm.corpora.words import find_words
from charlstm.errors import UsageError
from charlstm.sampling.config import SampleConfig
from charlstm.sampling.guides import Guide
from charlstm.sampling.no_copy import CopyRule
from charlstm.sampling.rules.both import Both
from charlstm.sampling.rules.from_settings import Rules, RuleSettings
from charlstm.sampling.rules.joint import Joint, NeverStuck, all_of
from charlstm.sampling.rules.match import Automaton, MatchGuide
from charlstm.sampling.rules.ways import Ways
from charlstm.sampling.sampler import sample
from charlstm.sampling.words import Vocabulary, WordGuide
from charlstm.tokenizers import CharTokenizer
from tests.fake_models import random_markov
from tests.sampling.test_no_copy import Copier, assert_no_copy

ALPHABET = "abdenot .\n"
WORDS = ("a", "an", "and", "bed", "botanet", "not", "no", "to", "deed")
TOKENIZER = CharTokenizer(sorted(ALPHABET))


@cache
def automaton(pattern: str) -> Automaton:
    return Automaton(pattern, TOKENIZER)


@cache
def vocabulary() -> Vocabulary:
    return Vocabulary(WORDS, TOKENIZER)


def words() -> Guide:
    return WordGuide.after_text(vocabulary(), "")


def can_end(guide: Guide, tokens: int) -> bool:
    """Whether a text of at most so many tokens leads to an end, by trying all of them."""
    if guide.may_end():
        return True
    following = np.flatnonzero(guide.allowed()).tolist() if tokens else []
    return any(can_end(guide.advance(token), tokens - 1) for token in following)


# Finite ones: every text that keeps them has at most six characters.
FINITE = [
    "[a-z ]{5}",
    "(no|to|be|a ){0,2}(d|t)?.{0,1}",
    "b[a-z]{3,5}",
    "[^b]{4}d?",
    r"(.{2} ){1,2}",
    r"(an?d?|b)\.\n?",
    "botanets?",
]


@pytest.mark.parametrize("pattern", FINITE)
@pytest.mark.parametrize("other", ["[^\n]{0,4}", "[a-e. \n]*", ".*[dt]", "(.|\n)*"])
def test_a_token_is_allowed_if_and_only_if_an_end_can_follow(pattern: str, other: str) -> None:
    parts = (MatchGuide(automaton(pattern)), MatchGuide(automaton(other)), words())
    waiting: list[tuple[Joint, Guide]] = [(Joint(parts), all_of(parts))]
    seen = 0
    while waiting:
        joint, guide = waiting.pop()
        allowed = guide.allowed()
        for token in np.flatnonzero(joint.allowed()).tolist():
            assert allowed[token] == can_end(joint.advance(token), 6)
        assert not (allowed & ~joint.allowed()).any()
        waiting += [(joint.advance(token), guide.advance(token)) for token in np.flatnonzero(allowed).tolist()]
        seen += 1
        assert seen < 20_000


@pytest.mark.parametrize("one", FINITE)
@pytest.mark.parametrize("other", ["[^\n]{0,4}", "[a-e. \n]*", ".*[dt]", "(.|\n)*", "(.|\n){6}", "t?"])
def test_two_automata_as_one_allow_what_an_end_can_follow_and_know_how_far_it_is(one: str, other: str) -> None:
    both = MatchGuide(Both(automaton(one), automaton(other)))
    waiting: list[tuple[Joint, MatchGuide]] = [
        (Joint((MatchGuide(automaton(one)), MatchGuide(automaton(other)))), both)
    ]
    while waiting:
        joint, guide = waiting.pop()
        assert joint.may_end() == guide.may_end()
        for token in range(TOKENIZER.vocab_size):
            leads = joint.allowed()[token] and can_end(joint.advance(token), 6)
            assert guide.allowed()[token] == leads
            if leads and len(waiting) < 8:
                waiting.append((joint.advance(token), guide.advance(token)))
                distance = int(guide.distances()[token])
                assert can_end(waiting[-1][0], distance)
                assert not (distance and can_end(waiting[-1][0], distance - 1))


def test_two_automata_of_too_many_pairs_are_searched_instead_and_say_the_same() -> None:
    typed = RuleSettings(match="[a-e]{3}[^\n]*(\nbed)*", max_line=5)
    product = Rules(typed, TOKENIZER).after("no")
    with pytest.MonkeyPatch.context() as patch:
        patch.setattr("charlstm.sampling.rules.both._MOST_ENTRIES", 20)
        pairs = [(product, Rules(typed, TOKENIZER).after("no"))]
    for _ in range(9):
        known, found = pairs[-1]
        assert isinstance(known, MatchGuide)
        assert isinstance(found, NeverStuck)
        assert known.may_end() == found.may_end()
        assert known.allowed().tolist() == found.allowed().tolist()
        token = int(np.flatnonzero(known.allowed())[0])
        pairs.append((known.advance(token), found.advance(token)))


@given(
    pattern=st.sampled_from([r"([a-z]+ )*[a-z]+\.", ".{30}", "(.|\n)*bed", r"(and [^\n]*\n){3}", "[^ ]*"]),
    width=st.sampled_from([3, 7, 100]),
    seed=st.integers(0, 1000),
    length=st.integers(1, 60),
    temperature=st.sampled_from([0.0, 1.0, 6.0]),
    particles=st.sampled_from([1, 1, 4]),
)
@settings(max_examples=150, deadline=None)
def test_lines_words_and_an_expression(
    pattern: str, width: int, seed: int, length: int, temperature: float, particles: int
) -> None:
    lines = f"[^\n]{{0,{width}}}(\n[^\n]{{0,{width}}})*"
    guide = all_of([MatchGuide(automaton(pattern)), MatchGuide(automaton(lines)), words()])
    if not guide.allowed().any():
        assert (pattern, width) in {(".{30}", 3), (".{30}", 7), (r"(and [^\n]*\n){3}", 3)}, "too long for a line"
        return
    model = random_markov(ALPHABET, seed)
    model.tokenizer = TOKENIZER
    config = SampleConfig(length=length, temperature=temperature, seed=seed)
    text = "".join(each.text for each in sample(model, [0], config, guide=guide, particles=particles))
    assert re.fullmatch(pattern, text)
    assert all(len(line) <= width for line in text.split("\n"))
    assert {word.lower() for word in find_words(text)} <= set(WORDS)
    assert text


SOURCE = "and a bed not to be an end. no bed, and\nto bed and to not an end and a bed to no end\n" * 3


@pytest.mark.slow
@pytest.mark.parametrize(
    ("pattern", "length"),
    [
        (".{120}", 9),
        (".{120}", 20),
        (r"(and [^\n]*\n){4}", 10),
        (r"([a-z]{1,4} )+no end\.", 12),
        (r"(.|\n)*and a bed", 10),
        (r"(a|an) (bed|end).{30}(not|no) [a-z ]{9}", 8),
        ("[^\n]{0,25}(\n[^\n]{0,25})*", 12),
    ],
)
@pytest.mark.parametrize("sharpness", [0.0, 30.0])
def test_no_copy_beside_an_expression(pattern: str, length: int, sharpness: float) -> None:
    source = SOURCE.replace(",", "")
    ids = TOKENIZER.encode(source)
    guide = CopyRule(ids, length, TOKENIZER).after([], MatchGuide(automaton(pattern)))
    model = Copier(ids.tolist(), TOKENIZER, sharpness)
    for seed in range(3):
        config = SampleConfig(length=80, seed=seed)
        text = "".join(each.text for each in sample(model, [0], config, guide=guide))
        assert re.fullmatch(pattern, text), text
        assert_no_copy("", text, source, length)


@given(source=st.text(alphabet="ab", min_size=20, max_size=200), seed=st.integers(0, 100), length=st.integers(3, 9))
@settings(max_examples=80, deadline=None)
def test_with_two_characters_a_rule_that_can_be_kept_is_kept(source: str, seed: int, length: int) -> None:
    """Most passages of two characters stand in such a text, so that an expression leaves few ways."""
    tokenizer = CharTokenizer("ab")
    pattern = ["(a|b){12}", "(ab?){5}", "a(a|b)*ba"][seed % 3]
    rule = CopyRule(tokenizer.encode(source), length, tokenizer)
    other = MatchGuide(Automaton(pattern, tokenizer))
    try:
        guide = rule.after([], other)
    except UsageError:
        assert not _some_text(pattern, source, length)
        return
    model = random_markov("ab", seed)
    text = "".join(each.text for each in sample(model, [0], SampleConfig(length=15, seed=seed), guide=guide))
    assert re.fullmatch(pattern, text)
    assert_no_copy("", text, source, length)


def _some_text(pattern: str, source: str, length: int) -> bool:
    """Whether some text of at most 14 characters matches and copies nothing, by trying all of them."""
    texts = [""]
    for _ in range(14):
        texts = [text + letter for text in texts for letter in "ab" if len(text) + 1 < length or
                 (text + letter)[-length:] not in source]  # fmt: skip
        if any(re.fullmatch(pattern, text) for text in texts):
            return True
    return False


def test_a_way_is_as_long_as_it_says_and_known_from_all_of_its_states() -> None:
    ways = Ways()
    guide: Guide = Joint((MatchGuide(automaton(r"[a-z ]*bed botanet\.")), words()))
    steps = ways.steps(guide)
    assert steps == len("bed botanet.")
    while steps:
        token = ways.first(guide)
        assert token is not None
        guide, steps = guide.advance(token), steps - 1
        assert ways.steps(guide) == steps
    assert guide.may_end()


def test_what_leads_nowhere_is_told_by_the_longest_text_that_was_tried() -> None:
    ways = Ways()
    joint = Joint((MatchGuide(automaton("to be [a-z]*")), words()))
    assert ways.steps(joint) is None
    assert TOKENIZER.decode(ways.farthest) == "to be"
    assert not NeverStuck(joint, ways).allowed().any()


def test_a_text_that_heads_for_its_end_comes_nearer_with_every_token() -> None:
    guide: Guide = NeverStuck(Joint((MatchGuide(automaton(r"([a-z]+[ \n])*bed botanet\.")), words())), Ways())
    ways = Ways()
    rng = np.random.default_rng(0)
    for _ in range(30):
        guide = guide.advance(int(rng.choice(np.flatnonzero(guide.allowed()))))
    steps = ways.steps(guide)
    while steps:
        nearer = np.flatnonzero(ways.nearer(guide))
        assert (guide.allowed()[nearer]).all()
        guide, before = guide.advance(int(rng.choice(nearer))), steps
        steps = ways.steps(guide)
        assert steps is not None
        assert steps < before
    assert guide.may_end()


def test_what_is_forgotten_to_make_room_is_not_the_way_that_a_text_is_on(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr("charlstm.sampling.rules.ways._MOST_REMEMBERED", 3)
    test_a_text_that_heads_for_its_end_comes_nearer_with_every_token()


@dataclass(frozen=True)
class Endless:
    """Thirty states follow each, none is ever the same, and no text may end."""

    text: tuple[int, ...] = ()

    advanced: ClassVar[int] = 0

    def allowed(self) -> NDArray[np.bool_]:
        return np.ones(30, bool)

    def distances(self) -> NDArray[np.int64]:
        return np.ones(30, np.int64)

    def may_end(self) -> bool:
        return False

    def advance(self, token: int) -> Endless:
        type(self).advanced += 1
        return Endless((*self.text[-40:], token))


def test_what_no_text_can_keep_is_soon_told() -> None:
    Endless.advanced = 0
    assert not NeverStuck(Endless(), Ways()).allowed().any()
    assert Endless.advanced <= 30 * 500 + 20_000 + 30
