"""The page of surprise: how unexpected each character was, what was expected instead, and what side inputs saved."""

from __future__ import annotations

import math
from typing import Any

import numpy as np
from numpy.typing import NDArray

from charlstm.inspect.subject import Subject
from charlstm.inspect.trace import Trace
from charlstm.report.blocks import Block, Page, Section, Shaded, Strip, Table
from charlstm.report.scales import BANDS, SURPRISE, signed

MOST_CHARACTERS = 2000
"""Tokens of a text that a page shows; the strip of guesses is under the first `_STRIP` of them."""
_STRIP = 400
_GUESSES = 5


def surprise_page(subject: Subject, traced: Trace, saved: dict[str, NDArray[np.float64]], *, foot: str = "") -> Page:
    """Show a text by how surprising each character was.

    Args:
        subject: the network and the text.
        traced: its trace.
        saved: for each side input the nats that it saved at each token predicted, negative where it cost some.
        foot: the last line of the page.

    Returns:
        The page.
    """
    bits = traced.nats / math.log(2)
    expected = traced.entropy[: len(bits)] / math.log(2)
    skipped = 0 if traced.bidirectional else 1
    tokens = subject.tokens[skipped:]
    before = tuple((token, math.nan) for token in subject.tokens[:skipped])
    ids, shares = traced.alternatives(_GUESSES)
    guesses = tuple(
        tuple((subject.name_of(int(token)), float(share)) for token, share in zip(*row, strict=True))
        for row in zip(ids[: len(bits)], shares[: len(bits)], strict=True)
    )
    shown = slice(0, _STRIP)
    blocks: list[Block] = [
        Shaded("How surprising each character was", before + _shade(tokens, bits), SURPRISE),
        Strip(
            f"The {_GUESSES} likeliest characters under each one, the likeliest first",
            tokens[shown], tuple(bits[shown].tolist()), SURPRISE, guesses[shown],
            "The paler a guess, the less likely it was.",
        ),
    ]  # fmt: skip
    more: list[Block] = [
        Shaded(
            "How many characters were thought likelier",
            before + _shade(tokens, traced.ranks[: len(bits)].astype(float)), BANDS,
        ),
        Shaded(
            "More surprising than expected, or less",
            before + _shade(tokens, bits - expected), signed(6, "bits more than expected"),
            caption="Expected is the entropy: the mean surprisal if the network's own probabilities were true.",
        ),
    ]  # fmt: skip
    more += [
        Shaded(
            f"What {_SIDE.get(name, name)} saved",
            before + _shade(tokens, nats / math.log(2)), signed(4, "bits saved"),
            caption="Above 0, a character would have been more surprising without it; below 0, less.",
        )
        for name, nats in saved.items()
    ]  # fmt: skip
    figures = [("bits per character", f"{bits.mean():.2f}"), ("bits that it expected", f"{expected.mean():.2f}")]
    for name, nats in saved.items():
        figures.append((f"bits saved by {_SIDE.get(name, name)}", f"{nats.mean() / math.log(2):.2f}"))
    figures += [(f"characters of rank {label}", f"{share:.1%}") for label, share in _bands(traced.ranks)]
    return Page(
        "surprise",
        f"What surprised {subject.name}",
        "The surprisal of a character is -log₂ of the probability that the network gave it: 1 bit is as surprising as "
        "a coin's fall, and a character that was certain has 0."
        + (
            " The first character has none: nothing was read before it."
            if skipped
            else " This network reads both ways, so each character was guessed from what stands before and after it."
        ),
        (
            Section("", (*blocks, Table(("", "value"), tuple(figures), _RANKS))),
            Section("More ways to look at it", tuple(more)),
        ),
        {
            "model": subject.name,
            "tokens": list(tokens),
            "bits": bits.round(4).tolist(),
            "expected_bits": expected.round(4).tolist(),
            "ranks": traced.ranks.tolist(),
            "guesses": [[[text, round(share, 5)] for text, share in row] for row in guesses],
            "saved_bits": {name: (nats / math.log(2)).round(4).tolist() for name, nats in saved.items()},
        },
        foot,
    )


_RANKS = "Rank 1 is the character that was thought the likeliest."
_SIDE = {"ngrams": "n-gram embeddings", "match": "the match memory"}


def _shade(tokens: tuple[str, ...], values: NDArray[Any]) -> tuple[tuple[str, float], ...]:
    return tuple(zip(tokens, values.tolist(), strict=True))


def _bands(ranks: NDArray[np.int64]) -> list[tuple[str, float]]:
    steps = np.digitize(ranks, BANDS.limits)
    return [(label, float((steps == step).mean())) for step, label in enumerate(BANDS.labels)]
