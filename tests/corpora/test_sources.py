"""What a user types becomes the right parts in the documented order, or one clear error."""

from __future__ import annotations

import ast
import bz2
import gzip
import inspect
import io
import lzma
import os
import socket
import subprocess
import sys
import unicodedata
from pathlib import Path

import pytest

from charlstm.corpora.catalogue import catalogue
from charlstm.corpora.decode import Decoding
from charlstm.corpora.local import docstrings
from charlstm.corpora.read import Corpus
from charlstm.corpora.reading_notes import reading_notes
from charlstm.corpora.sources import names, open_sources
from charlstm.errors import NotFoundError, StorageError, TextError, UsageError
from charlstm.paths import corpora_folder


@pytest.fixture
def cache(tmp_path: Path) -> Path:
    return tmp_path / "cache"


@pytest.fixture
def texts(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Path:
    folder = tmp_path / "my texts"
    for name in ("b.txt", "a.txt", "a/z.md", "a b/c d.txt", ".hidden.txt", ".git/config", "a/.swp"):
        path = folder / name
        path.parent.mkdir(parents=True, exist_ok=True)
        path.write_text(f"<{name}>")
    monkeypatch.chdir(folder)
    return folder


def text_of(corpus: Corpus) -> str:
    return "".join(corpus.chunks())


def test_a_file(texts: Path, cache: Path) -> None:
    corpus = open_sources(["a b/c d.txt"], cache=cache)
    assert (text_of(corpus), corpus.name, corpus.size) == ("<a b/c d.txt>", "c-d", 13)
    assert not cache.exists()  # files are not copied


def test_a_folder_in_order_without_hidden_files(texts: Path, cache: Path) -> None:
    corpus = open_sources([str(texts)], cache=cache)
    assert text_of(corpus) == "<a/z.md>\n<a b/c d.txt>\n<a.txt>\n<b.txt>"
    assert corpus.name == "my-texts"


def test_a_folder_without_files_that_are_not_text(texts: Path, cache: Path) -> None:
    (texts / "a.png").write_bytes(b"\x89PNG\0\0")
    (texts / "empty.txt").touch()
    (texts / "wide.txt").write_bytes("wide".encode("utf-16"))
    corpus = open_sources(["."], cache=cache)
    assert corpus.skipped == ("a.png",)
    assert "wide" in text_of(corpus)
    assert "PNG" in text_of(open_sources([str(texts)], decoding=Decoding("latin-1"), cache=cache))


def test_links_in_folders(texts: Path, cache: Path) -> None:
    (texts / "loop").symlink_to(texts)
    (texts / "self").symlink_to("self")
    (texts / "gone").symlink_to("nowhere")
    (texts / "link.txt").symlink_to(texts / "a.txt")
    assert text_of(open_sources(["."], cache=cache)).count("<") == 5
    with pytest.raises(StorageError, match="self: cannot be read"):
        open_sources(["self"], cache=cache)
    with pytest.raises(NotFoundError, match="gone: no such file"):
        open_sources(["gone"], cache=cache)


def test_a_glob(texts: Path, cache: Path) -> None:
    assert text_of(open_sources(["*.txt"], cache=cache)) == "<a.txt>\n<b.txt>"
    assert text_of(open_sources(["**/*.txt"], cache=cache)) == "<a b/c d.txt>\n<a.txt>\n<b.txt>"
    assert open_sources(["*.txt"], cache=cache).name == "a-and-b"
    (texts / "odd[1].txt").write_text("brackets")
    assert text_of(open_sources(["odd[1].txt"], cache=cache)) == "brackets"
    with pytest.raises(NotFoundError, match="Only folders match"):
        open_sources(["a?b"], cache=cache)
    with pytest.raises(NotFoundError, match="no file matches"):
        open_sources(["*.pdf"], cache=cache)


def test_standard_input_is_read_twice(cache: Path) -> None:
    corpus = open_sources(["-", "english/verse"], stdin=io.BytesIO(b"piped\r\ntext"), cache=cache)
    assert text_of(corpus).startswith("piped\ntext\n")
    first, second = corpus.chunks(), corpus.chunks()  # two readers at once
    assert [next(first), next(second)] == ["piped\ntext"] * 2
    assert corpus.name == "stdin-and-english-verse"
    assert not any(cache.iterdir())
    with pytest.raises(UsageError, match="only once"):
        open_sources(["-", "-"], stdin=io.BytesIO(b"x"), cache=cache)
    with pytest.raises(UsageError, match="standard input: not available here"):
        open_sources(["-"], cache=cache)


def test_several_sources_join_in_the_order_given(texts: Path, cache: Path) -> None:
    corpus = open_sources(["b.txt", "a", "a.txt"], cache=cache)
    assert text_of(corpus) == "<b.txt>\n<a/z.md>\n<a.txt>"
    assert corpus.name == "b-and-2-more"


@pytest.mark.parametrize("content", [b"", b"\xef\xbb\xbf"])
def test_nothing_to_read(texts: Path, cache: Path, content: bytes) -> None:
    from charlstm.config import DataConfig
    from charlstm.corpora.encode import encode

    (texts / "nothing").write_bytes(content)
    with pytest.raises(TextError, match="empty"):
        encode(open_sources(["nothing"], cache=cache), DataConfig(), cache)


def test_a_folder_without_text(texts: Path, cache: Path) -> None:
    folder = texts / "new"
    folder.mkdir()
    with pytest.raises(TextError, match="no text in this folder"):
        open_sources(["new"], cache=cache)
    (folder / "x.bin").write_bytes(b"\0")
    with pytest.raises(TextError, match=r"\(1 file does not look like text\)") as caught:
        open_sources(["new"], cache=cache)
    glob = str(Path("new") / "*")
    assert caught.value.hint == f"A glob takes files of every kind: '{glob}'."
    assert open_sources([glob], decoding=Decoding("latin-1"), cache=cache).parts
    (folder / "y.bin").write_bytes(b"\0")
    with pytest.raises(TextError, match=r"\(2 files do not look like text\)"):
        open_sources(["new"], cache=cache)


def test_suggestions_for_misspelt_names(texts: Path, cache: Path) -> None:
    (texts / "shakespeare.txt").write_text("x")
    for typed, meant in [
        ("shakespere.txt", "shakespeare.txt"),
        (str(texts / "shakespeare.text"), str(texts / "shakespeare.txt")),
        ("tinyshakespear", "tinyshakespeare"),
        ("pyhton:docs", "python:docs"),
        ("englich", "english"),
        ("synthetic:markof", "synthetic:markov"),
    ]:
        with pytest.raises(NotFoundError) as caught:
            open_sources([typed], cache=cache)
        assert meant in caught.value.hint
    for typed in ("no/such/folder/x", "a\0b", "x" * 5000):
        with pytest.raises(NotFoundError):
            open_sources([typed], cache=cache)
    for nothing in ([], [""]):
        with pytest.raises(UsageError, match="no text is named"):
            open_sources(nothing, cache=cache)
    with pytest.raises(UsageError, match="no encoding"):
        open_sources(["a.txt"], decoding=Decoding("utf8x"), cache=cache)


@pytest.mark.skipif(sys.platform == "win32", reason="POSIX")
def test_pipes_and_devices_are_refused_at_once(texts: Path, cache: Path) -> None:
    os.mkfifo("fifo")
    with socket.socket(socket.AF_UNIX) as server:
        server.bind("sock")
        for path in ("fifo", "sock", "/dev/zero"):
            with pytest.raises(UsageError, match=f"{path}: not a regular file"):
                open_sources([path], cache=cache)
        assert len(open_sources(["."], cache=cache).parts) == 4


@pytest.mark.skipif(sys.platform == "win32", reason="POSIX")
def test_a_file_and_a_folder_without_permission(texts: Path, cache: Path) -> None:
    (texts / "secret.txt").touch(mode=0)
    (texts / "closed").mkdir(mode=0)
    texts.chmod(0o755)
    body = (
        "import os, sys; from pathlib import Path\n"
        "from charlstm.corpora.sources import open_sources\n"
        "from charlstm.errors import CharlstmError\n"
        "if os.geteuid() == 0: os.seteuid(65534)\n"
        "for source in ('secret.txt', 'closed', '.'):\n"
        "    try: open_sources([source], cache=Path('cache'))\n"
        "    except CharlstmError as fault: print(type(fault).__name__, fault)\n"
    )
    texts.parent.chmod(0o755)
    environment = {**os.environ, "PYTHONPATH": str(Path(__file__).parents[2])}
    done = subprocess.run(
        [sys.executable, "-c", body], capture_output=True, text=True, cwd=texts, env=environment, check=True
    )
    lines = done.stdout.splitlines()
    assert len(lines) == 3
    assert all(line.startswith("StorageError") and "no permission" in line for line in lines)


def test_a_file_removed_after_it_was_opened(texts: Path, cache: Path) -> None:
    corpus = open_sources(["a.txt"], cache=cache)
    (texts / "a.txt").unlink()
    with pytest.raises(NotFoundError, match=r"a\.txt: no such file"):
        text_of(corpus)


def test_the_bundled_corpus(cache: Path, tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.chdir(tmp_path)
    (tmp_path / "english").write_text("a file of that name")
    files = sorted(corpora_folder().glob("*.txt"))
    corpus = open_sources(["english"], cache=cache)
    assert [part.name for part in corpus.parts] == [f"english/{path.stem}" for path in files]
    assert text_of(corpus) == "".join(path.read_text("utf-8") for path in files)
    one = open_sources([f"english/{files[0].stem}"], cache=cache)
    assert text_of(one) == files[0].read_text("utf-8")
    assert text_of(open_sources(["./english"], cache=cache)) == "a file of that name"


def test_unicode_names(cache: Path) -> None:
    lines = text_of(open_sources(["unicode:names"], cache=cache)).splitlines()
    assert len(lines) > 30_000
    points = [ord(unicodedata.lookup(line)) for line in lines]
    assert points == sorted(points)
    assert "SNOWMAN" in lines


def test_docstrings_are_in_order_and_nothing_is_run() -> None:
    source = '''"""One."""
raise SystemExit
if True:
    try: pass
    except ValueError:
        class A:
            """  Two.

            Indented.
            """
            async def f(self):
                "Three."
                return lambda: "no"
        x = "no"
def g(): "Four \\d."
def h(): ""
'''
    assert "".join(docstrings(source)) == "One.\n\nTwo.\n\nIndented.\n\nThree.\n\nFour \\d.\n\n"
    assert list(docstrings("def :")) == []


@pytest.mark.slow
def test_python_docs(cache: Path) -> None:
    import json.decoder
    import pydoc_data.topics

    corpus = open_sources(["python:docs"], cache=cache)
    text = text_of(corpus)
    assert pydoc_data.topics.topics["lambda"].strip() in text
    for thing in (json.decoder.JSONDecoder, json.loads, os.path.join, ast.walk):
        assert (inspect.getdoc(thing) or "?") in text
    assert corpus.name == "python-docs"


def test_python_source(cache: Path) -> None:
    text = text_of(open_sources(["python:source"], cache=cache))
    assert inspect.getsource(ast.walk) in text
    assert "class TestCase(" in text  # of unittest itself
    assert "site-packages" not in {line.strip() for line in text.splitlines()}


def test_every_name_opens(cache: Path) -> None:
    for name in names():
        if name in catalogue():
            with pytest.raises(NotFoundError, match=f"Fetch it first: charlstm corpora fetch {name}"):
                open_sources([name], cache=cache)
        elif not name.startswith(("python:", "unicode:")):  # the tests above
            assert text_of(open_sources([name], cache=cache))


def test_suggestions_compare_names_not_whole_paths(tmp_path: Path) -> None:
    folder = tmp_path / "a-long-name-of-a-folder-that-all-its-files-share"
    folder.mkdir()
    for name in ("letters.txt", "diary.txt", "zq.csv"):
        (folder / name).write_text("text")
    with pytest.raises(NotFoundError) as caught:
        open_sources([str(folder / "leters.txt")], cache=tmp_path)
    assert caught.value.hint == f"Did you mean {folder / 'letters.txt'}?"
    with pytest.raises(NotFoundError) as caught:
        open_sources([str(folder / "wholly-different")], cache=tmp_path)
    assert "Did you mean" not in caught.value.hint
    with pytest.raises(NotFoundError, match="Did you mean english/verse"):
        open_sources(["english/vrse"], cache=tmp_path)


@pytest.mark.parametrize(("suffix", "compress"), [("gz", gzip.compress), ("bz2", bz2.compress), ("xz", lzma.compress)])
def test_compressed_files_are_read(texts: Path, cache: Path, suffix: str, compress) -> None:
    long = "".join(f"line {number}\n" for number in range(100_000))
    (texts / f"book.txt.{suffix}").write_bytes(compress(long.encode()))
    corpus = open_sources([f"book.txt.{suffix}"], cache=cache)
    assert (text_of(corpus), text_of(corpus), corpus.name) == (long, long, "book")
    assert corpus.size == len(long)
    assert b"".join(corpus.raw_chunks()) == long.encode()
    for data in (compress(long.encode())[:-40], compress(long.encode())[:60] + b"\xff" * 400):
        (texts / "broken").write_bytes(data)
        with pytest.raises(TextError, match=r"cut short|damaged") as caught:
            text_of(open_sources(["broken"], cache=cache))
        assert caught.value.where == "broken"


def test_documents_in_folders_are_left_out_and_told(texts: Path, cache: Path) -> None:
    (texts / "a.pdf").write_bytes(b"%PDF-1.4 text only")
    corpus = open_sources(["."], cache=cache)
    assert corpus.skipped == ("a.pdf",)
    text_of(corpus)
    assert list(reading_notes(corpus)) == ["left out, since it does not look like text: a.pdf"]
    with pytest.raises(TextError, match="a PDF, not text"):
        text_of(open_sources(["a.pdf"], cache=cache))


def test_encodings_are_guessed_if_that_is_asked_for(texts: Path, cache: Path) -> None:
    french = "Ça va, naïve “fiancée”? Voilà le café.\n" * 20
    for name, encoding in (("a.txt", "cp1252"), ("b.txt", "utf-8"), ("c.txt", "utf-16")):
        (texts / name).write_text(french, encoding=encoding)
    corpus = open_sources(["a.txt", "b.txt", "c.txt"], decoding=Decoding("auto"), cache=cache)
    assert text_of(corpus) == french * 3
    assert list(reading_notes(corpus)) == ["a.txt is read as cp1252"]
    stdin = io.BytesIO(french.encode("cp1252"))
    piped = open_sources(["-"], decoding=Decoding("auto"), stdin=stdin, cache=cache)
    assert text_of(piped) == french
    assert list(reading_notes(piped)) == ["standard input is read as cp1252"]
    (texts / "d.csv").write_text(f"t\n{french}", encoding="cp1252")
    assert text_of(open_sources(["d.csv:t"], decoding=Decoding("auto"), cache=cache)).startswith("Ça va")
    (texts / "noise").write_bytes(bytes(range(1, 32)) * 40 + b"\xff\xfe")
    with pytest.raises(TextError, match="byte"):
        open_sources(["noise"], decoding=Decoding("auto"), cache=cache)


def test_what_was_passed_over_is_told(texts: Path, cache: Path) -> None:
    (texts / "a.txt").write_bytes(b"one\ntwo \xa9\n\xa9\xa9\n" + b"x\n" * 2000 + b"\xa9")
    (texts / "b.txt").write_bytes("\ufeffone\n\ufefftwo".encode())
    for how, fate in (("replace", "read as U+FFFD"), ("skip", "left out")):
        corpus = open_sources(["a.txt", "b.txt"], decoding=Decoding(bad_bytes=how), cache=cache)  # type: ignore[arg-type]
        text_of(corpus)
        assert list(reading_notes(corpus)) == [
            f"a.txt: 4 places (lines 2, 3, 2,004, …) with bytes that do not fit the encoding, {fate}",
            "b.txt: 1 byte order mark (line 2) inside it, left out: files were joined there",
        ]
