"""``charlstm eval``: the library's numbers, beside the compressors', and the text by its surprisal."""

import bz2
import gzip
import io
import json
import lzma
import re
import subprocess
import sys
from dataclasses import replace

import numpy as np
import pytest
from rich.color import ColorSystem
from rich.console import Console
from rich.style import Style

import charlstm
from charlstm.checkpoint.format import write
from charlstm.cli.views import surprise
from charlstm.cli.views.blocks import style_of
from charlstm.config import DataConfig
from charlstm.evaluation.dynamic import DynamicConfig
from charlstm.evaluation.score import EncodedText, Score
from charlstm.nn.model import CharLM
from charlstm.report.scales import SURPRISE
from charlstm.tokenizers import CharTokenizer
from charlstm.tokenizers.byte import Utf8Decoder
from tests.command_line import Cli
from tests.fake_checkpoints import make_checkpoint

TEXT = "The ferryman wrote nothing down. He drew a boat,\nand a goose; 12 of them.\n" * 4


@pytest.fixture
def cli(tmp_path, monkeypatch, capsys):
    (tmp_path / "poem.txt").write_text(TEXT)
    return Cli(tmp_path, monkeypatch, capsys)


def test_the_figures_are_the_librarys_and_the_compressors_own(cli):
    values = json.loads(cli("eval", "starter", "poem.txt", "--json").out)
    assert (values["streams"], values["precision"]) == (1, "fp32")
    score = charlstm.load("starter").score(TEXT)
    assert values["bits_per_char"] == pytest.approx(score.bits_per_char)
    assert values["nats_per_token"] == pytest.approx(score.nats_per_token)
    assert values["characters"] == values["bytes"] == len(TEXT)
    packed = {
        "gzip -9": len(gzip.compress(TEXT.encode(), 9)),
        "bzip2 -9": len(bz2.compress(TEXT.encode(), 9)),
        "xz -9e": len(lzma.compress(TEXT.encode(), preset=9 | lzma.PRESET_EXTREME)),
    }
    assert values["compressors_bits_per_byte"] == pytest.approx({k: 8 * n / len(TEXT) for k, n in packed.items()})


def test_the_table_has_them_all(cli):
    shown = cli("eval", "starter", "poem.txt").out
    for label in ("bits per character", "bits per byte", "nats per token", "perplexity", "effective choices per token"):
        assert label in shown
    for compressor in ("gzip", "bzip2", "xz"):
        assert compressor in shown


def test_surprise_without_colour_is_digits_below_each_line(cli):
    shown = cli("eval", "starter", "poem.txt", "--surprise").out.splitlines()
    assert shown[0] == TEXT.splitlines()[0]
    assert len(shown[1]) == len(shown[0]) + 1, "a digit for each character and one for the newline"
    assert set(shown[1]) <= set(".123456789+")
    assert "\x1b" not in "".join(shown)
    legend = next(place for place, line in enumerate(shown) if line.startswith("surprisal in whole bits"))
    score = charlstm.load("starter").score(TEXT)
    bits = score.nats.sum(dtype=float) / np.log(2)
    total = f"{bits:,.0f} bits for {len(TEXT)} characters: {bits / len(TEXT):.2f} bits per character"
    assert shown[legend + 1 : legend + 4] == ["", total, "hardest places:"]
    places = [re.fullmatch(r" *([\d.]+) bits  line (\d+)  .*\[(.*)\].*", line) for line in shown[legend + 4 :]]
    hardest = int(score.nats.argmax())
    found = (f"{score.nats[hardest] / np.log(2):.1f}", str(1 + TEXT[:hardest].count("\n")), TEXT[hardest])
    assert places[0].groups() == found
    assert len(places) == 5
    assert sorted(places, key=lambda place: -float(place[1])) == places


def test_a_hard_place_is_shown_amid_its_line_and_hides_none_that_is_elsewhere(monkeypatch):
    out = io.StringIO()
    monkeypatch.setattr(surprise, "stdout_console", lambda: Console(file=out, no_color=True, width=44))
    text = "a" * 40 + "Q" + "b" * 9 + "R" + "c" * 40 + "\n天地S地天\n\x1b\n"
    bits = {"Q": 12.0, "R": 11.0, "S": 10.0, "\x1b": 9.0}
    surprise.show(score_of([(character.encode(), bits.get(character, 1.1)) for character in text]))
    *_, first, second, third = out.getvalue().splitlines()
    assert first == " 12.0 bits  line 1  aaaaaaaaaa[Q]bbbbbbbbbR"
    assert second == " 10.0 bits  line 2  ccccc⏎天地[S]地天⏎␛⏎", "a wide character takes two of the 43 columns"
    assert third.startswith("  1.1 bits"), "R is near Q, and the escape near S"


def test_every_shade_can_be_read_on_dark_and_on_white_with_256_colours_and_with_16():
    def luminance(colour):
        parts = [part / 255 for part in colour.get_truecolor()]
        linear = [part / 12.92 if part <= 0.04045 else ((part + 0.055) / 1.055) ** 2.4 for part in parts]
        return sum(weight * part for weight, part in zip((0.2126, 0.7152, 0.0722), linear, strict=True))

    styles = [Style.parse(style_of(shade)) for shade in SURPRISE.shades]
    assert not styles[0], "what is expected has the terminal's own colours"
    for system in (ColorSystem.EIGHT_BIT, ColorSystem.STANDARD):
        shades = [(style.color.downgrade(system), style.bgcolor.downgrade(system)) for style in styles[1:]]
        for text, background in shades:
            dark, light = sorted(map(luminance, (text, background)))
            assert (light + 0.05) / (dark + 0.05) >= 4.5, "what WCAG 2 asks of text"
        assert len({background.number for _, background in shades}) == len(shades)


class Pieces:
    """A tokenizer with a token for each of some byte strings."""

    kind = "unigram"

    def __init__(self, pieces):
        self.token_bytes = pieces.__getitem__

    def decoder(self):
        return Utf8Decoder(self)


def score_of(pieces):
    data = [piece for piece, _ in pieces]
    nats = np.array([bits * np.log(2) for _, bits in pieces], np.float32)
    text = EncodedText(np.arange(len(pieces)), len(pieces), sum(map(len, data)))
    return Score(nats, text, Pieces(data))


def test_digits_are_whole_bits_and_wide_characters_keep_their_column(monkeypatch):
    out = io.StringIO()
    monkeypatch.setattr(surprise, "stdout_console", lambda: Console(file=out, no_color=True, width=80))
    surprise.show(score_of([(b"a", 0.5), (b"\xe5\xa4\xa9", 3.2), (b"b", 12.0), (b"\n", 1.1)]))
    assert out.getvalue().splitlines()[:2] == ["a天b", ".33+1"]


def test_in_colour_the_text_is_whole_and_controls_are_not_obeyed(monkeypatch):
    Style._add.cache_clear()
    Style.parse.cache_clear()  # a style keeps the codes of the colours that it was first drawn in
    out = io.StringIO()
    console = Console(file=out, force_terminal=True, color_system="256", width=80)
    monkeypatch.setattr(surprise, "stdout_console", lambda: console)
    surprise.show(score_of([(b"a", 0.5), (b"\x1b", 9.0), (b"\xf0\x9f", 1.0), (b"\x8e\x89", 5.0), (b"\n", 1.0)]))
    shown = out.getvalue()
    assert "␛" in shown
    assert "🎉" in shown
    assert "8 bits or more" in shown
    assert "\x1b[38;5;16;48;5;221ma" not in shown
    assert "\x1b[38;5;231;48;5;125m␛" in shown, "each shade has its own text colour"


@pytest.mark.parametrize(
    ("args", "code", "message"),
    [
        (["nothing", "poem.txt"], 4, "nothing"),
        (["starter", "nowhere.txt"], 4, "nowhere.txt"),
        (["starter", "cafe.txt"], 2, "ě"),
        (["starter", "empty.txt"], 2, "empty"),
        (["starter", "poem.txt", "--unknown", "ignore"], 2, "skip"),
        (["starter", "foreign.txt", "--unknown", "skip"], 2, "no character of it is known"),
        (["starter", "poem.txt", "--device", "tpu"], 2, "no device 'tpu'"),
        ([], 2, "TEXT"),
        (["starter"], 2, "'starter' is a model, and the TEXT is missing"),
        (["latest", "poem.txt"], 4, "no trained runs yet"),
    ],
)
def test_mistakes(cli, args, code, message):
    (cli.folder / "cafe.txt").write_text("A cafě.")
    (cli.folder / "empty.txt").write_text("")
    (cli.folder / "foreign.txt").write_text("漢字")
    done = cli("eval", *args)
    assert done.code == code
    assert message in done.err
    assert len(done.err.strip().splitlines()) == 1


def test_dynamic_stands_beside_the_score_as_trained(cli):
    score, learning = (
        judge(TEXT) for judge in (charlstm.load("starter").score, charlstm.load("starter").score_dynamic)
    )
    values = json.loads(cli("eval", "starter", "poem.txt", "--dynamic", "--json").out)
    plain = json.loads(cli("eval", "starter", "poem.txt", "--json").out)
    assert {name: values[name] for name in plain} == plain
    assert values["bits_per_char"] == pytest.approx(score.bits_per_char)
    assert values["dynamic"]["bits_per_char"] == pytest.approx(learning.bits_per_char)
    assert values["dynamic"]["tokens"] == len(TEXT)
    assert {values["dynamic"][name] for name in ("segment", "lr", "decay")} == set(vars(DynamicConfig()).values())
    lines = cli("eval", "starter", "poem.txt", "--dynamic").out.splitlines()
    assert lines[0].split() == ["as", "trained", "dynamic"]
    [bits] = [line.split() for line in lines if line.startswith("bits per character")]
    assert bits[3:5] == [f"{each.bits_per_char:.4f}" for each in (score, learning)]
    assert all(len(line.rstrip()) <= 80 for line in lines)


def test_dynamic_settings_are_those_given_and_the_help_has_the_defaults(cli):
    given = ("--segment", "7", "--lr", "0.002", "--decay", "0.01")
    values = json.loads(cli("eval", "starter", "poem.txt", "--dynamic", "--json", "--surprise", *given).out)
    learning = charlstm.load("starter").score_dynamic(TEXT, segment=7, lr=0.002, decay=0.01)
    assert [nats for _, nats in values["dynamic"]["surprise"]] == pytest.approx(learning.nats.tolist(), rel=1e-4)
    assert "".join(piece for piece, _ in values["surprise"]) == TEXT
    difference = [abs(a[1] - b[1]) for a, b in zip(values["surprise"], values["dynamic"]["surprise"], strict=True)]
    assert max(difference[:7]) < 1e-4 < max(difference[7:14]), "the second segment is the first to have learned"
    shown = " ".join(cli("eval", "--help").out.split())
    for name, value in vars(DynamicConfig()).items():
        assert re.search(rf"--{name} <\w+> With --dynamic: [^\[]+\[default: {value}\]", shown), name


def test_dynamic_surprise_is_that_of_the_network_that_learns(cli):
    as_trained, learning = (
        cli("eval", "starter", "poem.txt", "--surprise", *more).out.splitlines()
        for more in ((), ("--dynamic", "--lr", "0.003"))
    )
    end = 2 * TEXT.count("\n")
    assert as_trained[:end:2] == learning[:end:2], "the text"
    assert as_trained[1:end:2] != learning[1:end:2], "the digits"


@pytest.mark.parametrize(
    ("args", "code", "message"),
    [
        (["starter", "--lr", "0.1"], 2, "--lr is for --dynamic. Add --dynamic."),
        (["starter", "--decay", "0"], 2, "--decay is for --dynamic"),
        (["starter", "--dynamic", "--segment", "0"], 2, "--segment 0 must be 1 or more"),
        (["starter", "--dynamic", "--decay", "2"], 2, "--decay 2 must be between"),
        (["starter", "--dynamic", "--lr", "1e38"], 7, "lower learning rate"),
        (["both.safetensors", "--dynamic"], 3, "both.safetensors: this network is bidirectional"),
    ],
)
def test_dynamic_mistakes(cli, args, code, message):
    saved = make_checkpoint(cli.folder / "one.safetensors")
    shape = saved.architecture.replace(bidirectional=True)
    run = saved.run.replace(model=shape, data=DataConfig(windows="shuffled"))
    write(cli.folder / "both.safetensors", replace(saved, run=run, tensors=CharLM(shape).to_tensors()))
    done = cli("eval", args[0], "poem.txt", *args[1:])
    assert done.code == code
    assert message in done.err
    assert not done.out
    assert len(done.err.strip().splitlines()) == 1


def test_unknown_characters_can_be_skipped_or_mapped(cli):
    (cli.folder / "cafe.txt").write_text("A cafě.")
    skipped = json.loads(cli("eval", "starter", "cafe.txt", "--unknown", "skip", "--json").out)
    mapped = json.loads(cli("eval", "starter", "cafe.txt", "--unknown", "map", "--json").out)
    assert (skipped["characters"], mapped["characters"]) == (6, 7)


LEGEND = ("under 1 bit", "1 to 2", "2 to 4", "4 to 6", "6 to 8", "8 bits or more")
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
    if colour:  # nor is a label of the legend cut
        assert all(any(label in line for line in shown) for label in LEGEND)


def test_a_word_longer_than_the_line_is_cut_and_keeps_its_digits(monkeypatch):
    out = io.StringIO()
    monkeypatch.setattr(surprise, "stdout_console", lambda: Console(file=out, no_color=True, width=11))
    surprise.show(score_of([(character.encode(), k % 9 + 1.5) for k, character in enumerate("ab " + "x" * 25 + " cd")]))
    lines = out.getvalue().splitlines()[:8]  # then the legend
    assert lines[::2] == ["ab ", "x" * 10, "x" * 10, "xxxxx cd"]
    assert list(map(len, lines[1::2])) == list(map(len, lines[::2]))
    assert "".join(lines[1::2]) == "".join(str(k % 9 + 1) for k in range(31))


def test_a_strange_character_is_one_of_the_text_not_of_a_prompt(cli):
    (cli.folder / "odd.txt").write_text("A boat, 漢.\n")
    done = cli("eval", "starter", "odd.txt")
    assert done.code == 2
    assert done.err.startswith("charlstm: text: character '漢' (U+6F22) at position 8 ")


# ---- which word is the model --------------------------------------------------------------------------------------


def test_a_text_alone_is_scored_by_the_newest_run_or_the_starter(cli):
    assert json.loads(cli("eval", "poem.txt", "--json").out)["checkpoint"].endswith("starter/model.safetensors")
    make_checkpoint(cli.folder / "checkpoints" / "mine" / "model.safetensors", CharTokenizer(sorted(set(TEXT))))
    mine = {"checkpoint": "checkpoints/mine/model.safetensors"}
    for words in (["poem.txt"], ["mine", "poem.txt"], ["latest", "poem.txt"], ["checkpoints/mine", "poem.txt"]):
        assert json.loads(cli("eval", *words, "--json").out).items() >= mine.items(), words
    done = cli("eval", "poem.txt")
    assert "checkpoints/mine: in order, in fp32, on " in done.err
    assert "(exact)" in done.err


def test_several_texts_are_one_with_or_without_a_model(cli):
    (cli.folder / "more.txt").write_text("One boat more.\n")
    named = json.loads(cli("eval", "starter", "poem.txt", "more.txt", "--json").out)
    unnamed = json.loads(cli("eval", "poem.txt", "more.txt", "--json").out)
    assert named == unnamed
    assert named["characters"] == len(TEXT) + 15


def test_a_word_that_is_a_run_and_a_file_is_explained(cli):
    make_checkpoint(cli.folder / "checkpoints" / "poem.txt" / "model.safetensors", CharTokenizer(sorted(set(TEXT))))
    done = cli("eval", "poem.txt")
    assert done.code == 2
    assert "'poem.txt' is a model and also a text. For the text: charlstm eval latest poem.txt" in done.err
    assert cli("eval", "latest", "poem.txt").code == 0


def test_a_mistyped_run_is_not_taken_for_a_text(cli):
    make_checkpoint(cli.folder / "checkpoints" / "my-run" / "model.safetensors")
    done = cli("eval", "my-rum", "poem.txt")
    assert done.code == 4
    assert "Did you mean my-run?" in done.err


def test_a_damaged_model_is_not_taken_for_a_text(cli):
    (cli.folder / "broken.safetensors").write_bytes(b"\x08\0\0\0\0\0\0\0{ broken")
    done = cli("eval", "broken.safetensors", "poem.txt")
    assert done.code == 3
    assert done.err.startswith("charlstm: broken.safetensors: ")


# ---- JSON ---------------------------------------------------------------------------------------------------------

HOSTILE = "a\x85b\u202ec\u2066d\x1b[31m\u2028\n"


def test_json_has_no_character_that_a_terminal_obeys(cli):
    (cli.folder / "hostile.txt").write_text(HOSTILE, "utf-8")
    make_checkpoint(cli.folder / "mine.safetensors", CharTokenizer(sorted(set(HOSTILE))))
    out = cli("eval", "mine.safetensors", "hostile.txt", "--json", "--surprise").out
    assert out.isascii()
    assert out[:-1].isprintable()
    assert "".join(piece for piece, _ in json.loads(out)["surprise"]) == HOSTILE


def test_json_has_null_for_a_perplexity_too_large_for_a_number(cli):
    saved = make_checkpoint(cli.folder / "one.safetensors", CharTokenizer(sorted(set(TEXT))))
    tensors = {**saved.tensors, "head.weight": np.sign(saved.tensors["head.weight"]) * np.float32(1e30)}
    write(cli.folder / "one.safetensors", replace(saved, tensors=tensors))
    values = json.loads(cli("eval", "one.safetensors", "poem.txt", "--json").out, parse_constant=pytest.fail)
    assert values["nats_per_token"] > 1e28
    assert values["perplexity"] is None


# ---- long texts ---------------------------------------------------------------------------------------------------


def test_a_long_text_is_read_in_parallel_and_exactly_when_asked_for(cli):
    make_checkpoint(cli.folder / "mine.safetensors", CharTokenizer(sorted(set(TEXT))))
    (cli.folder / "long.txt").write_text(TEXT * 250)
    parallel = cli("eval", "mine.safetensors", "long.txt")
    exact = cli("eval", "mine.safetensors", "long.txt", "--exact")
    assert "mine.safetensors: in 32 parallel streams, in " in parallel.err
    assert "--exact reads it in order" in parallel.err
    assert "in order, in fp32" in exact.err
    nats = [float(re.search(r"nats per token +([\d.]+)", done.out)[1]) for done in (parallel, exact)]
    assert nats[0] == pytest.approx(nats[1], abs=1e-3)


PEAK = """
import sys
from charlstm.cli import app, compressors
compressors.bits_per_byte = lambda chunks: {"none": sum(map(len, chunks))}  # xz alone grows to 700 MB, then no further
sys.argv = ["charlstm", "eval", "mine.safetensors", sys.argv[1], "--json"]
assert app._run() == 0
print(next(int(line.split()[1]) * 1024 for line in open("/proc/self/status") if line.startswith("VmHWM")))
"""


@pytest.mark.slow
@pytest.mark.skipif(sys.platform != "linux", reason="the peak is read from /proc")
def test_memory_does_not_grow_with_the_text(cli):
    alphabet = CharTokenizer(sorted(set(TEXT)))
    make_checkpoint(cli.folder / "mine.safetensors", alphabet, hidden=4, layers=1)

    def peak(size):
        (cli.folder / "text.txt").write_text((TEXT * (1 + size // len(TEXT)))[:size])
        done = subprocess.run([sys.executable, "-c", PEAK, "text.txt"], capture_output=True, text=True, timeout=110)
        assert done.returncode == 0, done.stderr
        figures, bytes_used = done.stdout.splitlines()
        assert json.loads(figures)["characters"] == size
        return int(bytes_used)

    # 4 MB of ids in a file, mapped: as str, bytes objects and losses it was a hundred times that.
    assert peak(5_000_000) - peak(1_000_000) < 12_000_000


def test_what_int8_costs(cli):
    pytest.importorskip("numkong")
    exact, near = (json.loads(cli("eval", "starter", "poem.txt", "--json", *more).out) for more in ((), ("--int8",)))
    assert near["precision"] == "int8"
    assert near["tokens"] == exact["tokens"]
    assert 0 < abs(near["bits_per_char"] - exact["bits_per_char"]) < 0.02
    told = cli("eval", "starter", "poem.txt", "--int8").err
    assert "in order, in int8" in told
    assert "exact" not in told
    for other in ("--dynamic", "--exact"):
        assert f"--int8 and {other} exclude each other" in cli("eval", "starter", "poem.txt", "--int8", other).err
