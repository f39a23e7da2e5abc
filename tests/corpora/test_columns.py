"""One column of a table as a text: delimiters, quotes, fields of fields, and errors that say what there is."""

import pytest

from charlstm.corpora.decode import Decoding
from charlstm.corpora.reading_notes import reading_notes
from charlstm.corpora.records import LINES, PARAGRAPHS
from charlstm.corpora.sources import open_sources
from charlstm.errors import NotFoundError, TextError, UsageError


def read(folder, name, content, column, encoding=None):
    (folder / name).write_bytes(content.encode(encoding or "utf-8"))
    return open_sources([f"{folder / name}:{column}"], decoding=Decoding(encoding), cache=folder)


@pytest.mark.parametrize(
    ("name", "content"),
    [
        ("a.csv", 'id,title\n1,"Moby, Dick"\n2,\n3,Emma\n'),
        ("a.csv", 'id;title\r\n1;"Moby, Dick"\r\n2;\r\n3;Emma'),
        ("a.TSV", "title\tid\nMoby, Dick\t1\n\t2\nEmma\t3\n"),
        ("a.jsonl", '{"title": "Moby, Dick"}\n\n{"id": 2}\n{"title": null}\n{"title": "Emma"}\n'),
        ("a.json", '[{"title": "Moby, Dick"}, {"title": ["no text"]}, {"title": "Emma"}]'),
        ("a.json", '{"title": "Moby, Dick"}\n{"title": "Emma"}\n'),
    ],
)
def test_a_column_is_a_list_of_its_texts(tmp_path, name, content):
    corpus = read(tmp_path, name, content, "title")
    assert "".join(corpus.chunks()) == "Moby, Dick\nEmma\n"
    assert corpus.records == LINES
    assert corpus.name == "a"


def test_cells_of_several_lines_are_paragraphs(tmp_path):
    corpus = read(tmp_path, "a.csv", 'text\n"one\n\ntwo"\nthree\n', "text")
    assert "".join(corpus.chunks()) == "one\ntwo\n\nthree\n\n"
    assert corpus.records == PARAGRAPHS


def test_fields_of_fields_and_numbers(tmp_path):
    corpus = read(tmp_path, "a.jsonl", '{"user": {"age": 7}}\n{"user": {"age": 1.5}}\n{"user": 3}\n', "user.age")
    assert "".join(corpus.chunks()) == "7\n1.5\n"


def test_the_encoding_is_that_of_the_file_and_a_half_character_is_no_crash(tmp_path):
    corpus = read(tmp_path, "a.csv", "t\nÀ bientôt\n", "t", encoding="cp1252")
    assert "".join(corpus.chunks()) == "À bientôt\n"
    assert "".join(read(tmp_path, "b.jsonl", '{"t": "a\\ud83d"}\n', "t").chunks()) == "a?\n"


def test_rows_with_fewer_or_more_cells_than_the_first_line_are_told(tmp_path):
    corpus = read(tmp_path, "a.csv", 'id,text\n1,one\n2\n\n3,"a\nb"\n4,no, quotes\n', "text")
    assert "".join(corpus.chunks()) == "one\n\na\nb\n\nno\n\n"
    (note,) = reading_notes(corpus)
    assert note.startswith(f"{tmp_path / 'a.csv'}: 2 rows (lines 3 and 7) with fewer or more cells than the first line")
    assert list(reading_notes(read(tmp_path, "b.csv", "id,text\n1,one\n2,two\n", "text"))) == []


def test_bad_bytes_in_a_table_are_told(tmp_path):
    (tmp_path / "a.csv").write_bytes(b"text\none\ncaf\xe9\n")
    corpus = open_sources([f"{tmp_path / 'a.csv'}:text"], decoding=Decoding(bad_bytes="skip"), cache=tmp_path)
    assert "".join(corpus.chunks()) == "one\ncaf\n"
    assert [note.split(": ")[1] for note in reading_notes(corpus)] == [
        "1 place (line 3) with bytes that do not fit the encoding, left out"
    ]


def test_a_file_whose_name_has_a_colon_is_a_file(tmp_path):
    (tmp_path / "a.csv").write_text("t\n1\n")
    (tmp_path / "a.csv:t").write_text("the file")
    assert "".join(open_sources([str(tmp_path / "a.csv:t")], cache=tmp_path).chunks()) == "the file"


@pytest.mark.parametrize(
    ("name", "content", "column", "kind", "message"),
    [
        ("a.csv", "id,title\n1,x\n", "titel", UsageError, "no column 'titel'"),
        ("a.jsonl", '{"title": "x"}\n', "text", UsageError, "no column 'text'"),
        ("a.csv", "id,title\n1,\n", "title", TextError, "no text in the column"),
        ("a.csv", "id,title\n1\n2\n", "title", TextError, "every row has fewer cells than the first line"),
        ("a.csv", "", "title", TextError, "no names of columns"),
        ("a.jsonl", '{"title": "x"}\n{"title"\n', "title", TextError, "not JSON in line 2"),
        ("a.json", "[1, 2]", "title", TextError, "not a list of JSON objects"),
        ("a.csv", 'title\n"' + "x" * 200_000, "title", TextError, "cannot be read as a table"),
    ],
)
def test_what_cannot_be_read_is_one_clear_error(tmp_path, name, content, column, kind, message):
    with pytest.raises(kind, match=message) as caught:
        read(tmp_path, name, content, column)
    assert str(tmp_path / name) in str(caught.value.where)


def test_the_missing_file_is_named_without_its_column(tmp_path):
    with pytest.raises(NotFoundError, match="no such file") as caught:
        open_sources([f"{tmp_path / 'a.csv'}:title"], cache=tmp_path)
    assert caught.value.where == str(tmp_path / "a.csv")


def test_a_wrong_column_is_told_the_right_one(tmp_path):
    with pytest.raises(UsageError) as caught:
        read(tmp_path, "a.csv", "id,title\n1,x\n", "titel")
    assert "a.csv:title" in caught.value.hint
    with pytest.raises(UsageError) as caught:
        read(tmp_path, "a.csv", "id,title\n1,x\n", "zzz")
    assert "id, title" in caught.value.hint
