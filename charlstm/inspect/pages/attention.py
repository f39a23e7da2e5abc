"""The page of attention: which earlier characters a network looks at."""

from __future__ import annotations

import numpy as np

from charlstm.errors import UsageError
from charlstm.inspect.subject import Subject
from charlstm.inspect.trace import Floats, trace
from charlstm.report.blocks import Block, Frames, Page, Section, Shaded, Table
from charlstm.report.charts import Chart, Curve
from charlstm.report.scales import rising

MOST_CHARACTERS = 200
"""Tokens of a text that a page has frames for."""
_SCALE = rising(0, 0.5, "share of the attention")


def attention_page(subject: Subject, at: int, *, foot: str = "") -> Page:
    """Show for each character which earlier ones the attention of the top layer weighs.

    Args:
        subject: the network and the text.
        at: the place of the character that is seen at first; negative counts from the end.
        foot: the last line of the page.

    Returns:
        The page.

    Raises:
        UsageError: the network has no attention, or the text no such place.
    """
    attention = trace(subject.model, subject.ids).attention
    if attention is None:
        raise UsageError(f"{subject.name} has no attention to be shown", hint="Train one with an `attention_window`.")
    tokens = len(subject.ids)
    at = at + tokens if at < 0 else at
    if not 0 <= at < tokens:
        raise UsageError(f"there is no character {at}", hint=f"The text has the characters 0 to {tokens - 1}.")
    weights = by_place(attention)
    frames: list[tuple[Block, ...]] = []
    for place in range(tokens):
        row = [float(weights[place, other]) if other <= place else float("nan") for other in range(tokens)]
        pieces = tuple(zip(subject.tokens, row, strict=True))
        frames.append((Shaded(
            "When it has read the marked character, it weighs", pieces, _SCALE, frozenset({place})
        ),))  # fmt: skip
    window = attention.shape[1]
    distances = np.arange(window)
    by_distance = attention[:, ::-1]  # column d is the weight of the token d back, which the first d tokens have not
    full = np.array([by_distance[distance:, distance].mean() if distance < tokens else 0.0 for distance in distances])
    mean = float((attention * distances[::-1]).sum(1).mean())
    on_itself = float(attention[:, -1].mean())
    rows = (
        ("mean distance", f"{mean:.1f} characters"),
        ("weight of the character just read", f"{on_itself:.1%}"),
        ("farthest it can look", f"{window - 1} characters"),
    )
    curve = Curve.from_seeds("weight", (distances + 1.0).tolist(), [full.tolist()], 1)
    return Page(
        "attention",
        f"What {subject.name} attends to",
        "The top layer adds to its hidden state a weighted mean of its own earlier ones; the weights of a character "
        "add up to 1.",
        (
            Section("", (Frames("character", tuple(token or "·" for token in subject.tokens), tuple(frames), at),)),
            Section("How far it looks", (
                Table(("", "value"), rows),
                Chart("Weight by distance", "characters back, counting its own as 1", "weight", (curve,), log_x=True),
            )),
        ),
        {"model": subject.name, "text": list(subject.tokens), "weights": attention.round(5).tolist()},
        foot,
    )  # fmt: skip


def by_place(attention: Floats) -> Floats:
    """Weights by the place of the earlier token instead of by its distance.

    Args:
        attention: as `Trace.attention`, (T, W).

    Returns:
        (T, T), zero where nothing is weighed.
    """
    tokens, window = attention.shape
    weights = np.zeros((tokens, tokens), np.float32)
    for place in range(tokens):
        seen = min(window, place + 1)
        weights[place, place + 1 - seen : place + 1] = attention[place, window - seen :]
    return weights
