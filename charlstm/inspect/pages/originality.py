"""What a text copies, as a page: the text with its copies marked, the longest of them, and two curves."""

from __future__ import annotations

import re
from collections.abc import Callable
from dataclasses import asdict
from itertools import groupby
from typing import Any

import numpy as np

from charlstm.inspect.originality import LENGTHS, Copies, Originality, Passage, verdict
from charlstm.report.blocks import Block, Page, Section, Shaded, Table, Text
from charlstm.report.charts import Chart, Curve
from charlstm.report.scales import COPIED

_SHOWN = 32
"""Characters of a passage in the table."""


def originality_page(
    found: Originality, *, title: str, source: str, of_bytes: bool = False, notes: tuple[str, ...] = (), foot: str = ""
) -> Page:
    """Show what a text copies.

    Args:
        found: what was measured.
        title: what the text is.
        source: the name of the training text.
        of_bytes: whether the texts are bytes, one character for each.
        notes: sentences about what could not be done.
        foot: model, text and command.

    Returns:
        The page.
    """
    unit, shown = ("byte", _text_of_bytes) if of_bytes else ("character", str)
    sentence = verdict(found, unit)
    about = " ".join([f"{sentence[0].upper()}{sentence[1:]}.", *notes])
    sections = [
        Section("", (_shaded(found, shown),)),
        Section("Longest copies", _passages(found, unit, shown)),
        Section("How much is copied", _curve(found, unit)),
    ]
    return Page("originality", title, about, tuple(sections), _data(found, sentence, source, shown), foot)


def _shaded(found: Originality, shown: Callable[[str], str]) -> Shaded:
    text = found.written.text
    marked = np.zeros(len(text), np.int64)
    for number, passage in enumerate(found.passages, 1):
        marked[passage.begin : passage.begin + len(passage.text)] = number
    pieces: list[tuple[str, float]] = []
    marks = set()
    cells = zip(text, found.written.depths().tolist(), marked.tolist(), strict=True)
    for (depth, mark), group in groupby(cells, key=lambda cell: cell[1:]):
        if mark:
            marks.add(len(pieces))
        pieces.append((shown("".join(character for character, _, _ in group)), float(depth)))
    caption = "The longest copies are underlined." if marks else ""
    return Shaded("The text", tuple(pieces), COPIED, frozenset(marks), caption)


def _passages(found: Originality, unit: str, shown: Callable[[str], str]) -> tuple[Block, ...]:
    if not found.passages:
        return (Text(f"None of 16 {unit}s or more."),)
    rows = tuple(
        (f'"{_cut(_one_line(shown(passage.text)))}"', f"{len(passage.text):,}", _source(passage))
        for passage in found.passages
    )
    first = found.passages[0]
    before, inside, after = (_one_line(shown(text)) for text in (first.before, first.text, first.after))
    context = Text(f"The longest in the training text: …{before}[{inside}]{after}…")
    return Table(("passage", f"{unit}s", "where it stands"), rows), context


def _source(passage: Passage) -> str:
    """The file by its own name, so that the table is no wider than a terminal; and the line."""
    name = re.split(r"[/\\]", passage.part)[-1]
    return f"{name}:{passage.line:,}" if passage.line else name


def _curve(found: Originality, unit: str) -> tuple[Block, ...]:
    pieces = found.held_out
    curves = [Curve.from_seeds("this text", LENGTHS, [_shares(found.written)], 0)]
    if pieces:
        curves.append(Curve.from_seeds("held-out text", LENGTHS, [_shares(piece) for piece in pieces], 1, dashed=True))
    chart = Chart(f"Share of {unit}s in copies", f"{unit}s of a copy, at least", "%", tuple(curves), log_x=True)
    if not pieces:
        return (chart,)
    count = "one piece" if len(pieces) == 1 else f"the mean of {len(pieces)} pieces"
    return chart, Text(f"Held-out text: {count} of {len(pieces[0].text):,} {unit}s.")


def _shares(copies: Copies) -> list[float]:
    return [100 * copies.share(length) for length in LENGTHS]


def _data(found: Originality, sentence: str, source: str, shown: Callable[[str], str]) -> dict[str, Any]:
    def measured(copies: Copies) -> dict[str, Any]:
        shares = {str(length): round(copies.share(length), 6) for length in LENGTHS}
        return {"characters": len(copies.text), "longest": copies.longest, "shares": shares}

    passages = [
        asdict(passage) | {"length": len(passage.text)}
        | {name: shown(getattr(passage, name)) for name in ("text", "before", "after")}
        for passage in found.passages
    ]  # fmt: skip
    return {
        "verdict": sentence,
        "source": source,
        "text": shown(found.written.text),
        **measured(found.written),
        "held_out": [measured(copies) for copies in found.held_out],
        "passages": passages,
    }


def _one_line(text: str) -> str:
    """A passage in a line, long blanks cut short."""
    return re.sub("   +", "  ", text.replace("\n", "⏎"))


def _cut(text: str) -> str:
    """A passage in one short line: its beginning and its end."""
    half = _SHOWN // 2
    return text if len(text) <= _SHOWN else f"{text[: half - 1]}…{text[-half:]}"


def _text_of_bytes(text: str) -> str:
    return text.encode("latin-1").decode("utf-8", "replace")
