"""Markdown becomes plain text, and plain text stays as it is."""

from __future__ import annotations

import re

import pytest
from hypothesis import given
from hypothesis import strategies as st

from charlstm.corpora.clean_markdown import clean_markdown

PUBLISHED = """# Title: Emma\r
\r
## Author: Jane Austen\r
\r
-------\r
\r
## Chapter  1  \r
\r
_Emma_ said *no*, **never**; her "fifty _pounds_\\-" were dis_hon_est &amp; few.  Two blanks.\r
\r
\r
\r
> A letter,\r
> > in a letter\r
\r
            deep verse  \r
   shallow verse\r
  *    *    *\r
* a footnote, 3 * 4\r
He wrote a line: ___\r
---\r
"""

PLAIN = """Chapter 1

Emma said no, never; her "fifty pounds-" were dishonest & few. Two blanks.

A letter,
in a letter

        deep verse
   shallow verse
* * *
* a footnote, 3 * 4
He wrote a line:
---
"""


def test_a_book() -> None:
    assert clean_markdown(PUBLISHED) == PLAIN


@pytest.mark.parametrize("text", ["", "\n\n \n", "# Title: nothing\n---\n\n"])
def test_nothing_left(text: str) -> None:
    assert clean_markdown(text) == ""


def test_a_rule_further_down_is_no_front_matter() -> None:
    text = "line\n" * 30 + "---\n" + "line\n"
    assert clean_markdown(text) == text


@given(st.text(st.sampled_from("ab \n\r_*#>\\-&;é’"), max_size=80))
def test_the_rule_holds_for_any_text(text: str) -> None:
    clean = clean_markdown(text)
    assert "\r" not in clean
    assert "_" not in clean
    assert "\n\n\n" not in clean
    assert clean == "" or clean.endswith("\n")
    assert not clean.startswith("\n")
    assert not re.search(r" $|[^ \n] {2,}|^ {9}", clean, re.MULTILINE)
    letters = [character for character in text if character in "abé’"]
    kept = [character for character in clean if character in "abé’"]
    assert "".join(letters).endswith("".join(kept))  # only front matter goes


@given(st.text(st.sampled_from("ab .,’“\"'é-"), min_size=1, max_size=60).filter(lambda line: line.strip("- ")))
def test_a_plain_line_stays(line: str) -> None:
    line = " ".join(line.split())
    assert clean_markdown(line) == line + "\n"
