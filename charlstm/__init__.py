"""charlstm: train a character-level LSTM on a text; let it write in that text's style.

    >>> import charlstm
    >>> model = charlstm.load("starter")
    >>> print(model.generate("ROMEO:", length=200, seed=1))      # doctest: +SKIP
    >>> model.fill("The s__ was rising.", count=3)               # doctest: +SKIP
    >>> model.score("To be, or not to be").bits_per_char         # doctest: +SKIP
    >>> model = charlstm.fit("my.txt", max_time="5m")            # doctest: +SKIP

Names are imported when first used, so that ``import charlstm`` costs nothing.
"""

from __future__ import annotations

from importlib import import_module
from typing import TYPE_CHECKING, Any

if TYPE_CHECKING:
    from charlstm.api.load import load
    from charlstm.api.mix import Mix, mix
    from charlstm.api.model import Model
    from charlstm.api.reading import HiddenState, Reading
    from charlstm.api.settings import Settings
    from charlstm.api.train import train
    from charlstm.checkpoint.provenance import Provenance
    from charlstm.cli.fit import fit
    from charlstm.config import DataConfig, RunConfig, TrainConfig
    from charlstm.errors import (
        CharlstmError,
        CheckpointError,
        ConfigError,
        CorruptError,
        DivergedError,
        IncompatibleError,
        LostRankError,
        NotFoundError,
        OutOfMemoryError,
        StorageError,
        TextError,
        UnknownCharacter,
        UsageError,
    )
    from charlstm.evaluation.dynamic import DynamicConfig
    from charlstm.evaluation.score import Score
    from charlstm.events import CheckpointSaved, EvalDone, Event, Notice, Preview, Started, StepDone, Stopped
    from charlstm.filling.config import FillConfig, Filling
    from charlstm.inspect.trace import Trace
    from charlstm.nn.architecture import Architecture
    from charlstm.sampling.config import SampleConfig

    __version__: str

__all__ = [
    "Architecture",
    "CharlstmError",
    "CheckpointError",
    "CheckpointSaved",
    "ConfigError",
    "CorruptError",
    "DataConfig",
    "DivergedError",
    "DynamicConfig",
    "EvalDone",
    "Event",
    "FillConfig",
    "Filling",
    "HiddenState",
    "IncompatibleError",
    "LostRankError",
    "Mix",
    "Model",
    "NotFoundError",
    "Notice",
    "OutOfMemoryError",
    "Preview",
    "Provenance",
    "Reading",
    "RunConfig",
    "SampleConfig",
    "Score",
    "Settings",
    "Started",
    "StepDone",
    "Stopped",
    "StorageError",
    "TextError",
    "Trace",
    "TrainConfig",
    "UnknownCharacter",
    "UsageError",
    "__version__",
    "fit",
    "load",
    "mix",
    "train",
]

_NAMES = {
    "charlstm.api.load": "load",
    "charlstm.api.mix": "Mix mix",
    "charlstm.api.model": "Model",
    "charlstm.api.reading": "HiddenState Reading",
    "charlstm.api.settings": "Settings",
    "charlstm.api.train": "train",
    "charlstm.checkpoint.provenance": "Provenance",
    "charlstm.cli.fit": "fit",
    "charlstm.config": "DataConfig RunConfig TrainConfig",
    "charlstm.errors": "CharlstmError CheckpointError ConfigError CorruptError DivergedError IncompatibleError "
    "LostRankError NotFoundError OutOfMemoryError StorageError TextError UnknownCharacter UsageError",
    "charlstm.evaluation.dynamic": "DynamicConfig",
    "charlstm.evaluation.score": "Score",
    "charlstm.events": "CheckpointSaved EvalDone Event Notice Preview Started StepDone Stopped",
    "charlstm.filling.config": "FillConfig Filling",
    "charlstm.inspect.trace": "Trace",
    "charlstm.nn.architecture": "Architecture",
    "charlstm.sampling.config": "SampleConfig",
}
"""Where each public name is imported from: the imports above once more, which only type checkers see."""

_HOMES = {name: module for module, names in _NAMES.items() for name in names.split()}


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
