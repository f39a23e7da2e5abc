"""The match memory: what followed the last time the same n tokens were read.

With x_t the number of the token at step t, counted from 1, h_n(t) the hash of the n-gram that ends there (`hashing`),
and M_n a memory of R slots, all empty before any text::

    M_n[h_n(t-1) mod R] = (tag of h_n(t-1), x_t)      what followed the n tokens before
    f_n(t) = the number in M_n[h_n(t) mod R] if its tag is that of h_n(t), else 0

The table has a row for each order n and each number f_n can be. A new n-gram takes the slot of an old one, so a memory
reaches about R tokens back. The weights need not know a name for a network to finish it: having read it once is enough.

Source: the match model of data compressors, Mahoney 2005, "Adaptive weighing of context models for lossless data
compression"; in language models Akyürek et al. 2024, "In-context language learning: architectures and algorithms".
"""

from __future__ import annotations

from array import array
from collections.abc import Mapping
from typing import TYPE_CHECKING, Annotated, Any, ClassVar

from msgspec import Meta

from charlstm.nn.side_inputs.base import FEW_TOKENS, Memory, SideInput, StepHistory, TextFacts, WindowHistory

if TYPE_CHECKING:
    import numpy as np
    import torch
    from numpy.typing import NDArray
    from torch import Tensor

_NUMBER_BITS, _TAG_BITS = 21, 10  # of a slot: every code point fits the first; together 31
_CHUNK = 64  # tokens of a window that are compared with one another at once
_BLOCK = 128  # slots: a step copies one block, and a list of about as many blocks


class MatchMemory(SideInput, frozen=True, kw_only=True):
    """Embeddings of the tokens that followed when the last n tokens were last read, for each n of ``match_orders``."""

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
    def rows_per_token(self) -> int:
        """See `SideInput`."""
        return len(self.match_orders)

    def table_rows(self, vocab_size: int) -> int:
        """Order below order, each a row for "unknown" and one for each token."""
        return len(self.match_orders) * (vocab_size + 1)

    # ---- whole windows, in torch ------------------------------------------------------------------------------------

    def empty_memory(self, batch: int, device: torch.device) -> Memory:
        """The slots, (B, K, R)."""
        import torch  # only here: sampling on a CPU does not load it

        return (torch.zeros(batch, len(self.match_orders), self.match_slots, dtype=torch.int32, device=device),)

    def window_rows(self, history: WindowHistory, memory: Memory, vocab_size: int) -> tuple[Tensor, Memory]:
        """See `SideInput`."""
        import torch

        (slots,) = memory
        hashes = torch.stack([history.hashes(order) for order in self.match_orders], 1)  # (B, K, 1 + T)
        read = history.numbers[:, None, -history.time :]
        found = []
        for begin in range(0, history.time, _CHUNK):
            end = min(begin + _CHUNK, history.time)
            numbers, slots = self._read(hashes[..., begin : end + 1], read[..., begin:end], slots)
            found.append(numbers)
        first = torch.arange(len(self.match_orders), device=slots.device) * (vocab_size + 1)
        return torch.cat(found, 2).transpose(1, 2) + first, (slots,)

    def _read(self, hashes: Tensor, read: Tensor, slots: Tensor) -> tuple[Tensor, Tensor]:
        """F of each token of a chunk.

        Args:
            hashes: of the n-grams that end at the token before the chunk and at each of its own, (B, K, 1 + T).
            read: the numbers of its tokens, (B, 1, T).
            slots: as the chunk before left them, (B, K, R).

        Returns:
            f, (B, K, T), and the slots after.
        """
        import torch

        places = hashes % self.match_slots
        # What is written as each token is read, and for each place the tokens of this chunk that write there.
        written = self._slot(hashes[..., :-1], read)
        same = places[..., :, None] == places[..., None, :-1]
        latest_before, latest = _last_true(same[..., 1:, :].tril()), _last_true(same[..., :-1, :])
        held = slots.gather(2, places[..., 1:]).to(torch.int64)
        slot = torch.where(latest_before < 0, held, written.gather(2, latest_before.clamp(min=0)))
        # Tokens that write to one place all write what the last of them writes, so their order does not matter.
        slots = slots.scatter(2, places[..., :-1], written.gather(2, latest).to(slots.dtype))
        return self._number(slot, hashes[..., 1:]), slots

    # ---- one step of one text, in plain numbers ---------------------------------------------------------------------

    def empty_step_memory(self) -> list[array[int]]:
        """The slots of all orders, in blocks: a step makes one block anew and shares all others with the last step."""
        return [array("i", bytes(4 * _BLOCK))] * (len(self.match_orders) * -(-self.match_slots // _BLOCK))

    def step_rows(
        self, history: StepHistory, memory: list[array[int]], vocab_size: int
    ) -> tuple[list[int], list[array[int]]]:
        """See `SideInput`."""
        blocks, rows = memory.copy(), []
        blocks_per_order = len(blocks) // len(self.match_orders)
        for k, order in enumerate(self.match_orders):
            before, now = history.previous[order - 2], history.hashes[order - 2]
            where, within = divmod(before % self.match_slots, _BLOCK)
            block = blocks[k * blocks_per_order + where][:]
            block[within] = self._slot(before, history.numbers[0])
            blocks[k * blocks_per_order + where] = block
            where, within = divmod(now % self.match_slots, _BLOCK)
            slot = blocks[k * blocks_per_order + where][within]
            rows.append(k * (vocab_size + 1) + self._number(slot, now))
        return rows, blocks

    # ---- of both: whole numbers, or tensors of 64-bit ones ----------------------------------------------------------

    def _slot(self, hashed: Any, number: Any) -> Any:
        """What a slot holds of an n-gram and the number that followed it, 31 bits."""
        return (self._tag(hashed) << _NUMBER_BITS) + number

    def _number(self, slot: Any, hashed: Any) -> Any:
        """The number in a slot, 0 if the slot is another n-gram's."""
        return (slot & ((1 << _NUMBER_BITS) - 1)) * (slot >> _NUMBER_BITS == self._tag(hashed))

    def _tag(self, hashed: Any) -> Any:
        return hashed // self.match_slots & ((1 << _TAG_BITS) - 1)

    # ---- what else is to be known of it -----------------------------------------------------------------------------

    def memory_bytes(self) -> int:
        """See `SideInput`."""
        return 4 * len(self.match_orders) * self.match_slots

    def grown(self, table: NDArray[np.float32], known: NDArray[np.intp], vocab_size: int) -> NDArray[np.float32]:
        """See `SideInput`; a new token begins as the mean of the known ones."""
        import numpy as np  # only here: the command line reads the settings above without it

        orders = table.reshape(len(self.match_orders), vocab_size + 1, -1)
        unknown, tokens = orders[:, :1], orders[:, 1:]
        grown = np.repeat(tokens.mean(1, keepdims=True), len(known), 1)
        grown[:, known >= 0] = tokens[:, known[known >= 0]]
        return np.concatenate((unknown, grown), 1).reshape(-1, table.shape[1])

    @classmethod
    def plan(cls, text: TextFacts) -> Mapping[str, tuple[Any, str]]:
        """See `SideInput`."""
        orders = (3, 6) if text.effective_vocab_size <= FEW_TOKENS else (2, 3)
        return {"match_orders": (orders, f"remembers what followed the same {orders[0]} and the same {orders[1]}")}

    def described(self) -> str:
        """See `SideInput`."""
        return "match memory"


def _last_true(which: Tensor) -> Tensor:
    """The highest index along the last axis that is true, -1 where none is."""
    import torch

    numbers = torch.arange(which.shape[-1], dtype=torch.int32, device=which.device)
    return torch.where(which, numbers, -1).amax(-1).to(torch.int64)
