"""The SQLite file of a search: opened and checked, with its errors translated.

Each fact is one transaction, so a kill at any moment leaves those before it. Optuna's other store, a journal, was
rejected: a line that a kill cut in two runs into the next one and makes the whole file unreadable
(`JournalFileBackend.read_logs`), and its lock outlives its owner by 30 seconds.
"""

from __future__ import annotations

import contextlib
import sqlite3
from collections.abc import Iterator
from contextlib import contextmanager
from importlib.util import find_spec
from pathlib import Path
from typing import TYPE_CHECKING

from charlstm.errors import CharlstmError, CorruptError, StorageError, UsageError

if TYPE_CHECKING:
    import optuna

_SYSTEM_ERRORS = {
    sqlite3.SQLITE_FULL,
    sqlite3.SQLITE_CANTOPEN,
    sqlite3.SQLITE_READONLY,
    sqlite3.SQLITE_PERM,
    sqlite3.SQLITE_IOERR,
    sqlite3.SQLITE_BUSY,
    sqlite3.SQLITE_LOCKED,
}
"""SQLite's error codes that do not mean that the file is damaged."""


def check_installed() -> None:
    """Check that optuna is installed.

    Raises:
        UsageError: optuna is not installed.
    """
    if find_spec("optuna") is None:
        raise UsageError("the search needs optuna, which is not installed", hint="pip install optuna")


@contextmanager
def open_storage(path: Path) -> Iterator[tuple[optuna.storages.RDBStorage, bool]]:
    """Open the file of a search.

    Args:
        path: the file; it is made if there is none.

    Yields:
        The storage, and whether it is new: it has no study yet, perhaps because a kill interrupted its creation.

    Raises:
        CorruptError: the file is damaged, or not a search's.
        StorageError: the disk is full, or the file cannot be opened, or written while it is open.
    """
    import optuna
    from sqlalchemy import URL
    from sqlalchemy.exc import SQLAlchemyError

    with translated_errors(path):
        is_new = _is_new(path)
        url = URL.create("sqlite", database=str(path.absolute())).render_as_string()
        # Optuna would add the tables that it misses in a damaged file, and formats the URL as a template.
        storage = optuna.storages.RDBStorage(url.replace("{", "{{").replace("}", "}}"), skip_table_creation=not is_new)
    try:
        yield storage, is_new
    except (optuna.exceptions.StorageInternalError, SQLAlchemyError) as error:
        raise _translated(error, path, "the results of the search cannot be saved") from error
    finally:
        storage.remove_session()
        storage.engine.dispose()


@contextmanager
def translated_errors(path: Path) -> Iterator[None]:
    """Translate every error while a file is read: which ones a damaged file causes cannot be listed.

    Args:
        path: the file.

    Raises:
        CorruptError: the file is damaged, or not a search's.
        StorageError: the disk is full, or the file cannot be read or written.
    """
    try:
        yield
    except CharlstmError:
        raise
    except Exception as error:
        raise _translated(error, path, "the search cannot be opened") from error


def _is_new(path: Path) -> bool:
    """Whether the file holds no study; every page of it is read.

    Raises:
        ValueError, sqlite3.Error: the file is damaged, or another program's.
    """
    with contextlib.closing(sqlite3.connect(path)) as database:
        problem = database.execute("PRAGMA integrity_check").fetchone()[0]
        if problem != "ok":
            raise ValueError(problem)
        tables = {name for (name,) in database.execute("SELECT name FROM sqlite_master WHERE type = 'table'")}
        if tables and not tables & {"studies", "version_info"}:
            raise ValueError("not a file of optuna")
        for table in tables:  # without a primary key optuna loses the rows it adds
            if not any(column[5] for column in database.execute(f'PRAGMA table_info("{table}")')):
                raise ValueError(f"{table} has no primary key")
        filled = tables & {"studies", "trials"}
        return not any(database.execute(f"SELECT 1 FROM {table} LIMIT 1").fetchone() for table in filled)


def _is_system_error(error: BaseException) -> bool:
    """Whether the system, and not the content of the file, is the cause of an error."""
    cause: BaseException | None = error
    while cause is not None:
        code = getattr(getattr(cause, "orig", cause), "sqlite_errorcode", None)  # sqlalchemy wraps SQLite's error
        if code is not None:
            return code & 0xFF in _SYSTEM_ERRORS and code != sqlite3.SQLITE_IOERR_SHORT_READ
        cause = cause.__cause__ or cause.__context__
    return False


def _translated(error: Exception, path: Path, system_error: str) -> CharlstmError:
    """The error to raise in place of SQLite's or optuna's; `system_error` is its text if the system is the cause."""
    if _is_system_error(error):
        hint = "Check that the disk is not full and that the file can be written; then the same command continues."
        return StorageError(system_error, where=path, hint=hint)
    what = "this search cannot be continued: its file is damaged, or of another version of charlstm or optuna"
    return CorruptError(what, where=path, hint="Choose another name, or remove its folder.")
