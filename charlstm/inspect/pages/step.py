"""The page of one step: the equations of a cell with the numbers in them, at each character of a text."""

from __future__ import annotations

import math
from dataclasses import asdict
from typing import Any

import numpy as np
from torch import nn

from charlstm.errors import UsageError
from charlstm.inspect.step import Equation, busiest_units, equations
from charlstm.inspect.subject import Subject
from charlstm.inspect.trace import LayerTrace, Trace, trace
from charlstm.nn.recurrence import RecurrentLayer
from charlstm.report.blocks import Block, Frames, Page, Section, Table, Text
from charlstm.report.visible import sign_of

MOST_CHARACTERS = 200
"""Tokens of a text that a page has frames for."""
_GUESSES = 5


def step_page(
    subject: Subject, at: int, *, stack: str = "layers", layer: int = 0, units: tuple[int, ...] = (), foot: str = ""
) -> Page:
    """Show what a layer computes at each character, for a few of its units.

    Args:
        subject: the network and the text, of `MOST_CHARACTERS` tokens at most.
        at: the place of the token that is seen at first; negative counts from the end.
        stack: the name of the stack of layers.
        layer: the layer, from 0, the lowest.
        units: which units; none are the two that the token at ``at`` changes most.
        foot: the last line of the page.

    Returns:
        The page.

    Raises:
        UsageError: there is no such place, stack, layer or unit.
    """
    traced = trace(subject.model, subject.ids)
    at = _place(at, len(subject.ids))
    if stack not in traced.layers:
        raise UsageError(f"there is no stack {stack!r}", hint=f"This network has: {', '.join(traced.layers)}.")
    if not 0 <= layer < len(traced.layers[stack]):
        raise UsageError(f"there is no layer {layer + 1}", hint=f"This network has {len(traced.layers[stack])}.")
    module = subject.model.get_submodule(stack)
    assert isinstance(module, nn.ModuleList)
    recurrent, computed = module[layer], traced.layers[stack][layer]
    assert isinstance(recurrent, RecurrentLayer)
    units = units or tuple(busiest_units(computed, at, 2))
    labels = [token or "·" for token in subject.tokens]
    frames, data = [], []
    for place in range(len(subject.ids)):
        written = {unit: equations(recurrent, computed, place, unit) for unit in units}
        frames.append(tuple(_frame(subject, traced, computed, place, written)))
        data.append({
            "token": subject.tokens[place],
            "units": {unit: [asdict(each) for each in lines] for unit, lines in written.items()},
            "next": [[subject.name_of(token), share] for token, share in _guesses(traced, place)],
        })  # fmt: skip
    which = f"layer {layer + 1} of {len(traced.layers[stack])}"
    return Page(
        "step",
        f"One step of {subject.name}",
        f"What {which} ({computed.cell}, {computed.hidden_size} units) computes at each character, for "
        f"{_these(units)}. A prime marks what was there before the character; σ squeezes a number to between 0 and 1, "
        f"tanh to between -1 and 1.",
        (Section("", (Frames("character", tuple(labels), tuple(frames), at),)),),
        {"model": subject.name, "cell": computed.cell, "stack": stack, "layer": layer + 1, "steps": data},
        foot,
    )


def _place(at: int, tokens: int) -> int:
    place = at + tokens if at < 0 else at
    if not 0 <= place < tokens:
        raise UsageError(f"there is no character {at}", hint=f"The text has the characters 0 to {tokens - 1}.")
    return place


def _these(units: tuple[int, ...]) -> str:
    return f"unit {units[0]}" if len(units) == 1 else f"units {', '.join(map(str, units))}"


def _frame(
    subject: Subject, traced: Trace, computed: LayerTrace, at: int, written: dict[int, tuple[Equation, ...]]
) -> list[Block]:
    shown = sign_of(subject.tokens[at] or subject.name_of(int(subject.ids[at])))
    x = computed.inputs[at]
    blocks: list[Block] = [
        Text(
            f"The network reads {shown!r}, character {at} of the text. To this layer it is a vector x of {len(x)} "
            f"numbers: {_few(x)}. What the layer put out before is h', {computed.hidden_size} numbers: "
            f"{_few(computed.before[0][at])}."
        )
    ]
    for unit, lines in written.items():
        blocks.append(Text(f"Unit {unit}"))
        width = max(len(line.formula) for line in lines)
        text = "\n".join(f"{line.formula.ljust(width)}   {line.numbers}\n    {line.meaning}" for line in lines)
        blocks.append(Text(text, is_code=True))
    blocks.append(_softmax(subject, traced, at))
    return blocks


def _softmax(subject: Subject, traced: Trace, at: int) -> Table:
    """The likeliest tokens at a place, with what the softmax made of them, and the one that came."""
    came = None
    if traced.bidirectional:
        came = int(traced.ids[at])
    elif at + 1 < len(traced.ids):
        came = int(traced.ids[at + 1])
    rows = [(sign_of(subject.name_of(token)), f"{share:.1%}") for token, share in _guesses(traced, at)]
    caption = "softmax: every token's probability is exp(its logit) divided by the sum of all exp(logit)."
    if came is not None:
        nats = -float(traced.log_probs[at, came])
        share, bits = math.exp(-nats), nats / math.log(2)  # not of the share, which may be too small for a number
        caption += f" In the text comes {sign_of(subject.name_of(came))!r}, at {share:.1%}: {bits:.2f} bits."
    what = "in this place" if traced.bidirectional else "next"
    return Table((what, "probability"), tuple(rows), caption)


def _guesses(traced: Trace, at: int) -> list[tuple[int, float]]:
    ids, shares = traced.alternatives(_GUESSES)
    return [(int(token), float(share)) for token, share in zip(ids[at], shares[at], strict=True)]


def _few(vector: np.ndarray[Any, Any]) -> str:
    return ", ".join(f"{round(float(value), 2) + 0.0:.2f}" for value in vector[:4]) + ", …"
