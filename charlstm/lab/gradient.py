"""How far back a network listens: the vanishing gradient, measured on fresh cells or on a trained network.

The claim: through an rnn the gradient shrinks by a factor at every character, so that it learns nothing from what is
far away; the LSTM's cell hands it on (Hochreiter & Schmidhuber 1997). See `inspect.gradients` for what is measured.
"""

from __future__ import annotations

from collections.abc import Iterator, Sequence
from typing import Any

import numpy as np
import torch
from numpy.typing import NDArray

from charlstm.inspect.gradients import gradient_norms
from charlstm.lab.side_by_side import CELL_NAMES, Contestant, Rules, Stop, line_up, one_thread, side_by_side
from charlstm.lab.texts import EMBEDDING, TRAIN, Text
from charlstm.nn.model import CharLM
from charlstm.report.data import Chart, Curve, Event, Progress, Report, curve
from charlstm.report.findings import judge, spread

REACH = 100
"""The greatest distance measured, in characters."""
LENGTH = 2 * REACH
"""Characters of a piece of text; those before the last hundred only warm the network up."""
PIECES = 8
SHARE = 0.01
"""A network listens as far as its gradient stays at least this share of the gradient at distance 0."""
FAR = 50
"""The distance at which cells are compared, in characters."""
_QUESTION = (
    "How much does what a network says now depend on a character it read k characters before? Shown is the norm of "
    "d logits(t) / d input(t-k), the exact gradient, as a share of the norm at k = 0, a mean over {pieces} places of "
    "{text}. A network 'listens' up to the last k before the share first falls below 1 %; k goes up to {reach}, and "
    "'{reach}+' is no less than that."
)

Norms = NDArray[np.float64]


def shares(model: CharLM, pieces: NDArray[Any]) -> Norms:
    """The mean norm at each distance, as a share of the one at distance 0, (REACH + 1,)."""
    norms = gradient_norms(model, pieces, REACH).mean(0)
    return norms / norms[0] if norms[0] > 0 else np.zeros_like(norms)


def listens(norms: Norms) -> int:
    """The last distance before the gradient first falls below `SHARE` of the one at distance 0."""
    below = np.flatnonzero(norms < SHARE * norms[0])
    return int(below[0]) - 1 if len(below) else len(norms) - 1


def fresh(text: Text, rules: Rules, parameters: int, stop: Stop = lambda: False) -> Iterator[Event]:
    """Measure every cell with its first weights, train all side by side, and measure again.

    Args:
        text: what they learn, and are measured on.
        rules: who takes part, and for how long.
        parameters: weights of each network, as near as its hidden size allows.
        stop: ends the training early.
    """
    pieces = text.pieces(PIECES, LENGTH)
    with one_thread():
        contestants = line_up(rules, parameters, text.vocab_size, EMBEDDING, TRAIN, text.windows)
        yield Progress(0.0, "measuring first weights")
        before = [shares(one.model, pieces) for one in contestants]
        yield from side_by_side(contestants, stop)
        partial = not all(one.finished for one in contestants)
        yield Progress(1.0, "measuring")
        after = [shares(one.model, pieces) for one in contestants]
    yield _report(contestants, before, after, text, rules, parameters, partial)


def _report(
    contestants: list[Contestant],
    before: list[Norms],
    after: list[Norms],
    text: Text,
    rules: Rules,
    parameters: int,
    partial: bool,
) -> Report:
    def of(cell: str, norms: list[Norms]) -> list[Norms]:
        return [norm for one, norm in zip(contestants, norms, strict=True) if one.cell == cell]

    born = {cell: [float(listens(norms)) for norms in of(cell, before)] for cell in rules.cells}
    grown = {cell: [float(listens(norms)) for norms in of(cell, after)] for cell in rules.cells}
    rows = []
    for cell in rules.cells:
        ones = [one for one in contestants if one.cell == cell]
        characters = sum(one.characters for one in ones) / len(ones)
        rows.append((
            cell, str(ones[0].model.architecture.hidden_size), f"{ones[0].model.parameter_count():,}",
            f"{characters:,.0f}",
            _distance(born[cell]), _distance(grown[cell]),
        ))  # fmt: skip
    return Report(
        name="gradient",
        title="The vanishing gradient, by cell",
        question=_QUESTION.format(pieces=PIECES, text=f"the held-out part of {text.name}", reach=REACH),
        columns=("cell", "hidden", "weights", "characters read", "listens, untrained", "listens, trained"),
        rows=tuple(rows),
        charts=tuple(
            _chart(title, [_curve(cell, of(cell, norms), cell) for cell in rules.cells])
            for title, norms in (("with first weights", before), ("trained for equal seconds", after))
        ),
        findings=tuple(
            sentence
            for when, norms in (("with first weights", before), ("once trained", after))
            for sentence in _findings(when, {cell: of(cell, norms) for cell in rules.cells})
        ),
        settings={
            "cells": list(rules.cells), "seeds": rules.seeds, "seconds_each": contestants[0].budget,
            "parameters": parameters, "optimizer": TRAIN.optimizer, "lr": TRAIN.lr,
        },
        partial=partial,
    )  # fmt: skip


def of_checkpoint(name: str, model: CharLM, pieces: NDArray[Any], seeds: int) -> Iterator[Event]:
    """Measure a trained network, and beside it the same shape with first weights.

    Args:
        name: what to call it.
        model: the network, on the CPU.
        pieces: texts it can read, (N, `LENGTH`).
        seeds: how many first weights to draw.
    """
    cell, config = model.architecture.cell, model.architecture
    layers = f"{config.ensemble} of {config.num_layers}" if config.ensemble > 1 else str(config.num_layers)
    yield Progress(0.0, "measuring")
    trained = shares(model, pieces)
    born = []
    for seed in range(1, seeds + 1):
        yield Progress(seed / (seeds + 1), "measuring first weights")
        with torch.random.fork_rng(devices=[]):
            torch.manual_seed(seed)
            born.append(shares(CharLM(config), pieces))
    reach, first = [float(listens(trained))], [float(listens(norms)) for norms in born]
    drawn = _curve(f"{name} ({cell})", [trained], cell), _curve("the same with first weights", born, cell, dashed=True)
    at = ", ".join(f"{trained[k]:.2g} at k = {k}" for k in (1, 10, 30, REACH))
    yield Report(
        name="gradient",
        title=f"How far back {name} listens",
        question=_QUESTION.format(pieces=len(pieces), text="text it wrote itself", reach=REACH),
        columns=("network", "cell", "layers", "hidden", "listens"),
        rows=tuple(
            (called, cell, layers, str(config.hidden_size), _distance(values))
            for called, values in ((name, reach), ("first weights", first))
        ),
        charts=(_chart("", drawn),),
        findings=(
            f"The gradient of {name}, as a share of the one at k = 0, is {at}.",
            f"It listens {_distance(reach)} characters back; the same shape with first weights {_distance(first)}.",
        ),
        settings={"checkpoint": name, "seeds": seeds, "pieces": len(pieces)},
    )


def _findings(when: str, norms: dict[str, list[Norms]]) -> Iterator[str]:
    far = {cell: [float(seed[FAR]) for seed in seeds] for cell, seeds in norms.items()}
    for cell in far:
        if cell != "rnn" and "rnn" in far:
            claim = f"{when}, more of the gradient comes across {FAR} characters in the {cell} than in the rnn"
            yield judge(claim, (cell, far[cell]), ("rnn", far["rnn"]), form="{:.0e}", unit="of that at k = 0")


def _chart(title: str, curves: Sequence[Curve]) -> Chart:
    return Chart(
        title,
        "k, characters back",
        "gradient, as a share of that at k = 0",
        tuple(curves),
        log_y=True,
        level=SHARE,
        level_label="1 %",
    )


def _curve(label: str, seeds: list[Norms], cell: str, *, dashed: bool = False) -> Curve:
    places = [float(k) for k in range(REACH + 1)]
    return curve(label, places, [seed.tolist() for seed in seeds], CELL_NAMES.index(cell), dashed=dashed)


def _distance(values: list[float]) -> str:
    return spread(values, "{:.0f}", REACH)
