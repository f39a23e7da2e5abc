"""Files that an export makes: they replace nothing unless that is asked for."""

from __future__ import annotations

import os
from pathlib import Path

from charlstm.errors import UsageError
from charlstm.files import check_folder_of


def check_target(path: Path, *, force: bool) -> None:
    """Check before the work that a file can be written.

    Args:
        path: the file.
        force: whether it may replace another.

    Raises:
        UsageError: it exists, or its folder does not, or it stands for standard output.
        StorageError: its folder cannot be looked into.
    """
    if str(path) == "-":
        raise UsageError("is standard output, and a file is to be written", where=path, hint="Give it a name.")
    # With os.path, since a method of Path raises for a name that is too long.
    if os.path.isdir(path):
        raise UsageError("is a folder, and a file is to be written", where=path)
    if os.path.lexists(path) and not force:
        hint = "Choose another place, or add `force` to replace it."
        raise UsageError("exists already", where=path, hint=hint)
    check_folder_of(path)
