"""The settings of a draw, and the checks they share with the settings of filling."""

from __future__ import annotations

import math
from dataclasses import dataclass
from typing import Any

from charlstm.checkpoint.writing import Writing
from charlstm.schemas import require, require_number, require_whole

MAX_SEED = 2**64 - 1
"""The largest seed; NumPy and torch both take every whole number up to it."""


@dataclass(frozen=True)
class SampleConfig:
    """How text is drawn, and when it ends: at the first of length, stop text and number of lines that is reached.

    Not a pydantic model like the settings of a run: importing those takes half the time of a first character.

    Raises:
        UsageError: a value has the wrong type or is out of range.
    """

    length: int = 500
    """Tokens to draw; 0 is endless."""
    temperature: float = 1.0
    """The logits are divided by it; 0 always takes the likeliest token."""
    top_k: int = 0
    """Keep only the k likeliest tokens; 0 is off."""
    top_p: float = 1.0
    """Keep only the fewest likeliest tokens whose probabilities add up to this; 1 is off."""
    min_p: float = 0.0
    """Keep only tokens at least this many times as likely as the likeliest; 0 is off."""
    repetition_penalty: float = 1.0
    """For each of the last 64 tokens, a positive logit is divided by it and a negative one multiplied; 1 is off."""
    no_repeat: int = 0
    """Tokens of a passage that may be said again (`sampling.repeats`); 0 is off."""
    longest_run: int = 0
    """Equal tokens in a row, at most; 0 is any number."""
    stop: str | tuple[str, ...] = ()
    """One text or several that end the draw. Only drawn text is searched, and the stop text is not returned."""
    stop_after: str | tuple[str, ...] = ()
    """The same, but the stop text is returned: the drawn text ends with it."""
    lines: int = 0
    """Newlines to draw, the last one included; 0 is no limit."""
    seed: int | None = None
    """The seed, 0 to 2⁶⁴ - 1; None takes fresh entropy."""

    def __post_init__(self) -> None:
        for name in ("stop", "stop_after"):
            object.__setattr__(self, name, require_texts(name, getattr(self, name)))
        for name in ("length", "top_k", "no_repeat", "longest_run", "lines"):
            require_whole(name, getattr(self, name))
        for name in ("temperature", "top_p", "min_p", "repetition_penalty"):
            require_number(name, getattr(self, name))
        require("length", self.length, self.length >= 0, "0 (endless) or more")
        require_temperature(self.temperature)
        require("top_k", self.top_k, self.top_k >= 0, "0 (off) or more")
        require("top_p", self.top_p, 0 < self.top_p <= 1, "above 0 and at most 1 (off)")
        require("min_p", self.min_p, 0 <= self.min_p <= 1, "between 0 (off) and 1")
        penalty = self.repetition_penalty
        require("repetition_penalty", penalty, 0 < penalty < math.inf, "above 0; 1 is off")
        require("longest_run", self.longest_run, self.longest_run >= 0, "0 (off) or more")
        require("no_repeat", self.no_repeat, self.no_repeat >= 0, "0 (off) or more")
        require("lines", self.lines, self.lines >= 0, "0 (no limit) or more")
        require_seed(self.seed)

    @property
    def ends(self) -> bool:
        """Whether anything ends the draw."""
        return bool(self.length or self.stop or self.stop_after or self.lines)


OWN = ("temperature", "top_p", "min_p", "no_repeat", "longest_run")
"""The settings that are stored with a network."""


def settings_for(writing: Writing, **given: Any) -> SampleConfig:
    """Complete the settings of a draw with those that are stored with the network.

    Args:
        writing: how the network writes unless it is told otherwise.
        given: fields of `SampleConfig`; None leaves what is in `OWN` to the network. The end of
            a record is one more stop text.

    Returns:
        The settings.

    Raises:
        UsageError: a value has the wrong type or is out of range.
    """
    own: dict[str, Any] = {name: getattr(writing, name) for name in OWN if given.get(name) is None}
    if writing.record:
        own["stop"] = (*require_texts("stop", given.get("stop", ())), writing.record)
    return SampleConfig(**{**given, **own})


def require_texts(name: str, value: object) -> tuple[str, ...]:
    """Check that a setting is one text or several, none of them empty.

    Args:
        name: the setting.
        value: its value.

    Returns:
        The texts.

    Raises:
        UsageError: it is something else.
    """
    require(name, value, isinstance(value, str | tuple | list), "a text, or several in a tuple")
    texts = (value,) if isinstance(value, str) else tuple(value)  # type: ignore[arg-type]
    for text in texts:
        require(name, text, isinstance(text, str) and text != "", "a text of at least one character")
    return texts


def require_temperature(value: float) -> None:
    """Check a temperature.

    Raises:
        UsageError: it is negative or not finite.
    """
    require("temperature", value, 0 <= value < math.inf, "0 (always the likeliest) or more")


def require_seed(value: int | None) -> None:
    """Check a seed.

    Raises:
        UsageError: it is neither None nor a whole number from 0 to 2⁶⁴ - 1.
    """
    if value is not None:
        require_whole("seed", value)
        require("seed", value, 0 <= value <= MAX_SEED, f"from 0 to {MAX_SEED} (2^64 - 1)")
