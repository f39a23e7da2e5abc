"""The matches of a short text in a long one, against Python's own ``in``."""

from __future__ import annotations

from itertools import pairwise

import numpy as np
import pytest
from hypothesis import given
from hypothesis import strategies as st

from charlstm.inspect import matches
from charlstm.inspect.matches import SHORTEST, longest_matches
from charlstm.tokenizers.char import code_points


def by_hand(text: str, source: str) -> list[int]:
    """The longest match at each place, by trying every length."""
    found = []
    for begin in range(len(text)):
        end = begin
        while end < len(text) and text[begin : end + 1] in source:
            end += 1
        found.append(end - begin if end - begin >= SHORTEST else 0)
    return found


def check(texts: list[str], source: str, cuts: list[int]) -> None:
    borders = [0, *sorted(cut % (len(source) + 1) for cut in cuts), len(source)]
    chunks = [code_points(source[a:b]) for a, b in pairwise(borders)]
    for text, found in zip(texts, longest_matches([code_points(text) for text in texts], chunks), strict=True):
        assert found.lengths.tolist() == by_hand(text, source)
        for begin, (length, place) in enumerate(zip(found.lengths.tolist(), found.places.tolist(), strict=True)):
            assert (place < 0) == (length == 0)
            assert not length or source[place : place + length] == text[begin : begin + length]


FEW = st.text(alphabet="ab", max_size=120)
CUTS = st.lists(st.integers(0, 10_000), max_size=6)


@given(st.lists(FEW, min_size=1, max_size=3), FEW, CUTS)
def test_texts_of_two_characters(texts: list[str], source: str, cuts: list[int]) -> None:
    check(texts, source, cuts)


@given(st.data(), CUTS)
def test_a_text_made_of_pieces_of_the_source(data: st.DataObject, cuts: list[int]) -> None:
    source = data.draw(st.text(alphabet="abcé☃\U0001f600\n", min_size=1, max_size=300))
    pieces = data.draw(st.lists(st.tuples(st.integers(0, 300), st.integers(0, 60)), max_size=8))
    text = "|".join(source[begin : begin + length] for begin, length in pieces)
    check([text, source[:40]], source, cuts)


@given(st.integers(0, 99), CUTS)
def test_an_alphabet_of_more_than_a_byte(seed: int, cuts: list[int]) -> None:
    """Characters 255 apart share a byte; they must not count as equal."""
    random = np.random.default_rng(seed)
    every = "".join(map(chr, range(0x4E00, 0x4E00 + 300)))
    pairs = "".join(random.choice([*"一丁", chr(0x4E00 + 255), chr(0x4E00 + 256)], 60))
    text = pairs + every
    source = "".join(random.choice(list(text[:60]), 200)) + text[10:90] + pairs[::-1]
    check([text], source, cuts)


@pytest.mark.parametrize("batch", [1, 40, 1000])
@given(source=FEW, text=FEW)
def test_however_often_runs_are_sorted(batch: int, source: str, text: str) -> None:
    with pytest.MonkeyPatch.context() as patch:
        patch.setattr(matches, "_BATCH", batch)
        patch.setattr(matches, "_CHUNK", 16)
        check([text], source, [])


@pytest.mark.parametrize("pattern", ["a", "ab", "abaababaabaab"])
def test_periodic_texts_in_which_everything_matches(pattern: str) -> None:
    source, text = pattern * (5000 // len(pattern)), pattern * (300 // len(pattern))
    (found,) = longest_matches([code_points(text)], [code_points(source)])
    assert found.lengths.tolist() == [n if n >= SHORTEST else 0 for n in range(len(text), 0, -1)]


def test_a_long_source_has_no_more_memory_than_a_chunk() -> None:
    import tracemalloc

    random = np.random.default_rng(0)
    text = random.integers(97, 105, 500).astype(np.uint8)

    def peak(chunks: int) -> int:
        tracemalloc.start()
        longest_matches([text], (random.integers(97, 105, 1 << 18).astype(np.uint8) for _ in range(chunks)))
        size = tracemalloc.get_traced_memory()[1]
        tracemalloc.stop()
        return size

    assert peak(16) < 1.5 * peak(2)


@pytest.mark.parametrize("text", ["", "a", "abcdefg"])
def test_texts_shorter_than_a_match(text: str) -> None:
    (found,) = longest_matches([code_points(text)], [code_points("abcdefgh" * 9)])
    assert found.lengths.tolist() == [0] * len(text)
    assert longest_matches([code_points("abcdefgh")], [])[0].lengths.tolist() == [0] * 8
