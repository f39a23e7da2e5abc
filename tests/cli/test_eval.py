"""``charlstm eval``: the same numbers as the library, beside the compressors, and the text by its surprise."""

import bz2
import gzip
import io
import json
import lzma
import re
from dataclasses import replace

import pytest
from rich.console import Console

import charlstm
from charlstm.checkpoint.format import write
from charlstm.cli.views import surprise
from charlstm.evaluation.dynamic import DynamicConfig
from charlstm.evaluation.score import Score
from charlstm.nn.model import CharLM
from tests.command_line import Cli
from tests.fake_checkpoints import make_checkpoint
from tests.networks import architecture

TEXT = "The ferryman wrote nothing down. He drew a boat,\nand a goose; 12 of them.\n" * 4


@pytest.fixture
def cli(tmp_path, monkeypatch, capsys):
    (tmp_path / "poem.txt").write_text(TEXT)
    return Cli(tmp_path, monkeypatch, capsys)


def test_the_figures_are_the_librarys_and_the_compressors_own(cli):
    told = json.loads(cli("eval", "starter", "poem.txt", "--json").out)
    score = charlstm.load("starter").score(TEXT)
    assert told["bits_per_char"] == pytest.approx(score.bits_per_char)
    assert told["nats_per_token"] == pytest.approx(score.nats_per_token)
    assert told["characters"] == told["bytes"] == len(TEXT)
    packed = {
        "gzip -9": len(gzip.compress(TEXT.encode(), 9)),
        "bzip2 -9": len(bz2.compress(TEXT.encode(), 9)),
        "xz -9e": len(lzma.compress(TEXT.encode(), preset=9 | lzma.PRESET_EXTREME)),
    }
    assert told["compressors_bits_per_byte"] == pytest.approx({k: 8 * n / len(TEXT) for k, n in packed.items()})


def test_the_table_has_them_all(cli):
    shown = cli("eval", "starter", "poem.txt").out
    for word in ("bits a character", "bits a byte", "nats a token", "perplexity", "gzip", "bzip2", "xz"):
        assert word in shown


def test_surprise_without_colour_is_digits_below_each_line(cli):
    shown = cli("eval", "starter", "poem.txt", "--surprise").out.splitlines()
    assert shown[0] == TEXT.splitlines()[0]
    assert len(shown[1]) == len(shown[0]) + 1, "a digit for each character and one for the newline"
    assert set(shown[1]) <= set(".123456789+")
    assert "\x1b" not in "".join(shown)
    assert shown[-1].startswith("surprise in whole bits")


def score_of(pieces):
    import numpy as np

    nats = np.array([bits * np.log(2) for _, bits in pieces], np.float32)
    return Score(nats, tuple(piece for piece, _ in pieces), len(pieces), sum(len(piece) for piece, _ in pieces))


def test_digits_tell_whole_bits_and_wide_characters_keep_their_column(monkeypatch):
    out = io.StringIO()
    monkeypatch.setattr(surprise, "stdout_console", lambda: Console(file=out, no_color=True, width=80))
    surprise.show(score_of([(b"a", 0.5), (b"\xe5\xa4\xa9", 3.2), (b"b", 12.0), (b"\n", 1.1)]))
    assert out.getvalue().splitlines()[:2] == ["a天b", ".33+1"]


def test_in_colour_the_text_is_whole_and_controls_are_not_obeyed(monkeypatch):
    out = io.StringIO()
    console = Console(file=out, force_terminal=True, color_system="standard", width=80)
    monkeypatch.setattr(surprise, "stdout_console", lambda: console)
    surprise.show(score_of([(b"a", 0.5), (b"\x1b", 9.0), (b"\xf0\x9f", 1.0), (b"\x8e\x89", 5.0), (b"\n", 1.0)]))
    shown = out.getvalue()
    assert "␛" in shown
    assert "🎉" in shown
    assert "8 bits or more" in shown


@pytest.mark.parametrize(
    ("args", "code", "told"),
    [
        (["nothing", "poem.txt"], 4, "nothing"),
        (["starter", "nowhere.txt"], 4, "nowhere.txt"),
        (["starter", "cafe.txt"], 2, "é"),
        (["starter", "empty.txt"], 2, "empty"),
        (["starter", "poem.txt", "--unknown", "ignore"], 2, "skip"),
        (["starter"], 2, "TEXT"),
    ],
)
def test_mistakes(cli, args, code, told):
    (cli.folder / "cafe.txt").write_text("A café.")
    (cli.folder / "empty.txt").write_text("")
    done = cli("eval", *args)
    assert done.code == code
    assert told in done.err
    assert len(done.err.strip().splitlines()) == 1


def test_dynamic_stands_beside_the_score_as_trained(cli):
    score, learning = (
        judge(TEXT) for judge in (charlstm.load("starter").score, charlstm.load("starter").score_dynamic)
    )
    told = json.loads(cli("eval", "starter", "poem.txt", "--dynamic", "--json").out)
    plain = json.loads(cli("eval", "starter", "poem.txt", "--json").out)
    assert {name: told[name] for name in plain} == plain
    assert told["bits_per_char"] == pytest.approx(score.bits_per_char)
    assert told["dynamic"]["bits_per_char"] == pytest.approx(learning.bits_per_char)
    assert told["dynamic"]["tokens"] == len(TEXT)
    assert {told["dynamic"][name] for name in ("segment", "lr", "decay")} == set(vars(DynamicConfig()).values())
    lines = cli("eval", "starter", "poem.txt", "--dynamic").out.splitlines()
    assert lines[0].split() == ["as", "trained", "dynamic"]
    [bits] = [line.split() for line in lines if line.startswith("bits a character")]
    assert bits[3:5] == [f"{each.bits_per_char:.4f}" for each in (score, learning)]
    assert all(len(line.rstrip()) <= 80 for line in lines)


def test_dynamic_settings_are_those_given_and_the_help_tells_the_defaults(cli):
    given = ("--segment", "7", "--lr", "0.002", "--decay", "0.01")
    told = json.loads(cli("eval", "starter", "poem.txt", "--dynamic", "--json", "--surprise", *given).out)
    learning = charlstm.load("starter").score_dynamic(TEXT, segment=7, lr=0.002, decay=0.01)
    assert [nats for _, nats in told["dynamic"]["surprise"]] == pytest.approx(learning.nats.tolist(), rel=1e-4)
    assert "".join(piece for piece, _ in told["surprise"]) == TEXT
    difference = [abs(a[1] - b[1]) for a, b in zip(told["surprise"], told["dynamic"]["surprise"], strict=True)]
    assert max(difference[:7]) < 1e-4 < max(difference[7:14]), "the second segment is the first to have learned"
    shown = " ".join(cli("eval", "--help").out.split())
    for name, value in vars(DynamicConfig()).items():
        assert re.search(rf"--{name} <\w+> With --dynamic: [^\[]+\[default: {value}\]", shown), name


def test_dynamic_surprise_is_that_of_the_network_that_learns(cli):
    as_trained, learning = (
        cli("eval", "starter", "poem.txt", "--surprise", *more).out.splitlines()
        for more in ((), ("--dynamic", "--lr", "0.003"))
    )
    assert as_trained[::2] == learning[::2], "the text"
    assert as_trained[1:-1:2] != learning[1:-1:2], "the digits"


@pytest.mark.parametrize(
    ("args", "code", "told"),
    [
        (["starter", "--lr", "0.1"], 2, "--lr is for --dynamic. Add --dynamic."),
        (["starter", "--decay", "0"], 2, "--decay is for --dynamic"),
        (["starter", "--dynamic", "--segment", "0"], 2, "segment = 0: must be 1 or more"),
        (["starter", "--dynamic", "--decay", "2"], 2, "decay = 2.0: must be between"),
        (["starter", "--dynamic", "--lr", "1e38"], 7, "lower learning rate"),
        (["both.safetensors", "--dynamic"], 3, "both.safetensors: this network reads both ways"),
    ],
)
def test_dynamic_mistakes(cli, args, code, told):
    saved = make_checkpoint(cli.folder / "one.safetensors")
    config = {**saved.config, "model": {**saved.config["model"], "bidirectional": True}}
    network = CharLM(architecture(**config["model"]))
    write(cli.folder / "both.safetensors", replace(saved, config=config, tensors=network.to_tensors()))
    done = cli("eval", args[0], "poem.txt", *args[1:])
    assert done.code == code
    assert told in done.err
    assert not done.out
    assert len(done.err.strip().splitlines()) == 1


def test_unknown_characters_can_be_skipped_or_mapped(cli):
    (cli.folder / "cafe.txt").write_text("A café.")
    skipped = json.loads(cli("eval", "starter", "cafe.txt", "--unknown", "skip", "--json").out)
    mapped = json.loads(cli("eval", "starter", "cafe.txt", "--unknown", "map", "--json").out)
    assert (skipped["characters"], mapped["characters"]) == (6, 7)


WORDS = "The ferryman wrote nothing down, and he drew a goose; unforgettably so."


@pytest.mark.parametrize("width", [40, 80])
@pytest.mark.parametrize("colour", [True, False])
def test_words_stay_whole_at_the_terminals_edge(monkeypatch, width, colour):
    out = io.StringIO()
    system = "standard" if colour else None
    console = Console(file=out, force_terminal=colour, color_system=system, no_color=not colour, width=width)
    monkeypatch.setattr(surprise, "stdout_console", lambda: console)
    surprise.show(score_of([(character.encode(), 1.5) for character in WORDS]))
    shown = [re.sub(r"\x1b\[[0-9;]*m", "", line) for line in out.getvalue().splitlines()]
    assert max(map(len, shown)) <= width
    assert set(WORDS.split()) <= set(" ".join(shown).split())
    if colour:  # nor is the legend cut inside one of its steps
        assert all(any(step in line for line in shown) for _, _, step in surprise._STEPS)


def test_a_word_longer_than_the_line_is_cut_and_keeps_its_digits():
    assert surprise._parts("ab " + "x" * 25 + " cd", 10) == ["ab ", "x" * 10, "x" * 10, "xxxxx cd"]
    assert surprise._parts("", 10) == [""]


def test_a_strange_character_is_one_of_the_text_not_of_a_prompt(cli):
    (cli.folder / "odd.txt").write_text("A boat, 漢.\n")
    told = cli("eval", "starter", "odd.txt")
    assert told.code == 2
    assert told.err.startswith("charlstm: text: character '漢'")
