"""The page of attention: which earlier characters a network looks at."""

from __future__ import annotations

import numpy as np

from charlstm.errors import UsageError
from charlstm.inspect.subject import Subject
from charlstm.inspect.trace import Floats, trace
from charlstm.report.blocks import Block, Frames, Page, Section, Shaded, Table
from charlstm.report.charts import Chart, Curve
from charlstm.report.scales import rising
from charlstm.report.visible import sign_of

MOST_CHARACTERS = 200
"""Tokens of a text that a page has frames for."""
_FULL = (0.02, 0.05, 0.1, 0.2, 0.5, 1.0)
"""Weights that can be the full colour of a frame: the first that no weight in it is above."""
_HEAVIEST = 5


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
    frames = [_frame(subject, weights[place], place) for place in range(tokens)]
    window = attention.shape[1]
    distances = np.arange(min(window, tokens))  # nothing stands farther back in this text
    by_distance = attention[:, ::-1]  # column d is the weight of the token d back, which the first d tokens have not
    full = np.array([by_distance[distance:, distance].mean() for distance in distances])
    mean = float((attention * np.arange(window)[::-1]).sum(1).mean())
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


def _frame(subject: Subject, weights: Floats, place: int) -> tuple[Block, ...]:
    """What is weighed at one place: the text, as dark as the weights of the place allow, and the heaviest characters.

    Args:
        subject: the network and the text.
        weights: of every place of the text, (T,).
        place: where the network has come to.

    Returns:
        The blocks.
    """
    row = [float(weight) if other <= place else float("nan") for other, weight in enumerate(weights)]
    largest = float(weights.max())
    scale = rising(0, next(full for full in _FULL if largest <= full or full == 1), "share of the attention")
    heaviest = np.argsort(-weights[: place + 1], kind="stable")[:_HEAVIEST].tolist()
    lines = tuple(
        (
            sign_of(subject.tokens[other]),
            "itself" if other == place else f"{place - other}",
            f"{row[other]:.1%}",
        )
        for other in heaviest
    )
    return (
        Shaded(
            "When it has read the marked character, it weighs", tuple(zip(subject.tokens, row, strict=True)), scale,
            frozenset({place}),
        ),
        Table(("weighed most", "characters back", "share"), lines),
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
