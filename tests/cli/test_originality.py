"""``charlstm originality``: which text it measures, against which, and what it says where one is missing."""

from __future__ import annotations

import json
from pathlib import Path

import pytest

from charlstm.corpora.training_text import training_text
from charlstm.errors import NotFoundError
from charlstm.tokenizers import ByteTokenizer, CharTokenizer
from tests.command_line import Cli
from tests.trained_checkpoints import prose, trained_on


@pytest.fixture
def cli(tmp_path: Path, monkeypatch: pytest.MonkeyPatch, capsys: pytest.CaptureFixture[str]) -> Cli:
    return Cli(tmp_path, monkeypatch, capsys)


def test_a_sample_beside_held_out_text(cli: Cli) -> None:
    trained_on(cli.folder, prose(20_000).encode())
    result = cli("originality", "my-1", "--length", "300", "--seed", "7", "--json")
    assert result.code == 0, result.err
    found = json.loads(result.out)
    assert found["characters"] == 300
    assert [piece["characters"] for piece in found["held_out"]] == [300] * 4
    assert "seed 7" in result.err
    again = cli("originality", "my-1", "--length", "300", "--seed", "7", "--json")
    assert again.out == result.out


def test_a_text_that_copies(cli: Cli) -> None:
    text = prose(20_000)
    trained_on(cli.folder, text.replace("\n", "\r\n").encode())
    (cli.folder / "my poem.txt").write_text(f"!!!{text[3000:3100]}!!!", "utf-8")
    for words in (("my-1", "my poem.txt"), ("my poem.txt",)):
        result = cli("originality", *words, "--json")
        assert result.code == 0, result.err
        (passage,) = json.loads(result.out)["passages"]
        assert passage["text"] == text[3000:3100]
        assert passage["line"] == 1 + text[:3000].count("\n"), "line ends are read as in training"
        assert passage["part"].endswith("book.txt")


def test_the_validation_part_is_not_searched(cli: Cli) -> None:
    text = prose(20_000)
    trained_on(cli.folder, text.encode())
    (cli.folder / "end.txt").write_text(text[18_500:18_700], "utf-8")
    assert json.loads(cli("originality", "my-1", "end.txt", "--json").out)["longest"] < 60
    (cli.folder / "end.txt").write_text(text[17_500:17_700], "utf-8")
    assert json.loads(cli("originality", "my-1", "end.txt", "--json").out)["longest"] == 200


def test_two_texts_without_a_network(cli: Cli) -> None:
    text = prose(5000)
    (cli.folder / "a.txt").write_text(text[100:400], "utf-8")
    (cli.folder / "b.txt").write_text(text, "utf-8")
    result = cli("originality", "a.txt", "--source", "b.txt")
    assert result.code == 0, result.err
    assert "Longest copy 300 characters. There is no held-out text to compare with." in result.out
    assert "b.txt:" in result.out


def test_a_model_of_bytes_counts_bytes(cli: Cli) -> None:
    text = "".join(f"{number} größer als {number * number} ü\r\n" for number in range(900))
    trained_on(cli.folder, text.encode(), ByteTokenizer())
    (cli.folder / "piece.txt").write_bytes(text[2000:2100].encode())
    found = json.loads(cli("originality", "my-1", "piece.txt", "--json").out)
    assert found["longest"] == len(text[2000:2100].encode())
    assert found["text"] == text[2000:2100]


def test_where_the_training_text_is_gone(cli: Cli) -> None:
    text = prose(20_000)
    saved = trained_on(cli.folder, text.encode())
    (cli.folder / "book.txt").rename(cli.folder / "moved.txt")
    (cli.folder / "piece.txt").write_text(text[1000:1200], "utf-8")
    from_cache = json.loads(cli("originality", "my-1", "piece.txt", "--json").out)
    assert from_cache["longest"] == 200, "the cache still has it"
    assert from_cache["passages"][0]["line"] == 1 + text[:1000].count("\n")
    for file in (cli.folder / "cache" / "encoded").iterdir():
        file.unlink()
    gone = cli("originality", "my-1", "piece.txt")
    assert gone.code == 4
    assert "book.txt, is not here. Name it with --source TEXT." in gone.err
    assert gone.err.count("\n") == 1
    named = cli("originality", "my-1", "piece.txt", "--source", "moved.txt", "--json")
    assert json.loads(named.out)["longest"] == 200
    (cli.folder / "moved.txt").write_text(text + "more", "utf-8")
    changed = cli("originality", "my-1", "piece.txt", "--source", "moved.txt", "--json")
    assert "is not, or no longer, the text" in changed.err
    with pytest.raises(NotFoundError):
        training_text(saved, None, cli.folder / "cache")


def test_where_another_text_has_its_place(cli: Cli) -> None:
    trained_on(cli.folder, b"abc\nbca\ncab\n" * 100, CharTokenizer("\nabc"), records="lines", val_fraction=0.2)
    for file in (cli.folder / "cache" / "encoded").iterdir():
        file.unlink()
    (cli.folder / "book.txt").write_text("xyz\nzyx\n" * 100)
    for command in (("originality", "my-1", "--length", "9"), ("sample", "my-1", "--no-copy", "40")):
        result = cli(*command)
        assert result.code == 4
        assert "no longer, the text it was trained on: character 'x'" in result.err
        assert "--source TEXT" in result.err
    swept = cli("sample", "my-1", "--sweep", "temperature=1", "--json")
    assert swept.code == 0, swept.err
    assert json.loads(swept.out)["values"][0]["copy"] is None


def test_the_parts_of_a_list_are_those_of_training(cli: Cli) -> None:
    lines = sorted(
        "name " + "".join(chr(97 + int(digit)) for digit in str(number * 7919 % 10_007)) for number in range(600)
    )
    saved = trained_on(cli.folder, "\n".join(lines).encode(), records="lines", val_fraction=0.2)
    found = training_text(saved, None, cli.folder / "cache")
    trained = "".join(text for _, text in found.trained())
    (rest,) = found.excerpts([found.border], found.size)
    assert sorted((trained + rest).split()) == sorted(" ".join(lines).split())
    assert trained.endswith("\n")
    assert not set(trained.split("\n")) & set(rest.split("\n")) - {""}
    assert 0.75 < len(trained) / found.size < 0.85
    result = cli("originality", "my-1", "--length", "100", "--json")
    assert result.code == 0, result.err
    assert json.loads(result.out)["characters"] >= 100


@pytest.mark.parametrize(
    ("words", "code", "message"),
    [
        (("nothing-1",), 4, "nothing-1"),
        (("--length", "0"), 2, "--length 0 must be 1 to 100,000"),
        (("my-1", "empty.txt"), 2, "empty"),
        (("my-1", "binary.bin"), 2, "binary.bin"),
        (("my-1", "--html", "no/such/place.html"), 2, "its folder does not exist"),
        (("my-1", "book.txt", "--source", "missing.txt"), 4, "missing.txt"),
        (("my-1", "latin.txt"), 2, "cp1252: convert it to UTF-8"),
        (("book.txt", "--source", "latin.txt"), 2, "cp1252: convert it to UTF-8"),
    ],
)
def test_mistakes_are_one_line(cli: Cli, words: tuple[str, ...], code: int, message: str) -> None:
    trained_on(cli.folder, prose(3000).encode())
    (cli.folder / "empty.txt").touch()
    (cli.folder / "binary.bin").write_bytes(bytes(range(256)))
    (cli.folder / "latin.txt").write_bytes(b"The ferryman ate at a caf\xe9 and drew a boat.\n" * 4)
    result = cli("originality", *words)
    assert (result.code, result.out) == (code, "")
    assert message in result.err
    assert result.err.count("\n") == 1
    assert "--encoding" not in result.err


def test_short_texts(cli: Cli) -> None:
    trained_on(cli.folder, prose(60).encode())
    (cli.folder / "short.txt").write_text("abc", "utf-8")
    result = cli("originality", "my-1", "short.txt")
    assert result.code == 0, result.err
    assert "No copy of 8 characters or more" in result.out
    result = cli("originality", "my-1", "--length", "200")
    assert result.code == 0, result.err
    assert "The held-out text is shorter" in result.out


def test_the_starter_says_how_to_get_what_it_has_read(cli: Cli) -> None:
    gone = cli("originality", "starter")
    assert gone.code == 4
    assert "charlstm corpora fetch classics. Then add --source classics." in gone.err
    assert gone.err.count("\n") == 1
