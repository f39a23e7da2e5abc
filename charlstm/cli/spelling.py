"""Settings as options: messages from below the command line name a setting in backticks, a person types ``--it``."""

from __future__ import annotations

import re

from charlstm.errors import CharlstmError


def as_option(setting: str) -> str:
    """Return the option of a setting: ``"batch_size"`` becomes ``"--batch-size"``."""
    return f"--{setting.replace('_', '-')}"


def with_options(message: str) -> str:
    """Spell each setting that a message has in backticks as an option."""
    return re.sub(r"`([a-z][a-z0-9_]*)`", lambda match: as_option(match[1]), message)


def error_line(fault: CharlstmError) -> str:
    """Return an error as one line for a person; the place it names, a path above all, stays as it is."""
    return str(CharlstmError(with_options(fault.what), where=fault.where, hint=with_options(fault.hint)))
