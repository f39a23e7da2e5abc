"""The page of embeddings: which characters a network takes for alike."""

from __future__ import annotations

import numpy as np

from charlstm.errors import TextError
from charlstm.inspect.embeddings import compare_embeddings
from charlstm.inspect.subject import Subject
from charlstm.report.blocks import Page, Points, Section, Table
from charlstm.report.visible import sign_of

_SHOWN = 120
"""Tokens shown, the most frequent of the text."""
_NEAREST = 5


def embeddings_page(subject: Subject, *, foot: str = "") -> Page:
    """Show the embeddings of the tokens that a text uses: the nearest of each, and all of them in a plane.

    Args:
        subject: the network and the text, which decides what tokens are shown.
        foot: the last line of the page.

    Returns:
        The page.

    Raises:
        TextError: the text has fewer than three different tokens.
    """
    counts = np.bincount(subject.ids, minlength=subject.tokenizer.vocab_size)
    used = np.flatnonzero(counts)
    if len(used) < 3:
        raise TextError("the text has fewer than three different characters, which is too few to compare")
    shown = used[np.argsort(-counts[used], kind="stable")][:_SHOWN]
    found = compare_embeddings(subject.model, shown)
    names = {int(token): subject.name_of(int(token)) for token in shown}
    rows, data = [], []
    for token in shown.tolist():
        near = found.nearest(token, shown, _NEAREST)
        rows.append((sign_of(names[token]), *(f"{sign_of(names[other])} {cosine:.2f}" for other, cosine in near)))
        data.append({"token": names[token], "nearest": [[names[other], round(cosine, 4)] for other, cosine in near]})
    ids = {name: token for token, name in names.items()}
    pairs = tuple(
        (shown.tolist().index(token), shown.tolist().index(ids[name.upper()]))
        for name, token in ids.items()
        if name.islower() and name.upper() in ids
    )
    labels = tuple(sign_of(names[token]) for token in shown.tolist())
    x, y = (tuple(axis.tolist()) for axis in found.plane[shown].T)
    plane = sum(found.explained)
    width = min(_NEAREST, len(shown) - 1)
    return Page(
        "embeddings",
        f"What {subject.name} knows of its characters",
        "Each character is a vector that was learned. Vectors that point the same way stand for characters that the "
        "network may take for each other; beside a character stands the cosine of the angle.",
        (
            Section("In a plane", (
                Points(
                    f"The two directions of most difference: {plane:.0%} of all", labels, x, y, pairs,
                    "A line joins a small letter with its capital.",
                ),
            )),
            Section("The nearest of each character", (
                Table(("character", *["nearest", *["then"] * (width - 1)][:width]), tuple(rows)),
            )),
        ),
        {"model": subject.name, "characters": data, "explained": list(found.explained)},
        foot,
    )  # fmt: skip
