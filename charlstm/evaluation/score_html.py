"""A scored text as a fragment of HTML: each piece on a background shaded by its surprisal."""

from __future__ import annotations

import unicodedata
from collections.abc import Iterable
from html import escape
from itertools import groupby, islice

_SHADES = (
    (1, "", "under 1 bit"),
    (2, "#fff3c4", "1 to 2"),
    (4, "#ffe08a", "2 to 4"),
    (6, "#ffb870", "4 to 6"),
    (8, "#ff9e80", "6 to 8"),
    (float("inf"), "#ff8c8c", "8 bits or more"),
)
"""Surprisal below which a shade holds, in bits; background; label. Their text is black, in light and dark pages."""
_LONGEST = 20_000  # tokens: a page of megabytes stops a browser


def to_html(pieces: Iterable[tuple[str, float]], title: str) -> str:
    """Render a text with its surprisal, and a legend; of a long one, the first 20,000 tokens.

    Nothing in the text is obeyed as HTML or reorders it: controls and bidirectional controls are shown as signs. Shaded
    text is black on a light background; the rest has the colour of the page, so both light and dark pages can be read.

    Args:
        pieces: the text in order, each piece with its surprisal in bits.
        title: plain text, shown before the legend.

    Returns:
        The ``<div>`` of the text, without a page around it.
    """
    remaining = iter(pieces)
    spans = [
        _span("".join(text for text, _ in group), background)
        for background, group in groupby(islice(remaining, _LONGEST), key=lambda piece: _background(piece[1]))
    ]
    more = "<div>… (the rest is not shown)</div>" if next(remaining, None) is not None else ""
    legend = " ".join(_span(label, background) for _, background, label in _SHADES)
    return (
        f'<div><div style="font-family:monospace;white-space:pre-wrap;overflow-wrap:anywhere">{"".join(spans)}</div>'
        f"{more}<div>{escape(title)}. Surprisal: {legend}</div></div>"
    )


def _background(bits: float) -> str:
    return next((background for limit, background, _ in _SHADES if bits < limit), _SHADES[-1][1])  # NaN is the last


def _span(text: str, background: str) -> str:
    shown = escape("".join(map(_visible, text)))
    return f'<span style="background:{background};color:#000">{shown}</span>' if background else shown


def _visible(character: str) -> str:
    """A character as it may stand in HTML: controls, surrogates and invisible format characters as ``<U+XXXX>``."""
    if character not in "\n\t" and unicodedata.category(character) in {"Cc", "Cf", "Cs", "Zl", "Zp"}:
        return f"<U+{ord(character):04X}>"
    return character
