"""The figures of what a network wrote, against texts whose figures are known."""

import pytest

from benchmarks.writing import figures_of, in_circles, real_words, spread, typed


def test_a_passage_said_again_is_a_circle():
    passage = "abcdefghijklmnopqrstuvwxyz"
    assert in_circles(passage) == 0
    assert in_circles(passage * 2) == pytest.approx((26 - 19) / 52)
    assert in_circles(passage * 40) > 0.95


def test_the_style_of_a_text_is_seen_in_its_rarer_words_and_passages():
    source = "the prow of the galley, the prow of the galley. "
    own = figures_of("the prow of the galley", source, set())
    other = figures_of("a sonnet upon doves, zephyr", source, {"sonnet", "upon", "doves"})
    assert own["own words"] == own["own 5-grams"] == own["real words"] == 1
    assert other["own words"] == other["own rarer words"] == 0
    assert other["real words"] == 0.75
    assert other["own 5-grams"] == 0


def test_pieces_are_spread_over_a_text():
    assert list(spread("abcdefgh", 2, 3)) == ["ab", "de", "gh"]
    assert list(spread("abc", 9, 1)) == ["abc"]


def test_settings_are_typed_as_on_the_command_line():
    off = {"top_k": 0, "top_p": 1, "min_p": 0, "repetition_penalty": 1, "longest_run": 0}
    assert typed("-t 0.5 --no-repeat 8") == {"temperature": 0.5, "no_repeat": 8, **off}


def test_a_folder_without_texts_is_refused(tmp_path):
    (tmp_path / "book.md").write_text("a book\n")
    with pytest.raises(SystemExit, match=r"no \.txt in"):
        real_words(tmp_path)
    (tmp_path / "book.txt").write_text("a book, a book, and a book\n")
    assert real_words(tmp_path) == {"a", "book"}
    assert real_words(None) == set()
