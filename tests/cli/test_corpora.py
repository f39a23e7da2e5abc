"""``charlstm corpora``: results on stdout, messages on stderr, nothing too wide, no control character let through."""

from __future__ import annotations

import io
import json
import re
import shlex
import subprocess
import sys
from pathlib import Path
from typing import Any

import pytest
import typer
from rich.console import Console
from typer.testing import CliRunner

from charlstm.cli.commands import corpora as module
from charlstm.cli.views import corpora as tables
from charlstm.corpora.catalogue import Entry, catalogue
from charlstm.corpora.check import check
from charlstm.corpora.describe import describe, digest, first_lines, named_corpora
from charlstm.corpora.sources import names, open_sources
from charlstm.corpora.stats import stats
from charlstm.errors import CharlstmError, NotFoundError, TextError, UsageError
from charlstm.paths import corpora_folder

TEXT = "A text\twith \x1b[31mred\u202e and “signs”\n" * 300


@pytest.fixture
def shelf(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Path:
    (tmp_path / "my.txt").write_text(TEXT, "utf-8")
    monkeypatch.setenv("CHARLSTM_CACHE", str(tmp_path / "cache"))
    monkeypatch.chdir(tmp_path)
    entry = Entry("mine", "https://127.0.0.1:9/x", len(TEXT.encode()), digest_of(TEXT), "CC0", "a text of mine")
    monkeypatch.setitem(catalogue(), "mine", entry)
    return tmp_path


def digest_of(text: str) -> str:
    import hashlib

    return hashlib.sha256(text.encode()).hexdigest()


def run(*arguments: str, stdin: bytes = b"") -> Any:
    result = CliRunner().invoke(module.app, list(arguments), input=stdin, catch_exceptions=True)
    if isinstance(result.exception, CharlstmError):
        raise result.exception
    assert result.exception is None, result.output
    return result


def drawn(draw: Any, *values: Any, width: int) -> str:
    file = io.StringIO()
    draw(Console(file=file, width=width, force_terminal=False, highlight=False), *values)
    return file.getvalue()


def test_list(shelf: Path) -> None:
    listed = {corpus["name"]: corpus for corpus in json.loads(run("list", "--json").stdout)}
    assert list(listed) == names()
    assert listed["english"]["size"] == sum(path.stat().st_size for path in corpora_folder().glob("*.txt"))
    assert (listed["mine"]["ready"], listed["mine"]["place"]) == (False, "")
    plain = run("list").stdout
    assert all(name in plain for name in listed)
    assert str(shelf / "cache") in plain
    assert "\x1b" not in plain


def test_fetch_from_a_file_then_show_and_use(shelf: Path) -> None:
    with pytest.raises(NotFoundError, match="charlstm corpora fetch mine"):
        run("stats", "mine")
    with pytest.raises(NotFoundError, match=r"cannot be reached.*charlstm corpora fetch mine --from FILE"):
        run("fetch", "mine")
    result = run("fetch", "mine", "--from", "my.txt")
    assert result.stdout == ""
    assert result.stderr.startswith("fetched: ")
    again = json.loads(run("fetch", "mine", "--json").stdout)
    assert again == {
        "name": "mine",
        "path": str(shelf / "cache/corpora/mine.txt"),
        "bytes": len(TEXT.encode()),
        "fetched": False,
    }
    shown = json.loads(run("show", "mine", "--json").stdout)
    assert (shown["sha256"], shown["licence"], shown["ready"]) == (digest_of(TEXT), "CC0", True)
    assert shown["first_lines"] == TEXT.split("\n")[:8]
    assert json.loads(run("stats", "mine", "--json").stdout)["characters"] == len(TEXT)
    with pytest.raises(UsageError, match="ships with"):
        run("fetch", "english")
    (shelf / "other.txt").write_text("another")
    with pytest.raises(CharlstmError, match="7 bytes instead of"):
        run("fetch", "mine", "--from", "other.txt")


def test_show(shelf: Path) -> None:
    plain = run("show", "mine").stdout
    assert "https://127.0.0.1:9/x" in plain
    assert "not fetched yet: charlstm corpora fetch mine" in plain
    name = next(name for name in names() if name.startswith("english/"))
    path = corpora_folder() / f"{name.partition('/')[2]}.txt"
    assert digest(describe(name, shelf)) == digest_of(path.read_text("utf-8"))
    assert first_lines(name, describe(name, shelf), 1) == [path.read_text("utf-8").lstrip("\n").split("\n")[0]]
    dyck = json.loads(run("show", "synthetic:dyck,depth=1,kinds=1", "--json").stdout)
    assert dyck["address"] == "synthetic:dyck,kinds=2,depth=8,seed=1,size=100000"
    assert dyck["first_lines"] == ["()" * 2048]
    for wrong, error in [
        ("nope", NotFoundError),
        ("synthetic:nope", NotFoundError),
        ("synthetic:dyck,x=1", UsageError),
    ]:
        with pytest.raises(error):
            run("show", wrong)
    with pytest.raises(NotFoundError, match="english"):
        run("show", "englich")


def test_each_description_is_true(shelf: Path) -> None:
    for corpus in named_corpora(shelf / "cache"):
        assert describe(corpus.name, shelf / "cache") == corpus
        if corpus.kind == "synthetic":
            assert open_sources([corpus.address], cache=shelf).name == corpus.name.partition(":")[2]
        elif corpus.kind == "bundled":
            assert open_sources([corpus.name], cache=shelf).size == corpus.size
            assert Path(corpus.place).exists()


def test_stats_and_check(shelf: Path) -> None:
    measured = json.loads(run("stats", "my.txt", "--json").stdout)
    assert measured["alphabet"]["\x1b"] == 300
    assert measured["sha256"] == digest_of(TEXT)
    checked = json.loads(run("check", "my.txt", "--json", "--val-fraction", "0.2").stdout)
    assert checked["stats"] == {key: value for key, value in measured.items() if key != "skipped"}
    assert {odd["kind"] for odd in checked["odd"]} == {"control", "bidi control"}
    assert checked["leakage"]["share"] == 1
    assert json.loads(run("stats", "-", "--json", stdin=TEXT.encode()).stdout)["sha256"] == digest_of(TEXT)
    assert "ISO8859-1" in run("stats", "my.txt", "--encoding", "latin-1").stdout
    (shelf / "image.png").write_bytes(b"\x89PNG\0")
    assert "left out, since it does not look like text: image.png" in run("check", ".").stderr
    with pytest.raises(TextError, match=r"image.png: byte 0 is 0x89.*does not look like text\.$"):
        run("check", "image.png")


@pytest.mark.parametrize("width", [40, 80, 120])
def test_nothing_is_too_wide_and_no_control_character_gets_through(shelf: Path, width: int) -> None:
    corpus = open_sources(["my.txt"], cache=shelf)
    shown = {**describe("mine", shelf).__dict__, "sha256": digest_of(TEXT), "first_lines": TEXT.split("\n")[:3]}
    pages = [
        drawn(tables.draw_list, named_corpora(shelf), Path("cache"), width=width),
        drawn(tables.draw_show, shown, width=width),
        drawn(tables.draw_stats, stats(corpus), width=width),
        drawn(tables.draw_check, check(corpus), width=width),
    ]
    for page in pages:
        assert max(map(len, page.split("\n"))) <= width
        assert not re.search("[\x00-\x08\x0b-\x1f\x7f\u202e]", page)
        assert "\n\n\n" not in page
    assert "␛" in pages[1] + pages[2]
    assert "U+202E RIGHT-TO-LEFT OVERRIDE" in pages[3]
    assert "! " in pages[3]


def test_large_alphabets_are_cut_short_and_estimates_are_marked(shelf: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    from charlstm.corpora import repeats

    monkeypatch.setattr(repeats, "MAX_HASHES", 500)
    (shelf / "wide.txt").write_text("".join(map(chr, range(0x400, 0x800))) * 2 + "".join(map(chr, range(0x80, 0xA0))))
    corpus = open_sources(["wide.txt"], cache=shelf)
    assert "the 100 most frequent" in drawn(tables.draw_stats, stats(corpus), width=80)
    page = drawn(tables.draw_check, check(corpus), width=80)
    assert "more kinds; --json shows all" in page
    assert "Repetitions are estimated: 1 window in 8 was examined" in page
    (shelf / "fine.txt").write_text("plain words\n")
    assert "No problems" in drawn(tables.draw_check, check(open_sources(["fine.txt"], cache=shelf)), width=80)


def test_every_example_in_the_help_parses() -> None:
    group = typer.main.get_command(module.app)
    for name, command in group.commands.items():  # type: ignore[attr-defined]
        assert command.help
        examples = re.findall(r"^  charlstm corpora (.+)$", command.epilog, re.M)
        assert len(examples) >= 2
        for example in examples:
            words = shlex.split(example.split(" < ")[0])
            assert words[0] == name
            command.make_context(name, words[1:])
        assert "Examples:" in run(name, "--help").stdout


def test_the_module_imports_nothing_heavy() -> None:
    heavy = ("numpy", "torch", "rich.table", "pydantic")
    body = f"import sys, charlstm.cli.commands.corpora; print([name for name in {heavy} if name in sys.modules])"
    done = subprocess.run([sys.executable, "-c", body], capture_output=True, text=True, check=True)
    assert done.stdout.strip() == "[]"
