"""``charlstm write``: a session with lines from a pipe, and on a terminal."""

from __future__ import annotations

import io
import os
import re
import select
import signal
import subprocess
import sys
import time
from collections.abc import Callable
from dataclasses import replace
from pathlib import Path
from typing import Any, NamedTuple

import pytest

from charlstm.corpora.words import find_words
from charlstm.engine.network import Engine
from charlstm.errors import CheckpointError
from charlstm.sampling.config import settings_for
from charlstm.sampling.cowriter import CoWriter
from charlstm.sampling.draft import at_line_end
from charlstm.tokenizers import CharTokenizer
from tests.fake_checkpoints import make_checkpoint


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


def test_a_session_draws_what_the_library_draws(write: Any, root: Path) -> None:
    from charlstm.checkpoint.format import read as read_checkpoint

    checkpoint = read_checkpoint(root / "plain-1" / "model.safetensors")
    co = CoWriter(Engine.from_checkpoint(checkpoint), settings_for(checkpoint.writing, length=12, seed=1))
    co.add("Once")
    list(co.extend())
    co.config = replace(co.config, temperature=0.2, top_k=5)
    list(co.extend(at_line_end))
    assert write("Once", "", "/temp 0.2", "/set top-k 5", "/line").out == co.text


def test_what_the_model_adds_keeps_to_words(root: Path, write: Any) -> None:
    from charlstm.checkpoint.format import read as read_checkpoint
    from charlstm.checkpoint.format import write as write_checkpoint

    path = root / "plain-1" / "model.safetensors"
    write_checkpoint(path, replace(read_checkpoint(path), words=("and", "boat", "the")))
    text = write("xyz ", "", "/alt 2", "1", "/line", options=("--words",)).out
    assert set(find_words(text)) <= {"xyz", "and", "boat", "the", "And", "Boat", "The"}


def test_help_names_every_command(write: Any) -> None:
    ran = write("/help", "/set")
    for command in ("/alt", "/line", "/nl", "/undo", "/redo", "/temp", "/set", "/show", "/save", "/quit"):
        assert command in ran.err
    assert "temperature 1.0" in ran.err
    assert "min-p 0.1" in ran.err
    assert ran.out == ""


def test_unknown_characters_can_be_allowed_in_the_session(write: Any) -> None:
    refused = write("café")
    assert refused.code == 2
    assert "/set unknown skip" in refused.err
    assert "--unknown" not in refused.err
    ran = write("/set unknown skip", "café", "/set unknown map", "é", "/set")
    assert (ran.code, ran.out) == (0, "cafe")
    assert "unknown map" in ran.err
    assert write("/set unknown guess").code == 2


def test_a_text_is_saved_and_no_file_is_overwritten(write: Any, tmp_path: Path) -> None:
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


def test_bytes_that_are_not_text_are_one_line(write: Any) -> None:
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


def test_an_error_in_the_middle_of_a_line_is_a_line_of_its_own(write: Any, monkeypatch: pytest.MonkeyPatch) -> None:
    def fails(*_: Any) -> Any:
        yield "abc"
        raise CheckpointError("the network's logits are not finite")

    monkeypatch.setattr(CoWriter, "extend", fails)
    code, _, err = write("")
    assert code == 3
    assert err.splitlines()[-2:] == ["abc", "charlstm: the network's logits are not finite"]


def test_a_number_of_5000_digits_is_one_line(write: Any) -> None:
    digits = "9" * 5000
    for lines in ([f"/set top-k {digits}"], [f"/set length {digits}"], [f"/alt {digits}"], ["/alt 2", digits]):
        ran = write(*lines)
        line = ran.err.splitlines()[-1]
        assert ran.code == 2
        assert "is too large" in line
        assert len(line) < 150


def test_a_wrong_setting_is_named_as_it_is_typed(write: Any) -> None:
    assert "/set top-p 2 must be above 0" in write("/set top-p 2").err
    assert "/set length 0 must be 1 or more" in write("/set length 0").err
    assert "--length 0 must be 1 or more" in write(options=("--length", "0")).err
    assert "--seed -1 must be from 0 to 18446744073709551615" in write(options=("--seed", "-1")).err


def test_half_a_surrogate_pair_does_not_lose_the_text(write: Any, root: Path, tmp_path: Path) -> None:
    make_checkpoint(root / "plain-1" / "model.safetensors", CharTokenizer("\ud800\n"), favour={0: 90.0})
    ran = write("", "/save out.txt")
    assert ran.code == 0, ran.err
    assert (tmp_path / "out.txt").read_bytes() == b"?" * 52
    assert ran.out == "?" * 52
    assert "52 lone surrogates, which UTF-8 cannot hold, are saved as ?" in ran.err


def test_control_characters_of_a_wrong_command_are_made_visible(write: Any) -> None:
    line = write("/nope\x07\x1b[31m").err.splitlines()[-1]
    assert "there is no command /nope␇␛[31m" in line
    assert line.isprintable()


def test_a_prompt_without_its_option_is_told_the_option(write: Any) -> None:
    assert "--prompt 'Once upon'" in write(options=("plain-1", "Once upon")).err


def test_a_session_starts_with_a_prompt(write: Any, tmp_path: Path) -> None:
    (tmp_path / "start.txt").write_text("Long\nago")
    assert write(options=("--prompt", "Once")).out == "Once"
    assert write(" there", options=("--prompt-file", "start.txt")).out == "Long\nago there"
    assert write(options=("--prompt", "-")).code == 2
    assert write("é", options=("--prompt", "caf", "--unknown", "map")).out == "cafe"


# ---- on a terminal ----------------------------------------------------------------------------------------------


class Terminal:
    """A person at ``charlstm write``, who types and reads."""

    def __init__(self, root: Path, *options: str, term: str = "dumb") -> None:
        import pty

        environment = {**os.environ, "CHARLSTM_CHECKPOINTS": str(root), "PYTHONPATH": os.pathsep.join(sys.path)}
        self._keyboard, terminal = pty.openpty()
        self.process = subprocess.Popen(
            [sys.executable, "-m", "charlstm", "write", "--seed", "1", *options],
            stdin=terminal, stdout=terminal, stderr=terminal, start_new_session=True,
            env={**environment, "TERM": term},
        )  # fmt: skip
        os.close(terminal)
        self.screen = ""
        self._place = 0

    def type(self, text: str) -> None:
        os.write(self._keyboard, text.encode())

    def wait_for(self, text: str) -> str:
        """Wait for a text; return everything after the text waited for before, up to the end of this one."""
        while text not in self.screen[self._place :]:
            block = self._read()
            assert block, f"it ended before {text!r}: {self.screen!r}"
            self.screen += block.decode("utf-8", "replace").replace("\r\n", "\n")
        start, self._place = self._place, self.screen.index(text, self._place) + len(text)
        return self.screen[start : self._place]

    def interrupt(self) -> None:
        """Press Ctrl-C, a moment after the invitation appears: readline would notice it only with the next key."""
        time.sleep(0.3)
        self.process.send_signal(signal.SIGINT)

    def leave(self) -> int:
        """Wait for the end; return the exit code."""
        try:
            while self._read():
                pass
        finally:
            self.process.kill()
            os.close(self._keyboard)
        return self.process.wait()

    def _read(self) -> bytes:
        """The next output; empty at the end."""
        if not select.select([self._keyboard], [], [], 20)[0]:
            self.process.kill()
            self.process.wait()
            raise AssertionError(f"no more output: {self.screen!r}")
        try:
            return os.read(self._keyboard, 4096)
        except OSError:  # how Linux reports that the other end is closed
            return b""


on_posix = pytest.mark.skipif(os.name == "nt", reason="terminals of POSIX")


@on_posix
def test_a_person_writes_chooses_undoes_and_is_warned(root: Path) -> None:
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
    terminal.wait_for("removed")
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
def test_what_a_person_has_typed_is_bold_and_words_stay_whole(root: Path, monkeypatch: Any) -> None:
    monkeypatch.setenv("COLUMNS", "40")
    terminal = Terminal(root, "--length", "200", "--prompt", "So it began", term="xterm-256color")
    terminal.wait_for("> ")
    terminal.type(" upon a tim\n")
    terminal.wait_for("\n> ")
    for command in ("\n", "/show\n"):
        terminal.type(command)
        shown = re.sub(r"\x1b\[22m( *)\x1b\[1m", r"\1", terminal.wait_for("\n> "))
        [typed] = re.findall(r"\x1b\[1m(.*?)\x1b\[22m", shown)
        assert typed == "So it began upon a tim", "and nothing of the model's own"
        assert len(shown) > 150
    terminal.type("/alt 2\n")
    shown = terminal.wait_for("\n  2  ") + terminal.wait_for("1-2> ")
    terminal.type("/quit\n/quit\n")
    assert terminal.leave() == 0
    lines = re.sub(r"\x1b\[[?0-9;]*[a-z]", "", shown.replace("\r", "")).split("\n")
    assert max(map(len, lines)) < 40
    assert all(line.startswith(("  1  ", "  2  ", "     ")) for line in lines[-9:-1]), "folded beside its number"


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
@pytest.mark.parametrize(
    ("name", "drawing"),
    [("SIGINT", False), ("SIGTERM", False), ("SIGTERM", True), ("SIGHUP", False), ("SIGHUP", True)],
)
def test_an_interrupted_session_hands_its_text_over(root: Path, tmp_path: Path, name: str, drawing: bool) -> None:
    number = signal.Signals[name]
    environment = {**os.environ, "CHARLSTM_CHECKPOINTS": str(root), "PYTHONPATH": os.pathsep.join(sys.path)}
    file = tmp_path / "out.txt"
    with (
        open(file, "wb") as stdout,
        subprocess.Popen(
            [sys.executable, "-m", "charlstm", "write", "--seed", "1", "--length", "100000000"],
            stdin=subprocess.PIPE, stdout=stdout, stderr=subprocess.PIPE, env=environment, text=True, bufsize=1,
            preexec_fn=lambda: signal.signal(number, signal.SIG_DFL),  # these tests may run under nohup
        ) as process,
    ):  # fmt: skip
        assert process.stdin is not None
        assert process.stderr is not None
        process.stdin.write("Once upon\n/show\n" + "\n" * drawing)
        shown = ""
        while "Once upon" not in shown:
            shown = process.stderr.readline()
        time.sleep(0.5)  # now it reads the next line, or draws
        process.send_signal(number)
        assert process.wait(20) == 128 + number
        assert "Traceback" not in process.stderr.read()
    text = file.read_text()
    assert text.startswith("Once upon")
    assert (len(text) > 20) == drawing


@on_posix
def test_a_hangup_that_the_process_was_started_to_ignore_is_ignored(root: Path, tmp_path: Path) -> None:
    environment = {**os.environ, "CHARLSTM_CHECKPOINTS": str(root), "PYTHONPATH": os.pathsep.join(sys.path)}
    command = [sys.executable, "-m", "charlstm", "write", "--seed", "1"]
    with subprocess.Popen(
        command, stdin=subprocess.PIPE, stdout=subprocess.PIPE, stderr=subprocess.PIPE, env=environment, text=True,
        preexec_fn=lambda: signal.signal(signal.SIGHUP, signal.SIG_IGN),
    ) as process:  # fmt: skip
        assert process.stderr is not None
        while "/help" not in process.stderr.readline():
            pass
        time.sleep(0.3)
        process.send_signal(signal.SIGHUP)
        out, _ = process.communicate("Once upon\n", 20)
        assert (process.returncode, out) == (0, "Once upon")


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
def test_messages_are_folded_between_words_and_help_keeps_its_columns(
    root: Path, write: Any, monkeypatch: Any, columns: int
) -> None:
    unfolded = write("/help").err.split()
    monkeypatch.setenv("COLUMNS", str(columns))
    terminal = Terminal(root)
    terminal.wait_for("> ")
    terminal.type("/help\n")
    shown = terminal.wait_for("\n> ")
    terminal.type("/quit\n")
    terminal.leave()
    lines = shown.replace("\r", "").split("\n")
    assert max(map(len, lines)) <= columns
    assert set(unfolded[unfolded.index("(Enter)") :]) <= set(shown.split()), "a word was cut at the edge"
    folded = [line for line in lines if line.startswith(" " * 18)]
    assert len(folded) >= (10 if columns == 40 else 2)
