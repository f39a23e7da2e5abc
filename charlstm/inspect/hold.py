"""A network of which units are held at a value, to see what they do: cause, not only correlation.

Held is the part of the state that goes on to the next step: what the unit computes at a step still reaches the softmax
there, and is forgotten after it.
"""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass
from typing import Any

import numpy as np

from charlstm.engine.network import Engine
from charlstm.engine.protocol import Logits, TokenIds
from charlstm.engine.state import StepState
from charlstm.inspect.units import Unit
from charlstm.nn.shapes import CELLS
from charlstm.tokenizers import Tokenizer


@dataclass(frozen=True)
class Hold:
    """A unit and the value it is held at."""

    unit: Unit
    value: float
    """Of c itself, not through tanh."""


class HeldEngine:
    """A causal network whose units are held: one for all texts, or another one for each.

    It is a `Stepper`, so everything that writes can write with it.

    Args:
        engine: the network.
        holds: one, or one for each text of a batch; None holds nothing of that text.
    """

    def __init__(self, engine: Engine, holds: Sequence[Hold | None]) -> None:
        self._engine, self._holds = engine, tuple(holds)

    @property
    def vocab_size(self) -> int:
        """V."""
        return self._engine.vocab_size

    @property
    def tokenizer(self) -> Tokenizer:
        """The tokenizer that the network was trained with."""
        return self._engine.tokenizer

    def step(self, tokens: TokenIds, state: Any) -> tuple[Logits, StepState]:
        """See `Stepper`."""
        logits, after = self._engine.step(tokens, state)
        layers = [[[part.copy() for part in layer] for layer in stack] for stack in after.layers]
        for row, hold in enumerate(self._holds if len(self._holds) > 1 else self._holds * len(tokens)):
            if hold is not None:
                values = layers[self._stack(hold.unit)][hold.unit.layer][self._part(hold.unit)]
                np.atleast_2d(values)[row, hold.unit.number] = hold.value
        return logits, after._replace(layers=tuple(tuple(map(tuple, stack)) for stack in layers))

    def _stack(self, unit: Unit) -> int:
        return self._engine.architecture.stacks.index(unit.stack)

    def _part(self, unit: Unit) -> int:
        return CELLS[self._engine.architecture.cell].states.index(unit.part)

    def freeze(self, state: Any, frozen: bool = True) -> Any:
        """See `Stepper`."""
        return self._engine.freeze(state, frozen)

    def expand(self, state: Any, rows: int) -> Any:
        """See `Stepper`."""
        return self._engine.expand(state, rows)

    def select(self, state: Any, rows: Sequence[int]) -> Any:
        """See `Stepper`."""
        return self._engine.select(state, rows)

    def join(self, states: Sequence[Any]) -> Any:
        """See `Stepper`."""
        return self._engine.join(states)
