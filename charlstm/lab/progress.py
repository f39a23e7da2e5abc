"""How an experiment runs: it yields its progress and last its result, and can be stopped."""

from __future__ import annotations

from collections.abc import Callable, Iterator
from dataclasses import dataclass
from typing import TypeAlias

from charlstm.report.experiment import Result

Experiment: TypeAlias = Iterator["Progress | Result"]
"""A running experiment: any number of `Progress`, then one `Result`."""

ShouldStop: TypeAlias = Callable[[], bool]
"""Called often by an experiment: when it returns True, training ends and the result is partial."""


@dataclass(frozen=True)
class Progress:
    """How far an experiment is."""

    share: float
    """Share of the work done, in [0, 1]."""
    text: str


def never() -> bool:
    """Never stop."""
    return False
