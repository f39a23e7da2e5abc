"""Writing together: nothing of the past is computed again, and the session in a pipe and on a terminal."""

from __future__ import annotations

import io
import os
import select
import signal
import subprocess
import sys
import time
from collections.abc import Callable
from dataclasses import replace
from pathlib import Path
from typing import Any, NamedTuple

import numpy as np
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from charlstm.engine import Engine
from charlstm.errors import UnknownCharacter
from charlstm.sampling.cowriter import CoWriter, line, words
from charlstm.sampling.position import read
from charlstm.sampling.sampler import SampleConfig
from charlstm.tokenizers import ByteTokenizer, CharTokenizer
from tests.fake_checkpoints import make_checkpoint
from tests.fake_models import Markov, cycle, random_markov

ALPHABET = "ab c\nd"
CONFIG = SampleConfig(length=6, temperature=1.0, seed=1)


def writer(config: SampleConfig = CONFIG) -> tuple[CoWriter, Markov]:
    model = random_markov(ALPHABET)
    return CoWriter(model, config), model


def draw(co: CoWriter, rule: Any = None) -> str:
    return "".join(co.go_on(rule))


def reads(model: Markov) -> list[int]:
    """How many tokens each step read, since the last time this was asked."""
    sizes = [len(step) for step in model.steps]
    model.steps.clear()
    return sizes


# ---- the text ---------------------------------------------------------------------------------------------------


def test_a_piece_ends_with_a_word() -> None:
    co = CoWriter(cycle("abcdefgh ij"), replace(CONFIG, temperature=0))
    co.add("a")
    assert draw(co) == "bcdefgh "
    assert draw(co) == "ijabcdefgh "
    assert co.text == "abcdefgh ijabcdefgh "


def test_a_word_without_end_is_cut() -> None:
    co = CoWriter(cycle("abc"), replace(CONFIG, temperature=0))
    assert len(draw(co)) == 46
    assert len(draw(co, line)) == 1000


def test_a_line_goes_to_its_end() -> None:
    co = CoWriter(cycle("abcdef\n"), replace(CONFIG, temperature=0))
    co.add("abc")
    assert draw(co, line) == "def\n"


def test_nothing_is_read_twice() -> None:
    co, model = writer()
    co.add("ab cd")
    assert reads(model) == [1] * 5
    first = draw(co)
    assert reads(model) == [1] * len(first)
    choices = co.offer(3)
    assert reads(model) == [3] * max(len(piece.ids) for piece in choices)
    co.choose(1)
    co.undo()
    co.undo()
    co.redo()
    assert reads(model) == []
    co.add("a")
    assert reads(model) == [1]
    again = draw(co)
    assert reads(model) == [1] * len(again)


def test_what_was_read_is_the_text_and_no_more() -> None:
    co, _ = writer()
    co.add("ab ")
    draw(co)
    co.offer(4)
    co.choose(2)
    co.undo()
    co.offer(2)
    co.choose(0)
    state = co._pieces[-1].after.state
    assert co._model.tokenizer.decode(state[0]) == co.text


def test_a_beginning_from_nothing_is_read_behind_an_unseen_newline_once() -> None:
    co, model = writer()
    draw(co)
    assert model.steps[0] == [model.tokenizer.encode("\n")[0]]
    co.undo()
    reads(model)
    drawn = draw(co)
    assert reads(model) == [1] * len(drawn)
    assert co.text == drawn


def test_it_goes_on_as_sample_does() -> None:
    co, model = writer()
    co.add("ab")
    co.add(" c")
    one = read(model, model.tokenizer.encode("ab c"))
    assert np.array_equal(co._pieces[-1].after.logits, one.logits)


def test_undo_and_redo_go_all_the_way() -> None:
    co, _ = writer()
    texts = [co.text]
    for _ in range(4):
        draw(co)
        texts.append(co.text)
    for text in reversed(texts[:-1]):
        assert co.undo() is not None
        assert co.text == text
    assert co.undo() is None
    for text in texts[1:]:
        assert co.redo() is not None
        assert co.text == text
    assert co.redo() is None
    co.undo()
    co.add("a")
    assert co.redo() is None


def test_what_is_drawn_again_is_new_and_the_whole_session_repeats() -> None:
    def session() -> list[str]:
        co, _ = writer()
        texts = []
        for _ in range(4):
            texts.append(draw(co))
            co.undo()
        return texts

    assert session() == session()
    assert len(set(session())) == 4


def test_alternatives_change_nothing_until_one_is_chosen() -> None:
    co, _ = writer()
    co.add("ab")
    choices = co.offer(4)
    assert co.text == "ab"
    assert len({piece.text for piece in choices}) > 1
    chosen = co.choose(3)
    assert co.text == "ab" + chosen.text
    assert co.choices == []
    with pytest.raises(IndexError):
        co.choose(0)


def test_alternatives_are_forgotten_when_something_else_is_done() -> None:
    for act in (lambda co: co.add("a"), lambda co: co.undo(), draw):
        co, _ = writer()
        co.add("ab")
        co.offer(2)
        act(co)
        assert co.choices == []


def test_whoever_stops_asking_keeps_what_came() -> None:
    co, model = writer(replace(CONFIG, length=100))
    fragments = co.go_on()
    came = [next(fragments) for _ in range(5)]
    fragments.close()
    assert co.text == "".join(came)
    assert len(model.steps) == 1 + 5
    assert co._pieces[-1].after.state[0][1:] == tuple(model.tokenizer.encode(co.text))


def test_alternatives_end_where_they_are_stopped() -> None:
    co, model = writer(replace(CONFIG, length=100))
    asked = iter([False] * 5 + [True])
    pieces = co.offer(2, stop=lambda: next(asked))
    assert [len(piece.text) for piece in pieces] == [3, 3]
    co.choose(1)
    assert co.text == pieces[1].text
    assert co._pieces[-1].after.state[0][1:] == tuple(model.tokenizer.encode(co.text))


def test_a_character_nobody_knows_adds_nothing() -> None:
    co, _ = writer()
    with pytest.raises(UnknownCharacter):
        co.add("abé")
    assert co.text == ""
    assert co.add("áb", "map") != []
    assert co.text == "ab"


def test_settings_count_from_the_next_piece_on() -> None:
    co, model = writer()
    co.config = replace(co.config, temperature=0.0)
    co.add("a")
    drawn = draw(co)
    greedy = [int(row.argmax()) for row in model.table]
    for before, after in zip("a" + drawn, drawn, strict=False):
        assert model.tokenizer.encode(after)[0] == greedy[model.tokenizer.encode(before)[0]]


def test_the_repetition_penalty_sees_all_pieces() -> None:
    co, _ = writer()
    for _ in range(40):
        co.add("ab ")
    ids = co._model.tokenizer.encode(co.text).tolist()
    assert co._recent() == ids[-64:]


@given(seed=st.integers(0, 500))
@settings(max_examples=30)
def test_pieces_are_whole_characters(seed: int) -> None:
    # Leading bytes and their followers, mostly: characters of two, three and four bytes.
    lead, follow = [0xC3, 0xE4, 0xF0], [0x90, 0xA0, 0xB8]
    table = np.full((256, 256), -30.0)
    table[:, [32, 97, *lead]] = 0
    for byte in lead + follow:
        table[byte, follow] = 5
    co = CoWriter(Markov(table, ByteTokenizer()), SampleConfig(length=3, temperature=1.0, seed=seed))
    for _ in range(3):
        draw(co)
        for piece in co.offer(3):
            assert piece.text == bytes(piece.ids).decode("utf-8", "replace")
    assert co.text == b"".join(bytes(piece.ids) for piece in co._pieces).decode("utf-8", "replace")


def test_rules_name_their_ends() -> None:
    assert [words(3)(text, len(text)) for text in ("ab ", "abc", "ab", "a b,")] == [True, False, False, True]
    assert [line(text, len(text)) for text in ("ab", "ab\n")] == [False, True]


# ---- the session ------------------------------------------------------------------------------------------------


class Ran(NamedTuple):
    code: int
    out: str
    err: str


@pytest.fixture
def root(tmp_path: Path) -> Path:
    make_checkpoint(tmp_path / "runs" / "plain-1" / "model.safetensors", favour={1: 2.0})
    return tmp_path / "runs"


@pytest.fixture
def write(
    root: Path, tmp_path: Path, monkeypatch: pytest.MonkeyPatch, capsysbinary: pytest.CaptureFixture[bytes]
) -> Callable[..., Ran]:
    """Runs ``charlstm write`` in this process, with lines from a pipe."""

    def call(*lines: str, options: tuple[str, ...] = ()) -> Ran:
        from charlstm.cli.app import main

        monkeypatch.chdir(tmp_path)
        monkeypatch.setattr(sys, "argv", ["charlstm", "write", "--seed", "1", "--length", "12", *options])
        typed = "".join(f"{line}\n" for line in lines).encode(errors="surrogateescape")
        stdin = io.TextIOWrapper(io.BytesIO(typed), "utf-8")
        monkeypatch.setattr(sys, "stdin", stdin)
        monkeypatch.setenv("CHARLSTM_CHECKPOINTS", str(root))
        with pytest.raises(SystemExit) as left:
            main()
        out, err = capsysbinary.readouterr()
        return Ran(int(left.value.code or 0), out.decode(), err.decode())

    return call


def test_stdout_gets_the_finished_text_and_nothing_else(write: Any) -> None:
    ran = write("Once upon", "", "/undo", " a time", "/nl Then", "/nl")
    assert (ran.code, ran.out) == (0, "Once upon a time\nThen\n")


def test_typed_text_is_exact(write: Any, root: Path) -> None:
    make_checkpoint(root / "plain-1" / "model.safetensors", CharTokenizer("/ \nOnceoup42"))
    assert write(" Once ", "//", "  up", "42", "/nl  once", "/nl").out == " Once /  up42\n once\n"


def test_alternatives_are_numbered_and_one_is_chosen(write: Any) -> None:
    ran = write("Once", "/alt 3", "2")
    shown = [row.removeprefix("  2  ") for row in ran.err.splitlines() if row.startswith("  2  ")]
    assert ran.out.startswith("Once" + shown[0])


def test_a_number_is_text_when_there_is_nothing_to_choose(write: Any) -> None:
    ran = write("Once", "2")
    assert ran.code == 2
    assert "'2'" in ran.err  # this alphabet has no digits


def test_the_session_goes_on_as_its_pieces_say(write: Any, root: Path) -> None:
    from charlstm.checkpoint.format import read as read_checkpoint

    engine = Engine.from_checkpoint(read_checkpoint(root / "plain-1" / "model.safetensors"))
    co = CoWriter(engine, SampleConfig(length=12, seed=1))
    co.add("Once")
    draw(co)
    co.config = replace(co.config, temperature=0.2, top_k=5)
    draw(co, line)
    assert write("Once", "", "/temp 0.2", "/set top-k 5", "/line").out == co.text


def test_help_names_every_command(write: Any) -> None:
    ran = write("/help", "/set")
    for command in ("/alt", "/line", "/nl", "/undo", "/redo", "/temp", "/set", "/show", "/save", "/quit"):
        assert command in ran.err
    assert "temperature 0.8" in ran.err
    assert ran.out == ""


def test_a_character_nobody_knows_can_be_allowed_in_the_session(write: Any) -> None:
    refused = write("café")
    assert refused.code == 2
    assert "/set unknown skip" in refused.err
    assert "--unknown" not in refused.err
    ran = write("/set unknown skip", "café", "/set unknown map", "é", "/set")
    assert (ran.code, ran.out) == (0, "cafe")
    assert "unknown map" in ran.err
    assert write("/set unknown guess").code == 2


def test_text_is_saved_and_nothing_is_overwritten(write: Any, tmp_path: Path) -> None:
    (tmp_path / "old.txt").write_text("precious")
    assert write("Once", "/nl upon", "/save new.txt", "!", "/save").code == 0
    assert (tmp_path / "new.txt").read_bytes() == b"Once\nupon!"
    ran = write("Once", "/save old.txt")
    assert (ran.code, (tmp_path / "old.txt").read_text()) == (2, "precious")
    assert write("Once", "/save! old.txt").code == 0
    assert (tmp_path / "old.txt").read_text() == "Once"
    for path in ("no/folder/x.txt", "~nobody-of-that-name/x.txt", "x" * 300, "old.txt/x"):
        ran = write("Once", f"/save {path}")
        assert (ran.code, ran.err.count("\n")) == (6, 3), ran.err  # two lines of greeting, one for the fault


def test_bytes_that_are_no_text_are_told_not_thrown(write: Any) -> None:
    ran = write("caf\udce9")
    assert (ran.code, ran.out) == (2, "")
    assert "not in the alphabet" in ran.err.splitlines()[-1]


@pytest.mark.parametrize(
    ("lines", "words"),
    [
        (["/dance"], "/dance"),
        (["/"], "no command"),
        (["/temp hot"], "hot"),
        (["/temp -1"], "temperature"),
        (["/set top-k 1.5"], "whole"),
        (["/set length 0"], "length"),
        (["/set colour red"], "colour"),
        (["/alt 0"], "/alt"),
        (["/alt 99"], "/alt"),
        (["/alt 2", "3"], "alternative 3"),
        (["/undo"], "nothing"),
        (["/redo"], "nothing"),
        (["/save"], "name"),
        (["café"], "LATIN SMALL LETTER E WITH ACUTE"),
    ],
)
def test_a_line_from_a_pipe_that_fails_ends_it(write: Any, lines: list[str], words: str) -> None:
    ran = write(*lines)
    assert ran.code == 2
    assert words in ran.err.splitlines()[-1]
    assert ran.out == ""


def test_it_begins_with_a_prompt(write: Any, tmp_path: Path) -> None:
    (tmp_path / "start.txt").write_text("Long\nago")
    assert write(options=("--prompt", "Once")).out == "Once"
    assert write(" there", options=("--prompt-file", "start.txt")).out == "Long\nago there"
    assert write(options=("--prompt", "-")).code == 2
    assert write("é", options=("--prompt", "caf", "--unknown", "map")).out == "cafe"


# ---- on a terminal ----------------------------------------------------------------------------------------------


class Terminal:
    """A person at ``charlstm write``: types, and reads what comes."""

    def __init__(self, root: Path, *options: str) -> None:
        import pty

        environment = {**os.environ, "CHARLSTM_CHECKPOINTS": str(root), "PYTHONPATH": os.pathsep.join(sys.path)}
        self._keyboard, screen = pty.openpty()
        self.process = subprocess.Popen(
            [sys.executable, "-m", "charlstm", "write", "--seed", "1", *options],
            stdin=screen, stdout=screen, stderr=screen, env={**environment, "TERM": "dumb"}, start_new_session=True,
        )  # fmt: skip
        os.close(screen)
        self.seen = ""
        self._place = 0

    def type(self, text: str) -> None:
        os.write(self._keyboard, text.encode())

    def wait_for(self, text: str) -> str:
        """What comes behind the last text that was waited for, up to this one and with it."""
        while text not in self.seen[self._place :]:
            block = self._read()
            assert block, f"it ended before {text!r}: {self.seen!r}"
            self.seen += block.decode("utf-8", "replace").replace("\r\n", "\n")
        start, self._place = self._place, self.seen.index(text, self._place) + len(text)
        return self.seen[start : self._place]

    def interrupt(self) -> None:
        """Ctrl-C, not in the very moment the invitation appears: readline would see it with the next key only."""
        time.sleep(0.3)
        self.process.send_signal(signal.SIGINT)

    def leave(self) -> int:
        """Read on until it is over; its exit code."""
        try:
            while self._read():
                pass
        finally:
            self.process.kill()
            os.close(self._keyboard)
        return self.process.wait()

    def _read(self) -> bytes:
        """What comes next, nothing at the end."""
        if not select.select([self._keyboard], [], [], 20)[0]:
            self.process.kill()
            self.process.wait()
            raise AssertionError(f"nothing comes any more: {self.seen!r}")
        try:
            return os.read(self._keyboard, 4096)
        except OSError:  # how Linux says that the other end is closed
            return b""


on_posix = pytest.mark.skipif(os.name == "nt", reason="terminals of POSIX")


@on_posix
def test_a_person_writes_chooses_takes_back_and_is_warned(root: Path) -> None:
    terminal = Terminal(root, "--length", "10")
    terminal.wait_for("> ")
    terminal.type("Once\n")
    terminal.wait_for("> ")
    terminal.type("\n")
    assert "Once" in terminal.wait_for("\n> ")
    terminal.type("/alt 3\n")
    assert "  3  " in terminal.wait_for("1-3> ")
    terminal.type("1\n")
    terminal.wait_for("\n> ")
    terminal.type("/undo\n")
    terminal.wait_for("taken back")
    terminal.wait_for("> ")
    terminal.type("/dance\n")
    terminal.wait_for("/dance. /help")
    terminal.wait_for("> ")
    terminal.type("/quit\n")
    terminal.wait_for("not saved")
    terminal.wait_for("> ")
    terminal.type("/quit\n")
    assert terminal.leave() == 0


@on_posix
def test_ctrl_c_stops_the_model_and_keeps_the_text(root: Path, tmp_path: Path) -> None:
    terminal = Terminal(root, "--length", "100000000")
    terminal.wait_for("> ")
    terminal.type("Once\n")
    terminal.wait_for("> ")
    terminal.type("\n")
    terminal.wait_for("Once")
    terminal.interrupt()
    terminal.wait_for("> ")
    file = tmp_path / "kept.txt"
    terminal.type(f"/save {file}\n")
    terminal.wait_for("saved")
    assert len(file.read_text()) > 20
    terminal.wait_for("> ")
    terminal.interrupt()
    assert terminal.leave() == 130


@on_posix
def test_ctrl_c_stops_alternatives_too(root: Path) -> None:
    terminal = Terminal(root, "--length", "100000000")
    terminal.wait_for("> ")
    terminal.type("/alt 2\n")
    terminal.wait_for("\n")
    terminal.interrupt()
    terminal.wait_for("1-2> ")
    terminal.type("/quit\n/quit\n")
    assert terminal.leave() == 0


@on_posix
@pytest.mark.parametrize("columns", [40, 80])
def test_talk_is_folded_between_words_and_help_keeps_its_columns(root: Path, monkeypatch: Any, columns: int) -> None:
    from charlstm.cli.write_session import _HELP

    monkeypatch.setenv("COLUMNS", str(columns))
    terminal = Terminal(root)
    terminal.wait_for("> ")
    terminal.type("/help\n")
    seen = terminal.wait_for("\n> ")
    terminal.type("/quit\n")
    terminal.leave()
    lines = seen.replace("\r", "").split("\n")
    assert max(map(len, lines)) <= columns
    assert set(_HELP.split()) <= set(seen.split()), "a word was cut at the edge"
    folded = [line for line in lines if line.startswith(" " * 18)]
    assert len(folded) >= (10 if columns == 40 else 2)
