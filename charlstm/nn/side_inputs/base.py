"""Side inputs: table rows, chosen by the tokens so far, whose sum is added to the token's embedding.

::

    token x_t ─────────────────────── embedding ──┐
    tokens up to x_t ── rows of a table ── sum ───┴─ + ── lowest recurrent layer

Everything about one side input is in its own class and file: its settings, the size of its table, how rows are chosen
for a whole window (torch) and for one step (Python integers), the memory it carries, how its table grows with the
vocabulary, its cost, and the rule for its automatic settings. The rest is generic: the table is a
`nn.side_inputs.table.SideInputTable` in training and an array in the engine.

Letters as in `charlstm.nn`: K is the number of rows per token, N the length of the history.
"""

from __future__ import annotations

from collections.abc import Iterator, Mapping, Sequence
from dataclasses import dataclass, field
from functools import cached_property
from typing import TYPE_CHECKING, Any, ClassVar, NamedTuple, TypeAlias

from charlstm.nn.side_inputs.hashing import ngram_hashes
from charlstm.schemas import Schema

if TYPE_CHECKING:
    import numpy as np
    import torch
    from numpy.typing import NDArray
    from torch import Tensor

Memory: TypeAlias = "tuple[Tensor, ...]"
"""The memory that a side input carries from window to window besides the history, each part (B, …)."""


class SideInput(Schema, frozen=True, kw_only=True):
    """The base class of side inputs. The fields of a subclass are the settings of that side input.

    Attributes:
        name: its key in `SIDE_INPUTS` and in the state, and the prefix of its tensor.
        sparse: whether gradients are sparse, because a step reads few of many rows.
        training_only: settings that no tensor shape depends on; fine-tuning may change them.
        dropout_setting: the name of the setting behind `dropout`, or None without one.
    """

    name: ClassVar[str]
    sparse: ClassVar[bool] = False
    training_only: ClassVar[tuple[str, ...]] = ()
    dropout_setting: ClassVar[str | None] = None

    @property
    def enabled(self) -> bool:
        """Whether the network has this side input."""
        raise NotImplementedError

    @property
    def history(self) -> int:
        """N: the number of tokens it needs, including the newest; also the order of the longest n-gram it hashes."""
        raise NotImplementedError

    @property
    def reach(self) -> int:
        """The number of tokens back to which what it knows of a text goes: the history, or a longer memory."""
        return self.history

    @property
    def rows_per_token(self) -> int:
        """K: the number of table rows added up for each token."""
        raise NotImplementedError

    def table_rows(self, vocab_size: int) -> int:
        """Return the number of rows of the table."""
        raise NotImplementedError

    @property
    def dropout(self) -> float:
        """The probability with which each chosen row is dropped in training, independently."""
        return 0.0

    @property
    def decay(self) -> float:
        """Weight decay of a sparse table: by how much a row shrinks at a learning rate of 1, each time it is read."""
        return 0.0

    # ---- whole windows, in torch ------------------------------------------------------------------------------------

    def empty_memory(self, batch: int, device: torch.device) -> Memory:
        """Return the memory before any text.

        Args:
            batch: B.
            device: the device of its tensors.

        Returns:
            The memory, each part (B, …).
        """
        return ()

    def numbers_in(self, memory: NDArray[Any]) -> NDArray[Any]:
        """Return the numbers of tokens that a part of a memory holds: ids plus 1, and 0 for none.

        Args:
            memory: the part, (B, …).
        """
        return memory

    def window_rows(
        self, history: WindowHistory, memory: Memory, vocab_size: int, *, frozen: bool = False
    ) -> tuple[Tensor, Memory]:
        """Choose the rows for each token of a window.

        Args:
            history: the tokens of the window and those before it.
            memory: the memory after the previous window.
            vocab_size: V.
            frozen: whether the memory stores nothing of this window.

        Returns:
            Row indices, (B, T, K), and the memory after this window.
        """
        raise NotImplementedError

    def remember(self, history: WindowHistory, memory: Memory) -> Memory:
        """Return the memory after a window, as `window_rows`, which also chooses rows and takes longer.

        Args:
            history: the tokens of the window and those before it.
            memory: the memory after the previous window.
        """
        return memory

    # ---- one step of one text, in Python integers -------------------------------------------------------------------

    def empty_step_memory(self) -> Any:
        """Return the memory of one text before any text; it is never changed in place."""
        return None

    def step_rows(
        self, history: StepHistory, memory: Any, vocab_size: int, *, frozen: bool = False
    ) -> tuple[list[int], Any]:
        """Choose the rows for one token of one text: `window_rows` with B = T = 1.

        Args:
            history: the token and those before it.
            memory: the memory after the previous step; it is not changed.
            vocab_size: V.
            frozen: whether the memory stores nothing of this step.

        Returns:
            K row indices, and the memory after this step.
        """
        raise NotImplementedError

    # ---- one step of many texts with frozen memories, in NumPy -------------------------------------------------------

    def stack(self, memories: Sequence[Any]) -> Any:
        """Return frozen memories in the form that `batch_rows` reads; None if rows have to be chosen by `step_rows`.

        Args:
            memories: of each text, or of a single one that all texts share.
        """
        return None

    def batch_rows(self, history: BatchHistory, stacked: Any, vocab_size: int) -> NDArray[np.int64]:
        """Choose the rows for one token of each text: `step_rows` with frozen memories.

        Args:
            history: the tokens and those before them.
            stacked: what `stack` returned.
            vocab_size: V.

        Returns:
            Row indices, (K, B).
        """
        raise NotImplementedError

    # ---- size, growth, automatic settings ---------------------------------------------------------------------------

    def memory_bytes(self) -> int:
        """Return the bytes of the memory of one text in training."""
        return 0

    def remap_table(
        self, table: NDArray[np.float32], old_ids: NDArray[np.intp], vocab_size: int
    ) -> NDArray[np.float32]:
        """Return the table for another vocabulary.

        Args:
            table: the table for the old vocabulary, (rows, E).
            old_ids: for each token of the new vocabulary its id in the old one, or -1 if it is new, (new V,).
            vocab_size: V of the old vocabulary.

        Returns:
            The table for the new vocabulary, (new rows, E).
        """
        return table

    @classmethod
    def plan(cls, text: TextFacts) -> Mapping[str, tuple[Any, str]]:
        """Return its automatic settings: for each a value and the reason, in plain words."""
        return {}

    def summary(self) -> str:
        """Return a few words for a one-line description of a network: ``n-grams up to 6``."""
        return self.name


class TextFacts(NamedTuple):
    """The facts about the text and the machine that automatic settings of side inputs depend on."""

    train_tokens: int
    effective_vocab_size: int
    """The number of different tokens that make up 99 % of the text."""
    device: str


FEW_TOKENS = 512
"""The largest effective vocabulary whose tokens are taken for letters or bytes rather than subwords."""


@dataclass
class WindowHistory:
    """The tokens of a window and the N before it, and the hashes of their n-grams, each computed once.

    Args:
        numbers: ids plus 1, 0 before the start of the text, (B, N + T).
        time: T.
    """

    numbers: Tensor
    time: int
    _hashes: list[Tensor] = field(default_factory=list)
    _more: Iterator[Tensor] | None = None

    def hashes(self, order: int) -> Tensor:
        """Return the hashes of all n-grams of one order that end in the window or at the token before it.

        Args:
            order: from 2 to N.

        Returns:
            Hashes by the position of the n-gram's last token, (B, 1 + T), 64-bit integers.
        """
        if self._more is None:
            self._more = ngram_hashes(self._ending(back) for back in range(self.numbers.shape[1] - self.time))
        while len(self._hashes) < order - 1:
            self._hashes.append(next(self._more))
        return self._hashes[order - 2]

    def _ending(self, back: int) -> Tensor:
        """Return the numbers ``back`` positions before each of those that `hashes` covers, (B, 1 + T)."""
        end = self.numbers.shape[1] - back
        return self.numbers[:, end - self.time - 1 : end]


class StepHistory(NamedTuple):
    """The last tokens of one text; immutable."""

    numbers: tuple[int, ...]
    """Ids plus 1, 0 before the start of the text, the newest first, (N + 1,)."""
    hashes: tuple[int, ...]
    """Hashes of the n-grams of 2, 3, …, N tokens that end at the newest token."""
    previous: tuple[int, ...]
    """The hashes of the previous step."""

    @classmethod
    def of(cls, numbers: Sequence[int]) -> StepHistory:
        """Return the history of a text by its last tokens.

        Args:
            numbers: see above, (N + 1,).
        """
        return cls(tuple(numbers), tuple(ngram_hashes(numbers[:-1])), tuple(ngram_hashes(numbers[1:])))

    def append(self, token: int) -> StepHistory:
        """Return the history with one more token."""
        numbers = (token + 1, *self.numbers[:-1])
        return StepHistory(numbers, tuple(ngram_hashes(numbers[:-1])), self.hashes)


class BatchHistory:
    """The last tokens of B texts: `StepHistory` in NumPy.

    Args:
        numbers: ids plus 1, 0 before the start of a text, the newest first, (B, N + 1), 64-bit integers.

    Attributes:
        numbers: see above.
        hashes: of the n-grams of 2, 3, …, N tokens that end at the newest token, each (B,).
    """

    def __init__(self, numbers: NDArray[np.int64]) -> None:
        self.numbers, self.hashes = numbers, list(ngram_hashes(numbers[:, :-1].T))

    @cached_property
    def texts(self) -> list[StepHistory]:
        """The history of each text."""
        previous = list(ngram_hashes(self.numbers[:, 1:].T))
        columns = self.numbers.tolist(), self._by_text(self.hashes), self._by_text(previous)
        return [StepHistory(*map(tuple, text)) for text in zip(*columns, strict=True)]

    def _by_text(self, hashes: Sequence[NDArray[np.int64]]) -> list[list[int]]:
        return [list(text) for text in zip(*(each.tolist() for each in hashes), strict=True)] or [[]] * len(
            self.numbers
        )
