"""Every mistake a person can meet, as one tree; the command line turns each into one line and an exit code.

::

    CharlstmError              1   something unexpected, or the base of all below
    ├── UsageError             2   a setting, flag or prompt that cannot work
    │   ├── ConfigError        2   a settings file or preset that does not hold together
    │   ├── TextError          2   the text cannot be read as text (bad byte, too short, empty)
    │   └── UnknownCharacter   2   a character the tokenizer has never seen
    ├── CheckpointError        3   a checkpoint that cannot be used
    │   ├── CorruptError       3   cut short, changed, or not a checkpoint at all
    │   └── IncompatibleError  3   whole, but written by a newer version or for another purpose
    ├── NotFoundError          4   no such file, run, corpus or preset
    ├── OutOfMemoryError       5   the machine has not enough memory for these settings
    ├── StorageError           6   disk full, no permission, read-only
    ├── DivergedError          7   the loss is no longer a finite number
    └── LostRankError          1   one of several processes that train together has ended, or is out of reach

A traceback means a bug of ours: whatever a user does wrong, or a file has wrong, is raised as one of these.
"""

from __future__ import annotations


class CharlstmError(Exception):
    """A mistake told in one line: where, what, what to do.

    Args:
        what: the fault, in plain words, without a full stop.
        where: the file, flag or place; it is put in front.
        hint: what to do next; it is put behind as its own sentence.
    """

    exit_code = 1

    def __init__(self, what: str, *, where: object = "", hint: str = "") -> None:
        super().__init__(what)
        self.what = what
        self.where = str(where)
        self.hint = hint

    def __str__(self) -> str:
        line = f"{self.where}: {self.what}" if self.where else self.what
        return f"{line}. {self.hint}" if self.hint else line


class UsageError(CharlstmError):
    """A setting, flag or prompt that cannot work."""

    exit_code = 2


class ConfigError(UsageError):
    """A settings file, preset or combination of settings that does not hold together."""


class TextError(UsageError):
    """The text cannot be read as text: a bad byte, nothing in it, too little of it."""


class UnknownCharacter(UsageError):  # noqa: N818 - reads as what it is at every raise
    """A character the tokenizer has never seen.

    Args:
        character: the first such character.
        offset: its position in the text, in characters.
        what, where, hint: as in :class:`CharlstmError`.
    """

    def __init__(self, character: str, offset: int, *, where: object = "", hint: str = "") -> None:
        name = f"U+{ord(character):04X}"
        shown = f"{character!r} ({name})" if character.isprintable() else name
        super().__init__(f"character {shown} at position {offset} is not in the alphabet", where=where, hint=hint)
        self.character = character
        self.offset = offset


class CheckpointError(CharlstmError):
    """A checkpoint that cannot be used."""

    exit_code = 3


class CorruptError(CheckpointError):
    """The file is cut short, was changed, or never was a checkpoint."""


class IncompatibleError(CheckpointError):
    """The file is whole, but from a newer version, or made for another purpose."""


class NotFoundError(CharlstmError):
    """No such file, run, corpus or preset."""

    exit_code = 4


class OutOfMemoryError(CharlstmError):
    """The machine has not enough memory for these settings."""

    exit_code = 5


class StorageError(CharlstmError):
    """The disk is full, read-only or closed to this user."""

    exit_code = 6


class DivergedError(CharlstmError):
    """The loss is no longer a finite number."""

    exit_code = 7


class LostRankError(CharlstmError):
    """Another process of this run has ended, or can no longer be reached."""
