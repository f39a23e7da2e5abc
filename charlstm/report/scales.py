"""Scales: from a value to a shade, the same in a terminal, a page and a picture.

A shade is a background and the colour of text on it, so that it is readable on dark and on white.
"""

from __future__ import annotations

import math
from bisect import bisect_right
from dataclasses import dataclass

_BLACK, _WHITE = "#000000", "#ffffff"


@dataclass(frozen=True)
class Shade:
    """A background with the text on it."""

    background: str
    """``#rrggbb``; empty for none, as under values that call for no attention."""
    color: str
    """Of the text, ``#rrggbb``; empty without a background."""
    sign: str
    """One ASCII character that stands for it where there is no colour."""


@dataclass(frozen=True)
class Scale:
    """Steps of shade for a value.

    Attributes:
        limits: the value from which each shade but the first holds, rising.
        shades: from the lowest to the highest, one more than limits.
        labels: of each shade, for a legend.
        unit: what the value is.
    """

    limits: tuple[float, ...]
    shades: tuple[Shade, ...]
    labels: tuple[str, ...]
    unit: str

    def step_of(self, value: float) -> int:
        """Number of the shade of a value; NaN, which no scale has, is the highest."""
        return len(self.limits) if math.isnan(value) else bisect_right(self.limits, value)

    def shade_of(self, value: float) -> Shade:
        """The shade of a value."""
        return self.shades[self.step_of(value)]


def _shades(backgrounds: tuple[str, ...], signs: str) -> tuple[Shade, ...]:
    pairs = zip(backgrounds, signs, strict=True)
    return tuple(Shade(back, _text_on(back) if back else "", sign) for back, sign in pairs)


def _text_on(background: str) -> str:
    """Black or white, whichever has the higher contrast (WCAG 2.2, relative luminance)."""
    linear = []
    for place in (1, 3, 5):
        value = int(background[place : place + 2], 16) / 255
        linear.append(value / 12.92 if value <= 0.04045 else ((value + 0.055) / 1.055) ** 2.4)
    luminance = 0.2126 * linear[0] + 0.7152 * linear[1] + 0.0722 * linear[2]
    return _BLACK if (luminance + 0.05) / 0.05 >= 1.05 / (luminance + 0.05) else _WHITE


SURPRISE = Scale(
    (1, 2, 4, 6, 8),
    _shades(("", "#d7d7af", "#ffd75f", "#ff875f", "#d70000", "#af005f"), ".12468"),
    ("under 1 bit", "1 to 2", "2 to 4", "4 to 6", "6 to 8", "8 bits or more"),
    "surprisal in bits",
)
"""Each colour is one of the 256 of a terminal; with 16 colours, too, no two of the nearest ones are the same."""

COPIED = Scale(
    (16, 32, 64, 128),
    _shades(("", "#d7d7af", "#ffd75f", "#ff875f", "#d70000"), " 1368"),
    ("under 16", "16 to 31", "32 to 63", "64 to 127", "128 or more"),
    "length of the copy in characters",
)
"""Each sign is the first digit of the length."""

BANDS = Scale(
    (1, 3, 10, 30),
    _shades(("", "#d7d7af", "#ffd75f", "#ff875f", "#d70000"), ".1248"),
    ("1", "2 to 3", "4 to 10", "11 to 30", "above 30"),
    "rank among all characters",
)
"""By how many characters were thought likelier: bands as in GLTR (Gehrmann, Strobelt & Rush 2019), for alphabets."""

LIKELY = Scale(
    (1 / 64, 1 / 32, 1 / 16, 1 / 8, 1 / 4, 1 / 2),
    _shades(("", "#ccebc5", "#a8ddb5", "#7bccc4", "#4eb3d3", "#2b8cbe", "#084081"), " .:-=+#"),
    ("under 2", "2 to 3", "3 to 6", "6 to 12", "12 to 25", "25 to 50", "50 or more"),
    "percent",
)
"""Of probabilities. Without the palest shades of GnBu, which would be the brightest ones on a dark ground."""

RAMP = " .:-=+*#%@"
"""A heat map without colour: from nothing to full."""

_BLUES = ("#053061", "#2166ac", "#4393c3", "#92c5de", "#d1e5f0")
_REDS = ("#fddbc7", "#f4a582", "#d6604d", "#b2182b", "#67001f")
_NEAR_WHITE = "#f7f7f7"


def signed(limit: float, unit: str, *, filled: bool = False) -> Scale:
    """A scale around zero: blue below, red above (the RdBu scheme of Brewer 2003), no shade near zero.

    Without colour letters stand below zero, digits above it.

    Args:
        limit: the value of full colour, above 0.
        unit: what the value is.
        filled: whether zero is white on any ground, as a map needs it; text is left as it is there.
    """
    count = len(_BLUES)
    edges = [limit * (2 * step + 1) / (2 * count + 1) for step in range(count)]
    limits = (*(-edge for edge in reversed(edges)), *edges)
    middle = _shades((_NEAR_WHITE if filled else "",), " ")
    shades = (*_shades(_BLUES, "edcba"), *middle, *_shades(_REDS, "12345"))
    labels = (f"{-limit:.2g} or less", *[""] * (count - 1), "0", *[""] * (count - 1), f"{limit:.2g} or more")
    return Scale(limits, shades, labels, unit)


_GREYS_TO_GREEN = (
    "#f7fcf0", "#e0f3db", "#ccebc5", "#a8ddb5", "#7bccc4", "#4eb3d3", "#2b8cbe", "#0868ac", "#084081", "#041f40",
)  # fmt: skip


def rising(low: float, high: float, unit: str) -> Scale:
    """A scale in ten steps from pale to dark (the GnBu scheme of Brewer 2003).

    Args:
        low: below the first step's end.
        high: the value of full colour, more than ``low``.
        unit: what the value is.
    """
    count = len(_GREYS_TO_GREEN)
    limits = tuple(low + (high - low) * step / count for step in range(1, count))
    labels = (f"{low:.2g}", *[""] * (count - 2), f"{high:.2g}")
    return Scale(limits, _shades(_GREYS_TO_GREEN, RAMP), labels, unit)
