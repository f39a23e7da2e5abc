"""The page of the fan: how a text can go on, each way as tall as it is likely."""

from __future__ import annotations

from charlstm.inspect.futures import Futures
from charlstm.report.amounts import counted
from charlstm.report.blocks import Block, Boxes, Page, Section, Text
from charlstm.report.charts import Bars
from charlstm.report.scales import LIKELY
from charlstm.sampling.fan import MOST

MOST_CHARACTERS = 4000
"""Tokens of a text that are read."""
_WORDS = 12


def fan_page(name: str, futures: Futures, least: float, *, foot: str = "") -> Page:
    """Show how a text can go on.

    Args:
        name: of the network, as a person calls it.
        futures: the likely ways.
        least: the probability below which a way was left out.
        foot: the last line of the page.

    Returns:
        The page.
    """
    nodes = futures.nodes
    ways = f"The {MOST:,} likeliest ways" if len(nodes) == MOST else counted(len(nodes), "way")
    boxes = Boxes(
        "How it can go on", futures.text, futures.labels, tuple(node.parent for node in nodes),
        tuple(node.probability for node in nodes), LIKELY,
        "All lines are equally likely, and a box is as high as the text up to it is likely. What may follow stands "
        "beside it, the likeliest on the same line. · is a blank, ⏎ a line end.",
    )  # fmt: skip
    blocks: list[Block] = [boxes] if nodes else [Text(f"No character is as likely as {least:.2%}.")]
    words = futures.words[:_WORDS]
    if words:
        highest = words[0][1]
        blocks.append(Bars(
            "The next word", "Of words that are begun, what they may become. Rarer ways are not counted.",
            tuple(word for word, _ in words), tuple(share / highest for _, share in words),
            tuple(f"{share:.1%}" for _, share in words),
        ))  # fmt: skip
    return Page(
        "fan",
        f"What {name} may write next",
        f"{ways} to go on, each with a probability of {least:.3g} or more: the network's own, without temperature "
        "and filters.",
        (Section("", tuple(blocks)),),
        {
            "model": name,
            "text": futures.text,
            "least": least,
            "nodes": [
                {"parent": parent, "id": token, "text": label, "probability": float(f"{share:.6g}")}
                for (parent, token, share), label in zip(nodes, futures.labels, strict=True)
            ],
            "words": [[word, round(share, 5)] for word, share in futures.words],
        },
        foot,
    )
