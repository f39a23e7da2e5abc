"""``charlstm inspect``: every view in its forms, and one clear line for whatever cannot be looked into."""

from __future__ import annotations

import json
import os
import subprocess
import sys
from dataclasses import replace
from types import SimpleNamespace

import pytest
import torch

from charlstm.checkpoint.format import Checkpoint, read, write
from charlstm.checkpoint.provenance import Provenance
from charlstm.checkpoint.writing import Writing
from charlstm.config import DataConfig, RunConfig
from charlstm.engine.network import Engine
from charlstm.nn.model import CharLM
from charlstm.sampling.fan import fan
from charlstm.sampling.position import prefill
from charlstm.tokenizers import CharTokenizer
from tests.command_line import Cli
from tests.networks import architecture

TEXT = "The ferryman wrote nothing down. He drew a boat,\nand a goose; 12 of them.\n" * 8
VIEWS = ("step", "gates", "surprise", "fan", "embeddings", "memory", "units", "attention", "votes")
QUICK = ("step", "gates", "surprise", "fan")
SHAPES = {"attention": {"attention_window": 6}, "votes": {"ensemble": 2}}


def make_checkpoint(path, *, text, **shape):
    """Write a network with random weights that knows the characters of a text."""
    tokenizer = CharTokenizer("".join(sorted(set(text))))
    torch.manual_seed(1)
    settings = {"vocab_size": tokenizer.vocab_size, "hidden_size": 8, "embedding_size": 6, "num_layers": 1, **shape}
    model = CharLM(architecture(**settings))
    windows = {"windows": "shuffled"} if shape.get("bidirectional") else {}
    data = DataConfig(sources=("gone.txt",), seq_len=32, **windows)
    run = RunConfig(name=path.stem, model=model.architecture, data=data)
    write(path, Checkpoint("model", model.to_tensors(), run, tokenizer.to_state(), Provenance()))


@pytest.fixture
def cli(tmp_path, monkeypatch, capsys):
    (tmp_path / "text.txt").write_text(TEXT)
    for view in VIEWS:
        make_checkpoint(tmp_path / f"{view}.safetensors", text=TEXT, **SHAPES.get(view, {}))
    monkeypatch.setenv("NO_COLOR", "1")
    return Cli(tmp_path, monkeypatch, capsys)


@pytest.mark.parametrize("view", VIEWS)
def test_every_view_has_its_four_forms(cli, view):
    model = f"{view}.safetensors"
    files = ("--html", "page.html", "--png", "page.png")
    shown = cli("inspect", view, model, "--file", "text.txt", *files)
    assert shown.code == 0, shown.err
    assert "\x1b" not in shown.out
    assert (cli.folder / "page.html").read_text("utf-8").startswith("<!doctype html>")
    assert (cli.folder / "page.png").read_bytes().startswith(b"\x89PNG")
    assert "written: page.html" in shown.err
    data = cli("inspect", view, model, "--file", "text.txt", "--json")
    assert json.loads(data.out)["model"] == view


@pytest.mark.parametrize("view", QUICK)
def test_a_text_may_be_typed(cli, view):
    data = json.loads(cli("inspect", view, f"{view}.safetensors", "a boat", "--json").out)
    key, missing = {"step": ("steps", 0), "gates": ("text", 0), "surprise": ("tokens", 1), "fan": ("text", 0)}[view]
    assert len(data[key]) + missing == 6


@pytest.mark.parametrize(
    ("arguments", "code", "message"),
    [
        (("step", "step.safetensors", "a ☃ boat"), 2, "☃"),
        (("step", "step.safetensors", ""), 2, "the text is empty"),
        (("surprise", "surprise.safetensors", "a"), 2, "needs 2"),
        (("step", "step.safetensors", "a boat", "--at", "6"), 2, "no character 6"),
        (("step", "step.safetensors", "a boat", "--layer", "9"), 2, "no layer 9"),
        (("step", "step.safetensors", "a boat", "--unit", "999"), 2, "no unit 999"),
        (("gates", "gates.safetensors", "--file", "none.txt"), 4, "no such text file"),
        (("gates", "gates.safetensors", "a boat", "--file", "text.txt"), 2, "exclude each other"),
        (("gates", "gates.safetensors", "a boat", "--html", "none/x.html"), 2, "its folder does not exist"),
        (("gates", "gates.safetensors", "a boat", "--html", "x", "--png", "x"), 2, "files of their own"),
        (("gates", "no-such-run", "a boat"), 4, "no-such-run"),
        (("gates", "gates.safetensors"), 2, "is not here any more"),
        (("votes", "gates.safetensors", "a boat"), 2, "only an ensemble"),
        (("attention", "gates.safetensors", "a boat"), 2, "has no attention"),
        (("units", "units.safetensors", "a boat"), 2, "needs 400"),
        (("units", "units.safetensors", "--file", "text.txt", "--label", "("), 2, "no regular expression"),
        (("memory", "memory.safetensors", "a boat"), 2, "needs 20"),
        (("fan", "fan.safetensors", "a boat", "--least", "0"), 2, "--least 0 must be above 0"),
        (("fan", "fan.safetensors", "a boat", "--least", "nan"), 2, "--least nan must be above 0"),
        (("fan", "fan.safetensors", "a boat", "--depth", "0"), 2, "--depth"),
        (("gates", "gates.safetensors", "a boat", "--file", "text.txt"), 2, "a typed text and --file exclude"),
        (("gates", "gates.safetensors", "a boat", "--html", "-"), 2, "is standard output"),
        (("gates", "gates.safetensors", "a boat", "--png", "-"), 2, "is standard output"),
        (("gates", "gates.safetensors", "a boat", "--html", "text.txt/x.html"), 2, "part of its path is a file"),
        (("gates", "gates.safetensors", "a boat", "--html", "no such/x.html"), 2, "mkdir -p 'no such'"),
        (("gates", "gates.safetensors", "a boat", "--html", 300 * "x"), 6, "the name is too long"),
        (("units", "units.safetensors", "--file", "text.txt", "--length", "10"), 2, "--length 10 must be 400 or more"),
        (("units", "units.safetensors", "--file", "text.txt", "--seed", "-1"), 2, "--seed -1 must be from 0"),
        (("memory", "memory.safetensors", "--file", "text.txt", "--seed", "-1"), 2, "--seed -1 must be from 0"),
    ],
)
def test_what_cannot_be_looked_into_gets_one_line(cli, arguments, code, message):
    shown = cli("inspect", *arguments)
    assert shown.code == code
    assert message in shown.err
    assert len(shown.err.strip().splitlines()) == 1
    assert shown.out == ""


def test_unknown_characters_can_be_left_out(cli):
    data = json.loads(cli("inspect", "step", "step.safetensors", "a ☃ boat", "--unknown", "skip", "--json").out)
    assert "".join(step["token"] for step in data["steps"]) == "a  boat"


def test_a_single_word_with_blanks_is_a_text_for_the_newest_run(cli):
    data = json.loads(cli("inspect", "step", "The tide was out.", "--json").out)
    assert data["model"] == "starter"
    assert len(data["steps"]) == 17


def test_without_a_text_a_run_reads_what_it_was_validated_on(cli):
    trained = cli("train", "text.txt", "--max-steps", "3", "--hidden-size", "8", "--init-from", "none", "-q",
                  "--num-layers", "1", "--ensemble", "1", "--name", "my run")  # fmt: skip
    assert trained.code == 0, trained.err
    data = json.loads(cli("inspect", "gates", "my run", "--json").out)
    assert "".join(data["text"]) in TEXT
    assert 20 < len(data["text"]) <= 160


def test_a_text_that_is_too_long_is_cut_and_that_is_said(cli):
    (cli.folder / "long.txt").write_text(TEXT * 4)
    shown = cli("inspect", "gates", "gates.safetensors", "--file", "long.txt", "--json")
    assert "the first 400 are shown" in shown.err
    assert len(json.loads(shown.out)["text"]) == 400


class _Endless:
    """A file without end, of which no more is to be read than is shown."""

    given = 0

    def read(self, size=-1):
        assert size > 0
        self.given += size
        assert self.given < 5_000_000
        return (TEXT * (1 + size // len(TEXT))).encode()[:size]


def test_no_more_of_a_file_is_read_than_may_be_shown(cli, monkeypatch):
    monkeypatch.setattr(sys, "stdin", SimpleNamespace(buffer=_Endless(), isatty=lambda: False))
    shown = cli("inspect", "gates", "gates.safetensors", "--file", "-", "--json")
    assert shown.code == 0, shown.err
    assert len(json.loads(shown.out)["text"]) == 400


def test_a_byte_that_is_not_utf_8_is_named_with_what_to_do(cli):
    (cli.folder / "latin.txt").write_bytes(b"The ferryman ate at a caf\xe9 and drew a boat.\n")
    (cli.folder / "utf8.txt").write_bytes(("é" * 9).encode() + b"\xff")
    shown = cli("inspect", "gates", "gates.safetensors", "--file", "latin.txt")
    assert shown.code == 2
    assert "byte 25 is 0xE9" in shown.err
    assert "reads well as cp1252: convert it to UTF-8" in shown.err
    assert "--encoding" not in shown.err
    assert "this place is damaged" in cli("inspect", "gates", "gates.safetensors", "--file", "utf8.txt").err


def test_nothing_of_a_text_or_a_name_commands_the_terminal_or_the_page(cli):
    hostile = "<script>\x1b[31m\u202e"
    make_checkpoint(cli.folder / "<b>\x1b[1m.safetensors", text=TEXT + hostile)
    for view in QUICK:
        shown = cli("inspect", view, "<b>\x1b[1m.safetensors", hostile, "--html", "page.html")
        assert shown.code == 0, shown.err
        page = (cli.folder / "page.html").read_text("utf-8")
        for text in (shown.out, shown.err, page):
            assert not set(text) & set("\x1b\u202e")
        assert "<script" not in page
        assert "<b>\u241b" not in page


def test_a_network_of_both_directions(cli):
    make_checkpoint(cli.folder / "both.safetensors", text=TEXT, bidirectional=True)
    assert cli("inspect", "gates", "both.safetensors", "a boat").code == 0
    memory = cli("inspect", "memory", "both.safetensors", "--file", "text.txt")
    assert memory.code != 0
    assert "reads both ways" in memory.err
    units = cli("inspect", "units", "both.safetensors", "--file", "text.txt", "--json")
    assert units.code == 0
    assert "no unit is held" in units.err
    assert all(unit["bits_lost"] is None for unit in json.loads(units.out)["units"])


def test_a_page_goes_through_a_link_and_never_replaces_a_pipe(cli):
    (cli.folder / "link.html").symlink_to("page.html")
    assert cli("inspect", "gates", "gates.safetensors", "a boat", "--html", "link.html").code == 0
    assert (cli.folder / "link.html").is_symlink()
    assert (cli.folder / "page.html").read_bytes().startswith(b"<!doctype")
    os.mkfifo(cli.folder / "pipe")
    shown = cli("inspect", "gates", "gates.safetensors", "a boat", "--html", "pipe")
    assert shown.code == 6
    assert "is no file" in shown.err
    assert (cli.folder / "pipe").is_fifo()


def test_a_fan_of_a_network_of_both_directions_is_refused(cli):
    make_checkpoint(cli.folder / "both.safetensors", text=TEXT, bidirectional=True)
    shown = cli("inspect", "fan", "both.safetensors", "a boat")
    assert shown.code == 3
    assert "has no next character" in shown.err


def test_a_fan_is_that_of_the_library_and_needs_no_torch(cli):
    engine = Engine.from_checkpoint(read(cli.folder / "fan.safetensors"))
    expected = fan(engine, prefill(engine, engine.tokenizer.encode("a boat")), depth=3, least=0.02)
    words = ["inspect", "fan", "fan.safetensors", "a boat", "--depth", "3", "--least", "0.02", "--json"]
    script = (
        f"import sys\nfrom charlstm.cli import app\nsys.argv = ['charlstm', *{words!r}]\n"
        "app._run()\nassert 'torch' not in sys.modules"
    )
    done = subprocess.run([sys.executable, "-c", script], cwd=cli.folder, capture_output=True, text=True, timeout=60)
    assert done.returncode == 0, done.stderr
    told = json.loads(done.stdout)["nodes"]
    assert [(each["parent"], each["id"]) for each in told] == [(node.parent, node.token) for node in expected]
    assert [each["probability"] for each in told] == pytest.approx([node.probability for node in expected], rel=1e-4)


def test_a_list_s_network_begins_a_fan_after_the_end_of_a_record(cli):
    path = cli.folder / "fan.safetensors"
    alone = json.loads(cli("inspect", "fan", "fan.safetensors", "a boat", "--json").out)["nodes"]
    write(path, replace(read(path), writing=Writing(record="\n")))
    as_list = json.loads(cli("inspect", "fan", "fan.safetensors", "a boat", "--json").out)["nodes"]
    write(path, replace(read(path), writing=Writing()))
    (cli.folder / "after.txt").write_text("\na boat")
    after_end = json.loads(cli("inspect", "fan", "fan.safetensors", "--file", "after.txt", "--json").out)["nodes"]
    assert as_list == after_end != alone
