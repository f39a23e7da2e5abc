"""The promise of `no_copy`, by trying every window of what a network writes that loves to copy."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass, replace
from typing import Any

import numpy as np
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from charlstm.checkpoint.known import KnownRecords
from charlstm.checkpoint.writing import Writing
from charlstm.errors import UsageError
from charlstm.sampling.config import SampleConfig
from charlstm.sampling.no_copy import CopyRule, NoCopyGuide
from charlstm.sampling.passages import Passages, longest_runs
from charlstm.sampling.records import draw_records
from charlstm.sampling.sampler import sample
from charlstm.sampling.words import Vocabulary, WordGuide
from charlstm.tokenizers import ByteTokenizer, CharTokenizer, Tokenizer
from tests.fake_models import Markov


class Copier(Markov):
    """A network that goes on as its text does after the longest end of what it has read."""

    def __init__(self, text: Sequence[int], tokenizer: Tokenizer, sharpness: float = 30.0) -> None:
        super().__init__(np.zeros((1, tokenizer.vocab_size)), tokenizer)
        self.text, self.sharpness = bytes(text), sharpness

    def step(self, tokens: Any, state: Any) -> tuple[Any, Any]:
        _, state = super().step(tokens, state)
        return np.stack([self._logits(bytes(past)) for past in state]), state

    def _logits(self, past: bytes) -> Any:
        logits = np.zeros(self.vocab_size)
        for length in range(min(len(past), 40), -1, -1):
            place = self.text.find(past[len(past) - length :], 0, len(self.text) - 1)
            if place >= 0:
                logits[self.text[place + length]] = self.sharpness
                return logits
        return logits


def assert_no_copy(prompt: str, drawn: str, source: str, length: int) -> None:
    text = prompt + drawn
    for end in range(max(length, len(prompt) + 1), len(text) + 1):
        assert text[end - length : end] not in source, (text[end - length : end], source)


def copies(text: str, source: str, length: int) -> int:
    return sum(text[at : at + length] in source for at in range(len(text) - length + 1))


@settings(max_examples=60)
@given(
    source=st.text(alphabet="abc", min_size=1, max_size=60).map(lambda text: text * 3),
    prompt=st.text(alphabet="abc", max_size=12),
    length=st.integers(5, 12),
    seed=st.integers(0, 9),
    temperature=st.sampled_from([0.0, 1.0, 40.0]),
)
def test_small_alphabets(source: str, prompt: str, length: int, seed: int, temperature: float) -> None:
    tokenizer = CharTokenizer("abcz")
    ids = tokenizer.encode(source)
    model = Copier(ids, tokenizer)
    rule = CopyRule(ids, length, tokenizer)
    guide = rule.after(tokenizer.encode(prompt))
    config = SampleConfig(length=60, temperature=temperature, seed=seed)
    rows = ["", ""]
    for fragment in sample(model, tokenizer.encode(prompt), config, rows=2, guide=guide):
        rows[fragment.row] += fragment.text
    for row in rows:
        assert len(row) == 60
        assert_no_copy(prompt, row, source, length)


@settings(max_examples=60)
@given(
    source=st.text(alphabet="ab", min_size=30, max_size=300),
    prompt=st.text(alphabet="ab", max_size=12),
    length=st.integers(4, 14),
)
def test_two_characters_leave_dead_ends_and_none_is_entered(source: str, prompt: str, length: int) -> None:
    """With a text as long as that, most passages of few characters go on only as the text has them."""
    tokenizer = CharTokenizer("ab")
    ids = tokenizer.encode(source)
    try:
        guide = CopyRule(ids, length, tokenizer).after(tokenizer.encode(prompt))
    except UsageError:  # nothing is left, breadth first, after some more characters
        ends = {prompt[1 - length :]}
        for _ in range(2**length):
            longer = {end + letter for end in ends for letter in "ab"}
            ends = {text[1 - length :] for text in longer if text[-length:] not in source or len(text) < length}
            if not ends:
                return
        raise
    text = "".join(fragment.text for fragment in sample(
        Copier(ids, tokenizer), tokenizer.encode(prompt), SampleConfig(length=80, seed=1), guide=guide
    ))  # fmt: skip
    assert len(text) == 80
    assert_no_copy(prompt, text, source, length)


SOURCE = "the cat sat on the mat, and the dog sat on the log; the cat and the dog were sad.\n" * 4 + "zany zebras\n"


def draw(least: int, prompt: str = "the cat sat on ", *, words: bool = False, **settings: Any) -> str:
    tokenizer = CharTokenizer(sorted(set(SOURCE)), unknown=True)
    ids = tokenizer.encode(SOURCE)
    other = None
    if words:
        vocabulary = Vocabulary(set(SOURCE.replace(",", "").replace(";", "").replace(".", "").split()), tokenizer)
        other = WordGuide.after_text(vocabulary, prompt)
    guide = CopyRule(ids, least, tokenizer).after(tokenizer.encode(prompt), other)
    config = SampleConfig(**{"length": 300, "seed": 3, **settings})
    return "".join(f.text for f in sample(Copier(ids, tokenizer), tokenizer.encode(prompt), config, guide=guide))


@pytest.mark.parametrize("length", [8, 12, 20, 31, 50])
def test_a_network_that_only_copies(length: int) -> None:
    prompt = "the cat sat on "
    text = draw(length, prompt)
    assert_no_copy(prompt, text, SOURCE, length)
    assert copies(prompt + text, SOURCE, length - 1) > 0, "as long as is allowed it copies"
    assert "\ufffd" not in text


@pytest.mark.parametrize("length", [8, 12, 20, 31])
@pytest.mark.parametrize("seed", range(3))
def test_together_with_words(length: int, seed: int) -> None:
    prompt = "the cat sat on "
    text = draw(length, prompt, words=True, seed=seed, temperature=8.0)
    assert_no_copy(prompt, text, SOURCE, length)
    known = set(SOURCE.replace(",", "").replace(";", "").replace(".", "").split())
    written = "".join(c if c.isalpha() else " " for c in text).split()
    assert {word.lower() for word in written} <= known


def test_filters_and_stop_texts() -> None:
    text = draw(12, temperature=0.0, stop=("zebra",), top_k=1)
    assert_no_copy("the cat sat on ", text, SOURCE, 12)
    text = draw(12, lines=2, length=0)
    assert text.count("\n") == 2
    assert_no_copy("the cat sat on ", text, SOURCE, 12)


def test_bytes() -> None:
    tokenizer = ByteTokenizer()
    data = ("größer als öde Möwen über Flüssen; " * 5).encode()
    ids = np.frombuffer(data, np.uint8)
    guide = CopyRule(ids, 20, tokenizer).after(())
    drawn = [
        f.token for f in sample(Copier(ids, tokenizer), (), SampleConfig(length=200, seed=1), guide=guide, raw=True)
    ]
    assert all(bytes(drawn[at : at + 20]) not in data for at in range(181))
    assert any(bytes(drawn[at : at + 19]) in data for at in range(182))


def test_records() -> None:
    source = "".join(f"anna maria bella{letter}\n" for letter in "abcdefgh")
    tokenizer = CharTokenizer(sorted(set(source)))
    ids = tokenizer.encode(source)
    guide = CopyRule(ids, 10, tokenizer).after(())
    writing = Writing(record="\n", longest_record=20)
    config = replace(SampleConfig(seed=1, temperature=10.0), stop=("\n",), length=40)
    records = list(draw_records(Copier(ids, tokenizer), writing, KnownRecords(), config, 5, guide=guide))
    assert records
    for record in records:
        assert_no_copy("", record.text, source, 10)


def test_what_cannot_be_kept_is_said_before_anything_is_drawn() -> None:
    tokenizer = CharTokenizer("ab")
    ids = tokenizer.encode("a" * 50 + "b" * 50)
    CopyRule(ids, 20, tokenizer).after(())

    @dataclass
    class Pieces:
        kind: str = "sentencepiece"

    with pytest.raises(UsageError, match="pieces of words"):
        CopyRule(ids, 20, Pieces())  # type: ignore[arg-type]
    source = tokenizer.encode("aaaabaaab")  # has both letters after aaa
    with pytest.raises(UsageError, match="no text can follow"):
        CopyRule(source, 4, tokenizer).after(tokenizer.encode("aaa"))
    only = CharTokenizer("a")
    with pytest.raises(UsageError, match="no text can follow"):
        CopyRule(only.encode("a" * 30), 20, only).after(())


@given(st.text(alphabet="ab", max_size=200), st.text(alphabet="ab", min_size=1, max_size=30), st.integers(1, 30))
def test_passages_are_found_wherever_they_stand(source: str, passage: str, shortest: int) -> None:
    shortest = min(shortest, len(passage))
    tokenizer = CharTokenizer("ab")
    ends, lengths = Passages(tokenizer.encode(source), shortest).find(tokenizer.encode(passage).tolist())
    found = dict(zip(ends.tolist(), lengths.tolist(), strict=True))
    expected = {}
    for end in range(len(source) + 1):
        length = 0
        while length < min(end, len(passage)) and source[end - length - 1] == passage[-length - 1]:
            length += 1
        if length >= shortest:
            expected[end] = length
    assert found == expected


@given(st.text(alphabet="abc", max_size=100), st.integers(1, 20))
def test_runs(source: str, batch: int) -> None:
    tokenizer = CharTokenizer("abc")
    with pytest.MonkeyPatch.context() as patch:
        patch.setattr("charlstm.sampling.passages._BATCH", batch)
        runs = longest_runs(tokenizer.encode(source), 3).tolist()
    assert runs == [max(n for n in range(len(source) + 1) if letter * n in source) for letter in "abc"]


def test_a_guide_is_a_value() -> None:
    tokenizer = CharTokenizer("ab")
    rule = CopyRule(tokenizer.encode("abbaabab"), 5, tokenizer)
    first = rule.after(tokenizer.encode("ab"))
    assert isinstance(first, NoCopyGuide)
    assert first.advance(0) == first.advance(0) != first.advance(1)
    assert first.may_end()
