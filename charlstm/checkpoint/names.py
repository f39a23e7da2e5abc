"""Names of runs: a name must work on every system and in every shell, and must not lead out of the root."""

from __future__ import annotations

import re
import unicodedata

LATEST = "latest"
STARTER = "starter"
NOTHING = "none"
"""As a value of ``init_from``: random weights."""
AUTO = "auto"
"""As a value of ``resume``: the run that ``name`` gives."""

LONGEST = 100
"""Characters."""
_LONGEST_BYTES = 240  # file systems stop at 255
# Windows opens a device instead of a folder by these names, whatever follows the first dot.
_DEVICES = {"con", "prn", "aux", "nul", *(f"{port}{n}" for port in ("com", "lpt") for n in "0123456789")}
_ROOM_FOR_NUMBER = 10


def name_fault(name: str) -> str | None:
    """Return why a run cannot have this name, in plain words; None if it can."""
    odd = next((character for character in name if not _allowed(character)), None)
    if not name:
        return "it is empty"
    if odd is not None:
        return f"it contains {odd!r}; letters, digits, spaces, '.', '_' and '-' are allowed"
    if name[0] in ".- " or name[-1] in ". ":
        return "it must not begin with a dot, dash or space, nor end with a dot or space"
    if len(name) > LONGEST or len(name.encode()) > _LONGEST_BYTES:
        return f"it is longer than {LONGEST} characters or {_LONGEST_BYTES} bytes"
    if name.casefold() in {LATEST, STARTER, AUTO, NOTHING}:
        return f"{name.casefold()!r} is a reserved word"
    if name.split(".")[0].rstrip().casefold() in _DEVICES:
        return "Windows reserves it for a device"
    return None


def clean_name(text: str) -> str:
    """Turn any text into the beginning of an allowed name; ``-`` and a number are to follow."""
    text = unicodedata.normalize("NFC", text)
    name = "".join(character if _allowed(character) else "-" for character in text).lstrip(".- ")
    name = name[: LONGEST - _ROOM_FOR_NUMBER].encode()[: _LONGEST_BYTES - _ROOM_FOR_NUMBER].decode(errors="ignore")
    name = re.sub(r"-(\d+)$", r"_\1", name.rstrip(".- "))  # books-1-1 would look like a run of a run: books_1-1
    return name if name_fault(f"{name}-1") is None else "run"


def _allowed(character: str) -> bool:
    # Marks belong to letters in many scripts; numbers are those of any script.
    return character in " ._-" or unicodedata.category(character)[0] in "LMN"
