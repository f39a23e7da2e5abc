"""Every error a person can meet, as one tree; the command line turns each into one line and its exit code.

::

    CharlstmError              1   the base of all below; by itself, something unexpected
    ├── UsageError             2   a setting, argument or prompt that cannot work
    │   ├── ConfigError        2   settings that are invalid or contradict each other
    │   ├── TextError          2   not readable as text: too short, empty
    │   │   └── EncodingError  2   a byte does not fit the encoding
    │   └── UnknownCharacter   2   a character that is not in the tokenizer's alphabet
    ├── CheckpointError        3   a checkpoint that cannot be used
    │   ├── CorruptError       3   truncated, changed, or not a checkpoint at all
    │   └── IncompatibleError  3   intact, but from a newer version or for another purpose
    ├── NotFoundError          4   no such file, run, corpus or preset
    ├── OutOfMemoryError       5   not enough memory for these settings
    ├── StorageError           6   disk full, no permission, read-only
    ├── DivergedError          7   the loss is no longer a finite number
    └── LostRankError          1   another process of this run has ended, or cannot be reached

A mistake by the user or a fault in a file is always raised as one of these; any other traceback is a bug.

In a message a setting stands in backticks, alone or with a value (``Use `batch_size=4`.``); the command line spells it
as its option.
"""

from __future__ import annotations


class CharlstmError(Exception):
    """An error that reads as one line: where, what, what to do.

    Args:
        what: the fault, in plain words, without a full stop.
        where: the file or other place; the line begins with it.
        hint: what to do next, as sentences; the line ends with them.
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
    """A setting, argument or prompt that cannot work."""

    exit_code = 2


class ConfigError(UsageError):
    """Settings that are invalid or contradict each other."""


class TextError(UsageError):
    """The text cannot be read as text: it has a bad byte, is empty, or is too short."""


class EncodingError(TextError):
    """A byte of the text does not fit its encoding.

    Args:
        what, where, hint: as in :class:`CharlstmError`.
        facts: the hint where no encoding can be chosen.
        encoding: one that the text reads well in; empty if none is known.
    """

    def __init__(
        self,
        what: str,
        *,
        where: object = "",
        hint: str = "",
        facts: str = "It has to be text in UTF-8: convert it, for example with iconv.",
        encoding: str = "",
    ) -> None:
        super().__init__(what, where=where, hint=hint)
        self.facts = facts
        self.encoding = encoding


class UnknownCharacter(UsageError):  # noqa: N818 - clear without the suffix
    """A character that is not in the tokenizer's alphabet.

    Args:
        character: the first such character.
        offset: its position in the text, in characters.
        where, hint: as in :class:`CharlstmError`.
        facts: the hint where nothing can be chosen: without the settings that read such characters.
    """

    def __init__(
        self, character: str, offset: int, *, where: object = "", hint: str = "", facts: str | None = None
    ) -> None:
        name = f"U+{ord(character):04X}"
        shown = f"{character!r} ({name})" if character.isprintable() else name
        super().__init__(f"character {shown} at position {offset} is not in the alphabet", where=where, hint=hint)
        self.character = character
        self.offset = offset
        self.facts = hint if facts is None else facts


OUT_OF_RANGE = "The weights are damaged, or training diverged."
"""The hint where a network's results are not finite."""


class CheckpointError(CharlstmError):
    """A checkpoint that cannot be used."""

    exit_code = 3


class CorruptError(CheckpointError):
    """The file is truncated, was changed, or is not a checkpoint at all."""


class IncompatibleError(CheckpointError):
    """The file is intact, but from a newer version or for another purpose."""


class NotFoundError(CharlstmError):
    """No such file, run, corpus or preset."""

    exit_code = 4


class OutOfMemoryError(CharlstmError):
    """There is not enough memory for these settings."""

    exit_code = 5


class StorageError(CharlstmError):
    """The disk is full or read-only, or this user has no permission."""

    exit_code = 6


class DivergedError(CharlstmError):
    """The loss is no longer a finite number."""

    exit_code = 7


class LostRankError(CharlstmError):
    """Another process of this run has ended, or cannot be reached."""


def is_out_of_memory(fault: BaseException) -> bool:
    """Whether an error of Python, NumPy or torch means that memory ran out."""
    if isinstance(fault, MemoryError) or type(fault).__name__ == "OutOfMemoryError":  # NumPy's and torch's own
        return True
    # On a CPU torch raises no specific exception for it, and the loader of its libraries none either; oneDNN
    # gives none at all.
    kinds = (RuntimeError, OSError, ImportError)
    return isinstance(fault, kinds) and any(words in str(fault) for words in _OUT_OF_MEMORY)


_OUT_OF_MEMORY = (
    "allocate memory",
    "bad_alloc",
    "bad_array_new_length",
    "failed to map segment",
    "could not create a primitive",
)
