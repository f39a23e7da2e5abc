"""Where things lie: the bundled corpus, the starter checkpoint, the cache."""

from __future__ import annotations

from pathlib import Path

_PACKAGE = Path(__file__).resolve().parent


def _shipped(inside_wheel: str, inside_checkout: str) -> Path:
    """A folder of shipped files: beside the code in a wheel, at the top level in a checkout."""
    wheel = _PACKAGE / "data" / inside_wheel
    return wheel if wheel.is_dir() else _PACKAGE.parent / inside_checkout


def corpora_folder() -> Path:
    """The folder of the bundled corpus."""
    return _shipped("corpora", "corpora")


def starter_folder() -> Path:
    """The folder of the starter checkpoint."""
    return _shipped("starter", "checkpoints/starter")


def cache_folder() -> Path:
    """Where encoded texts and fetched corpora are kept on this system; it may be deleted at any time."""
    from platformdirs import user_cache_path

    return user_cache_path("charlstm", appauthor=False)
