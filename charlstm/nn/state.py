"""The recurrent state of a network: a value with named parts, in by argument and out by return."""

from __future__ import annotations

from collections.abc import Callable, Iterator, Mapping
from typing import NamedTuple, TypeAlias

import torch
from torch import Tensor

LayerState: TypeAlias = tuple[Tensor, ...]
"""``(h,)`` or ``(h, c)``, each (B, H)."""


class State(NamedTuple):
    """All that a network carries from token to token, B texts side by side.

    `nn.model.CharLM.empty_state` gives the one before any text: zeros.
    """

    layers: tuple[tuple[LayerState, ...], ...]
    """Of each stack, from the lowest layer to the top."""
    attention: LayerState | None = None
    """What attention looks back on: see `nn.attention`."""
    recent: Tensor | None = None
    """The last N tokens, for side inputs: ids plus 1, 0 where there was no text yet, the newest last, (B, N)."""
    side: Mapping[str, tuple[Tensor, ...]] | None = None
    """The memory of each side input, by its name."""

    def named_parts(self) -> Iterator[tuple[str, Tensor]]:
        """Every tensor and its name: ``layers.0.1.h``, ``attention.0``, ``recent``, ``side.match.0``."""
        for s, stack in enumerate(self.layers):
            for k, layer in enumerate(stack):
                yield from ((f"layers.{s}.{k}.{part}", value) for part, value in zip("hc", layer, strict=False))
        yield from ((f"attention.{k}", value) for k, value in enumerate(self.attention or ()))
        if self.recent is not None:
            yield "recent", self.recent
        for name, memory in (self.side or {}).items():
            yield from ((f"side.{name}.{k}", value) for k, value in enumerate(memory))

    def map(self, change: Callable[[Tensor], Tensor]) -> State:
        """The state with something done to every tensor."""
        return self.from_named({name: change(value) for name, value in self.named_parts()})

    def from_named(self, parts: Mapping[str, Tensor]) -> State:
        """A state of this one's structure, of other tensors: undoes `named_parts`."""
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
        return State(layers, attention, None if self.recent is None else parts["recent"], side)

    def detach(self) -> State:
        """The state cut off from the window that made it, so that gradients end there."""
        return self.map(Tensor.detach)

    def reset(self, mask: Tensor) -> State:
        """The state with the rows where ``mask`` (B,) is true as before any text: everything in it is then zero."""
        keep = ~mask
        return self.map(lambda part: part * keep.view(-1, *[1] * (part.dim() - 1)))

    def select(self, rows: Tensor) -> State:
        """Some rows, in the order given, any number of times.

        Args:
            rows: their numbers, (any number,).
        """
        return self.map(lambda part: part[rows])

    def join(self, *others: State) -> State:
        """The rows of this state, and below them those of others of the same structure."""
        named = [dict(state.named_parts()) for state in (self, *others)]
        return self.from_named({name: torch.cat([parts[name] for parts in named]) for name in named[0]})
