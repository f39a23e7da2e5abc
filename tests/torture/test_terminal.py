"""Whatever a text, a name or a setting holds, a terminal obeys none of it: our own colours and movements alone."""

from __future__ import annotations

import os
import random
import re
import sys
import unicodedata
from collections.abc import Iterator
from dataclasses import replace
from pathlib import Path

import pytest

from charlstm.checkpoint.format import write
from charlstm.checkpoint.provenance import CorpusProvenance
from charlstm.cli import app
from charlstm.cli.views.stream import Output
from charlstm.tokenizers import CharTokenizer
from tests.fake_checkpoints import make_checkpoint
from tests.torture.printers import PRINTERS, as_typed, terminal

OURS = re.compile(r"\x1b\[(?:[0-9;]*m|[0-9]*A|K|J)")
"""Styles; and of what is redrawn the way up and erasures."""
EMBEDDINGS = ("LRE", "RLE", "LRO", "RLO", "PDF", "LRI", "RLI", "FSI", "PDI")
MARKS = ("LEFT-TO-RIGHT MARK", "RIGHT-TO-LEFT MARK", "ARABIC LETTER MARK")
CHUNK = 4096
REDRAWN = ("opening", "training live", "message above a region", "bar of a lab")
FAST = ("a message", "drawn text", "error", "training in lines", "training as JSON", "files of runs", "facts")
"""What prints a million characters in seconds."""


def is_harmful(character: str) -> bool:
    """Whether a terminal might obey a character: as Unicode's tables have it, not ours."""
    if unicodedata.category(character) in ("Cc", "Cs", "Zl", "Zp"):
        return character not in "\n\t"
    return unicodedata.bidirectional(character) in EMBEDDINGS or unicodedata.name(character, "") in MARKS


CHARACTERS = sorted(map(chr, range(sys.maxunicode + 1)), key=lambda character: not is_harmful(character))
"""All that there are, the harmful ones first."""
HARMFUL = frozenset(filter(is_harmful, CHARACTERS))


def obeyed(shown: str, *, redrawn: bool = False) -> set[str]:
    """What a terminal would obey of what was written to it."""
    return HARMFUL.intersection(OURS.sub("", shown)) - ({"\r"} if redrawn else set())


def test_what_is_harmful() -> None:
    assert len(HARMFUL) == 63 + 2048 + 2 + 12, "controls, surrogates, separators, bidirectional controls"
    assert obeyed("\x1b[1mbold\x1b[0m, \x1b[2A\x1b[K\n\t") == set()
    for text in ("\x1b[2J", "\x1b]0;title\a", "\x1bc", "\x9b31m", "\x07", "\x7f", "\r", "\u202e", "\ud800", "\u2028"):
        assert obeyed(text), text


@pytest.mark.slow
@pytest.mark.rounds(1, full=len(CHARACTERS) // CHUNK)
@pytest.mark.timeout(7200)
@pytest.mark.parametrize("name", PRINTERS)
def test_every_character(monkeypatch, rounds, name):
    chunks = len(CHARACTERS) // CHUNK if name in FAST else rounds
    for number in range(chunks):
        chunk = "".join(CHARACTERS[number * CHUNK : (number + 1) * CHUNK])
        with terminal(monkeypatch) as shown:
            PRINTERS[name](chunk)
        assert shown.getvalue()
        assert obeyed(shown.getvalue(), redrawn=name in REDRAWN) == set(), chunk[0]


@pytest.mark.parametrize("name", PRINTERS)
def test_nothing_else_is_lost(monkeypatch, name):
    """The letters of a chunk arrive, by which it is known that a printer prints all of what it is given."""
    chunk = "".join(map(chr, range(0x3C0)))
    with terminal(monkeypatch) as shown:
        PRINTERS[name](chunk)
    text = re.sub(r"\\u([0-9a-f]{4})", lambda match: chr(int(match[1], 16)), shown.getvalue())
    assert set(filter(str.isalnum, chunk[: 50 if name == "page: points" else None])) <= set(text)


def test_a_log_obeys_nothing_and_a_pipe_gets_what_the_network_writes(capsys):
    for stream in (sys.stderr, sys.stdout):
        output = Output(stream)
        output.write("a\x1b[2J\u202e\n")
        output.flush()
    out, err = capsys.readouterr()
    assert out == "a\x1b[2J\u202e\n"
    assert err == "a␛[2J<U+202E>\n"


# ---- whole commands ----------------------------------------------------------------------------------------------


SEQUENCES = (
    *("\x1b[2J", "\x1b]0;t\a", "\x1bP1$r\x1b\\", "\x9b5n", "\x1b[6n"),
    *("\r\n", "\x7f\b", "\u202e\u2066", "\u2028\x85"),
)
PLAIN = "\n abcdefgh_{}/"


def hostile(chance: random.Random, length: int) -> str:
    """A text of letters, sequences that a terminal obeys, harmful characters and any others."""
    ways = (
        lambda: chance.choice("abcdefgh "),
        lambda: chance.choice(SEQUENCES),
        lambda: CHARACTERS[chance.randrange(len(HARMFUL))],
        lambda: CHARACTERS[chance.randrange(len(CHARACTERS))],
    )
    return "".join(chance.choice(ways)() for _ in range(length))


def as_word(text: str) -> str:
    """What of a text a word of a command line can hold."""
    return as_typed(text).replace("\0", "")


def as_name(text: str) -> str:
    """What of a text a name of a file can hold."""
    return "x" + os.fsdecode(os.fsencode(as_word(text).replace("/", ""))[:80])


def as_written(text: str) -> bytes:
    return text.encode(errors="replace")


class Place:
    """A folder with a network that knows a hostile text, and says of itself what is as hostile."""

    def __init__(self, folder: Path, chance: random.Random) -> None:
        self.folder, self.text = folder, hostile(chance, 400)
        self.name = as_name(hostile(chance, 20))
        self.file = as_name(hostile(chance, 20)) + ".txt"
        self.option = as_word(hostile(chance, 30)) + "\udc9b"
        folder.mkdir()
        folder.joinpath(self.file).write_bytes(as_written(self.text) * 20)
        self.known = as_word(as_written(self.text).decode())
        alphabet = sorted({*self.known, *PLAIN})
        for name in (self.name, "other"):
            path = folder / "checkpoints" / name / "model.safetensors"
            saved = make_checkpoint(path, CharTokenizer(alphabet), hidden=8, layers=1)
            words = ("command", "created", "init_from", "weights", "search", "note", "charlstm", "torch")
            about = saved.provenance.replace(**dict.fromkeys(words, self.text), val_loss=1.5)
            about = about.replace(corpus=CorpusProvenance(name=self.text, sha256=self.text))
            write(path, replace(saved, provenance=about))

    def commands(self) -> Iterator[list[str]]:
        """Command lines of all commands, with something hostile in each."""
        run, text, file, option = self.name, self.known, self.file, self.option
        short = ("--length", "40", "--seed", "1")
        yield ["sample", run, *short, "--prompt", text[:50], "--unfiltered"]
        yield ["sample", run, *short, "--json", "-n", "2"]
        yield ["sample", run, *short, "-n", "3", "--stop", text[:3], "--stop-after", text[3:6]]
        yield ["sample", run, *short, "--ways", "2"]
        yield ["sample", run, *short, "--sweep", "temperature=0.5,1"]
        yield ["sample", run, *short, "--unknown", "skip", "--prompt", option]
        yield ["sample", run, *short, "--match", "[abc]+"]
        for name in ("--prompt", "--stop", "--match", "--starts", "--sweep", "--unknown", "--root", "--prompt-file"):
            yield ["sample", run, *short, f"{name}={option}"]
        yield ["sample", run, option]
        yield ["sample", f"--{option}"]
        yield ["sample", option]
        yield [option]
        yield ["fill", run, f"_{text[:20]}_"]
        yield ["fill", run, f"_{text[:20]}_", "-n", "3"]
        yield ["fill", run, f"_{text[:20]}_", "--json"]
        yield ["fill", run, option + "_"]
        for more in ((), ("--json",), ("--surprise",), ("--surprise", "--json")):
            yield ["eval", run, file, "--unknown", "skip", *more]
        yield ["eval", option, file]
        yield ["eval", run, option]
        for words in (
            ["list"],
            ["show", run],
            ["compare", run, "other"],
            ["verify"],
            ["prune", "--keep", "1", "--dry-run"],
        ):
            yield ["checkpoints", *words]
            yield ["checkpoints", *words, f"--root={option}"]
        for words in (["list"], ["show", run], ["compare", run, "other"], ["verify"]):
            yield ["checkpoints", *words, "--json"]
        yield ["checkpoints", "copy", run, "copied", "--note", option]
        yield ["checkpoints", "rm", option]
        for words in (
            ["list"],
            ["stats", file],
            ["check", file],
            ["show", option],
            ["fetch", option],
            ["stats", option],
        ):
            yield ["corpora", *words]
        yield ["corpora", "check", file, "--json"]
        yield ["corpora", "check", file, f"--encoding={option}"]
        yield ["corpora", "clean", "--dry-run"]
        yield ["train", file, "--dry-run", "--device", "cpu", "--init-from", "none"]
        yield [*TRAIN, file, "--name", as_name(option)]
        yield [*TRAIN, file, "--json"]
        yield [*TRAIN, file, "--quiet"]
        for name in ("--name", "--init-from", "--config", "--preset", "--device", "--lr"):
            yield [*TRAIN, file, f"{name}={option}"]
        yield ["train", "--resume", option]
        for view in ("surprise", "fan", "step", "gates", "embeddings"):
            yield ["inspect", view, run, *([text[:40]] if view != "embeddings" else [])]
        yield ["inspect", "gates", run, text[:40], "--json"]
        yield ["inspect", "gates", run, option]
        yield ["originality", run, "--length", "50"]
        yield ["report", run]
        yield ["export", "numpy", run, "-o", f"{as_name(option)}.py"]
        yield ["tune", file, f"--budget={option}"]
        yield ["lab", "gap", f"--cells={option}"]
        yield ["doctor", f"--root={option}"]
        yield ["serve", option]

    def lines(self) -> str:
        """What a person types into a session."""
        option = self.option
        typed = (self.known[:40], option, f"/{option}", f"/set {option}", f"/save {option}", "/save a\0b", "/alt 2")
        session = [line for each in typed for line in each.split("\n")]
        return "\n".join([*session, "/save there.txt", "/show", "/undo", "/quit", "/quit", ""])


TRAIN = [
    *("train", "--max-steps", "3", "--eval-every", "1", "--preview", "60"),
    *("--hidden-size", "8", "--embedding-size", "4"),
    *("--ngram-order", "0", "--match-orders", "0", "--batch-size", "4", "--seq-len", "16", "--streams", "8"),
    *("--device", "cpu", "--precision", "fp32", "--threads", "1", "--init-from", "none", "--ensemble", "1"),
]


@pytest.mark.slow
@pytest.mark.rounds(1, full=100)
@pytest.mark.timeout(7200)
@pytest.mark.skipif(os.name == "nt", reason="names of files as POSIX has them")
def test_random_text_through_whole_commands(tmp_path, monkeypatch, rounds):
    monkeypatch.setenv("CHARLSTM_CACHE", "cache")
    monkeypatch.delenv("CHARLSTM_CHECKPOINTS", raising=False)
    for number in range(rounds):
        place = Place(tmp_path / str(number), random.Random(number))
        monkeypatch.chdir(place.folder)
        for words in (*place.commands(), ["write", place.name, "--length", "20", "--seed", "1"]):
            with terminal(monkeypatch, place.lines() if words[0] == "write" else "") as shown:
                monkeypatch.setattr(sys, "argv", ["charlstm", *words])
                code = app._run()
            assert shown.getvalue(), words
            assert code in (0, 1, 2, 3, 4, 6, 7), words
            redrawn = words[0] in ("train", "eval", "lab")
            assert obeyed(shown.getvalue(), redrawn=redrawn) == set(), (words, shown.getvalue())
