"""``--ways`` and ``--pick``: what a person sees and types to choose one of several ways to go on."""

from __future__ import annotations

import json
import re
from dataclasses import replace
from typing import Any

import pytest

from charlstm.checkpoint.format import read_model, write
from charlstm.checkpoint.writing import Writing
from charlstm.cli.views import stream, terminal
from charlstm.cli.views import ways as view
from tests.command_line import Cli
from tests.fake_checkpoints import make_checkpoint

DRAW = ("--prompt", "The tide was", "--seed", "7")


@pytest.fixture
def cli(tmp_path: Any, monkeypatch: Any, capsys: Any) -> Cli:
    make_checkpoint(tmp_path / "checkpoints" / "one" / "model.safetensors")
    return Cli(tmp_path, monkeypatch, capsys)


def ways_of(out: str) -> list[str]:
    """The texts in a pipe, each below its number."""
    _, *parts = re.split(r"(?m)^=== \d of \d, \d+\.\d\d bits/character ===\n", out)
    return [part.removesuffix("\n") for part in parts]


def test_three_ways_and_one_of_them_longer(cli: Cli) -> None:
    shown = cli("sample", *DRAW, "--ways", "3")
    ways = ways_of(shown.out)
    assert len(set(ways)) == 3
    assert all(way.startswith("The tide was") for way in ways)
    assert "choose one: --pick 1 --seed 7 writes on with the first" in shown.err
    for number, way in enumerate(ways, 1):
        picked = cli("sample", *DRAW, "--pick", str(number)).out
        assert picked.startswith(way.rstrip("\n"))
        assert len(picked) == len("The tide was") + 500


def test_choices_follow_each_other(cli: Cli) -> None:
    _, second, _ = ways_of(cli("sample", *DRAW, "--ways", "3").out)
    after = cli("sample", *DRAW, "--ways", "3", "--pick", "2")
    following = ways_of(after.out)
    assert all(way.startswith(second) for way in following)
    assert "--pick 2,1 --seed 7" in after.err
    picked = cli("sample", *DRAW, "--pick", "2,3", "--length", "300").out
    assert picked.startswith(following[2].rstrip("\n"))
    without_prompt = cli("sample", *DRAW, "--pick", "2,3", "--length", "300", "--no-echo").out
    assert "The tide was" + without_prompt == picked


def test_more_ways_are_the_same_ones_and_more(cli: Cli) -> None:
    three, nine = (ways_of(cli("sample", *DRAW, "--ways", str(count)).out) for count in (3, 9))
    assert nine[:3] == three
    assert cli("sample", *DRAW, "--pick", "9").out.startswith(nine[8].rstrip("\n"))


def test_for_a_program(cli: Cli) -> None:
    told = [json.loads(line) for line in cli("sample", *DRAW, "--ways", "2", "--json").out.splitlines()]
    texts = ways_of(cli("sample", *DRAW, "--ways", "2").out)
    assert ["The tide was" + each["text"].rstrip("\n") for each in told] == [text.rstrip("\n") for text in texts]
    for each in told:
        nats = -sum(token["log_probability"] for token in each["tokens"])
        assert each["bits_per_char"] == pytest.approx(nats / 0.6931471805599453 / len(each["text"]))
    picked = json.loads(cli("sample", *DRAW, "--pick", "2,1", "--json").out)
    assert picked["prompt"] == "The tide was" + told[1]["text"]
    assert len(picked["text"]) == 500


def test_a_mix_and_words_have_ways(cli: Cli) -> None:
    path = cli.folder / "checkpoints" / "one" / "model.safetensors"
    write(path, replace(read_model(path), words=("and", "boat", "the")))
    shown = cli("sample", "--mix", "one,one", *DRAW, "--ways", "2", "--words", "--pick", "2")
    assert shown.code == 0, shown.err
    words = set(re.findall("[A-Za-z]+", " ".join(way.removeprefix("The tide was") for way in ways_of(shown.out))))
    assert {word.lower() for word in words} <= {"and", "boat", "the"}


@pytest.mark.parametrize(
    ("arguments", "message"),
    [
        (("--ways", "1"), "--ways 1 must be 2 to 9"),
        (("--ways", "10"), "--ways 10 must be 2 to 9"),
        (("--pick", "2"), "--pick needs the seed of the ways"),
        (("--pick", "0", "--seed", "1"), "--pick 0 must be 1 to 9"),
        (("--pick", "4", "--ways", "3", "--seed", "1"), "--pick 4 must be 1 to 3"),
        (("--pick", "99999999999999999999", "--seed", "1"), "must be 1 to 9"),
        (("--pick", "two", "--seed", "1"), "--pick 'two' is no number of a way"),
        (("--pick", "2,,1", "--seed", "1"), "is no number of a way"),
        (("--pick", "", "--seed", "1"), "is no number of a way"),
        (("--pick", "٣", "--seed", "1"), "is no number of a way"),
        (("--ways", "3", "-n", "2"), "--ways and -n exclude each other"),
        (("--ways", "3", "--sweep", "temperature=0.5..1"), "--ways and --sweep exclude each other"),
        (("--pick", "1", "--seed", "1", "--raw"), "--pick and --raw exclude each other"),
    ],
)
def test_what_cannot_be_chosen_is_one_line(cli: Cli, arguments: tuple[str, ...], message: str) -> None:
    shown = cli("sample", *arguments)
    assert (shown.code, shown.out) == (2, "")
    assert message in shown.err
    assert len(shown.err.strip().splitlines()) == 1


def test_a_list_has_no_ways(cli: Cli) -> None:
    path = cli.folder / "checkpoints" / "one" / "model.safetensors"
    write(path, replace(read_model(path), writing=Writing(record="\n")))
    shown = cli("sample", "--ways", "3")
    assert shown.code == 2
    assert "this one has read a list" in shown.err


@pytest.mark.parametrize(("columns", "beside"), [(120, 3), (60, 2), (30, 1)])
def test_a_terminal_has_as_many_side_by_side_as_there_is_room_for(
    cli: Cli, columns: int, beside: int, monkeypatch: Any
) -> None:
    monkeypatch.setenv("COLUMNS", str(columns))
    monkeypatch.setenv("NO_COLOR", "1")
    for module in (stream, terminal):
        monkeypatch.setattr(module, "is_terminal", lambda stream: True)
    shown = cli("sample", *DRAW, "--ways", "3")
    lines = re.sub("\x1b[^m]*m", "", shown.out).splitlines()
    assert lines[0] == "The tide was"
    numbers = [line.split() for line in lines if re.fullmatch(r"[123\s]+", line) and line.strip()]
    assert numbers[0] == ["1", "2", "3"][:beside]
    assert [number for line in numbers for number in line] == ["1", "2", "3"]
    assert len(re.findall(r"\d\.\d\d bits/char", shown.out)) == 3
    assert max(map(len, lines)) <= columns


def test_line_ends_before_a_way_are_signs() -> None:
    assert view._shown("\n\nThen \x1b[31mhe\n") == "⏎⏎Then ␛[31mhe"
