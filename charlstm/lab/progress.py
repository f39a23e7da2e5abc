"""How an experiment runs: it yields its progress and last its report, and can be stopped."""

from __future__ import annotations

from collections.abc import Callable, Iterator
from dataclasses import dataclass
from typing import TypeAlias

from charlstm.report.data import Report

Experiment: TypeAlias = Iterator["Progress | Report"]
"""A running experiment: any number of `Progress`, then one `Report`."""

ShouldStop: TypeAlias = Callable[[], bool]
"""Called often by an experiment: when it returns True, training ends and the report is partial."""


@dataclass(frozen=True)
class Progress:
    """How far an experiment is."""

    share: float
    """Share of the work done, in [0, 1]."""
    text: str


def never() -> bool:
    """Never stop."""
    return False
