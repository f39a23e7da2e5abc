"""The recurrent state of a network: an immutable value with named parts, passed in and returned."""

from __future__ import annotations

from collections.abc import Callable, Iterator, Mapping
from typing import NamedTuple, TypeAlias

import torch
from torch import Tensor

LayerState: TypeAlias = tuple[Tensor, ...]
"""``(h,)`` or ``(h, c)``, each (B, H)."""


class State(NamedTuple):
    """Everything a network carries from token to token, for B texts.

    `nn.model.CharLM.empty_state` returns the state before any text: zeros.
    """

    layers: tuple[tuple[LayerState, ...], ...]
    """The states of each stack's layers, from the lowest layer to the top."""
    attention: LayerState | None = None
    """The memory of the attention: see `nn.attention`."""
    recent: Tensor | None = None
    """The last N tokens, for the side inputs: ids plus 1, 0 before the start of the text, the newest last, (B, N)."""
    side: Mapping[str, tuple[Tensor, ...]] | None = None
    """The memory of each side input, by name."""
    frozen: bool = False
    """Whether these memories store no more of what is read."""

    def named_parts(self) -> Iterator[tuple[str, Tensor]]:
        """Yield every tensor with its name: ``layers.0.1.h``, ``attention.0``, ``recent``, ``side.match.0``."""
        for s, stack in enumerate(self.layers):
            for k, layer in enumerate(stack):
                yield from ((f"layers.{s}.{k}.{part}", value) for part, value in zip("hc", layer, strict=False))
        yield from ((f"attention.{k}", value) for k, value in enumerate(self.attention or ()))
        if self.recent is not None:
            yield "recent", self.recent
        for name, memory in (self.side or {}).items():
            yield from ((f"side.{name}.{k}", value) for k, value in enumerate(memory))

    def map(self, function: Callable[[Tensor], Tensor]) -> State:
        """Return the state with a function applied to every tensor."""
        return self.from_named({name: function(value) for name, value in self.named_parts()})

    def from_named(self, parts: Mapping[str, Tensor]) -> State:
        """Return a state with the structure of this one and other tensors: the inverse of `named_parts`."""
        layers = tuple(
            tuple(
                tuple(parts[f"layers.{s}.{k}.{part}"] for part in "hc"[: len(layer)]) for k, layer in enumerate(stack)
            )
            for s, stack in enumerate(self.layers)
        )
        attention, side = self.attention, self.side
        if attention is not None:
            attention = tuple(parts[f"attention.{k}"] for k in range(len(attention)))
        if side is not None:
            side = {name: tuple(parts[f"side.{name}.{k}"] for k in range(len(side[name]))) for name in side}
        recent = None if self.recent is None else parts["recent"]
        return State(layers, attention, recent, side, self.frozen)

    def detach(self) -> State:
        """Return the state detached from the graph of its window, so that gradients end there."""
        return self.map(Tensor.detach)

    def reset(self, mask: Tensor) -> State:
        """Return the state with all-zero rows, as before any text, where ``mask`` (B,) is true."""
        keep = ~mask
        return self.map(lambda part: part * keep.view(-1, *[1] * (part.dim() - 1)))

    def select(self, rows: Tensor) -> State:
        """Return rows of the state.

        Args:
            rows: row indices, in any order and with repetitions, (any length,).
        """
        return self.map(lambda part: part[rows])

    def join(self, *others: State) -> State:
        """Concatenate the rows of this state with those of others of the same structure."""
        named = [dict(state.named_parts()) for state in (self, *others)]
        return self.from_named({name: torch.cat([parts[name] for parts in named]) for name in named[0]})
