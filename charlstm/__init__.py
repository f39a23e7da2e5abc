"""charlstm: train a character-level LSTM on a text; let it write in that text's style.

    >>> import charlstm
    >>> model = charlstm.load("starter")
    >>> print(model.generate("ROMEO:", length=200, seed=1))      # doctest: +SKIP
    >>> model.fill("The s__ was rising.", count=3)               # doctest: +SKIP
    >>> model.score("To be, or not to be").bits_per_char         # doctest: +SKIP
    >>> for event in charlstm.train("my.txt", max_time=60):      # doctest: +SKIP
    ...     print(event)

Names are fetched when first used, so that ``import charlstm`` costs nothing.
"""

from __future__ import annotations

from importlib import import_module
from typing import TYPE_CHECKING, Any

if TYPE_CHECKING:
    from charlstm.api import Model, load, train
    from charlstm.errors import CharlstmError
    from charlstm.evaluation.score import Score
    from charlstm.filling.config import Filling

    __version__: str

__all__ = ["CharlstmError", "Filling", "Model", "Score", "__version__", "load", "train"]

_HOMES = {
    "CharlstmError": "charlstm.errors",
    "Filling": "charlstm.filling.fill",
    "Model": "charlstm.api",
    "Score": "charlstm.api",
    "load": "charlstm.api",
    "train": "charlstm.api",
}


def __getattr__(name: str) -> Any:
    if name == "__version__":
        return _version()
    if name not in _HOMES:
        raise AttributeError(f"module 'charlstm' has no attribute {name!r}")
    return getattr(import_module(_HOMES[name]), name)


def _version() -> str:
    from importlib.metadata import PackageNotFoundError, version

    try:
        return version("charlstm")
    except PackageNotFoundError:  # run from a checkout that was never installed
        return "0+unknown"


def __dir__() -> list[str]:
    return sorted(__all__)
