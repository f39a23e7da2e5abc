"""One step of a layer under the microscope: the equations of its cell, with the numbers of one unit in them."""

from __future__ import annotations

from collections.abc import Callable, Iterator
from dataclasses import dataclass

import numpy as np

from charlstm.errors import UsageError
from charlstm.inspect.trace import LayerTrace
from charlstm.nn.recurrence import RecurrentLayer
from charlstm.nn.shapes import CELLS


@dataclass(frozen=True)
class Equation:
    """One equation of a cell for one unit at one step."""

    letter: str
    """Of what it computes, such as ``f``."""
    formula: str
    """As in `nn.cells`, such as ``f = σ(W_f x + U_f h' + b_f)``."""
    numbers: str
    """The same with this unit's numbers in it."""
    value: float
    meaning: str
    """One sentence for a learner."""


@dataclass(frozen=True)
class _Sum:
    """What a gate adds up inside its σ or tanh: from the input, from the previous state, the bias, a peephole."""

    input: float
    state: float
    bias: float
    peephole: float | None = None

    def __str__(self) -> str:
        more = () if self.peephole is None else (self.peephole,)
        return _joined(self.input, self.state, *more, self.bias)


def equations(layer: RecurrentLayer, traced: LayerTrace, at: int, unit: int) -> tuple[Equation, ...]:
    """Write out what one unit of a layer computed at one token.

    Args:
        layer: the layer.
        traced: its trace.
        at: the place of the token in the text.
        unit: the number of the unit, from 0.

    Returns:
        The equations in the order in which the cell computes them.

    Raises:
        UsageError: the layer has no such unit.
    """
    if not 0 <= unit < traced.hidden_size:
        raise UsageError(f"there is no unit {unit}", hint=f"The layer has the units 0 to {traced.hidden_size - 1}.")
    return tuple(_WRITE[traced.cell](_Unit(layer, traced, at, unit)))


def busiest_units(traced: LayerTrace, at: int, count: int) -> list[int]:
    """The units whose memory, c or without one h, a token changed most, the most changed first.

    Args:
        traced: the trace of a layer.
        at: the place of the token.
        count: how many.
    """
    letter = CELLS[traced.cell].states[-1]
    change = np.abs(traced.parts[letter][at] - traced.before[-1][at])
    return [int(unit) for unit in np.argsort(-change, kind="stable")[:count]]


class _Unit:
    """The numbers of one unit at one token.

    Args:
        layer: its layer.
        traced: the layer's trace.
        at: the place of the token.
        unit: its number.
    """

    def __init__(self, layer: RecurrentLayer, traced: LayerTrace, at: int, unit: int) -> None:
        self._layer, self._traced, self._at, self._unit = layer, traced, at, unit
        tensors = CELLS[traced.cell].tensors
        self._weights = {
            name: weight.detach().float().cpu().numpy() for name, weight in zip(tensors, layer.weights, strict=True)
        }

    def __getitem__(self, letter: str) -> float:
        """A part of the cell; with a prime, of the state before."""
        if letter.endswith("'"):
            place = CELLS[self._traced.cell].states.index(letter[:-1])
            return float(self._traced.before[place][self._at, self._unit])
        return float(self._traced.parts[letter][self._at, self._unit])

    def sum(self, gate: int, peephole: float | None = None) -> _Sum:
        """The terms of a gate's sum.

        Args:
            gate: its place among the gates of the cell's matrices.
            peephole: what its peephole adds.
        """
        row = gate * self._traced.hidden_size + self._unit
        return _Sum(
            float(self._weights["weight_ih"][row] @ self._traced.inputs[self._at]),
            float(self._weights["weight_hh"][row] @ self._traced.before[0][self._at]),
            float(self._weights["bias"][row]),
            peephole,
        )

    def vector(self, name: str, place: int) -> float:
        """A weight of the unit in one of the cell's vectors: in a peephole, or in the GRU's second bias."""
        return float(self._weights[name][place * self._traced.hidden_size + self._unit])


def _rnn(unit: _Unit) -> Iterator[Equation]:
    old, h = unit["h'"], unit["h"]
    yield Equation(
        "h", "h = tanh(W x + U h' + b)", _through("tanh", unit.sum(0), unit["sum_h"], h), h,
        f"The hidden state goes from {_n(old)} to {_n(h)}, computed anew from x and all of h': nothing is merely kept.",
    )  # fmt: skip


def _lstm(unit: _Unit, *, peephole: bool = False) -> Iterator[Equation]:
    old = unit["c'"]
    peeps = [unit.vector("peephole", place) * c for place, c in enumerate((old, old, unit["c"]))] if peephole else []
    sums = [unit.sum(0, *peeps[:1]), unit.sum(1, *peeps[1:2]), unit.sum(2), unit.sum(3, *peeps[2:])]
    i, f, g, o, c, h = (unit[letter] for letter in "ifgoch")
    look = (" + p_f ⊙ c'", " + p_i ⊙ c'", " + p_o ⊙ c") if peephole else ("", "", "")
    yield Equation(
        "f", f"f = σ(W_f x + U_f h'{look[0]} + b_f)", _through("σ", sums[1], unit["sum_f"], f), f,
        f"The forget gate {_gate(f, 'lets the memory of {} through', 'wipes out {} of the memory', old)}.",
    )  # fmt: skip
    yield Equation(
        "i", f"i = σ(W_i x + U_i h'{look[1]} + b_i)", _through("σ", sums[0], unit["sum_i"], i), i,
        f"The input gate is {_openness(i)}: {_percent(i)} of the candidate is written.",
    )  # fmt: skip
    yield Equation(
        "g", "g = tanh(W_g x + U_g h' + b_g)", _through("tanh", sums[2], unit["sum_g"], g), g,
        f"The candidate is what would be written into the cell: {_n(g)}, between -1 and 1.",
    )  # fmt: skip
    yield Equation(
        "c", "c = f ⊙ c' + i ⊙ g", f"{_n(f)} · {_n(old)} {_signed(i * g)} = {_n(c)}", c,
        f"The cell state goes from {_n(old)} to {_n(c)}: {_n(f * old)} is kept and {_n(i * g)} is new.",
    )  # fmt: skip
    yield Equation(
        "o", f"o = σ(W_o x + U_o h'{look[2]} + b_o)", _through("σ", sums[3], unit["sum_o"], o), o,
        f"The output gate is {_openness(o)}: {_percent(o)} of tanh(c) is shown to the rest of the network.",
    )  # fmt: skip
    yield Equation(
        "h", "h = o ⊙ tanh(c)", f"{_n(o)} · {_n(np.tanh(c))} = {_n(h)}", h,
        f"The hidden state, which the softmax and the next step read, is {_n(h)}.",
    )  # fmt: skip


def _gru(unit: _Unit) -> Iterator[Equation]:
    old, (r, z, n, h) = unit["h'"], (unit[letter] for letter in "rznh")
    terms, second = unit.sum(2), unit.vector("bias_n", 0)
    inside = f"{_joined(terms.input, terms.bias)} {_signed(r)} · {_n(terms.state + second)}"
    yield Equation(
        "r", "r = σ(W_r x + U_r h' + b_r)", _through("σ", unit.sum(0), unit["sum_r"], r), r,
        f"The reset gate is {_openness(r)}: the candidate sees {_percent(r)} of what comes from the past.",
    )  # fmt: skip
    yield Equation(
        "z", "z = σ(W_z x + U_z h' + b_z)", _through("σ", unit.sum(1), unit["sum_z"], z), z,
        f"The update gate keeps {_percent(z)} of the hidden state and takes {_percent(1 - z)} of the candidate.",
    )  # fmt: skip
    yield Equation(
        "n", "n = tanh(W_n x + b_n + r ⊙ (U_n h' + d_n))",
        f"tanh({inside}) = tanh({_n(unit['sum_n'])}) = {_n(n)}", n,
        f"The candidate is what would be written: {_n(n)}, between -1 and 1.",
    )  # fmt: skip
    yield Equation(
        "h", "h = (1 - z) ⊙ n + z ⊙ h'", f"{_n(1 - z)} · {_n(n)} {_signed(z)} · {_n(old)} = {_n(h)}", h,
        f"The hidden state goes from {_n(old)} to {_n(h)}: a GRU has no cell state beside it, and no output gate.",
    )  # fmt: skip


def _peephole(unit: _Unit) -> Iterator[Equation]:
    return _lstm(unit, peephole=True)


_WRITE: dict[str, Callable[[_Unit], Iterator[Equation]]] = {
    "rnn": _rnn,
    "lstm": _lstm,
    "gru": _gru,
    "peephole": _peephole,
}


def _through(squash: str, terms: _Sum, total: float, value: float) -> str:
    return f"{squash}({terms}) = {squash}({_n(total)}) = {_n(value)}"


def _n(number: float) -> str:
    """A number with two decimals, never -0.00."""
    return f"{round(float(number), 2) + 0.0:.2f}"


def _signed(number: float) -> str:
    """A term that follows another: ``+ 0.31`` or ``- 0.31``."""
    text = _n(number)
    return f"- {text[1:]}" if text.startswith("-") else f"+ {text}"


def _joined(first: float, *others: float) -> str:
    return " ".join([_n(first), *map(_signed, others)])


def _percent(share: float) -> str:
    return f"{share:.0%}"


def _openness(gate: float) -> str:
    names = ((0.1, "shut"), (0.4, "mostly shut"), (0.6, "half open"), (0.9, "mostly open"))
    return next((name for limit, name in names if gate < limit), "open")


def _gate(share: float, open_: str, shut: str, memory: float) -> str:
    """What a forget gate does, in words."""
    if share >= 0.5:
        return f"{open_.format(_n(memory))}, {_percent(share)} of it"
    return shut.format(_percent(1 - share))
