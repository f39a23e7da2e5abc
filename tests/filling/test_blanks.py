"""Parsing a text with blanks."""

import pytest
from hypothesis import given
from hypothesis import strategies as st

from charlstm.errors import UsageError
from charlstm.filling.blanks import MAX_DEFAULT, MAX_VARIABLE, Blank, Blanked, index_outside_blanks, parse


@pytest.mark.parametrize(
    ("text", "texts", "lengths"),
    [
        ("the sky is ____", ("the sky is ", ""), [(4, 4)]),
        ("_", ("", ""), [(1, 1)]),
        ("a {} b", ("a ", " b"), [(1, MAX_DEFAULT)]),
        ("a{3-9}b{5}c__d", ("a", "b", "c", "d"), [(3, 9), (5, 5), (2, 2)]),
        ("{-4}{20-}", ("", "", ""), [(1, 4), (20, 20)]),
        ("{7-}", ("", ""), [(7, MAX_DEFAULT)]),
        (r"int main() { a\_b \{} \\ \n ___; }", (r"int main() { a_b {} \ \n ", "; }"), [(3, 3)]),
        ("{ } {a} {1,2} }{ _", ("{ } {a} {1,2} }{ ", ""), [(1, 1)]),
        ("x" + "_" * 500, ("x", ""), [(500, 500)]),
        ("{200}", ("", ""), [(200, 200)]),
        ("{" + "0" * 5000 + "3}", ("", ""), [(3, 3)]),
        ("_{٣}{3–9}{ 3 }", ("", "{٣}{3–9}{ 3 }"), [(1, 1)]),
    ],
)
def test_blanks_are_found_and_the_rest_is_text(text, texts, lengths):
    assert parse(text) == Blanked(texts, tuple(Blank(*length) for length in lengths))


@pytest.mark.parametrize("text", ["", "no gap", r"\_\_", r"\{}", "{ }"])
def test_a_text_without_blanks_is_an_error_that_shows_how_to_write_one(text):
    with pytest.raises(UsageError, match=r"no blank.*____"):
        parse(text)


@pytest.mark.parametrize(
    "text", ["{0}", "a {9-3}", "{0-4}", f"{{1-{MAX_VARIABLE + 1}}}", "{-0}", "{-}x{4-2}", "{1001}", "_" * 1001]
)
def test_an_impossible_blank_is_named(text):
    with pytest.raises(UsageError, match=r"no such blank: [{_].* of 1 to 1,000"):
        parse(text)


@given(st.lists(st.text("ab \n", max_size=4), min_size=2, max_size=5))
def test_filling_in_the_parts_cut_out_restores_the_text(texts):
    cut = tuple(texts[1::2])
    around = (*texts[::2], "")[: len(cut) + 1]
    joined = "".join(texts[: 2 * len(cut)]) + (around[-1] if len(around) > len(cut) else "")
    assert Blanked(around, (Blank(1, 1),) * len(cut)).filled(cut) == joined


@pytest.mark.parametrize("text", ["{%s}", "a {%s-}", "{-%s}", "{1-%s}", "{%s-%s}"])
def test_a_length_of_5000_digits_is_one_line(text):
    with pytest.raises(UsageError, match=r"no such blank: [{].* of 1 to 1,000") as caught:
        parse(text.replace("%s", "9" * 5000))
    assert len(str(caught.value)) < 150


def test_a_character_is_found_outside_the_blanks():
    assert index_outside_blanks("a{1-3}3", "3") == 6
    assert index_outside_blanks(r"__\_", "_") == 3
