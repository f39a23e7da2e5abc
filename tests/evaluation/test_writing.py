"""The figures of a written text against texts whose figures can be counted by hand."""

from __future__ import annotations

import pytest
from hypothesis import given
from hypothesis import strategies as st

from charlstm.evaluation.writing import known_words, longest_copy, measure, words_of


def test_words() -> None:
    assert words_of("Don’t, he said: 'Äpfel' x2 are_well-made -- 19th. Ὅμηρος 猫") == [
        "don't", "he", "said", "äpfel", "x", "are", "well", "made", "th", "ὅμηρος", "猫"
    ]  # fmt: skip
    assert known_words(["The cat. the", " dog THE"], least=2) == {"the"}


def test_figures_counted_by_hand() -> None:
    text = "the cat sat on the cat sat zz qqq"
    found = measure([text], {"the", "cat", "sat", "on"})
    assert found.words == 9
    assert found.real_words == pytest.approx(6 / 7)  # "on" and "zz" are too short to count
    assert found.repeated_trigrams == pytest.approx(1 / 7)
    assert found.distinct_4grams == 1.0
    assert measure(["a b c d a b c d a b c d"], ()).distinct_4grams == pytest.approx(4 / 9)
    assert measure(["no    way", "--"], ()).longest_run == 4


def test_several_texts_are_measured_each_by_itself() -> None:
    one = "so it goes and on it went"
    assert measure([one, one], ()).repeated_trigrams == 0
    assert measure([one + " " + one], ()).repeated_trigrams > 0.3


def test_nothing_written() -> None:
    empty = measure([], ())
    assert (empty.words, empty.real_words, empty.repeated_trigrams, empty.distinct_4grams) == (0, 1.0, 0.0, 1.0)
    assert measure([""], ()).longest_run == 0
    assert longest_copy("", "abc") == longest_copy("abc", "") == ""


@given(written=st.text("ab \n", max_size=24), source=st.text("ab \n", max_size=24))
def test_the_longest_copy_by_trying_all(written: str, source: str) -> None:
    plain, where = " ".join(written.split()), " ".join(source.split())
    passages = [plain[i:j] for i in range(len(plain)) for j in range(i + 1, len(plain) + 1) if plain[i:j] in where]
    found = longest_copy(written, source)
    assert len(found) == max(map(len, passages), default=0)
    assert found in plain
    assert found in where
