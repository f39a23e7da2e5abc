"""Bytes to text: independent of the blocks, without marks, newlines normalised, a bad byte reported exactly."""

from __future__ import annotations

import codecs
import hashlib
import re
from collections.abc import Iterator, Sequence
from dataclasses import dataclass

import pytest
from hypothesis import assume, example, given
from hypothesis import strategies as st

from charlstm.corpora.decode import Decoding, Repairs, TextDecoder
from charlstm.corpora.encodings import detect, lookup
from charlstm.corpora.read import Corpus
from charlstm.errors import EncodingError, TextError, UsageError
from tests.corpora.declaration import CHINESE, FRENCH, HEBREW, JAPANESE, KOREAN, PORTUGUESE, RUSSIAN, TAIWANESE

CODECS = ["utf-8", "utf-16", "utf-16-be", "utf-32", "utf-32-le", "gb18030", "shift_jis", "euc_kr", "cp1252", "utf-7"]
MARKED = {
    "utf-8": codecs.BOM_UTF8,
    "utf-16-le": codecs.BOM_UTF16_LE,
    "utf-16-be": codecs.BOM_UTF16_BE,
    "utf-32-le": codecs.BOM_UTF32_LE,
    "utf-32-be": codecs.BOM_UTF32_BE,
}
TEXT = st.text(st.one_of(st.sampled_from("ab \r\n\r\n“é漢😀"), st.characters(exclude_categories=["Cs"])))
CUTS = st.lists(st.integers(1, 7), max_size=30)


@dataclass(frozen=True)
class Pieces:
    """A part that is read in given blocks."""

    data: bytes
    cuts: tuple[int, ...] = ()
    name: str = "part"
    encoding: str | None = None

    @property
    def size(self) -> int:
        return len(self.data)

    def blocks(self, block: int = 1 << 20) -> Iterator[bytes]:
        rest = self.data
        for cut in self.cuts:
            if rest:
                yield rest[:cut]
            rest = rest[cut:]
        if rest:
            yield rest


def decoded(
    data: bytes, cuts: list[int], encoding: str | None, newlines: str = "keep", bad_bytes: str = "error"
) -> str:
    return repaired(data, cuts, Decoding(encoding, newlines, bad_bytes))[0]  # type: ignore[arg-type]


def repaired(data: bytes, cuts: list[int], decoding: Decoding) -> tuple[str, Repairs]:
    decoder = TextDecoder("part", decoding)
    pairs = list(decoder.decode(Pieces(data, tuple(cuts)).blocks()))
    assert all(text for text, _ in pairs)
    assert b"".join(utf8 for _, utf8 in pairs).decode() == "".join(text for text, _ in pairs)
    return "".join(text for text, _ in pairs), decoder.repairs


@given(TEXT, CUTS, st.sampled_from(CODECS))
@example("\r\n", [1, 1], "utf-8")
@example("é\r\n\r", [1, 1, 1, 1, 1], "utf-8")
def test_any_cut_gives_the_same_text(text: str, cuts: list[int], encoding: str) -> None:
    text = text.encode(encoding, "ignore").decode(encoding)
    data = text.encode(encoding)
    if encoding.startswith("utf-"):
        text = text.replace("\ufeff", "")  # a byte order mark, wherever it stands
    assert decoded(data, cuts, encoding) == text
    # universal newlines by the standard library's regular expressions instead of its incremental decoder
    assert decoded(data, cuts, encoding, "normalise") == re.sub("\r\n|\r", "\n", text)


@given(TEXT, CUTS, st.sampled_from(sorted(MARKED)))
def test_marks_are_recognised_and_removed(text: str, cuts: list[int], encoding: str) -> None:
    text = text.replace("\0", "").replace("\ufeff", "")
    data = MARKED[encoding] + text.encode(encoding)
    assert decoded(data, cuts, None) == text
    assert decoded(data, cuts, encoding) == text
    assert decoded(data, cuts, re.sub("-.e$", "", encoding)) == text


def test_a_mark_that_contradicts_the_encoding_setting_is_text() -> None:
    assert decoded(codecs.BOM_UTF8 + b"x", [], "cp1252") == "ï»¿x"
    assert detect(codecs.BOM_UTF16_LE + b"\0\0", "utf-16") == ("utf-16-le", 2)
    assert detect(codecs.BOM_UTF16_LE + b"\0\0", None) == ("utf-32-le", 4)
    assert decoded("né".encode("utf-16-le"), [1], "utf-16") == "né"  # no mark: little-endian on every machine


BAD = st.sampled_from([*range(0x80, 0xC0), 0xFE, 0xFF])


@given(TEXT, BAD, TEXT, CUTS)
@example("", 0x80, "", [])
def test_a_bad_byte_is_reported_at_its_exact_offset(before: str, bad: int, following: str, cuts: list[int]) -> None:
    head = before.replace("\0", "").encode()
    assume(detect(head + bytes((bad,)) + following.encode()[:4], None)[1] == 0)
    with pytest.raises(TextError) as caught:
        decoded(head + bytes((bad,)) + following.encode(), cuts, None)
    assert f"byte {len(head)} is 0x{bad:02X}," in caught.value.what
    assert caught.value.where == "part"
    assert "\n" not in str(caught.value)


@given(TEXT, CUTS, st.integers(1, 3))
def test_a_text_cut_inside_a_character_is_reported(before: str, cuts: list[int], length: int) -> None:
    head = before.replace("\0", "").replace("\ufeff", "").encode()
    with pytest.raises(TextError, match=rf"ends inside a character: byte {len(head)} is 0xF0"):
        decoded(head + "😀".encode()[:length], cuts, None)


@pytest.mark.parametrize("encoding", ["shift_jis", "gb18030", "euc_kr", "utf-16-le", "utf-32-be", "cp1253"])
@given(cuts=CUTS)
def test_bad_bytes_of_other_encodings(encoding: str, cuts: list[int]) -> None:
    head = "plain text ".encode(encoding)
    bad = {"utf-16-le": b"\x00\xdc", "utf-32-be": b"\x00\x11\x00\x00", "cp1253": b"\xd2"}.get(encoding, b"\xff")
    with pytest.raises(TextError, match=f"byte {len(head)} is 0x{bad[0]:02X}, which is not {encoding.upper()}"):
        decoded(head + bad + "more".encode(encoding), cuts, encoding)


def hint(data: bytes, encoding: str | None = None, cuts: Sequence[int] = ()) -> str:
    with pytest.raises(TextError) as caught:
        decoded(data, list(cuts), encoding)
    return caught.value.hint


@pytest.mark.parametrize(
    ("text", "encoding", "suggestion"),
    [
        (RUSSIAN, "cp1251", "cp1251"),
        (RUSSIAN, "koi8_r", "koi8-r"),
        (RUSSIAN, "cp866", "cp866"),
        (RUSSIAN, "utf-16-be", "utf-16-be"),
        (HEBREW, "cp1255", "cp1255"),
        (JAPANESE, "shift_jis", "shift-jis"),
        (JAPANESE, "euc_jp", "euc-jp"),
        (JAPANESE, "utf-16-le", "utf-16-le"),
        (CHINESE, "gb18030", "gb18030"),
        (CHINESE, "utf-16-le", "utf-16-le"),
        (TAIWANESE, "big5", "big5"),
        (KOREAN, "euc_kr", "euc-kr"),
        (FRENCH, "latin_1", "cp1252"),
        (PORTUGUESE, "latin_1", "cp1252"),
        (FRENCH, "utf-16-le", "utf-16-le"),
    ],
)
@pytest.mark.parametrize("times", [1, 10, 60])
def test_the_encoding_of_a_text_is_suggested(text: str, encoding: str, suggestion: str, times: int) -> None:
    data = (text * times).encode(encoding)
    assert hint(data) == f"It reads well as {suggestion}: use `encoding={suggestion!r}`."
    assert decoded(data, [], suggestion) == text * times


def test_suggestions() -> None:
    assert "`encoding='cp1252'`" in hint("Ça va, naïve “fiancée”? Voilà le café.".encode("cp1252") * 20)
    assert "`encoding='utf-16-le'`" in hint("plain words".encode("utf-16-le"))
    assert "`encoding='utf-16-be'`" in hint("plain words".encode("utf-16-be"))
    assert "`encoding='utf-16-le'`" in hint("漢字漢plain words".encode("utf-16-le"), cuts=[4, 1])
    assert "not look like text" in hint(b"\x89PNG\r\n\x1a\n\0\0\0\rIHDR\0\0\1\0\0\0\1\0\x08\2\0\0\0")
    assert "not look like text" in hint(b"\x1f\x8b\x07\0" + hashlib.sha512(b"noise").digest() * 9)
    assert "damaged" in hint("Größe, Übermut, Ärger, süß".encode() + b"\xff" + "Öl".encode())
    assert "`encoding='cp1251'`" in hint("Привет, мир. Это текст.".encode("cp1251"))
    assert "leave `encoding` unset" in hint("naïve café, déjà vu, à côté".encode(), "ascii")
    assert hint("Привет, мир".encode("cp1251"), "ascii") == "Set `encoding` to the right one."


@pytest.mark.parametrize(
    ("data", "kept"),
    [
        ("so Größe".encode()[:-1] + "“".encode()[:2], "so Größ"),
        ("it ended thus: “".encode()[:-1], "it ended thus: "),
    ],
)
def test_what_is_suggested_for_a_file_cut_inside_a_character_works(data: bytes, kept: str) -> None:
    with pytest.raises(EncodingError) as caught:
        decoded(data, [], None)
    assert "cut off there" in caught.value.hint
    assert "`bad_bytes='skip'`" in caught.value.hint
    assert "bad_bytes" not in caught.value.facts
    assert decoded(data, [], None, bad_bytes="skip") == kept


def test_a_text_with_a_few_zeros_is_damaged_but_text() -> None:
    """A crash leaves NULs in a log, a broken disk in a text; reading passes over them where that is asked for."""
    for text in ("A plain story. ", "Größe, Übermut, Ärger. ", RUSSIAN, CHINESE):
        data = (text * 40).encode() + b"\0\0" + (text * 40).encode()
        assert "damaged" in hint(data)
        assert "`bad_bytes='skip'`" in hint(data, cuts=[11, 500])
        assert decoded(data, [], None, bad_bytes="skip") == text * 80
    assert hint("Á très bientôt, à côté. ".encode("cp1252") * 40 + b"\0") == "It does not look like text."
    assert hint(b"plain" * 4 + b"\0" * 200) == "It does not look like text."


def test_a_nul_is_not_text_unless_the_encoding_is_set() -> None:
    with pytest.raises(TextError, match=r"byte 7 is zero"):
        decoded("été ok".encode()[:7] + b"\0 and more", [3, 1], None)
    with pytest.raises(TextError, match=r"byte 2 is 0xC3"):  # the earlier problem is reported
        decoded(b"ab\xc3\0", [], None)
    assert decoded(b"a\0b", [], "utf-8") == "a\0b"


def test_names_of_encodings() -> None:
    assert lookup("Latin_1") == lookup("iso-8859-1")
    with pytest.raises(UsageError, match="cp1252"):
        lookup("cp1251x2")
    for name in ("zip", "rot13", "no such", "", "a\0b", "../x", "ü" * 300):
        with pytest.raises(UsageError) as caught:
            lookup(name)
        assert caught.value.hint


@given(st.lists(st.tuples(TEXT, CUTS), max_size=6), st.booleans())
def test_parts_join_by_the_stated_rule(parts: list[tuple[str, list[int]]], keep: bool) -> None:
    texts = [text.replace("\0", "").replace("\ufeff", "") for text, _ in parts]
    cut = [Pieces(text.encode(), tuple(cuts)) for text, (_, cuts) in zip(texts, parts, strict=True)]
    corpus = Corpus("joined", tuple(cut), decoding=Decoding(newlines="keep" if keep else "normalise"))
    expected = ""
    for text in texts if keep else [re.sub("\r\n|\r", "\n", text) for text in texts]:
        if expected and text and not expected.endswith(("\n", "\r")):
            expected += "\n"
        expected += text
    assert "".join(corpus.chunks()) == expected
    assert b"".join(corpus.raw_chunks()) == b"".join(text.encode() for text in texts)
    assert corpus.sha256() == hashlib.sha256(expected.encode()).hexdigest()
    assert corpus.sha256(raw=True) == hashlib.sha256("".join(texts).encode()).hexdigest()
    fed: list[bytes] = []
    assert b"".join(map(str.encode, corpus.chunks(feed=fed.append))) == b"".join(fed)


@given(TEXT, BAD, TEXT, CUTS, st.sampled_from(["normalise", "keep"]))
@example("a\r", 0xFF, "\nb", [2], "normalise")
def test_a_bad_byte_has_its_line_and_column(before: str, bad: int, after: str, cuts: list[int], newlines: str) -> None:
    head = before.replace("\0", "").replace("\ufeff", "")
    data = head.encode() + bytes((bad,)) + after.encode()
    assume(detect(data[:4], None)[1] == 0)
    shown = re.sub("\r\n|\r", "\n", head) if newlines == "normalise" else head
    line, column = shown.count("\n") + 1, len(shown) - shown.rfind("\n")
    with pytest.raises(EncodingError) as caught:
        decoded(data, cuts, None, newlines)
    assert f"(line {line:,}, column {column:,})" in caught.value.what


@given(st.lists(st.tuples(TEXT, BAD), min_size=1, max_size=6), CUTS, st.sampled_from(["replace", "skip"]))
def test_bad_bytes_are_replaced_or_left_out_and_counted(
    pieces: list[tuple[str, int]], cuts: list[int], how: str
) -> None:
    texts = [text.replace("\0", "").replace("\ufeff", "") for text, _ in pieces]
    data = b"".join(text.encode() + bytes((bad,)) for text, (_, bad) in zip(texts, pieces, strict=True))
    assume(detect(data[:4], None)[1] == 0)
    text, repairs = repaired(data, cuts, Decoding(None, "keep", how))  # type: ignore[arg-type]
    sign = "\ufffd" if how == "replace" else ""
    assert text == "".join(each + sign for each in texts)
    assert repairs.bad_bytes.count == len(pieces)
    lines = [("".join(texts[: number + 1])).count("\n") + 1 for number in range(len(texts))]
    assert repairs.bad_bytes.lines == tuple(dict.fromkeys(lines))[:3]


@pytest.mark.parametrize("encoding", ["utf-8", "shift_jis", "gb18030", "euc_kr", "utf-16-le", "utf-32-be", "cp1253"])
@given(cuts=CUTS)
def test_bad_bytes_of_every_encoding_can_be_passed_over(encoding: str, cuts: list[int]) -> None:
    bad = {"utf-16-le": b"\x00\xdc", "utf-32-be": b"\x00\x11\x00\x00", "cp1253": b"\xd2"}.get(encoding, b"\xff")
    data = "one ".encode(encoding) + bad + "\ntwo".encode(encoding)
    text, repairs = repaired(data, cuts, Decoding(encoding, "keep", "replace"))
    assert text == "one \ufffd\ntwo"
    assert (repairs.bad_bytes.count, repairs.bad_bytes.lines) == (1, (1,))


def test_zeros_of_a_log_are_bad_bytes() -> None:
    text, repairs = repaired(b"one\n\0\0\0\0two\n", [5], Decoding(bad_bytes="skip"))
    assert (text, repairs.bad_bytes.count, repairs.bad_bytes.lines) == ("one\ntwo\n", 4, (2,))


def test_marks_where_files_were_joined_are_left_out_and_counted() -> None:
    first, second = "one\n", "two"
    for mark, encoding in ((codecs.BOM_UTF8, "utf-8"), (codecs.BOM_UTF16_LE, "utf-16-le")):
        data = mark + first.encode(encoding) + mark + second.encode(encoding)
        text, repairs = repaired(data, [3, 2, 1], Decoding())
        assert text == first + second
        assert (repairs.marks.count, repairs.marks.lines) == (1, (2,))


@pytest.mark.parametrize(
    ("name", "data", "what", "remedy"),
    [
        ("my book.pdf", b"%PDF-1.7\n%\xe2\xe3", "a PDF", "pdftotext 'my book.pdf' my.txt"),
        ("a.epub", b"PK\x03\x04" + b"\0" * 26 + b"mimetypeapplication/epub+zip", "EPUB", "pandoc -t plain a.epub"),
        ("a.docx", b"PK\x03\x04\x14\0", "a Word document", "pandoc -t plain a.docx"),
        ("a.zip", b"PK\x03\x04\x14\0", "a ZIP archive", "Unpack it"),
        ("a.rtf", rb"{\rtf1\ansi", "Rich Text", "pandoc"),
        ("a.doc", b"\xd0\xcf\x11\xe0\xa1\xb1\x1a\xe1", "old Office", "plain text"),
        ("a.zst", b"\x28\xb5\x2f\xfd\0", "zstd", "Unpack it"),
        ("standard input", b"\x1f\x8b\x08\0\0", "gzip", "Unpack it"),
    ],
)
def test_documents_are_told_how_to_become_text(name: str, data: bytes, what: str, remedy: str) -> None:
    with pytest.raises(TextError) as caught:
        list(TextDecoder(name, Decoding()).decode([data]))
    assert what in caught.value.what
    assert remedy in caught.value.hint
    assert "".join(text for text, _ in TextDecoder(name, Decoding("latin-1", "keep")).decode([data])) == data.decode(
        "latin-1"
    )


@pytest.mark.parametrize("text", ["PK is how he signed.", "BZh was on the wall.", "% PDF-like comment", "{rtf}"])
def test_texts_that_only_begin_alike_are_read(text: str) -> None:
    assert decoded(text.encode(), [], None) == text
