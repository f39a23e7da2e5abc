"""The page of gates and states: heat maps over a text, and how saturated the gates are."""

from __future__ import annotations

import numpy as np
from numpy.typing import NDArray

from charlstm.inspect.gates import GATES, HIGH, LOW, NAMES, SHOWN, saturation, shown_values, spectral_order
from charlstm.inspect.subject import Subject
from charlstm.inspect.trace import LayerTrace, trace
from charlstm.report.blocks import Block, HeatMap, Page, Section, Table
from charlstm.report.scales import rising, signed

MOST_CHARACTERS = 400
"""Tokens of a text that a page shows."""
_OPEN = rising(0, 1, "how open the gate is")
_SIGNED = signed(1, "value", filled=True)


def gates_page(subject: Subject, *, foot: str = "") -> Page:
    """Show every gate, the candidate, the cell state and the hidden state of every layer over a text.

    Args:
        subject: the network and the text, of `MOST_CHARACTERS` tokens at most.
        foot: the last line of the page.

    Returns:
        The page.
    """
    traced = trace(subject.model, subject.ids)
    sections, data = [], []
    for stack, layers in traced.layers.items():
        for number, layer in enumerate(layers):
            order, flipped = spectral_order(shown_values(layer, "c" if "c" in layer.parts else "h"))
            heading = f"Layer {number + 1} of {len(layers)}" + _member(stack, len(traced.layers))
            sections.append(Section(heading, tuple(_blocks(subject, layer, order, flipped))))
            data.append({
                "stack": stack,
                "layer": number + 1,
                "order": order.tolist(),
                "flipped": flipped.tolist(),
                "parts": {letter: layer.parts[letter].T.round(4).tolist() for letter in SHOWN[layer.cell]},
            })  # fmt: skip
    cell = subject.model.architecture.cell
    return Page(
        "gates",
        f"The gates and states of {subject.name}",
        "A column is a character of the text, a row a unit. The rows are in an order in which neighbours do alike; "
        "where two do the opposite of each other, one is drawn with its sign changed. "
        f"{_ABOUT[cell]}",
        tuple(sections),
        {"model": subject.name, "cell": cell, "text": list(subject.tokens), "layers": data},
        foot,
    )


def _blocks(subject: Subject, layer: LayerTrace, order: NDArray[np.intp], flipped: NDArray[np.bool_]) -> list[Block]:
    columns = tuple(token or "·" for token in subject.tokens)
    blocks: list[Block] = []
    for letter in SHOWN[layer.cell]:
        values = shown_values(layer, letter)[:, order].T
        is_gate = letter in GATES[layer.cell]
        if not is_gate:
            values = np.where(flipped[:, None], -values, values)
        title = f"{letter}: {NAMES[letter]}"
        blocks.append(HeatMap(title, values, _OPEN if is_gate else _SIGNED, columns))
    if GATES[layer.cell]:
        blocks.append(_saturation(layer))
    return blocks


def _saturation(layer: LayerTrace) -> Table:
    rows = []
    for each in saturation(layer):
        always_open, always_shut = (each.open > 0.9).mean(), (each.shut > 0.9).mean()
        rows.append(
            (NAMES[each.gate], f"{each.shut.mean():.1%}", f"{each.open.mean():.1%}", f"{always_shut:.1%}",
             f"{always_open:.1%}")
        )  # fmt: skip
    columns = ("gate", "shut", "open", "units nearly always shut", "units nearly always open")
    caption = f"Shut is below {LOW}, open above {HIGH}; nearly always is at nine of ten characters."
    return Table(columns, tuple(rows), caption)


def _member(stack: str, stacks: int) -> str:
    if stack == "backwards":
        return ", reading backwards"
    if stacks == 1:
        return ""
    return f", member {stack.removeprefix('layers').removeprefix('_') or 1}"


_ABOUT = {
    "rnn": "An rnn has no gates: its hidden state is computed anew at every character.",
    "lstm": "A row of the forget gate f that stays dark is a unit that keeps its memory; where it turns pale, the unit "
    "forgets. The cell state c is what is carried on.",
    "gru": "A row of the update gate z that stays dark is a unit that keeps its hidden state.",
    "peephole": "A row of the forget gate f that stays dark is a unit that keeps its memory; where it turns pale, the "
    "unit forgets. The gates also see the cell state c itself.",
}
