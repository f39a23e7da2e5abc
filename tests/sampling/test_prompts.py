"""Prompts with characters outside the alphabet, and empty prompts."""

from __future__ import annotations

import string
import unicodedata

import pytest
from hypothesis import example, given
from hypothesis import strategies as st

from charlstm.errors import UnknownCharacter, UsageError
from charlstm.sampling.prompts import bos_ids, fit_prompt
from charlstm.tokenizers import ByteTokenizer, CharTokenizer
from charlstm.tokenizers.equivalent import known_form, whole_sequences
from charlstm.tokenizers.nearest import describe_character, nearest

PLAIN = CharTokenizer(string.ascii_letters + string.digits + " \n.,;:!?'\"-()")
WITH_UNKNOWN = CharTokenizer(PLAIN.alphabet, unknown=True)


def mapped(text: str, tokenizer: CharTokenizer = PLAIN) -> str:
    return fit_prompt(tokenizer, text, "map")[0]


@pytest.mark.parametrize(
    ("text", "expected"),
    [
        ("café", "cafe"),
        ("ÀÇÑ", "ACN"),
        ("‘Once’", "'Once'"),
        ("“Once”", '"Once"'),
        ("«Oui»", '"Oui"'),
        ("wait…", "wait..."),
        ("a—b – c", "a--b - c"),
        ("no\u00a0break\tor\u2003wide", "no break or wide"),
        ("ﬁne", "fine"),
        ("Straße", "Strasse"),
        ("Øre, øre", "Ore, ore"),
        ("Æsop æon", "Aesop aeon"),
        ("¿Qué?", "?Que?"),
        ("٣ ３ ³", "3 3 3"),
        ("ＡＢ", "AB"),
        ("line\r\n", "line\n\n"),
        ("[x]", "(x)"),
        ("ı", "i"),
        ("ł", "l"),
    ],
)
def test_map_replaces_by_the_nearest_known_characters(text: str, expected: str) -> None:
    assert mapped(text) == expected


def test_map_falls_back_to_the_other_case() -> None:
    capitals = CharTokenizer(string.ascii_uppercase + " ")
    assert mapped("once é", capitals) == "ONCE E"
    assert mapped("ÉÀ", CharTokenizer("ea")) == "ea"


def test_map_tries_several_replacements() -> None:
    assert mapped("a\u2003b", CharTokenizer("ab ")) == "a b"
    assert mapped("…", CharTokenizer(".")) == "..."
    assert mapped("\u2019", CharTokenizer("`")) == "`"


def test_a_character_near_no_other_becomes_the_unknown_symbol_or_is_left_out() -> None:
    text, notes = fit_prompt(WITH_UNKNOWN, "a漢b漢", "map")
    assert WITH_UNKNOWN.encode(text).tolist() == [0, WITH_UNKNOWN.unknown_id, 1, WITH_UNKNOWN.unknown_id]
    assert notes == ["'漢' (U+6F22 CJK UNIFIED IDEOGRAPH-6F22), 2 times: read as the unknown symbol"]
    text, notes = fit_prompt(PLAIN, "aé漢b", "map")
    assert text == "aeb"
    assert notes[1] == "'漢' (U+6F22 CJK UNIFIED IDEOGRAPH-6F22), once: left out, as nothing known is near it"


def test_skip_leaves_out_and_reports_it() -> None:
    text, notes = fit_prompt(PLAIN, "caffè è", "skip")
    assert text == "caff "
    assert notes == ["'è' (U+00E8 LATIN SMALL LETTER E WITH GRAVE), 2 times: left out"]


def test_an_error_names_the_character_its_place_and_the_nearest_known() -> None:
    with pytest.raises(UnknownCharacter) as caught:
        fit_prompt(PLAIN, "The café, 漢字")
    line = str(caught.value)
    for part in (
        "'é'",
        "U+00E9",
        "LATIN SMALL LETTER E WITH ACUTE",
        "position 7",
        "'e'",
        "'漢', '字'",
    ):
        assert part in line
    assert "\n" not in line
    assert (caught.value.character, caught.value.offset, caught.value.exit_code) == ("é", 7, 2)


def test_the_hint_spells_the_setting_as_python_does() -> None:
    with pytest.raises(UnknownCharacter) as caught:
        fit_prompt(PLAIN, "é")
    assert '`unknown="map"`' in caught.value.hint
    assert '`unknown="skip"`' in caught.value.hint
    assert "--" not in str(caught.value)


@pytest.mark.parametrize("text", ["known", "é"])
def test_a_wrong_choice_is_an_error(text: str) -> None:
    with pytest.raises(UsageError, match=r"^`unknown='guess'` must be error, skip or map"):
        fit_prompt(PLAIN, text, "guess")  # type: ignore[arg-type]


def test_an_error_never_puts_a_control_character_on_the_line() -> None:
    with pytest.raises(UnknownCharacter) as caught:
        fit_prompt(PLAIN, "a\x1b[31m\u202e")
    assert str(caught.value).isprintable()


def test_a_model_with_an_unknown_symbol_still_refuses_by_default() -> None:
    with pytest.raises(UnknownCharacter):
        fit_prompt(WITH_UNKNOWN, "é")


@pytest.mark.parametrize("unknown", ["error", "skip", "map"])
def test_known_characters_stay_as_they_are(unknown: str) -> None:
    assert fit_prompt(PLAIN, "Once upon a time", unknown) == ("Once upon a time", [])  # type: ignore[arg-type]
    assert fit_prompt(ByteTokenizer(), "漢 \ue000 \udc80", unknown) == ("漢 \ue000 \udc80", [])  # type: ignore[arg-type]


@given(text=st.text(max_size=30), alphabet=st.sets(st.characters(), min_size=1, max_size=20))
def test_a_fitted_prompt_can_always_be_encoded(text: str, alphabet: set[str]) -> None:
    tokenizer = CharTokenizer(sorted(alphabet))
    text = known_form(tokenizer, text)
    skipped, _ = fit_prompt(tokenizer, text, "skip")
    assert skipped == "".join(character for character in text if character in alphabet)
    fitted, notes = fit_prompt(tokenizer, text, "map")
    tokenizer.encode(fitted)
    if len(notes) <= 6:
        assert len(notes) == len(set(text) - alphabet)
        lost = [each for each in set(text) - alphabet if not list(nearest(each, alphabet))]
        assert sum("left out" in note for note in notes) == len(lost)


def test_a_character_is_described_by_code_point_and_name() -> None:
    assert describe_character("é") == "'é' (U+00E9 LATIN SMALL LETTER E WITH ACUTE)"
    assert describe_character("\x07") == "U+0007"


@pytest.mark.parametrize(
    ("alphabet", "unknown", "expected"),
    [("ab\n ", False, "\n"), ("ab ", False, " "), ("ba", False, "b"), ("b", True, "b")],
)
def test_an_empty_prompt_starts_after_a_newline_a_space_or_the_first_token(
    alphabet: str, unknown: bool, expected: str
) -> None:
    tokenizer = CharTokenizer(alphabet, unknown=unknown)
    assert tokenizer.decode(bos_ids(tokenizer)) == expected


def test_a_text_of_bytes_starts_after_a_newline() -> None:
    assert bos_ids(ByteTokenizer()) == [10]


@pytest.mark.parametrize("text", ["café", "Ångström", "각하", "กำ", "Tiếng Việt", "ქართული", "क़लम"])
@pytest.mark.parametrize("read", ["NFC", "NFD"])
@pytest.mark.parametrize("typed", ["NFC", "NFD"])
def test_what_a_network_has_read_in_one_form_it_reads_in_the_other(text: str, read: str, typed: str) -> None:
    tokenizer = CharTokenizer(sorted(set(unicodedata.normalize(read, text + " x"))))
    given = unicodedata.normalize(typed, f"x {text} {text}x")
    for unknown in ("error", "skip", "map"):
        fitted, notes = fit_prompt(tokenizer, given, unknown)  # type: ignore[arg-type]
        assert fitted == unicodedata.normalize(read, given)
        assert not notes, "the same text is no replacement"


@given(text=st.text(st.sampled_from("aée\u0301\u0323각ᄀ\u1161\u11a8x"), max_size=20), alphabet=st.sets(
    st.sampled_from("aée\u0301\u0323각ᄀ\u1161\u11a8x"), min_size=1))  # fmt: skip
def test_another_form_is_the_same_text_and_known_text_stays(text: str, alphabet: set[str]) -> None:
    tokenizer = CharTokenizer(sorted(alphabet))
    form = known_form(tokenizer, text)
    assert unicodedata.normalize("NFC", form) == unicodedata.normalize("NFC", text)
    assert len(tokenizer.unknown_characters(form)) <= len(tokenizer.unknown_characters(text))
    if alphabet.issuperset(text):
        assert form == text


@given(text=st.text(max_size=40), cuts=st.lists(st.integers(1, 5), max_size=20))
@example(text="e\u0301" * 3, cuts=[1, 1, 1, 1, 1])
def test_chunks_are_cut_before_no_accent(text: str, cuts: list[int]) -> None:
    pieces, rest = [], text
    for cut in cuts:
        pieces, rest = [*pieces, rest[:cut]], rest[cut:]
    chunks = list(whole_sequences(filter(None, [*pieces, rest])))
    assert "".join(chunks) == text
    assert all(chunks)
    assert not any(unicodedata.combining(chunk[0]) for chunk in chunks[1:])


@pytest.mark.parametrize("character", ["山", "🦊", "ж", ";"])
def test_nothing_is_near_to_what_stands_for_something_else(character: str) -> None:
    assert not list(nearest(character, set(string.ascii_letters + string.digits + " .,:!?'-土犬Я")))


def test_letters_with_strokes_are_near_to_those_without() -> None:
    assert mapped("łøđħŧ") == "lodht"
