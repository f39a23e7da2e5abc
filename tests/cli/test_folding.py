"""Text folded between words as it arrives: the same however it arrives, never too wide, and nothing lost."""

from __future__ import annotations

import itertools
import re
import textwrap

from hypothesis import given
from hypothesis import strategies as st
from rich.cells import cell_len

from charlstm.cli.views.folding import Folder, fold_text

TEXTS = st.text(st.sampled_from("ab c  \t\n天地。「e\u0301🎉-."), max_size=200)
WIDTHS = st.integers(2, 30)


def fold(fragments: list[str], width: int) -> str:
    folder = Folder(lambda: width)
    return "".join(map(folder.push, fragments)) + folder.flush()


@given(TEXTS, WIDTHS, st.lists(st.integers(0, 200)))
def test_it_does_not_matter_how_a_text_arrives(text: str, width: int, cuts: list[int]) -> None:
    borders = [0, *sorted(min(cut, len(text)) for cut in cuts), len(text)]
    fragments = [text[begin:end] for begin, end in itertools.pairwise(borders)]
    assert fold(fragments, width) == fold([text], width)


@given(TEXTS, WIDTHS)
def test_no_line_is_too_wide_and_nothing_but_blanks_is_lost(text: str, width: int) -> None:
    folded = fold([text], width)
    assert re.sub(r"\s", "", folded) == re.sub(r"\s", "", text)
    assert max(map(cell_len, folded.split("\n"))) <= width
    assert all(line == line.rstrip() for line in folded.split("\n"))


@given(st.lists(st.text("abcdefg", min_size=1, max_size=9), max_size=60), st.integers(9, 40))
def test_short_words_are_folded_as_textwrap_does(words: list[str], width: int) -> None:
    text = " ".join(words)
    assert fold([text], width) == "\n".join(textwrap.wrap(text, width))


@given(st.lists(st.text("ab ", max_size=12), min_size=1, max_size=9))
def test_lines_that_fit_stay_as_they_are(lines: list[str]) -> None:
    folded = fold(["\n".join(lines)], 12)
    assert folded.split("\n") == [line.rstrip() for line in lines]


def test_long_words_are_cut_and_wide_characters_count_twice() -> None:
    assert fold_text("ab " + "x" * 25 + " cd", 10) == ["ab", "x" * 10, "x" * 10, "xxxxx cd"]
    assert fold_text("天地玄黃宇宙洪荒", 5) == ["天地", "玄黃", "宇宙", "洪荒"]
    assert fold_text("天地。玄", 4) == ["天", "地。", "玄"], "a stop does not begin a line"
    assert fold_text("e\u0301e\u0301e\u0301 e\u0301", 3) == ["e\u0301" * 3, "e\u0301"]
    assert fold_text("a\tb\tc", 9) == ["a       b", "c"]
    assert fold_text("    indented text", 12) == ["    indented", "text"]


def test_a_line_keeps_its_own_newlines_and_the_width_may_change() -> None:
    widths = iter([20, 20, 5, 5, 5, 5])
    folder = Folder(lambda: next(widths))
    assert folder.push("one two three\none two ") + folder.flush() == "one two three\none two"
    assert folder.push("\none two ") + folder.flush() == "\none\ntwo"


def test_bold_is_on_for_what_is_bold_only() -> None:
    folder = Folder(lambda: 9)
    shown = folder.push("typed wor", bold=True) + folder.push("ds of it") + folder.flush()
    assert shown == "\x1b[1mtyped\x1b[22m\n\x1b[1mwor\x1b[22mds of\nit"
    assert Folder(lambda: 20).push("one two ", bold=True) == "\x1b[1mone two\x1b[22m"
