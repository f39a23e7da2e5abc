"""``charlstm sample --no-copy``: the promise, where the training text is found, and what cannot be."""

from __future__ import annotations

import json
from pathlib import Path

import pytest

from charlstm.checkpoint.format import Checkpoint, write
from charlstm.tokenizers import ByteTokenizer, Tokenizer, from_state
from tests.command_line import Cli
from tests.trained_checkpoints import prose, trained_on


@pytest.fixture
def cli(tmp_path: Path, monkeypatch: pytest.MonkeyPatch, capsys: pytest.CaptureFixture[str]) -> Cli:
    return Cli(tmp_path, monkeypatch, capsys)


@pytest.mark.parametrize("tokenizer", [None, ByteTokenizer()])
@pytest.mark.parametrize("more", [(), ("-n", "3"), ("--prompt", "aaaa"), ("-t", "0")])
def test_no_copy_of_a_network_that_writes_one_character(
    cli: Cli, tokenizer: Tokenizer | None, more: tuple[str, ...]
) -> None:
    text = "a" * 3000 + "\n"
    saved = trained_on(cli.folder, text.encode(), tokenizer)
    favoured = int(from_state(saved.tokenizer).encode("a")[0])
    tensors = {**saved.tensors, "head.bias": saved.tensors["head.bias"].copy()}
    tensors["head.bias"][favoured] += 60
    path = cli.folder / "checkpoints" / "my-1" / "model.safetensors"
    write(path, Checkpoint("model", tensors, saved.run, saved.tokenizer, saved.provenance, writing=saved.writing))
    assert "a" * 25 in cli("sample", "my-1", "--seed", "1", "--length", "100", *more).out
    result = cli("sample", "my-1", "--no-copy", "20", "--seed", "1", "--length", "100", "--json", *more)
    assert result.code == 0, result.err
    for line in result.out.splitlines():
        drawn = json.loads(line)
        tokens = drawn["prompt"] + "".join(
            chr(token["id"]) if tokenizer else token["text"] for token in drawn["tokens"]
        )
        assert "a" * 20 not in tokens
        assert "a" * 19 in tokens


def test_no_copy_finds_the_training_text_in_the_cache_or_where_it_is_said_to_be(cli: Cli) -> None:
    text = prose(3000)
    trained_on(cli.folder, text.encode())
    (cli.folder / "book.txt").rename(cli.folder / "moved.txt")
    options = ("sample", "my-1", "--no-copy", "30", "--length", "50", "--seed", "1")
    assert cli(*options).code == 0
    for file in (cli.folder / "cache" / "encoded").iterdir():
        file.unlink()
    gone = cli(*options)
    assert (gone.code, gone.out) == (4, "")
    assert "book.txt, is not here" in gone.err
    assert gone.err.count("\n") == 1
    named = cli(*options, "--source", "moved.txt")
    assert named.code == 0
    assert "is not, or no longer" not in named.err
    (cli.folder / "moved.txt").write_text(text[:2000], "utf-8")
    assert "is not, or no longer" in cli(*options, "--source", "moved.txt").err


@pytest.mark.parametrize(
    ("words", "message"),
    [
        (("--no-copy", "19"), "--no-copy 19 must be 20 or more"),
        (("--source", "a.txt"), "--source is for --no-copy and --sweep"),
    ],
)
def test_mistakes_with_no_copy(cli: Cli, words: tuple[str, ...], message: str) -> None:
    trained_on(cli.folder, prose(3000).encode())
    result = cli("sample", "my-1", *words)
    assert (result.code, result.out) == (2, "")
    assert message in result.err
    assert result.err.count("\n") == 1
