"""Places where texts begin: after empty lines, else after line ends, else after sentences."""

from __future__ import annotations

import random

import numpy as np
import pytest

from charlstm.corpora.starts import CONTEXT, COUNT, find_starts
from charlstm.tokenizers import ByteTokenizer, CharTokenizer, Tokenizer


def starts_of(text: str, tokenizer: Tokenizer | None = None) -> tuple[str, ...]:
    tokenizer = tokenizer or CharTokenizer(sorted(set(text)))
    return find_starts(np.asarray(tokenizer.encode(text)), tokenizer)


def sentence(number: int) -> str:
    return f"Sentence {number} goes on for a good while, and comes to its end in the middle of no line."


@pytest.mark.parametrize("line_end", ["\n", "\r\n", "  \t\n"])
def test_paragraphs_come_first(line_end: str) -> None:
    text = "".join(f"NAME {n}:\n{sentence(n)}\n{sentence(n)}\n{line_end}" for n in range(40))
    found = starts_of(text)
    assert len(found) == COUNT
    for context in found:
        assert len(context) == CONTEXT
        assert context.endswith(line_end)
        places = [place + CONTEXT for place in range(len(text)) if text.startswith(context, place)]
        assert any(text.startswith("NAME", place) for place in places)


def test_an_indented_paragraph_keeps_its_indent() -> None:
    text = "".join(f"    {sentence(n)}\n\n" for n in range(20))
    assert all(context.endswith(".\n\n") for context in starts_of(text))


def test_then_lines_then_sentences() -> None:
    lines = "".join(f"{sentence(n)}\n" for n in range(20))
    assert all(context.endswith("line.\n") for context in starts_of(lines))
    one_line = " ".join(f"“{sentence(n)}”" for n in range(20))
    assert all(context.endswith(".” ") for context in starts_of(one_line))
    chinese = "".join(f"第{n}句话说得很长很长很长很长很长很长很长很长很长很长很长很长很长。" for n in range(20))
    assert all(context.endswith("。") for context in starts_of(chinese))


@pytest.mark.parametrize("text", ["", "a", "no end at all " * 100, "short.\n" * 3])
def test_a_text_without_places(text: str) -> None:
    assert starts_of(text, ByteTokenizer()) == ()


def test_bytes_that_are_no_text_have_none_with_half_characters() -> None:
    data = bytes(random.Random(0).choices(range(256), k=20_000))
    found = find_starts(np.frombuffer(data, np.uint8), ByteTokenizer())
    assert not any("\ufffd" in context for context in found)
    greek = "Μῆνιν ἄειδε θεὰ Πηληϊάδεω Ἀχιλῆος οὐλομένην, ἣ μυρί’ Ἀχαιοῖς ἄλγε’ ἔθηκε.\n" * 20
    assert len(starts_of(greek, ByteTokenizer())) == COUNT


def test_a_long_text_is_searched_from_its_beginning_to_its_end() -> None:
    text = "".join(f"{sentence(n)} {n:06d}\n" for n in range(12_000))
    numbers = [int(context.split()[-1]) for context in starts_of(text)]
    assert numbers == sorted(numbers)
    assert numbers[0] < 1500
    assert numbers[-1] > 9_000
