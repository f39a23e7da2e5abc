"""Records: splitting, an order that does not depend on the file's, ends in ids, and what is taken for a list."""

from pathlib import Path

import numpy as np
import pytest
from hypothesis import given
from hypothesis import strategies as st

from charlstm.corpora import records as module
from charlstm.corpora.lists import choose_records, is_list, is_sorted
from charlstm.corpora.records import (
    LINES,
    NONE,
    PARAGRAPHS,
    read_records,
    record_ends,
    sorted_records,
    split_records,
    terminator,
    terminator_ids,
    validation_border,
)
from charlstm.corpora.sources import open_sources
from charlstm.errors import TextError, UsageError
from charlstm.tokenizers import ByteTokenizer, CharTokenizer

KINDS = [LINES, PARAGRAPHS, "%"]
texts = st.text("ab%\n ", max_size=80)


@pytest.mark.parametrize(
    ("records", "expected"),
    [
        (LINES, ["Ada", "%", " Bob", "%%", "c"]),
        (PARAGRAPHS, ["Ada\n%\n Bob", "%%\nc"]),
        ("%", ["Ada", " Bob\n\n \n%%\nc"]),
    ],
)
def test_the_records_of_a_text(records, expected):
    assert list(split_records(["Ada\n%", "\n Bob\n\n \n%%\nc\n\n"], records)) == expected


@given(texts, st.sampled_from(KINDS), st.integers(1, 7))
def test_where_a_text_is_cut_changes_no_record(text, records, size):
    pieces = [text[begin : begin + size] for begin in range(0, len(text), size)]
    assert list(split_records(pieces, records)) == list(split_records([text], records))


@given(texts, st.sampled_from(KINDS))
def test_joined_records_are_the_same_records(text, records):
    found = list(split_records([text], records))
    joined = "".join(record + terminator(records) for record in found)
    assert list(split_records([joined], records)) == found


@given(texts, st.sampled_from(KINDS), st.integers(1, 9), st.sampled_from([ByteTokenizer(), CharTokenizer("ab%\n ")]))
def test_the_ends_of_records_in_ids(text, records, searched, tokenizer):
    found = list(split_records([text], records))
    joined = "".join(record + terminator(records) for record in found)
    ids, end = tokenizer.encode(joined), terminator_ids(records, tokenizer)
    with pytest.MonkeyPatch.context() as patch:
        patch.setattr(module, "_SEARCHED", searched)
        patch.setattr(module, "_DECODED", 2)
        ends = record_ends(ids, end)
        again = list(read_records(ids, ends, terminator(records), tokenizer)) if found else []
    assert ends.tolist() == np.cumsum([len(record + terminator(records)) for record in found]).tolist() or not found
    assert again == found


def test_an_unfinished_record_ends_with_the_text():
    assert record_ends(np.array([1, 0, 2, 2]), (0,)).tolist() == [2, 4]


def names(count: int) -> list[str]:
    random = np.random.default_rng(5)
    return ["".join(random.choice(list("abcdefgh"), 6)).capitalize() for _ in range(count)]


def sorted_text(lines: list[str], folder: Path) -> str:
    file = folder / "list.txt"
    file.write_text("\n".join(lines))
    return "".join(sorted_records(open_sources([str(file)], cache=folder), LINES, folder).chunks())


def test_the_order_depends_on_the_records_alone_and_mixes_them(tmp_path):
    lines = sorted(names(400))
    text = sorted_text(lines, tmp_path)
    assert sorted(text.split()) == lines
    assert text == sorted_text(lines[::-1], tmp_path) == sorted_text([*lines[200:], "", *lines[:200]], tmp_path)
    last = text.split()[-40:]
    assert len({name[0] for name in last}) == 8, "the end of the text is drawn from the whole alphabet"


def test_equal_records_never_stand_on_both_sides_of_the_validation_border(tmp_path):
    lines = [name for number, name in enumerate(names(60)) for _ in range(1 + number % 7)]
    text, tokenizer = sorted_text(lines, tmp_path), ByteTokenizer()
    ids = tokenizer.encode(text)
    ends = record_ends(ids, terminator_ids(LINES, tokenizer))
    for fraction in np.linspace(0.02, 0.5, 30):
        border = validation_border(ids, ends, float(fraction))
        first, second = (set(tokenizer.decode(part).split()) for part in (ids[:border], ids[border:]))
        assert first
        assert second
        assert not first & second
        assert abs(len(ids) - border - fraction * len(ids)) <= 7 * 8


def test_no_share_or_one_record_means_no_validation():
    assert validation_border(np.array([1, 0, 2, 0]), np.array([2, 4]), 0.0) == 4
    assert validation_border(np.array([1, 0, 1, 0]), np.array([2, 4]), 0.5) == 4


@pytest.mark.parametrize("text", ["one line\n", "a\nb\n"])
def test_a_text_that_is_one_record_is_refused(tmp_path, text):
    (tmp_path / "t.txt").write_text(text)
    corpus = open_sources([str(tmp_path / "t.txt")], cache=tmp_path)
    with pytest.raises(TextError, match="one record") as caught:
        sorted_records(corpus, "%", tmp_path)
    assert "'%'" in caught.value.hint


@pytest.mark.parametrize("records", ["", " ", "a\nb"])
def test_a_separator_is_one_line(tmp_path, records):
    (tmp_path / "t.txt").write_text("a\nb\n")
    with pytest.raises(UsageError, match="one line that separates"):
        sorted_records(open_sources([str(tmp_path / "t.txt")], cache=tmp_path), records, tmp_path)


PROSE = ["It was late,", "and nobody had come.", "The lamp was out", "when at last the door", "opened."] * 50
VERSE = [
    f"The {word} goes down beside the sea," if k % 3 else f"And {word} is gone." for k, word in enumerate(names(300))
]
CODE = [f"    {name} = {name}(1)" for name in names(200)]
TABLE = [f"{number},{number**2},{number**3}" for number in range(300)]
CHAT = [f"{name}: how are you" for name in names(300)]


def test_lists_are_told_from_everything_else():
    assert is_list(names(200))
    assert is_list([f"{name} {name} and the Sea" for name in names(150)])
    for other in (PROSE, VERSE, CODE, TABLE, CHAT, names(50), ["the same"] * 200, [*names(100), *[""] * 20]):
        assert not is_list(other), other[:3]


def test_sorted_lines_are_noticed():
    assert is_sorted(sorted(names(300), key=str.casefold))
    assert not is_sorted(names(300))
    assert not is_sorted(["the same"] * 300)
    assert not is_sorted(sorted(names(20)))


def test_a_list_is_chosen_with_a_reason_and_a_person_decides(tmp_path):
    (tmp_path / "names.txt").write_text("\n".join(sorted(names(300), key=str.casefold)))
    corpus = open_sources([str(tmp_path / "names.txt")], cache=tmp_path)
    chosen = choose_records(corpus)
    assert chosen.records == LINES
    assert "random order" in chosen.reason
    assert not chosen.warning
    refused = choose_records(corpus, NONE)
    assert refused.records == NONE
    assert "sorted" in refused.warning
    assert choose_records(corpus, "%").records == "%"
