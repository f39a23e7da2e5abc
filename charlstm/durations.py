"""Lengths of time as people write them: ``"5m"`` is 300 seconds."""

from __future__ import annotations

import re

from charlstm.errors import UsageError

_UNITS = {"": 1.0, "s": 1.0, "m": 60.0, "h": 3600.0, "d": 86400.0}
_PARTS = re.compile(r"(\d+(?:\.\d+)?)\s*([smhd]?)", re.ASCII)
_WHOLE = re.compile(r"(\s*\d+(\.\d+)?\s*[smhd]?)+", re.ASCII)


def seconds(text: str) -> float:
    """Convert a length of time to seconds: ``90``, ``90s``, ``5m``, ``1h30m``, ``2d``.

    Raises:
        UsageError: it is not a length of time, or not above 0.
    """
    text = text.strip()
    parts = _PARTS.findall(text.lower())
    total = sum(float(number) * _UNITS[unit] for number, unit in parts)
    ambiguous = len(parts) > 1 and any(unit == "" for _, unit in parts)
    if not _WHOLE.fullmatch(text.lower()) or total <= 0 or ambiguous:
        raise UsageError(f"{text!r:.60} is not a length of time", hint="Write it like 90s, 5m, 1h30m or 2d.")
    return total
