"""The page of an ensemble's votes: what each member thought of each character."""

from __future__ import annotations

import math

import numpy as np

from charlstm.errors import UsageError
from charlstm.inspect.subject import Subject
from charlstm.inspect.trace import trace
from charlstm.report.blocks import HeatMap, Page, Section, Shaded, Table
from charlstm.report.scales import rising

MOST_CHARACTERS = 400
"""Tokens of a text that a page shows."""


def votes_page(subject: Subject, *, foot: str = "") -> Page:
    """Show the probability that each member of an ensemble gave each character.

    Args:
        subject: the ensemble and the text.
        foot: the last line of the page.

    Returns:
        The page.

    Raises:
        UsageError: the network is no ensemble.
    """
    traced = trace(subject.model, subject.ids)
    if traced.member_log_probs is None:
        raise UsageError(
            f"{subject.name} is one network, and only an ensemble has members that vote",
            hint="Train one with --ensemble 4.",
        )
    places = np.arange(len(traced.predicted))
    nats = -traced.member_log_probs[:, places, traced.predicted]
    probabilities, bits = np.exp(-nats), nats / math.log(2)
    together = traced.nats / math.log(2)
    tokens = tuple(token or "·" for token in subject.tokens[1:])
    members = len(nats)
    spread = bits.std(0)
    rows = [(f"member {number + 1}", f"{member.mean():.3f}") for number, member in enumerate(bits)]
    rows += [
        ("all together", f"{together.mean():.3f}"),
        ("gained over the mean", f"{bits.mean() - together.mean():.3f}"),
    ]
    return Page(
        "votes",
        f"How the {members} members of {subject.name} vote",
        "Each member is a network of its own; the probabilities of the ensemble are the normalised geometric mean of "
        "theirs. Where they make different mistakes, they know more together than each alone.",
        (
            Section("", (
                HeatMap(
                    "The probability of each character that came", probabilities, rising(0, 1, "probability"), tokens,
                    tuple(f"member {number + 1}" for number in range(members)),
                ),
                Shaded(
                    "Where they disagree", tuple(zip(subject.tokens[1:], spread.tolist(), strict=True)),
                    rising(0, max(1.0, float(spread.max())), "bits by which members differ (standard deviation)"),
                ),
                Table(("", "bits per character"), tuple(rows)),
            )),
        ),
        {"model": subject.name, "text": list(tokens), "bits": bits.round(4).tolist(), "together": together.tolist()},
        foot,
    )  # fmt: skip
