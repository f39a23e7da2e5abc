"""How blanks are filled, and what comes of it."""

from __future__ import annotations

import math
from dataclasses import dataclass

from charlstm.errors import UsageError


@dataclass(frozen=True)
class FillConfig:
    """How blanks are filled.

    Raises:
        UsageError: a value outside its range.
    """

    count: int = 1
    """Alternatives to give, all different."""
    temperature: float = 0.0
    """0 gives the likeliest; above it alternatives are drawn, their log-probabilities divided by it."""
    candidates: int = 100
    """K, how many are weighed."""
    newlines: bool = False
    """Whether a blank may run over the end of a line."""
    seed: int | None = None
    """Of the draw; None takes fresh entropy."""

    def __post_init__(self) -> None:
        ranges = {
            "n": (self.count, self.count >= 1, "1 or more"),
            "temperature": (self.temperature, 0 <= self.temperature < math.inf, "0 (the likeliest) or more"),
            "candidates": (self.candidates, self.candidates >= 1, "1 or more"),
            "seed": (self.seed, self.seed is None or self.seed >= 0, "0 or more"),
        }
        for name, (value, fits, rule) in ranges.items():
            if not fits:
                raise UsageError(f"{name} = {value!r}: must be {rule}")

    @property
    def width(self) -> int:
        """How many candidates are kept: never fewer than are asked for."""
        return max(self.count, self.candidates)


@dataclass(frozen=True)
class Filling:
    """One way to fill all blanks of a text."""

    text: str
    """The whole text."""
    blanks: tuple[str, ...]
    """What stands in each blank."""
    probability: float
    """Its share among all candidates that were weighed, by the network itself: at temperature 1."""
