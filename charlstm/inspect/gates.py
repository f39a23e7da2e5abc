"""The gates and states of a layer over a text: an order of its units that shows structure, and how saturated gates are.

Letters: T tokens, H units.
"""

from __future__ import annotations

from dataclasses import dataclass

import numpy as np
from numpy.typing import NDArray

from charlstm.inspect.trace import Floats, LayerTrace

LOW, HIGH = 0.1, 0.9
"""A gate is shut below the first and open above the second: left- and right-saturated (Karpathy, Johnson & Fei-Fei
2015, section 4.2)."""

GATES = {"rnn": (), "lstm": ("i", "f", "o"), "gru": ("r", "z"), "peephole": ("i", "f", "o")}
"""The parts of each cell that lie between 0 and 1."""

NAMES = {
    "i": "input gate",
    "f": "forget gate",
    "o": "output gate",
    "g": "candidate",
    "r": "reset gate",
    "z": "update gate",
    "n": "candidate",
    "c": "cell state, through tanh",
    "h": "hidden state",
}

SHOWN = {
    "rnn": ("h",),
    "lstm": ("f", "i", "o", "g", "c", "h"),
    "gru": ("z", "r", "n", "h"),
    "peephole": ("f", "i", "o", "g", "c", "h"),
}
"""The parts of each cell in the order in which they are shown."""


@dataclass(frozen=True)
class Saturation:
    """How a gate's units spend the text."""

    gate: str
    """Its letter."""
    shut: Floats
    """For each unit the share of tokens at which the gate is below `LOW`, (H,)."""
    open: Floats
    """The same above `HIGH`, (H,)."""


def saturation(traced: LayerTrace) -> tuple[Saturation, ...]:
    """Measure how often each gate of each unit is shut and open.

    Args:
        traced: the trace of a layer.

    Returns:
        One for each gate of the cell; none for an rnn.

    Source:
        Karpathy, Johnson & Fei-Fei 2015, "Visualizing and understanding recurrent networks", figure 3.
    """
    return tuple(
        Saturation(
            gate,
            (traced.parts[gate] < LOW).mean(0, dtype=np.float32),
            (traced.parts[gate] > HIGH).mean(0, dtype=np.float32),
        )
        for gate in GATES[traced.cell]
    )


def shown_values(traced: LayerTrace, letter: str) -> Floats:
    """The values of a part as they are drawn: the cell state, which has no bounds, through tanh.

    Args:
        traced: the trace of a layer.
        letter: of the part.

    Returns:
        (T, H), gates between 0 and 1, the others between -1 and 1.
    """
    values = traced.parts[letter]
    return np.tanh(values) if letter == "c" else values


def spectral_order(values: Floats) -> tuple[NDArray[np.intp], NDArray[np.bool_]]:
    """An order of units in which neighbours do alike, and which of them do it with the other sign.

    The units are sorted by the second eigenvector of the graph Laplacian of |correlation|, the Fiedler vector, which
    solves the relaxed problem of a line-up in which strongly related units are near each other.

    Args:
        values: (T, H).

    Returns:
        The numbers of the units in their order, (H,), and for each place whether that unit's sign is to be flipped so
        that it correlates with its neighbour, (H,).

    Source:
        Atkins, Boman & Hendrickson 1998, "A spectral algorithm for seriation and the consecutive ones problem".
    """
    count = values.shape[1]
    if count < 3 or len(values) < 2:
        return np.arange(count), np.zeros(count, bool)
    centred = (values - values.mean(0)).astype(np.float64)
    norm = np.sqrt((centred**2).sum(0))
    centred = centred / np.where(norm > 0, norm, 1)  # a unit that never changes is related to none
    correlation = centred.T @ centred
    weights = np.abs(correlation)
    np.fill_diagonal(weights, 0)
    degree = weights.sum(1)
    scale = 1 / np.sqrt(np.where(degree > 0, degree, 1))
    laplacian = np.eye(count) - scale[:, None] * weights * scale
    _, vectors = np.linalg.eigh(laplacian)
    fiedler = scale * vectors[:, 1]
    fiedler *= 1 if fiedler[np.abs(fiedler).argmax()] > 0 else -1  # of an eigenvector's two signs always the same
    order = np.argsort(fiedler, kind="stable")
    along = np.sign(correlation[order[:-1], order[1:]])
    signs = np.cumprod(np.concatenate(([1.0], np.where(along == 0, 1, along))))
    return order, signs < 0
