"""``--mix``: several networks that write together, from what a person types to what is drawn."""

from __future__ import annotations

import io
import json
import math
import sys
from dataclasses import replace
from typing import Any

import pytest

import charlstm
from charlstm.checkpoint.format import read_model, write
from charlstm.checkpoint.known import KnownRecords
from charlstm.checkpoint.writing import Writing
from charlstm.cli.load_mix import parse_mix
from charlstm.corpora.words import find_words
from charlstm.engine.mix import MixedEngine
from charlstm.engine.network import Engine
from charlstm.errors import UsageError
from charlstm.sampling.config import settings_for
from charlstm.sampling.position import prefill
from charlstm.sampling.sampler import sample
from charlstm.tokenizers import ByteTokenizer, CharTokenizer
from tests.command_line import Cli
from tests.fake_checkpoints import ALPHABET, make_checkpoint

DRAW = ("--seed", "3", "--length", "60", "--prompt", "The ")


@pytest.fixture
def cli(tmp_path: Any, monkeypatch: Any, capsys: Any) -> Cli:
    for seed, name in enumerate(("one", "other")):
        make_checkpoint(tmp_path / "checkpoints" / name / "model.safetensors", seed=seed)
    make_checkpoint(tmp_path / "checkpoints" / "greek" / "model.safetensors", CharTokenizer("\n αβγδ"), seed=2)
    make_checkpoint(tmp_path / "checkpoints" / "bytes" / "model.safetensors", ByteTokenizer(), seed=3)
    return Cli(tmp_path, monkeypatch, capsys)


def saved(cli: Cli, name: str, **changes: Any) -> Any:
    """A run's checkpoint, with changes if there are any."""
    path = cli.folder / "checkpoints" / name / "model.safetensors"
    if changes:
        write(path, replace(read_model(path), **changes))
    return read_model(path)


@pytest.mark.parametrize(
    ("text", "parsed"),
    [
        ("a:0.7,b:0.3", [("a", 0.7), ("b", 0.3)]), ("a", [("a", 1)]), ("a, b ,c", [("a", 1), ("b", 1), ("c", 1)]),
        ("a:7,b:3", [("a", 7), ("b", 3)]), (r"C:\runs\a:2,b:1", [(r"C:\runs\a", 2), ("b", 1)]),
        (r"C:\runs\a,b", [(r"C:\runs\a", 1), ("b", 1)]), ("a b.st:1e-3,b:0", [("a b.st", 1e-3), ("b", 0)]),
    ],
)  # fmt: skip
def test_networks_and_weights_as_they_are_typed(text: str, parsed: Any) -> None:
    assert parse_mix(text) == parsed


@pytest.mark.parametrize("text", ["", ",", "a,", ":0.5", "a:1,:2", "a:1,b", "a,b:1"])
def test_a_name_or_a_weight_that_is_missing_is_refused(text: str) -> None:
    with pytest.raises(UsageError, match="--mix"):
        parse_mix(text)


def test_it_writes_what_the_mixed_engine_writes(cli: Cli) -> None:
    engines = [Engine.from_checkpoint(saved(cli, name)) for name in ("one", "greek")]
    both = MixedEngine([(engines[0], 3), (engines[1], 1)])
    config = settings_for(Writing(), length=60, seed=3)
    text = "".join(part.text for part in sample(both, both.tokenizer.encode("The "), config))
    shown = cli("sample", "--mix", "one:0.75,greek:0.25", *DRAW)
    assert shown.out == "The " + text
    assert set(text) & set("αβγδ")
    assert set(text) & set(ALPHABET[2:])
    assert "75% checkpoints/one (1.50 bits/character) + 25% checkpoints/greek" in shown.err


def test_a_network_with_itself_or_with_one_without_weight_writes_as_alone(cli: Cli) -> None:
    alone = cli("sample", "one", *DRAW).out
    assert cli("sample", "--mix", "one,one", *DRAW).out == alone
    assert cli("sample", "--mix", "one", *DRAW).out == alone
    assert cli("sample", "--mix", "one:1,other:0", *DRAW).out == alone
    assert cli("sample", "--mix", "one,other", *DRAW).out != alone


def test_the_order_does_not_matter(cli: Cli) -> None:
    texts = {cli("sample", "--mix", mix, *DRAW).out for mix in ("one:0.4,greek:0.6", "greek:3,one:2")}
    assert len(texts) == 1


def test_for_a_program_it_says_what_was_mixed(cli: Cli) -> None:
    told = json.loads(cli("sample", "--mix", "one:3,other:1", *DRAW, "--json").out)
    assert [part["weight"] for part in told["mix"]] == [0.75, 0.25]
    assert [part["sha256"] for part in told["mix"]] == [saved(cli, name).sha256 for name in ("one", "other")]
    assert all(math.isfinite(token["log_probability"]) for token in told["tokens"])


def test_it_writes_as_the_one_with_the_largest_weight_does(cli: Cli) -> None:
    saved(cli, "one", writing=Writing(temperature=0.1, top_p=0.5, starts=("Once.\n",)))
    given = ("-t", "0.1", "--top-p", "0.5", "--min-p", "0.1")
    own = cli("sample", "--mix", "one:0.6,other:0.4", *DRAW).out
    assert own == cli("sample", "--mix", "one:0.6,other:0.4", *DRAW, *given).out
    other = cli("sample", "--mix", "one:0.4,other:0.6", *DRAW).out
    assert other != cli("sample", "--mix", "one:0.4,other:0.6", *DRAW, *given).out


def test_words_of_all_training_texts(cli: Cli) -> None:
    saved(cli, "one", words=("and", "boat"))
    wanted = ("sample", "--mix", "one,other", "--seed", "1", "--length", "300", "--words", "-t", "2")
    assert "knows no words" in cli(*wanted).err
    saved(cli, "other", words=("sea",))
    words = {word.lower() for word in find_words(cli(*wanted).out)}
    assert words == {"and", "boat", "sea"}


def test_lists_are_mixed_to_new_records(cli: Cli) -> None:
    lists = {"one": ("Ada", "Bob"), "other": ("Cleo",)}
    for name, records in lists.items():
        saved(cli, name, writing=Writing(record="\n", longest_record=6), records=KnownRecords.of(records))
    shown = cli("sample", "--mix", "one,other", "-n", "12", "--seed", "1", "--new")
    written = shown.out.splitlines()
    assert len(set(written)) == 12
    assert not set(written) & {"Ada", "Bob", "Cleo"}
    saved(cli, "other", writing=Writing())
    assert "\n" in cli("sample", "--mix", "one,other", "--length", "200", "--seed", "1").out.strip()


def together(cli: Cli, monkeypatch: Any, lines: str, *arguments: str) -> Any:
    """A session of write, of these lines."""
    monkeypatch.setattr(sys, "stdin", io.TextIOWrapper(io.BytesIO(lines.encode())))
    return cli("write", *arguments, "--seed", "2", "--length", "30")


def test_writing_together_with_a_mix(cli: Cli, monkeypatch: Any) -> None:
    shown = together(cli, monkeypatch, "The \n\n", "--mix", "one:3,other:1")
    assert shown.code == 0, shown.err
    assert shown.out.startswith("The ")
    assert len(shown.out) > 30
    assert "75% checkpoints/one" in shown.err


@pytest.mark.parametrize(
    "lines", ["The \n{}\n\n", "{}\nThe \n\n\n", "The \n\n{}\n/undo\n\n", "x\n/undo\n{}\n/redo\n\n", "{}\n\n"]
)
def test_weights_change_while_a_text_is_written(cli: Cli, monkeypatch: Any, lines: str) -> None:
    alone = together(cli, monkeypatch, lines.format("/set length"), "other").out
    played = together(cli, monkeypatch, lines.format("/mix 0 1"), "--mix", "one,other")
    assert played.out == alone
    assert "weights 0 1" in played.err
    assert together(cli, monkeypatch, lines.format("/mix"), "--mix", "one,other").out != alone


def test_after_new_weights_the_first_character_is_drawn_with_them(cli: Cli, monkeypatch: Any) -> None:
    saved(cli, "other", writing=Writing(temperature=0))
    engines = [Engine.from_checkpoint(saved(cli, name)) for name in ("one", "other")]
    ids = engines[0].tokenizer.encode("The ")
    likeliest = [engine.tokenizer.decode([prefill(engine, ids).logits.argmax()]) for engine in engines]
    assert likeliest[0] != likeliest[1]
    for weights, expected in (("1 0", likeliest[0]), ("0,1", likeliest[1])):
        shown = together(cli, monkeypatch, f"/temp 0\nThe \n/mix {weights}\n\n", "--mix", "one,other")
        assert shown.out[len("The ")] == expected


@pytest.mark.parametrize(
    ("line", "message"),
    [("/mix 1", "a mix of 2 needs 2 weights, not 1"), ("/mix 1 x", "a weight: 'x' is not a number"),
     ("/mix 0 0", "all weights of the mix are 0"), ("/mix 1 -1", "must be 0 or more")],
)  # fmt: skip
def test_weights_that_cannot_be_are_one_line(cli: Cli, monkeypatch: Any, line: str, message: str) -> None:
    shown = together(cli, monkeypatch, f"{line}\n", "--mix", "one,other")
    assert shown.code == 2
    assert message in shown.err


def test_weights_are_for_several_networks(cli: Cli, monkeypatch: Any) -> None:
    assert "/mix is for several networks" in together(cli, monkeypatch, "/mix 1 1\n", "one").err


@pytest.mark.parametrize(
    ("arguments", "code", "message"),
    [
        (("--mix", "one,none"), 4, "none"),
        (("--mix", "one,bytes"), 2, "network 2 of the mix reads bytes, and the first one characters"),
        (("--mix", "one:-1,other:1"), 2, "the weight -1 of a mix must be 0 or more"),
        (("--mix", "one:0"), 2, "all weights of the mix are 0"),
        (("--mix", "one:nan"), 2, "the weight nan"),
        (("--mix", "one:1,other"), 2, "--mix gives 'other' no weight"),
        (("--mix", ""), 2, "has no name in one place"),
        (("The tide", "--mix", "one,other"), 2, "put --prompt before it"),
        (("--mix", "one", "--sweep", "temperature=0.5..1"), 2, "--mix and --sweep exclude each other"),
        (("--mix", "one", "--no-copy", "40"), 2, "--mix and --no-copy exclude each other"),
        (("--mix", "one,greek", "--prompt", "é"), 2, "is not in the alphabet"),
    ],
)
def test_what_cannot_be_mixed_is_one_line(cli: Cli, arguments: tuple[str, ...], code: int, message: str) -> None:
    shown = cli("sample", *arguments)
    assert (shown.code, shown.out) == (code, "")
    assert message in shown.err
    assert len(shown.err.strip().splitlines()) == 1


def test_a_text_is_scored_by_several_networks_together(cli: Cli) -> None:
    text = "The ferryman wrote nothing down.\nHe drew a boat, αβ.\n"
    (cli.folder / "poem.txt").write_text(text, "utf-8")
    mixed = charlstm.mix("one", "greek", weights=(3, 1))
    told = json.loads(cli("eval", "--mix", "one:3,greek:1", "poem.txt", "--json").out)
    assert told["bits_per_char"] == pytest.approx(mixed.score(text).bits_per_char)
    assert [part["weight"] for part in told["mix"]] == [0.75, 0.25]
    assert (told["streams"], told["precision"]) == (1, "fp32")
    assert told["compressors_bits_per_byte"]
    shown = cli("eval", "--mix", "one:3,greek:1", "poem.txt")
    assert f"{told['bits_per_char']:.4f}" in shown.out
    assert "75% checkpoints/one" in shown.err
    surprise = cli("eval", "--mix", "one:3,greek:1", "poem.txt", "--surprise").out
    assert "The ferryman wrote nothing down." in surprise
    assert f"{told['bits_per_char']:.2f} bits per character" in surprise


def test_a_text_may_come_from_a_pipe_with_characters_that_no_network_knows(cli: Cli, monkeypatch: Any) -> None:
    monkeypatch.setattr(sys, "stdin", io.TextIOWrapper(io.BytesIO("A café.".encode())))
    shown = cli("eval", "--mix", "one,other", "-", "--unknown", "map", "--json")
    assert json.loads(shown.out)["characters"] == 7
    assert "read as 'e'" in shown.err


@pytest.mark.parametrize(
    ("arguments", "message"),
    [
        ((), "no TEXT to score"),
        (("poem.txt", "--dynamic"), "--mix and --dynamic exclude each other"),
        (("poem.txt", "--device", "cpu"), "--mix and --device exclude each other"),
        (("one", "poem.txt"), "one"),
    ],
)
def test_what_cannot_be_scored_is_one_line(cli: Cli, arguments: tuple[str, ...], message: str) -> None:
    (cli.folder / "poem.txt").write_text("The boat.")
    shown = cli("eval", "--mix", "one,other", *arguments)
    assert shown.code in (2, 4)
    assert shown.out == ""
    assert message in shown.err
    assert len(shown.err.strip().splitlines()) == 1
