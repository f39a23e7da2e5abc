"""The same text at several values of one setting of sampling, and how it changes.

==================  =================================================================================================
bits                of a character drawn, on average, under the network itself: how surprised it is by its own text
repeated trigrams   share of the word trigrams that occurred before, as in `evaluation.writing`
longest copy        characters of the longest passage that stands in the training text, as in `inspect.matches`
real words          share of the words of three letters or more that the training text has, as in `evaluation.writing`
==================  =================================================================================================
"""

from __future__ import annotations

import math
from collections.abc import Callable, Collection, Iterable, Sequence
from dataclasses import dataclass, replace
from typing import Any

from charlstm.errors import UsageError
from charlstm.evaluation.writing import measure
from charlstm.inspect.matches import longest_matches
from charlstm.sampling.config import SampleConfig
from charlstm.sampling.sampler import Fragment
from charlstm.tokenizers.char import code_points

SETTINGS = ("temperature", "top_p", "min_p")
"""What can be swept."""
STEPS, MOST = 5, 12
"""Values in a range, and at most."""


@dataclass(frozen=True)
class Swept:
    """The text at one value."""

    value: float
    text: str
    bits: float
    """Per character drawn."""
    repeated: float
    """Share of its word trigrams."""
    copy: int | None = None
    """Characters of the longest copy, 0 if it is shorter than `matches.SHORTEST`; None without the training text."""
    real_words: float | None = None
    """A share; None where the network knows no words."""


def parse_sweep(typed: str) -> tuple[str, tuple[float, ...]]:
    """Read a setting and its values as a person types them: ``temperature=0.2..1.4``, ``min_p=0.01,0.1``.

    Args:
        typed: a range is taken in five equal steps, a list as it is.

    Returns:
        The setting and its values.

    Raises:
        UsageError: it is no such thing.
    """
    name, _, values = typed.partition("=")
    name = name.strip().replace("-", "_")
    if name not in SETTINGS:
        raise UsageError(f"`sweep={typed}` must begin with one of {', '.join(f'{each}=' for each in SETTINGS)}")
    try:
        if ".." in values:
            low, high = map(float, values.split(".."))
            numbers = [low + (high - low) * step / (STEPS - 1) for step in range(STEPS)]
        else:
            numbers = [float(each) for each in values.split(",")]
    except ValueError as fault:
        hint = f"Write it like {name}=0.2..0.8 or {name}=0.2,0.5,0.8."
        raise UsageError(f"`sweep={typed}` has no such values", hint=hint) from fault
    if not all(map(math.isfinite, numbers)):  # between two ends of which one is infinite nothing is a number
        raise UsageError(f"`sweep={typed}` has a value that is not finite", hint=f"Write it like {name}=0.2..0.8.")
    if len(numbers) > MOST:
        raise UsageError(f"`sweep={typed}` has more than {MOST} values")
    return name, tuple(dict.fromkeys(float(f"{number:.6g}") for number in numbers))


def sweep(
    draw: Callable[[SampleConfig], Iterable[tuple[str, Sequence[Fragment]]]],
    config: SampleConfig,
    name: str,
    values: Sequence[float],
    *,
    characters: Callable[[Sequence[int]], int],
    words: Collection[str] = (),
    source: Iterable[str] | None = None,
) -> list[Swept]:
    """Draw a text at each value of a setting, and measure it.

    Args:
        draw: draws texts with some settings: each with its fragments, whose log-probabilities are known.
        config: all settings; the same seed at each value.
        name: one of `SETTINGS`.
        values: of that setting.
        characters: the number of characters that some tokens stand for.
        words: of the training text; none where the network knows none.
        source: the training text in pieces, or None.

    Returns:
        What was drawn, in the order of the values.

    Raises:
        UsageError: a value is out of range.
    """
    known = {word.lower().replace("’", "'") for word in words}
    swept = []
    changes: list[dict[str, Any]] = [{name: value} for value in values]
    for each in [replace(config, **change) for change in changes]:
        drawn = list(draw(each))
        texts, fragments = [text for text, _ in drawn], [one for _, row in drawn for one in row]
        figures = measure(texts, known)
        nats = -sum(fragment.log_probability for fragment in fragments)
        bits = nats / math.log(2) / max(1, characters([fragment.token for fragment in fragments]))
        real = figures.real_words if known else None
        swept.append(Swept(getattr(each, name), "".join(texts), bits, figures.repeated_trigrams, None, real))
    if source is None:
        return swept
    found = longest_matches([code_points(each.text) for each in swept], map(code_points, source))
    copies = [int(each.lengths.max(initial=0)) for each in found]
    return [replace(each, copy=copy) for each, copy in zip(swept, copies, strict=True)]
