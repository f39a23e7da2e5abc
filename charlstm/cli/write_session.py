"""The terminal's side of writing together: lines are read, obeyed, and what came of them is shown.

Line by line and without any drawing on the screen: it works over every connection, in a pipe, and for a screen reader.
"""

from __future__ import annotations

import os
import signal
import sys
from collections.abc import Callable, Iterator
from contextlib import closing, contextmanager, suppress
from dataclasses import replace
from pathlib import Path
from typing import TYPE_CHECKING, Any

import typer

from charlstm.cli.load_model import unknown_choice
from charlstm.cli.views.stream import Output
from charlstm.cli.views.terminal import is_terminal, say
from charlstm.errors import CharlstmError, UsageError
from charlstm.files import write_atomically

if TYPE_CHECKING:
    from charlstm.sampling.cowriter import CoWriter, Piece, Rule

_HELP = """\
  (Enter)         the model goes on
  any text        is added as you type it; begin with a space for a new word, with // for a /
  /alt [N]        N ways to go on (4); then a number chooses one
  /line           the model goes on to the end of the line
  /nl [TEXT]      a new line, and TEXT on it
  /undo /redo     take back the last piece, put it back
  /temp X         temperature: low is careful, high is wild, 0 always takes the likeliest
  /set [NAME X]   length, top-k, top-p, min-p, repetition-penalty, unknown; alone it shows them all
  /show           the whole text
  /save [FILE]    write the text to a file; /save! replaces one that is there
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
_NUMBERS: dict[str, type[int] | type[float]] = {
    "temperature": float,
    "length": int,
    "top-k": int,
    "top-p": float,
    "min-p": float,
    "repetition-penalty": float,
}
_MOST_CHOICES = 9
_TAIL = 200  # characters of an unfinished line shown before what follows


def some(length: int) -> int:
    """The length, if it is one.

    Raises:
        UsageError: it is below 1.
    """
    if length < 1:
        raise UsageError(f"length = {length}: must be 1 or more")
    return length


class Session:
    """The terminal's side of a `CoWriter`: reads lines, does what they say, shows what came of it.

    Args:
        writer: the text.
        unknown: what to do with characters the model does not know.
    """

    def __init__(self, writer: CoWriter, unknown: str) -> None:
        self.writer = writer
        self._unknown = unknown_choice(unknown, "--unknown")
        self._asks = is_terminal(sys.stdin)
        self._keeps = is_terminal(sys.stdout)
        self._screen = Output(sys.stdout if self._keeps else sys.stderr)
        self._saved_text = writer.text
        self._saved_to: Path | None = None
        self._warned = False
        self._commands: dict[str, Callable[[str], None]] = {
            "": lambda rest: self._go_on(),
            "alt": self._offer,
            "line": lambda rest: self._line(),
            "nl": lambda rest: self._add("\n" + rest),
            "undo": lambda rest: self._move(self.writer.undo, "taken back"),
            "redo": lambda rest: self._move(self.writer.redo, "put back"),
            "temp": lambda rest: self._set(f"temperature {rest}"),
            "set": self._set,
            "show": lambda rest: self._show(),
            "save": lambda rest: self._save(rest, replace_it=False),
            "save!": lambda rest: self._save(rest, replace_it=True),
            "help": lambda rest: say_lines(_HELP),
        }

    def run(self) -> None:
        """Read and obey lines until the session is over.

        Raises:
            CharlstmError: a line from a pipe that cannot be done.
        """
        if self.writer.text:
            self._context()
            self._screen.end_line()
        while (entry := self._read()) is not None:
            try:
                if not self._obey(entry):
                    break
            except CharlstmError as fault:
                if not self._asks:
                    raise
                say(str(fault))
        if not self._keeps:
            self._hand_over()

    def _obey(self, entry: str) -> bool:
        """Do what a line says; whether the session goes on."""
        if entry.strip().isdecimal() and self.writer.choices:
            self._choose(int(entry))
        elif entry.startswith("//") or not entry.startswith("/"):
            if entry:
                self._add(entry.removeprefix("/"))
            else:
                self._go_on()
        else:
            name, _, rest = entry[1:].partition(" ")
            name = _SHORT.get(name, name)
            if name == "quit":
                return not self._may_leave()
            if name not in self._commands or not name:
                raise UsageError(f"there is no command /{name}", hint="/help shows them all.")
            self._commands[name](rest)
        self._warned = False
        return True

    # ---- reading ------------------------------------------------------------------------------------------------

    def _read(self) -> str | None:
        """The next line, without its end; None when the session is over."""
        while True:
            try:
                return self._line_typed()
            except EOFError:
                if not self._asks or self._may_leave():
                    return None
            except KeyboardInterrupt:
                print(file=sys.stderr)
                if not self._asks or self._may_leave():
                    raise typer.Exit(130) from None

    def _line_typed(self) -> str:
        choices = len(self.writer.choices)
        invitation = f"1-{choices}> " if choices else "> "
        if self._asks and self._keeps:
            with suppress(ImportError):  # not on Windows, which edits lines by itself
                import readline  # noqa: F401 - being there, it gives `input` editing and history
            return input(invitation)
        if self._asks:
            print(invitation, end="", file=sys.stderr, flush=True)
        entry = sys.stdin.readline()
        if not entry:
            raise EOFError
        return entry.removesuffix("\n")

    def _may_leave(self) -> bool:
        """Whether to leave now: not at the first try when that would lose text a person has seen."""
        lost = self._asks and self._keeps and self.writer.text != self._saved_text
        if lost and not self._warned:
            self._warned = True
            say("the text is not saved: /save FILE keeps it, the same again leaves without")
            return False
        return True

    # ---- what lines do ------------------------------------------------------------------------------------------

    def _go_on(self, rule: Rule | None = None) -> None:
        self._context()
        with closing(self.writer.go_on(rule)) as fragments, _interruption() as asked:
            for fragment in fragments:
                self._screen.write(fragment)
                if asked:
                    break
        self._screen.end_line()

    def _line(self) -> None:
        from charlstm.sampling.cowriter import line

        self._go_on(line)

    def _add(self, text: str) -> None:
        from charlstm.sampling.prompts import fit_prompt

        fitted, notes = fit_prompt(self.writer.tokenizer, text, self._unknown, remedy="/set unknown {}")
        for note in notes:
            say(note)
        self.writer.add(fitted)

    def _offer(self, rest: str) -> None:
        count = int(_number("the number of alternatives", rest or "4", int))
        if not 1 <= count <= _MOST_CHOICES:
            raise UsageError(f"/alt {count}: between 1 and {_MOST_CHOICES}")
        self._context()
        self._screen.end_line()
        with _interruption() as asked:
            pieces = self.writer.offer(count, stop=lambda: bool(asked))
        for number, piece in enumerate(pieces, 1):
            self._screen.write(f"{number:>3}  " + piece.text.rstrip("\n").replace("\n", "\n     "))
            self._screen.end_line()

    def _choose(self, number: int) -> None:
        if not 1 <= number <= len(self.writer.choices):
            raise UsageError(f"there is no alternative {number}")
        self.writer.choose(number - 1)
        self._context()
        self._screen.end_line()

    def _move(self, move: Callable[[], Piece | None], done: str) -> None:
        piece = move()
        if piece is None:
            raise UsageError(f"there is nothing to be {done}")
        say(f"{done}: {_shortened(piece.text)}")
        self._context()
        self._screen.end_line()

    def _set(self, rest: str) -> None:
        name, _, value = rest.strip().partition(" ")
        if not name:
            say(", ".join(f"{name} {self._value(name)}" for name in (*_NUMBERS, "unknown")))
            return
        if name not in (*_NUMBERS, "unknown"):
            raise UsageError(f"there is no setting {name!r}", hint=f"There are {', '.join(_NUMBERS)}, unknown.")
        if value and name == "unknown":
            self._unknown = unknown_choice(value.strip(), "unknown")
        elif value:
            number = _number(name, value, _NUMBERS[name])
            some(int(number) if name == "length" else 1)
            change: dict[str, Any] = {name.replace("-", "_"): number}
            self.writer.config = replace(self.writer.config, **change)
        say(f"{name} {self._value(name)}")

    def _value(self, name: str) -> float | str:
        if name == "unknown":
            return self._unknown
        value: float = getattr(self.writer.config, name.replace("-", "_"))
        return value

    def _show(self) -> None:
        self._screen.write(self.writer.text)
        self._screen.end_line()

    def _save(self, rest: str, *, replace_it: bool) -> None:
        path = Path(os.path.expanduser(rest.strip())) if rest.strip() else self._saved_to
        if path is None:
            raise UsageError("/save needs a file's name")
        if os.path.lexists(path) and not replace_it and path != self._saved_to:
            raise UsageError("there is such a file already", where=path, hint=f"/save! {path} replaces it.")
        data = self.writer.text.encode("utf-8", "surrogateescape")
        write_atomically(path, data)
        self._saved_to, self._saved_text = path, self.writer.text
        say(f"{path}: {len(data):,} bytes saved")

    # ---- showing ------------------------------------------------------------------------------------------------

    def _context(self) -> None:
        """Show the unfinished line, so that what follows is seen where it belongs."""
        tail = self.writer.text.rpartition("\n")[2]
        self._screen.write(tail if len(tail) <= _TAIL else "…" + tail[-_TAIL:])

    def _hand_over(self) -> None:
        output = Output(sys.stdout)
        output.write(self.writer.text)
        output.flush()


def say_lines(text: str) -> None:
    """Several lines of talk, each two columns that a fold keeps apart."""
    for row in text.splitlines():
        say(row, indent=_HELP_INDENT)


def _number(name: str, text: str, kind: type[int] | type[float]) -> float:
    try:
        return kind(text)
    except ValueError:
        raise UsageError(f"{name}: {text!r} is no {'whole ' if kind is int else ''}number") from None


def _shortened(text: str) -> str:
    flat = " ".join(text.split())
    return repr(flat if len(flat) <= 60 else f"{flat[:40]} … {flat[-15:]}")


@contextmanager
def _interruption() -> Iterator[list[int]]:
    """Ctrl-C as a list that is no longer empty: the model stops after a whole character, and what came stays."""
    asked: list[int] = []
    before = signal.signal(signal.SIGINT, lambda number, frame: asked.append(number))
    try:
        yield asked
    finally:
        signal.signal(signal.SIGINT, before)
