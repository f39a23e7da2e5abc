"""Baselines: the n-gram model against a plain count of every n-gram, the compressors against files they would write."""

from __future__ import annotations

import gzip
import lzma
import math
from collections import Counter, defaultdict

import numpy as np
import pytest
from hypothesis import given
from hypothesis import strategies as st

from charlstm.evaluation import baselines as module
from charlstm.evaluation.baselines import ORDER_2, baselines, witten_bell
from charlstm.tokenizers import ByteTokenizer, CharTokenizer

TEXT = "The ferryman wrote nothing down, and he drew a goose; unforgettably so. " * 60


def by_hand(before: str, text: str, order: int) -> float:
    """Witten-Bell by dictionaries, one character after the other."""
    after: dict[str, Counter[str]] = defaultdict(Counter)
    for place, character in enumerate(before):
        for length in range(min(order, place) + 1):
            after[before[place - length : place]][character] += 1
    kinds, bits = len(set(before + text)), 0.0
    whole = before + text
    for place in range(len(before), len(whole)):
        probability = 1 / kinds
        for length in range(min(order, place) + 1):
            counts = after[whole[place - length : place]]
            if counts:
                total, different = sum(counts.values()), len(counts)
                probability = (counts[whole[place]] + different * probability) / (total + different)
        bits -= math.log2(probability)
    return bits / len(text)


def codes(text: str) -> np.ndarray:
    return np.array([ord(character) for character in text], np.int64)


@given(st.text("ab ", max_size=40), st.text("abc ", min_size=1, max_size=40), st.integers(0, 4))
def test_the_smoothed_model_is_that_of_a_plain_count(before: str, text: str, order: int) -> None:
    assert witten_bell(codes(before), codes(text), order) == pytest.approx(by_hand(before, text, order))


def test_its_probabilities_add_up_to_one_after_any_context() -> None:
    before, alphabet = "abracadabra", "abcdr"
    for context in ("ab", "ra", "dd", "c"):
        total = 0.0
        for character in alphabet:
            # The last character's share: what the text costs with it, less what it costs without.
            whole = len(context) + 1
            with_it = witten_bell(codes(before), codes(context + character)) * whole
            total += 2 ** -(with_it - witten_bell(codes(before), codes(context)) * len(context))
        assert total == pytest.approx(1)


def test_a_longer_context_helps_on_a_text_that_has_one() -> None:
    bits = [witten_bell(codes(TEXT), codes(TEXT), order) for order in range(4)]
    assert bits == sorted(bits, reverse=True)
    assert bits[3] < 0.4 * bits[0]


@pytest.mark.parametrize("kind", ["char", "byte"])
def test_what_a_text_adds_to_a_compressed_file(kind: str) -> None:
    rng = np.random.default_rng(1)
    words = ["goose", "ferry", "rôle", "天地", "down", "and"]
    text = " ".join(rng.choice(words, 4000))
    tokenizer = ByteTokenizer() if kind == "byte" else CharTokenizer(sorted(set(text)))
    ids = tokenizer.encode(text)
    border = 9 * len(ids) // 10
    found = baselines(ids[:border], ids[border:], tokenizer)
    units = len(ids) - border
    raw = bytes(ids) if kind == "byte" else text.encode()
    cut = border if kind == "byte" else len(text[:border].encode())
    xz = 8 * (len(lzma.compress(raw)) - len(lzma.compress(raw[:cut]))) / units
    assert found["xz"] == pytest.approx(xz, rel=0.02)
    near = raw[max(0, cut - 32768) : cut]
    added = 8 * (len(gzip.compress(near + raw[cut:])) - len(gzip.compress(near))) / units
    assert found["gzip"] == pytest.approx(added, rel=0.1)
    expected = by_hand(raw[:cut].decode("latin-1"), raw[cut:].decode("latin-1"), 2)
    if kind == "char":
        expected = by_hand(text[:border], text[border:], 2)
    assert found[ORDER_2] == pytest.approx(expected)


@pytest.mark.parametrize("size", [0, 1, 2, 3])
def test_any_length_of_either_text_can_be_measured(size: int) -> None:
    tokenizer = CharTokenizer("ab")
    ids = tokenizer.encode("abba")
    assert baselines(ids, ids[:0], tokenizer) == {}
    found = baselines(ids[:size], ids[size:], tokenizer)
    assert list(found) == ["gzip", ORDER_2, "xz"]
    assert all(math.isfinite(bits) and bits >= 0 for bits in found.values())


def test_a_long_text_is_measured_in_part(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(module, "_COUNTED", 500)
    monkeypatch.setattr(module, "_SCORED", 100)
    tokenizer = CharTokenizer(sorted(set(TEXT)))
    ids = tokenizer.encode(TEXT)
    assert baselines(ids[:3000], ids[3000:], tokenizer) == baselines(ids[2500:3000], ids[3000:3100], tokenizer)


def test_what_there_is_no_time_for_is_left_out() -> None:
    tokenizer = CharTokenizer(sorted(set(TEXT)))
    ids = tokenizer.encode(TEXT)
    every = baselines(ids[:3000], ids[3000:], tokenizer)
    for asked, names in ((0, []), (1, ["gzip"]), (2, ["gzip", ORDER_2]), (3, ["gzip", ORDER_2]), (99, list(every))):
        answers = iter([False] * asked)
        found = baselines(ids[:3000], ids[3000:], tokenizer, is_late=lambda: next(answers, True))  # noqa: B023
        assert list(found) == names
        assert found.items() <= every.items()
