"""The settings of a ``charlstm write`` session: showing and changing them with /set and /temp."""

from __future__ import annotations

from dataclasses import replace
from typing import TYPE_CHECKING, Any

from charlstm.cli.views.terminal import say
from charlstm.errors import UsageError

if TYPE_CHECKING:
    from charlstm.sampling.cowriter import CoWriter
    from charlstm.sampling.prompts import Unknown

_NUMBERS: dict[str, type[int] | type[float]] = {
    "temperature": float,
    "length": int,
    "top-k": int,
    "top-p": float,
    "min-p": float,
    "repetition-penalty": float,
    "no-repeat": int,
    "longest-run": int,
}
_SHOWN = 40  # characters of a wrong value that a message repeats


class SessionSettings:
    """The settings a person can change while writing.

    Args:
        writer: the text; its ``config`` holds the numbers.
        unknown: what happens to characters outside the model's alphabet.

    Attributes:
        unknown: as given, or as changed.
    """

    def __init__(self, writer: CoWriter, unknown: Unknown) -> None:
        self.unknown = unknown
        self._writer = writer

    def command(self, argument: str) -> None:
        """Execute ``/set NAME VALUE``; without a value it shows the setting, without a name all settings.

        Raises:
            UsageError: there is no such setting, or it cannot have this value.
        """
        name, _, value = argument.strip().partition(" ")
        if not name:
            say(", ".join(f"{name} {self._value(name)}" for name in (*_NUMBERS, "unknown")))
            return
        if name not in (*_NUMBERS, "unknown"):
            what = f"there is no setting {shortened(name)!r}"
            raise UsageError(what, hint=f"Choose from {', '.join(_NUMBERS)}, unknown.")
        if value:
            self._change(name, value.strip())
        say(f"{name} {self._value(name)}")

    def _change(self, name: str, value: str) -> None:
        from charlstm.sampling.prompts import parse_unknown
        from charlstm.schemas import require

        if name == "unknown":
            self.unknown = parse_unknown(value)
            return
        number = parse_number(name, value, _NUMBERS[name])
        require("length", number, name != "length" or number >= 1, "1 or more")
        change: dict[str, Any] = {name.replace("-", "_"): number}
        self._writer.config = replace(self._writer.config, **change)

    def _value(self, name: str) -> float | str:
        value: float | str = self.unknown if name == "unknown" else getattr(self._writer.config, name.replace("-", "_"))
        return value


def parse_number(name: str, text: str, kind: type[int] | type[float]) -> float:
    """Convert what a person typed to a number.

    Args:
        name: of the number, for the message.
        text: as typed.
        kind: whole numbers, or all.

    Returns:
        The number.

    Raises:
        UsageError: it is not such a number.
    """
    try:
        return kind(text)
    except ValueError:
        if text.strip().lstrip("+-").isdecimal():  # Python converts at most 4,300 digits
            problem = "is too large"
        else:
            problem = "is not a whole number" if kind is int else "is not a number"
        raise UsageError(f"{name}: {shortened(text)!r} {problem}") from None


def shortened(text: str) -> str:
    """What a message repeats of a text that a person typed."""
    return text if len(text) <= _SHOWN else text[: _SHOWN - 1] + "…"
