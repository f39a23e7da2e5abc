"""Folders: the bundled corpus, the starter checkpoint, the cache."""

from __future__ import annotations

from pathlib import Path

_PACKAGE = Path(__file__).resolve().parent


def corpora_folder() -> Path:
    """The folder of the bundled corpus."""
    return _shipped("corpora", "corpora")


def starter_folder() -> Path:
    """The folder of the starter checkpoint."""
    return _shipped("starter", "checkpoints/starter")


def cache_folder() -> Path:
    """This system's folder for encoded texts and fetched corpora; it may be deleted at any time."""
    from platformdirs import user_cache_path

    return user_cache_path("charlstm", appauthor=False)


def _shipped(in_wheel: str, in_checkout: str) -> Path:
    """A folder of shipped files: in a wheel beside the code, in a checkout at the top level."""
    wheel = _PACKAGE / "data" / in_wheel
    return wheel if wheel.is_dir() else _PACKAGE.parent / in_checkout
