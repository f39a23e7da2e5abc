"""How a person types a setting: a message from below the command line has `top_k=5`, a person types --top-k 5."""

from __future__ import annotations

import re
import shlex
from collections.abc import Callable

from charlstm.errors import CharlstmError

_SETTING = re.compile(r"`([a-z][a-z0-9_]*)(?:=([^`]*))?`")

_OPTIONS = {"count": "-n", "rows": "-n"}
"""Settings whose option has another name."""


def as_option(setting: str) -> str:
    """Return the option of a setting: ``"batch_size"`` becomes ``"--batch-size"``."""
    return _OPTIONS.get(setting) or f"--{setting.replace('_', '-')}"


def with_options(message: str, spell: Callable[[str], str] = as_option) -> str:
    """Spell each setting that a message has in backticks, alone or with a value.

    Args:
        message: from below the command line.
        spell: turns a setting's name into what a person types.

    Returns:
        The message, with options as a person types them.
    """

    def typed(match: re.Match[str]) -> str:
        name, value = match.groups()
        option = spell(name)
        if value is None or (value == "True" and option.startswith("--")):
            return option
        if value == "False" and option.startswith("--"):
            return f"--no-{option.removeprefix('--')}"
        return f"{option} {_typed_value(value)}"

    return _SETTING.sub(typed, message)


def respell(fault: CharlstmError, spell: Callable[[str], str] = as_option) -> None:
    """Spell the settings in an error; the place it names, a path above all, stays as it is.

    Args:
        fault: the error; its message changes.
        spell: turns a setting's name into what a person types.
    """
    fault.what, fault.hint = with_options(fault.what, spell), with_options(fault.hint, spell)


def error_line(fault: CharlstmError) -> str:
    """Return an error as one line for a person."""
    respell(fault)
    return str(fault)


def _typed_value(value: str) -> str:
    """A Python value as a shell takes it: unquoted if it can be, a list as ``3,6``, 4.0 as ``4``."""
    if re.fullmatch(r"\(.*\)|\[.*\]", value):
        return value[1:-1].replace(" ", "").rstrip(",") or "0"
    if re.fullmatch(r"-?\d+\.0", value):
        return value.removesuffix(".0")
    return shlex.quote(value[1:-1]) if value[:1] in ("'", '"') and value[-1:] == value[:1] else value
