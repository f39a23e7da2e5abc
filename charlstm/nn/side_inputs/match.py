"""The match memory: looks up the token that followed the most recent occurrence of the last n tokens.

With x_t the id of the token at step t plus 1, h_n(t) the hash of the n-gram that ends there (`hashing`), and M_n a
memory of R slots, empty before any text::

    M_n[h_n(t-1) mod R] = (tag of h_n(t-1), x_t)      stores the successor of the previous n tokens
    f_n(t) = the number in M_n[h_n(t) mod R] if its tag is that of h_n(t), else 0

The table has a row for each order n and each value of f_n. A new n-gram overwrites the slot of an old one, so a memory
reaches about R tokens back. A network can so complete a name that its weights do not know, after reading it once.

A *frozen* memory is only read. It is frozen while a network writes: fed with its own text, a network finds what it has
just written, writes it again, and goes in circles.

Source: the match model of data compressors, Mahoney 2005, "Adaptive weighing of context models for lossless data
compression"; in language models Akyürek et al. 2024, "In-context language learning: architectures and algorithms".
"""

from __future__ import annotations

from array import array
from collections.abc import Mapping, Sequence
from typing import TYPE_CHECKING, Annotated, Any, ClassVar

from msgspec import Meta

from charlstm.nn.side_inputs.base import (
    FEW_TOKENS,
    BatchHistory,
    Memory,
    SideInput,
    StepHistory,
    TextFacts,
    WindowHistory,
)

if TYPE_CHECKING:
    import numpy as np
    import torch
    from numpy.typing import NDArray
    from torch import Tensor

_NUMBER_BITS, _TAG_BITS = 21, 10  # bits of a slot, 31 together; every code point fits the first
_CHUNK = 64  # tokens of a window that are compared with each other at once
_BLOCK = 128  # slots per block: a step copies one block, and a list of about as many blocks


class MatchMemory(SideInput, frozen=True, kw_only=True):
    """For each n of ``match_orders``, the embedding of the token that last followed the same n tokens."""

    name: ClassVar[str] = "match"

    match_orders: Annotated[
        tuple[Annotated[int, Meta(ge=2, le=16)], ...],
        Meta(max_length=16, description="Context lengths of the match memory, which looks up what followed last time."),
    ] = ()
    match_slots: Annotated[
        int, Meta(ge=1, le=1 << 20, description="Reach of the match memory in tokens: its slots per context length.")
    ] = 8192

    @property
    def enabled(self) -> bool:
        """See `SideInput`."""
        return bool(self.match_orders)

    @property
    def history(self) -> int:
        """See `SideInput`."""
        return max(self.match_orders)

    @property
    def reach(self) -> int:
        """See `SideInput`."""
        return self.history + self.match_slots

    @property
    def rows_per_token(self) -> int:
        """See `SideInput`."""
        return len(self.match_orders)

    def table_rows(self, vocab_size: int) -> int:
        """Return the number of rows: for each order one for "no match" and one for each token."""
        return len(self.match_orders) * (vocab_size + 1)

    # ---- whole windows, in torch ------------------------------------------------------------------------------------

    def empty_memory(self, batch: int, device: torch.device) -> Memory:
        """See `SideInput`: empty slots, (B, K, R)."""
        import torch  # only here: sampling on a CPU does not load it

        return (torch.zeros(batch, len(self.match_orders), self.match_slots, dtype=torch.int32, device=device),)

    def numbers_in(self, memory: NDArray[Any]) -> NDArray[Any]:
        """See `SideInput`: of the successors in the slots."""
        return memory & ((1 << _NUMBER_BITS) - 1)

    def window_rows(
        self, history: WindowHistory, memory: Memory, vocab_size: int, *, frozen: bool = False
    ) -> tuple[Tensor, Memory]:
        """See `SideInput`."""
        import torch

        (slots,) = memory
        first_rows = torch.arange(len(self.match_orders), device=slots.device) * (vocab_size + 1)
        hashes = torch.stack([history.hashes(order) for order in self.match_orders], 1)  # (B, K, 1 + T)
        tokens = history.numbers[:, None, -history.time :]
        if frozen:
            stored = slots.gather(2, hashes[..., 1:] % self.match_slots).to(torch.int64)
            return self.number(stored, hashes[..., 1:]).transpose(1, 2) + first_rows, memory
        chunks = []
        for begin in range(0, history.time, _CHUNK):
            end = min(begin + _CHUNK, history.time)
            followers, slots = self._process_chunk(hashes[..., begin : end + 1], tokens[..., begin:end], slots)
            chunks.append(followers)
        return torch.cat(chunks, 2).transpose(1, 2) + first_rows, (slots,)

    def remember(self, history: WindowHistory, memory: Memory) -> Memory:
        """See `SideInput`."""
        import numpy as np
        import torch

        (slots,) = memory
        after, tokens = slots.cpu().numpy().copy(), history.numbers[:, -history.time :]
        rows = np.arange(len(after))[:, None]
        for k, order in enumerate(self.match_orders):
            hashes = history.hashes(order)[:, :-1]
            places, written = hashes % self.match_slots, self.slot(hashes, tokens)
            after[rows, k, places.cpu().numpy()] = written.cpu().numpy()  # of several for a slot, the last one stays
        return (torch.from_numpy(after).to(slots.device),)

    def _process_chunk(self, hashes: Tensor, tokens: Tensor, slots: Tensor) -> tuple[Tensor, Tensor]:
        """Compute f for each token of a chunk.

        Args:
            hashes: of the n-grams that end at the token before the chunk and at each of its own, (B, K, 1 + T).
            tokens: the numbers of its tokens, (B, 1, T).
            slots: after the previous chunk, (B, K, R).

        Returns:
            f, (B, K, T), and the slots after this chunk.
        """
        import torch

        places = hashes % self.match_slots
        # The value that each token writes, and which tokens of this chunk write to the same place.
        written = self.slot(hashes[..., :-1], tokens)
        same = places[..., :, None] == places[..., None, :-1]
        latest_before, latest = _last_true(same[..., 1:, :].tril()), _last_true(same[..., :-1, :])
        stored = slots.gather(2, places[..., 1:]).to(torch.int64)
        slot = torch.where(latest_before < 0, stored, written.gather(2, latest_before.clamp(min=0)))
        # All tokens with one place write the value of the last of them, so the order of writes does not matter.
        slots = slots.scatter(2, places[..., :-1], written.gather(2, latest).to(slots.dtype))
        return self.number(slot, hashes[..., 1:]), slots

    # ---- one step of one text, in Python integers -------------------------------------------------------------------

    def empty_step_memory(self) -> list[array[int]]:
        """See `SideInput`: the slots in blocks. A step copies one block per order and shares all others."""
        return [array("i", bytes(4 * _BLOCK))] * (len(self.match_orders) * -(-self.match_slots // _BLOCK))

    def step_rows(
        self, history: StepHistory, memory: list[array[int]], vocab_size: int, *, frozen: bool = False
    ) -> tuple[list[int], list[array[int]]]:
        """See `SideInput`."""
        blocks, rows = memory if frozen else memory.copy(), []
        blocks_per_order = len(blocks) // len(self.match_orders)
        for k, order in enumerate(self.match_orders):
            previous, current = history.previous[order - 2], history.hashes[order - 2]
            if not frozen:
                index, offset = divmod(previous % self.match_slots, _BLOCK)
                block = blocks[k * blocks_per_order + index][:]
                block[offset] = self.slot(previous, history.numbers[0])
                blocks[k * blocks_per_order + index] = block
            index, offset = divmod(current % self.match_slots, _BLOCK)
            slot = blocks[k * blocks_per_order + index][offset]
            rows.append(k * (vocab_size + 1) + self.number(slot, current))
        return rows, blocks

    # ---- one step of many texts with frozen memories, in NumPy -------------------------------------------------------

    def stack(self, memories: Sequence[list[array[int]]]) -> NDArray[np.int32]:
        """See `SideInput`: slots (B, K, R), or (1, K, R) where all texts share them; R up to the end of a block."""
        import numpy as np  # only here: the command line reads the settings above without it

        joined = [np.frombuffer(b"".join(memory), np.int32) for memory in memories]
        return np.stack(joined).reshape(len(memories), len(self.match_orders), -1)

    def batch_rows(self, history: BatchHistory, stacked: NDArray[np.int32], vocab_size: int) -> NDArray[np.int64]:
        """See `SideInput`."""
        import numpy as np

        texts, rows = np.arange(len(stacked)), []  # one index stands for all texts
        for k, order in enumerate(self.match_orders):
            hashes = history.hashes[order - 2]
            slots = stacked[texts, k, hashes % self.match_slots].astype(np.int64)
            rows.append(k * (vocab_size + 1) + self.number(slots, hashes))
        return np.stack(rows)

    # ---- all: on Python integers, 64-bit tensors or nodes of a graph -------------------------------------------------

    def slot(self, hashed: Any, number: Any) -> Any:
        """Return the 31-bit value of a slot: the tag of an n-gram and the number of its successor.

        Args:
            hashed: of the n-gram.
            number: of its successor.
        """
        return (self._tag(hashed) << _NUMBER_BITS) + number

    def number(self, slot: Any, hashed: Any) -> Any:
        """Return the number in a slot, or 0 if the slot belongs to another n-gram.

        Args:
            slot: its value.
            hashed: of the n-gram that is looked up.
        """
        return (slot & ((1 << _NUMBER_BITS) - 1)) * (slot >> _NUMBER_BITS == self._tag(hashed))

    def _tag(self, hashed: Any) -> Any:
        return hashed // self.match_slots & ((1 << _TAG_BITS) - 1)

    # ---- size, growth, automatic settings ---------------------------------------------------------------------------

    def memory_bytes(self) -> int:
        """See `SideInput`."""
        return 4 * len(self.match_orders) * self.match_slots

    def remap_table(
        self, table: NDArray[np.float32], old_ids: NDArray[np.intp], vocab_size: int
    ) -> NDArray[np.float32]:
        """See `SideInput`; the row of a new token is the mean of the known ones."""
        import numpy as np  # only here: the command line reads the settings above without it

        orders = table.reshape(len(self.match_orders), vocab_size + 1, -1)
        no_match, tokens = orders[:, :1], orders[:, 1:]
        remapped = np.repeat(tokens.mean(1, keepdims=True), len(old_ids), 1)
        remapped[:, old_ids >= 0] = tokens[:, old_ids[old_ids >= 0]]
        return np.concatenate((no_match, remapped), 1).reshape(-1, table.shape[1])

    @classmethod
    def plan(cls, text: TextFacts) -> Mapping[str, tuple[Any, str]]:
        """See `SideInput`."""
        orders = (3, 6) if text.effective_vocab_size <= FEW_TOKENS else (2, 3)
        return {"match_orders": (orders, f"finds what last followed the same {orders[0]} and {orders[1]} tokens")}

    def summary(self) -> str:
        """See `SideInput`."""
        return "match memory"


def _last_true(which: Tensor) -> Tensor:
    """Return the highest true index along the last axis, or -1 where none is true."""
    import torch

    numbers = torch.arange(which.shape[-1], dtype=torch.int32, device=which.device)
    return torch.where(which, numbers, -1).amax(-1).to(torch.int64)
