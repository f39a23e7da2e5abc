"""The terminal's side of writing together: it reads lines, executes them, and shows the result.

Line by line and without drawing on the screen: so it works over every connection, in a pipe, and with a screen reader.
"""

from __future__ import annotations

import os
import sys
from collections.abc import Callable
from contextlib import closing
from pathlib import Path
from typing import TYPE_CHECKING

import typer

from charlstm.cli.spelling import respell
from charlstm.cli.views.folding import fold_text
from charlstm.cli.views.stream import Output, writable
from charlstm.cli.views.terminal import is_terminal, say, terminal_width, visible
from charlstm.cli.write_input import Lines, Terminated, interrupt_flag, raising_termination
from charlstm.cli.write_settings import SessionSettings, parse_number, shortened
from charlstm.errors import CharlstmError, UsageError
from charlstm.files import write_atomically

if TYPE_CHECKING:
    from charlstm.sampling.cowriter import CoWriter
    from charlstm.sampling.draft import IsComplete, Piece
    from charlstm.sampling.prompts import Unknown

_HELP = """\
  (Enter)         the model continues
  any text        is added as typed; begin with a space for a new word, with // for a /
  /alt [N]        N alternatives (4) for what comes next; then a number chooses one
  /line           the model continues to the end of the line
  /nl [TEXT]      a new line, and TEXT on it
  /undo /redo     remove the last piece, put it back
  /temp X         temperature: low is careful, high is wild, 0 always takes the likeliest
  /set [NAME X]   length, top-k, top-p, min-p, no-repeat, longest-run, …; alone it lists them all
  /mix [X Y …]    other weights for the networks of --mix; alone it shows them
  /show           the whole text
  /save [FILE]    save the text to a file; /save! replaces an existing one
  /quit           leave (also Ctrl-D); Ctrl-C stops the model"""

_HELP_INDENT = 18

_SHORT = {
    "a": "alt",
    "l": "line",
    "u": "undo",
    "r": "redo",
    "t": "temp",
    "s": "save",
    "h": "help",
    "?": "help",
    "q": "quit",
}
_MAX_ALTERNATIVES = 9
_CONTEXT = 200  # characters of an unfinished line that are shown before its continuation


class Session:
    """Executes a person's lines on a `CoWriter`.

    Args:
        writer: the text.
        unknown: what happens to characters outside the model's alphabet.
    """

    def __init__(self, writer: CoWriter, unknown: Unknown) -> None:
        self.writer = writer
        self._settings = SessionSettings(writer, unknown)
        self._text_to_stdout = not is_terminal(sys.stdout)
        self._lines = Lines(edited=not self._text_to_stdout)
        self._screen = Output(sys.stderr if self._text_to_stdout else sys.stdout)
        self._saved_text = writer.text
        self._saved_to: Path | None = None
        self._warned = False
        self._commands: dict[str, Callable[[str], None]] = {
            "": lambda argument: self._extend(),
            "alt": self._propose,
            "line": lambda argument: self._extend_line(),
            "nl": lambda argument: self._add("\n" + argument),
            "undo": lambda argument: self._move(self.writer.undo, "removed", "undo"),
            "redo": lambda argument: self._move(self.writer.redo, "put back", "redo"),
            "temp": lambda argument: self._settings.command(f"temperature {argument}"),
            "set": self._settings.command,
            "mix": self._mix,
            "show": lambda argument: self._show(),
            "save": lambda argument: self._save(argument, overwrite=False),
            "save!": lambda argument: self._save(argument, overwrite=True),
            "help": lambda argument: _say_help(),
        }

    def run(self) -> None:
        """Execute lines until the session is over; if stdout is not a terminal, write the finished text to it.

        The text is also written after Ctrl-C, SIGTERM and SIGHUP, but not after an error.

        Raises:
            CharlstmError: a line from a pipe failed.
            typer.Exit: a signal ended it.
        """
        code = 0
        try:
            if self._text_to_stdout:
                with raising_termination():
                    self._loop()
            else:
                self._loop()
        except KeyboardInterrupt:
            code = 130
        except Terminated as end:
            code = 128 + end.number
        if self._text_to_stdout:
            output = Output(sys.stdout)
            output.write(self.writer.text)
            output.flush()
        if code:
            raise typer.Exit(code)

    def _loop(self) -> None:
        if self.writer.text:
            self._show_context()
            self._screen.end_line()
        while (line := self._next_line()) is not None:
            try:
                if not self._execute(line):
                    break
            except CharlstmError as fault:
                self._screen.end_line()  # what was drawn before stays a line of its own
                respell(fault, lambda setting: f"/set {setting.replace('_', '-')}")
                if not self._lines.interactive:
                    raise
                say(str(fault))

    def _execute(self, line: str) -> bool:
        """Execute a line; return whether the session continues."""
        if line.strip().isdecimal() and self.writer.choices:
            self._choose(line.strip())
        elif line.startswith("//") or not line.startswith("/"):
            if line:
                self._add(line.removeprefix("/"))
            else:
                self._extend()
        else:
            name, _, argument = line[1:].partition(" ")
            name = _SHORT.get(name, name)
            if name == "quit":
                return not self._may_leave()
            if name not in self._commands or not name:
                raise UsageError(f"there is no command /{shortened(name)}", hint="/help lists them all.")
            self._commands[name](argument)
        self._warned = False
        return True

    # ---- reading ------------------------------------------------------------------------------------------------

    def _next_line(self) -> str | None:
        """The next line; None when the session is over."""
        while True:
            choices = len(self.writer.choices)
            try:
                return self._lines.read(f"1-{choices}> " if choices else "> ")
            except EOFError:
                if not self._lines.interactive or self._may_leave():
                    return None
            except KeyboardInterrupt:
                print(file=sys.stderr)
                if not self._lines.interactive or self._may_leave():
                    raise

    def _may_leave(self) -> bool:
        """Whether to leave now: not at the first attempt if that would lose text a person has seen."""
        unsaved = self._lines.interactive and not self._text_to_stdout and self.writer.text != self._saved_text
        if unsaved and not self._warned:
            self._warned = True
            say("the text is not saved: save it with /save FILE, or do the same again to leave without saving")
            return False
        return True

    # ---- commands -----------------------------------------------------------------------------------------------

    def _extend(self, is_complete: IsComplete | None = None) -> None:
        self._show_context()
        with closing(self.writer.extend(is_complete)) as fragments, interrupt_flag() as interrupted:
            for fragment in fragments:
                self._screen.write(fragment)
                if interrupted:
                    break
        self._screen.end_line()

    def _extend_line(self) -> None:
        from charlstm.sampling.draft import at_line_end

        self._extend(at_line_end)

    def _add(self, text: str) -> None:
        for note in self.writer.add(text, self._settings.unknown):
            say(note)

    def _propose(self, argument: str) -> None:
        count = int(parse_number("the number of alternatives", argument or "4", int))
        if not 1 <= count <= _MAX_ALTERNATIVES:
            raise UsageError(f"/alt {shortened(argument)}: must be between 1 and {_MAX_ALTERNATIVES}")
        self._show_context()
        self._screen.end_line()
        with interrupt_flag() as interrupted:
            pieces = self.writer.propose(count, stop=lambda: bool(interrupted))
        for number, piece in enumerate(pieces, 1):
            text = visible(piece.text).rstrip("\n")
            lines = fold_text(text, terminal_width() - 5) if self._screen.terminal else text.split("\n")
            self._screen.write(f"{number:>3}  " + "\n     ".join(lines))
            self._screen.end_line()

    def _choose(self, digits: str) -> None:
        number = int(parse_number("the choice", digits, int))
        if not 1 <= number <= len(self.writer.choices):
            raise UsageError(f"there is no alternative {shortened(digits)}")
        self.writer.choose(number - 1)
        self._show_context()
        self._screen.end_line()

    def _move(self, move: Callable[[], Piece | None], done: str, command: str) -> None:
        piece = move()
        if piece is None:
            raise UsageError(f"there is nothing to {command}")
        say(f"{done}: {_quoted(piece.text)}")
        self._show_context()
        self._screen.end_line()

    def _mix(self, argument: str) -> None:
        from charlstm.engine.mix import MixedEngine
        from charlstm.sampling.position import Position

        engine = self.writer.model
        if not isinstance(engine, MixedEngine):
            raise UsageError("/mix is for several networks", hint="Start with: charlstm write --mix starter,my-1")
        weights = argument.replace(",", " ").split()
        if weights:
            mixed = engine = engine.weighted([parse_number("a weight", weight, float) for weight in weights])
            self.writer.go_on_with(mixed, lambda at: Position(mixed.logits(at.state), at.state))
        say(f"weights {' '.join(f'{weight:.3g}' for weight in engine.weights)}")

    def _show(self) -> None:
        self._write_from(0)
        self._screen.end_line()

    def _save(self, argument: str, *, overwrite: bool) -> None:
        path = Path(os.path.expanduser(argument.strip())) if argument.strip() else self._saved_to
        if path is None:
            raise UsageError("/save needs the name of a file")
        if "\0" in argument:
            raise UsageError("/save: the name of a file cannot have a NUL character")
        if os.path.lexists(path) and not overwrite and path != self._saved_to:
            raise UsageError("this file exists already", where=path, hint=f"/save! {path} replaces it.")
        text = writable(self.writer.text)
        data = text.encode("utf-8", "surrogateescape")
        write_atomically(path, data)
        self._saved_to, self._saved_text = path, self.writer.text
        lost = sum(one != other for one, other in zip(text, self.writer.text, strict=True))
        note = f"; {lost} lone surrogates, which UTF-8 cannot hold, are saved as ?" if lost else ""
        say(f"{path}: {len(data):,} bytes saved{note}")

    def _show_context(self) -> None:
        """Show the unfinished line, so that its continuation is seen in its place."""
        text = self.writer.text
        begin = max(text.rfind("\n") + 1, len(text) - _CONTEXT)
        if text[begin - 1 : begin] not in ("", "\n"):
            self._screen.write("…")
        self._write_from(begin)

    def _write_from(self, begin: int) -> None:
        """Show the text from its character ``begin`` on; what the person has typed is bold on a terminal."""
        place = 0
        for piece in self.writer.pieces:
            self._screen.write(piece.text[max(0, begin - place) :], bold=piece.typed)
            place += len(piece.text)


def _say_help() -> None:
    """Print the help in two columns, which stay apart when a line is folded."""
    for line in _HELP.splitlines():
        say(line, indent=_HELP_INDENT)


def _quoted(text: str) -> str:
    """A piece in one line: its beginning and its end."""
    flat = " ".join(text.split())
    return repr(flat if len(flat) <= 60 else f"{flat[:40]} … {flat[-15:]}")
