"""Drawn text keeps to the words of a list, whatever the network would rather write."""

from __future__ import annotations

import numpy as np
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from charlstm.corpora.words import common_words, find_words
from charlstm.errors import UsageError
from charlstm.sampling.config import SampleConfig
from charlstm.sampling.cowriter import CoWriter
from charlstm.sampling.sampler import sample
from charlstm.sampling.words import Vocabulary, WordGuide
from charlstm.tokenizers import ByteTokenizer, CharTokenizer
from tests.fake_models import Markov, random_markov

ALPHABET = "abdenotwABDNOTé '’-.\n1"
WORDS = ("a", "and", "be", "bed", "Ted", "don't", "Dé", "NATO", "to", "two")
ALLOWED = {*WORDS, "A", "And", "Be", "Bed", "Don't", "To", "Two"}


def vocabulary(alphabet: str = ALPHABET) -> Vocabulary:
    return Vocabulary(WORDS, CharTokenizer(alphabet))


def drawn(model: Markov, prompt: str, config: SampleConfig, rows: int = 1) -> list[str]:
    guide = WordGuide.after_text(Vocabulary(WORDS, model.tokenizer), prompt)
    texts = [""] * rows
    for fragment in sample(model, model.tokenizer.encode(prompt), config, rows=rows, guide=guide):
        texts[fragment.row] += fragment.text
    return texts


@given(seed=st.integers(0, 10_000), length=st.integers(1, 80), hot=st.sampled_from([0.0, 0.7, 5.0]))
@settings(max_examples=150, deadline=None)
def test_every_word_is_known_and_none_is_cut(seed: int, length: int, hot: float) -> None:
    model = random_markov(ALPHABET, seed)
    for text in drawn(model, ".", SampleConfig(length=length, temperature=hot, seed=seed), rows=2):
        assert len(text) >= length
        assert set(find_words(text.replace("’", "'"))) <= ALLOWED, text


def test_a_network_that_would_write_nonsense() -> None:
    table = np.zeros((len(ALPHABET), len(ALPHABET)))
    table[:, ALPHABET.index("b")] = 20.0
    model = Markov(table, CharTokenizer(ALPHABET))
    (text,) = drawn(model, " ", SampleConfig(length=40, temperature=0))
    assert set(find_words(text)) <= {"be", "bed"}


@pytest.mark.parametrize(
    ("before", "allowed"),
    [
        ("", set(ALPHABET) - set("enowéO")),  # no word begins with these; apostrophes open quotations
        ("b", {"e"}),
        ("be", {"d", *" '’-.\n1"}),
        ("bed", set(" '’-.\n1")),
        ("don", {"'"}),
        ("don'", {"t"}),
        ("T", {"e", "o", "w"}),
        ("N", {"A"}),
        ("well-be", {"d", *" '’-.\n1"}),
        ("xyz", set(ALPHABET)),  # a word of the person's own may end in any way
        ("be'", set(" '’-.\n1")),  # the end of a quotation
    ],
)
def test_what_may_follow(before: str, allowed: set[str]) -> None:
    guide = WordGuide.after_text(vocabulary(), before)
    assert {ALPHABET[token] for token in np.flatnonzero(guide.allowed())} == allowed


def test_a_guide_may_end_only_after_a_word() -> None:
    known = vocabulary()
    assert [WordGuide.after_text(known, text).may_end() for text in ("", "b", "be", "be.", "xy", "don'", "be'")] == [
        True, False, True, True, True, False, True
    ]  # fmt: skip


def test_after_a_prompt_it_goes_on_with_its_last_word() -> None:
    (text,) = drawn(random_markov(ALPHABET, 3), "a be", SampleConfig(length=30, seed=1))
    assert find_words("a be" + text)[1] in {"be", "bed"}
    known = vocabulary()
    free = WordGuide.after_text(known, "xq").advance(ALPHABET.index("b"))
    assert free.advance(ALPHABET.index(" ")) == WordGuide(known, "")


def test_words_outside_the_alphabet_are_left_out_and_a_list_of_none_is_an_error() -> None:
    known = vocabulary("abent ")
    assert [known.begins(word) for word in ("be", "Ted", "and")] == [True, False, False]
    with pytest.raises(UsageError, match="knows no words"):
        Vocabulary((), CharTokenizer("ab"))
    with pytest.raises(UsageError, match="network of bytes"):
        Vocabulary(WORDS, ByteTokenizer())


def test_a_co_writer_keeps_to_words_too() -> None:
    model = random_markov(ALPHABET, 5)
    known = Vocabulary(WORDS, model.tokenizer)
    co = CoWriter(model, SampleConfig(length=20, seed=2), guide_after=lambda text: WordGuide.after_text(known, text))
    co.add("to b")
    list(co.extend())
    assert set(find_words(co.text)) <= ALLOWED


def test_words_of_a_text() -> None:
    text = "Don’t 'quote' well-made 2nd हिन्दी Ὅμηρος. Don’t " + "x" * 50
    ids = np.asarray(CharTokenizer(sorted(set(text))).encode(text))
    assert common_words(ids, CharTokenizer(sorted(set(text)))) == tuple(
        sorted({"Don’t", "quote", "well", "made", "nd", "हिन्दी", "Ὅμηρος"})
    )
    assert find_words("") == find_words("12 -- 34") == []
