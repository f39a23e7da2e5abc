"""Runs to be reported: what is on disk of each, and what several have in common and differ in."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from dataclasses import dataclass, field
from pathlib import Path
from typing import Any

from charlstm.checkpoint.format import Header, read_header
from charlstm.checkpoint.run import METRICS, MODEL, RESUME
from charlstm.checkpoint.summary import flat_settings
from charlstm.errors import CharlstmError, NotFoundError
from charlstm.inspect.history import History, read_history


@dataclass(frozen=True)
class RunRecord:
    """Everything known of a run."""

    name: str
    folder: Path
    history: History
    header: Header | None
    """Of its best model; without one, of its resume file; None if neither can be read."""
    baselines: Mapping[str, float] = field(default_factory=dict)
    """What its validation text costs without a network, by name: bits per character, or per byte."""
    baselines_note: str = ""
    """Why there are none, or not all."""
    diagnosis: str = ""
    """How it went, in words."""
    continue_with: str = ""
    """The command that continues it; empty if it cannot be continued."""

    @property
    def unit(self) -> str:
        """What the network predicts and losses are per: ``byte`` for a model of bytes, otherwise ``character``."""
        return "byte" if self.header is not None and self.header.tokenizer.get("kind") == "byte" else "character"

    @property
    def seconds(self) -> float:
        """Of training, in all sessions."""
        about = None if self.header is None else self.header.provenance.seconds
        return max(self.history.end.seconds, about or 0.0)

    @property
    def tokens(self) -> float:
        """Training tokens read, over all passes."""
        about = None if self.header is None else self.header.provenance.tokens
        return max(self.history.end.tokens, about or 0)

    @property
    def settings(self) -> dict[str, Any]:
        """Every setting by its full name, as ``model.hidden_size``; empty without a header."""
        return {} if self.header is None else flat_settings(self.header)


def read_run(folder: Path) -> RunRecord:
    """Read what is on disk of a run, except its weights.

    Args:
        folder: the run's.

    Returns:
        The run, whole or not.

    Raises:
        NotFoundError: nothing in the folder tells of a training.
        StorageError: a file cannot be read.
    """
    history = read_history(folder / METRICS)
    header = next((found for name in (MODEL, RESUME) if (found := _header(folder / name)) is not None), None)
    if header is None and not history.sessions:
        raise NotFoundError("holds no model and no record of a training", where=folder)
    return RunRecord(folder.name or str(folder), folder, history, header)


def differing_settings(runs: Sequence[RunRecord]) -> dict[str, tuple[Any, ...]]:
    """The settings in which runs differ.

    Args:
        runs: the runs.

    Returns:
        For each such setting its value in every run, None where a run has none; nothing for one run.
    """
    every = [run.settings for run in runs]
    names = dict.fromkeys(name for settings in every for name in settings if name != "name")
    values = {name: tuple(settings.get(name) for settings in every) for name in names}
    return {name: row for name, row in values.items() if any(value != row[0] for value in row)}


def common_settings(runs: Sequence[RunRecord]) -> dict[str, Any]:
    """The settings that all runs have in common.

    Args:
        runs: the runs, at least one.

    Returns:
        Each such setting with its value.
    """
    different = differing_settings(runs)
    return {name: value for name, value in runs[0].settings.items() if name not in different and name != "name"}


def _header(path: Path) -> Header | None:
    try:
        return read_header(path)
    except CharlstmError:  # missing or damaged: `checkpoints verify` tells which
        return None
