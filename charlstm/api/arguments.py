"""Arguments checked at the call: misspelt names, values that cannot be."""

from __future__ import annotations

import inspect
from collections.abc import Callable
from functools import wraps
from pathlib import Path
from typing import ParamSpec, TypeVar

from charlstm.errors import ConfigError, UsageError
from charlstm.schemas import bad_value, no_such_setting

P = ParamSpec("P")
R = TypeVar("R")

_LISTED = 16
"""A message lists all names if there are no more than this."""


def suggest_names(function: Callable[P, R]) -> Callable[P, R]:
    """Decorate a function so that an unknown keyword raises a `ConfigError` that suggests the nearest known one."""
    names = [name for name in inspect.signature(function).parameters if name != "self"]

    @wraps(function)
    def checked(*args: P.args, **kwargs: P.kwargs) -> R:
        require_names(list(kwargs), names)
        return function(*args, **kwargs)

    return checked


def require_names(given: list[str], known: list[str]) -> None:
    """Check the names of keywords.

    Args:
        given: the names in a call.
        known: those that exist.

    Raises:
        ConfigError: one does not exist; the message suggests the nearest.
    """
    for name in given:
        if name not in known:
            hint = f"There are {', '.join(known)}." if len(known) <= _LISTED else ""
            raise ConfigError(no_such_setting(name, known), hint=hint)


def require_text(name: str, value: object) -> None:
    """Check that an argument is a text.

    Args:
        name: the argument.
        value: its value.

    Raises:
        UsageError: it is not a ``str``.
    """
    if not isinstance(value, str):
        raise UsageError(f"{bad_value(name, value, 'a text')}, not {type(value).__name__}")


def require_place(name: str, value: object) -> None:
    """Check that an argument is the path of a file or folder, or a name.

    Args:
        name: the argument.
        value: its value.

    Raises:
        UsageError: it is neither a ``str`` nor a path.
    """
    if not isinstance(value, (str, Path)):
        raise UsageError(f"{bad_value(name, value, 'a text or a path')}, not {type(value).__name__}")
