"""``charlstm sample --sweep``: as JSON, as a page, in columns, and its mistakes."""

from __future__ import annotations

import json
import re
from pathlib import Path

import pytest

from charlstm.cli.views import sweep as view
from charlstm.inspect.sweep import Swept
from tests.command_line import Cli
from tests.trained_checkpoints import prose, trained_on


@pytest.fixture
def cli(tmp_path: Path, monkeypatch: pytest.MonkeyPatch, capsys: pytest.CaptureFixture[str]) -> Cli:
    return Cli(tmp_path, monkeypatch, capsys)


def test_a_sweep_as_json_and_as_a_page(cli: Cli) -> None:
    trained_on(cli.folder, prose(3000).encode())
    options = ("sample", "my-1", "--length", "60", "--seed", "5", "--prompt", "ab")
    result = cli(*options, "--sweep", "temperature=0,1,2", "--json", "--html", "my sweep.html", "--png", "a.png")
    assert result.code == 0, result.err
    data = json.loads(result.out)
    assert data["setting"] == "temperature"
    for value in data["values"]:
        alone = cli(*options, "-t", str(value["value"]), "--no-echo")
        assert alone.out == value["text"]
        assert value["copy"] is not None
        assert value["real_words"] is None
    assert "temperature 2" in (cli.folder / "my sweep.html").read_text("utf-8")
    assert (cli.folder / "a.png").read_bytes().startswith(b"\x89PNG")
    shown = cli(*options, "--sweep", "min_p=0.1..0.5")
    assert re.search(r"^min-p +bits per character +repeated trigrams +longest copy$", shown.out, re.M)
    assert shown.out.count("\nmin-p 0.") == 5


def test_a_sweep_of_a_list_has_whole_records(cli: Cli) -> None:
    lines = sorted("name " + "".join(chr(97 + int(digit)) for digit in str(number)) for number in range(600))
    trained_on(cli.folder, "\n".join(lines).encode(), records="lines", val_fraction=0.2)
    result = cli("sample", "my-1", "--sweep", "temperature=1,3", "--seed", "5", "--length", "400", "--json")
    assert result.code == 0, result.err
    assert all(value["text"].count("\n") <= 10 for value in json.loads(result.out)["values"])


@pytest.mark.parametrize("columns", [40, 100])
def test_columns_fit_the_terminal(cli: Cli, columns: int, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setenv("COLUMNS", str(columns))
    monkeypatch.setattr("charlstm.cli.views.terminal.is_terminal", lambda stream: True)
    texts = [
        Swept(number / 10, f"word\tof {number} " * 9 + "x" * 70 + "\x1b[31m\n\nend\n", 1.5, 0.25, 30, 0.5)
        for number in range(5)
    ]
    cli._capsys.readouterr()  # type: ignore[attr-defined]
    view.show_columns(texts, "temperature", "Once ", "character")
    out = cli._capsys.readouterr().out  # type: ignore[attr-defined]
    lines = re.sub(r"\x1b\[[\d;]*m", "", out).splitlines()
    assert max(map(len, lines)) <= columns
    assert "\x1b[31m" not in out
    side_by_side = max(line.count("temperature") for line in lines)
    assert side_by_side == (1 if columns == 40 else 3)
    assert sum(line.count("temperature") for line in lines) == 5
    assert sum(line.count("bits per character 1.50") for line in lines) == 5
    assert "".join(lines).count("x") >= 5 * 70


LATIN = b"The ferryman ate at a caf\xe9 and drew a boat.\n" * 4


@pytest.mark.parametrize(
    ("words", "message"),
    [
        (("--sweep", "hidden=1..2"), "--sweep hidden=1..2 must begin with one of temperature="),
        (("--sweep", "min_p=0..2"), "min-p"),
        (("--sweep", "temperature=0..1", "-n", "3"), "--sweep draws one text"),
        (("--sweep", "temperature=0..1", "--length", "0"), "--sweep needs texts that end"),
        (("--html", "a.html"), "--html is for --sweep"),
        (("--png", "a.png"), "--png is for --sweep"),
        (("--sweep", "temperature=0..1", "--html", "-"), "is standard output"),
        (("--sweep", "temperature=0..1", "-t", "0.5"), "--temperature and --sweep temperature=… exclude each other"),
        (("--sweep", "top_p=0.5,1", "--top-p", "1"), "--top-p and --sweep top_p=… exclude each other"),
        (("--sweep", "temperature=0..1", "--new"), "--new and --sweep exclude each other"),
        (("--sweep", "temperature=1", "--source", "latin.txt"), "cp1252: convert it to UTF-8"),
        (("--no-copy", "40", "--source", "latin.txt"), "cp1252: convert it to UTF-8"),
    ],
)
def test_mistakes_with_sweep(cli: Cli, words: tuple[str, ...], message: str) -> None:
    trained_on(cli.folder, prose(3000).encode())
    (cli.folder / "latin.txt").write_bytes(LATIN)
    result = cli("sample", "my-1", "--length", "20", *words)
    assert (result.code, result.out) == (2, "")
    assert "--encoding" not in result.err
    assert message in result.err
