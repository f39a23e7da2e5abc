"""How blanks are filled, and the result."""

from __future__ import annotations

from dataclasses import dataclass

from charlstm.sampling.config import require_seed, require_temperature
from charlstm.schemas import require, require_flag, require_number, require_whole


@dataclass(frozen=True)
class FillConfig:
    """How blanks are filled.

    Raises:
        UsageError: a value has the wrong type or is out of range.
    """

    count: int = 1
    """How many answers, all different."""
    temperature: float = 0.0
    """0 gives the likeliest answers; above it answers are drawn, their log-probabilities divided by it."""
    candidates: int = 100
    """K, the width of the beam."""
    newlines: bool = False
    """Whether a blank may hold newlines."""
    seed: int | None = None
    """The seed of the draw, 0 to 2⁶⁴ - 1; None takes fresh entropy."""

    def __post_init__(self) -> None:
        for name in ("count", "candidates"):
            value = getattr(self, name)
            require_whole(name, value)
            require(name, value, value >= 1, "1 or more")
        require_number("temperature", self.temperature)
        require_temperature(self.temperature)
        require_flag("newlines", self.newlines)
        require_seed(self.seed)

    @property
    def beam_width(self) -> int:
        """How many candidates the search keeps: K, or the number of answers if that is larger."""
        return max(self.count, self.candidates)


@dataclass(frozen=True)
class Filling:
    """One way to fill all blanks of a text."""

    text: str
    """The whole text."""
    blanks: tuple[str, ...]
    """The text in each blank."""
    probability: float
    """Its share of the probability of all candidates the search ended with, under the network at temperature 1."""
