"""Options that several commands share, and how values are typed: ``5m`` is 300 seconds."""

from __future__ import annotations

import re
from pathlib import Path
from typing import Annotated, Any

import typer
from typer.core import TyperGroup

from charlstm.errors import UsageError

_UNITS = {"": 1.0, "s": 1.0, "m": 60.0, "h": 3600.0, "d": 86400.0}

Root = Annotated[
    Path,
    typer.Option("--root", envvar="CHARLSTM_CHECKPOINTS", help="The folder runs are kept in.", readable=False),
]
Cache = Annotated[
    Path | None,
    typer.Option(
        "--cache",
        envvar="CHARLSTM_CACHE",
        help="Where encoded texts and fetched corpora are kept. [default: this system's cache folder]",
    ),
]
DEFAULT_ROOT = Path("checkpoints")


class Help(TyperGroup):
    """The root command: its commands are listed in the order a newcomer meets them."""

    def list_commands(self, ctx: Any) -> list[str]:
        """In the order they were added, not the alphabet's."""
        return list(self.commands)


def cache_or_default(cache: Path | None) -> Path:
    """The cache folder given, or the system's."""
    from charlstm.resources import cache_folder

    return cache if cache is not None else cache_folder()


def seconds(text: str) -> float:
    """A length of time as people type it: ``90``, ``90s``, ``5m``, ``1h30m``, ``2d``.

    Raises:
        UsageError: it is none, or not above 0.
    """
    parts = re.findall(r"(\d+(?:\.\d+)?)\s*([smhd]?)", text.strip().lower())
    total = sum(float(number) * _UNITS[unit] for number, unit in parts)
    plain = re.fullmatch(r"(\s*\d+(\.\d+)?\s*[smhd]?)+", text.strip().lower())
    if not plain or total <= 0 or (len(parts) > 1 and any(unit == "" for _, unit in parts)):
        raise UsageError(f"{text!r} is no length of time", hint="Write it like 90s, 5m, 1h30m or 2d.")
    return total
