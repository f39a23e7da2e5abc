"""What a side input is: rows of a table, chosen by the tokens read so far, whose sum joins the token's embedding.

::

    token x_t ──────────────────────── embedding ──┐
    tokens read so far ── rows of a table ── sum ──┴─ + ── lowest recurrent layer

Everything that one side input needs stands in its own class and file: its settings, the size of its table, how rows
are chosen for a whole window (torch) and for one step (plain numbers), the memory it carries, how its table grows with
the alphabet, what it costs, and the rule by which its settings choose themselves. All else is generic: the table is a
`nn.side_inputs.table.SideInputTable` in training and an array in the engine.

Letters: B batch, T time, K rows for each token, V vocabulary, E embedding features, N tokens of history.
"""

from __future__ import annotations

from collections.abc import Iterator, Mapping
from dataclasses import dataclass, field
from typing import TYPE_CHECKING, Any, ClassVar, NamedTuple, TypeAlias

from charlstm.nn.side_inputs.hashing import ngram_hashes
from charlstm.schemas import Schema

if TYPE_CHECKING:
    import numpy as np
    import torch
    from numpy.typing import NDArray
    from torch import Tensor

Memory: TypeAlias = "tuple[Tensor, ...]"
"""What a side input carries from window to window besides the history, each part (B, …)."""


class SideInput(Schema, frozen=True, kw_only=True):
    """The base of all side inputs. An instance is one with its settings; the fields of a subclass are those settings.

    Attributes:
        name: its key in `SIDE_INPUTS` and in the state, and the prefix of its tensor.
        sparse: whether a step reads few of many rows, so that gradients are sparse.
        training_only: its settings that no tensor depends on: they may differ in a network that begins from another.
        dropout_setting: the name of the setting that is its `dropout`, or None if it has none.
    """

    name: ClassVar[str]
    sparse: ClassVar[bool] = False
    training_only: ClassVar[tuple[str, ...]] = ()
    dropout_setting: ClassVar[str | None] = None

    @property
    def enabled(self) -> bool:
        """Whether the network has it."""
        raise NotImplementedError

    @property
    def history(self) -> int:
        """N: how many tokens it looks at, the newest among them; also the longest n-gram it has hashed."""
        raise NotImplementedError

    @property
    def rows_per_token(self) -> int:
        """K."""
        raise NotImplementedError

    def table_rows(self, vocab_size: int) -> int:
        """Rows of its table."""
        raise NotImplementedError

    @property
    def dropout(self) -> float:
        """In training, the share of the chosen rows that are left out, each drawn for itself."""
        return 0.0

    @property
    def decay(self) -> float:
        """Of a sparse table: the share of a row taken off at a learning rate of 1, whenever it is read."""
        return 0.0

    # ---- whole windows, in torch ------------------------------------------------------------------------------------

    def empty_memory(self, batch: int, device: torch.device) -> Memory:
        """Its memory before any text."""
        return ()

    def window_rows(self, history: WindowHistory, memory: Memory, vocab_size: int) -> tuple[Tensor, Memory]:
        """Choose the rows for each token of a window.

        Args:
            history: the window's tokens and those before it.
            memory: as the window before left it.
            vocab_size: V.

        Returns:
            Rows of the table, (B, T, K), and the memory after the window.
        """
        raise NotImplementedError

    # ---- one step of one text, in plain numbers ---------------------------------------------------------------------

    def empty_step_memory(self) -> Any:
        """Its memory before any text, for one text; a value that is never changed."""
        return None

    def step_rows(self, history: StepHistory, memory: Any, vocab_size: int) -> tuple[list[int], Any]:
        """Choose the rows for one token: `window_rows` for a text of its own and a window of one.

        Args:
            history: the token and those before it.
            memory: as the step before left it; it stays as it is.
            vocab_size: V.

        Returns:
            K rows of the table, and the memory after the step.
        """
        raise NotImplementedError

    # ---- what else is to be known of it -----------------------------------------------------------------------------

    def memory_bytes(self) -> int:
        """Bytes of the memory of one text in training."""
        return 0

    def grown(self, table: NDArray[np.float32], known: NDArray[np.intp], vocab_size: int) -> NDArray[np.float32]:
        """The table for another alphabet.

        Args:
            table: (rows, E), for the old alphabet.
            known: for each token of the new alphabet its id in the old one, or -1, (new V,).
            vocab_size: V of the old alphabet.
        """
        return table

    @classmethod
    def plan(cls, text: TextFacts) -> Mapping[str, tuple[Any, str]]:
        """The rule by which its settings choose themselves: for each setting a value and the reason, in plain words."""
        return {}

    def described(self) -> str:
        """What it is in a few words, for one line about a network: ``n-grams up to 6``."""
        return self.name


class TextFacts(NamedTuple):
    """What a plan knows of the text and the machine."""

    train_tokens: int
    effective_vocab_size: int
    """How many different tokens nearly all of the text is made of."""
    device: str


FEW_TOKENS = 512
"""Where at most so many different tokens make up nearly all of a text they are taken for letters or bytes."""


@dataclass
class WindowHistory:
    """The tokens of a window and the N before it, and the hashes of their n-grams, computed once for all who ask.

    Args:
        numbers: ids plus 1, 0 where there was no text yet, (B, N + T).
        time: T.
    """

    numbers: Tensor
    time: int
    _hashes: list[Tensor] = field(default_factory=list)
    _more: Iterator[Tensor] | None = None

    def hashes(self, order: int) -> Tensor:
        """The hashes of the n-grams of ``order`` tokens that end at the token before the window and at each of its own.

        Args:
            order: at least 2, at most N.

        Returns:
            (B, 1 + T), 64-bit.
        """
        if self._more is None:
            self._more = ngram_hashes(self._ending(back) for back in range(self.numbers.shape[1] - self.time))
        while len(self._hashes) < order - 1:
            self._hashes.append(next(self._more))
        return self._hashes[order - 2]

    def _ending(self, back: int) -> Tensor:
        """The numbers ``back`` tokens before the token before the window and before each of its own, (B, 1 + T)."""
        end = self.numbers.shape[1] - back
        return self.numbers[:, end - self.time - 1 : end]


class StepHistory(NamedTuple):
    """The last N tokens of one text: a value."""

    numbers: tuple[int, ...]
    """Ids plus 1, 0 where there was no text yet, the newest first, (N,)."""
    hashes: tuple[int, ...]
    """Of the n-grams of 2, 3, …, N tokens that end at the newest token."""
    previous: tuple[int, ...]
    """The hashes one step earlier."""

    @classmethod
    def empty(cls, length: int) -> StepHistory:
        """Before any text.

        Args:
            length: N.
        """
        numbers = (0,) * length
        hashes = tuple(ngram_hashes(numbers))
        return cls(numbers, hashes, hashes)

    def then(self, token: int) -> StepHistory:
        """With one more token read."""
        numbers = (token + 1, *self.numbers[:-1])
        return StepHistory(numbers, tuple(ngram_hashes(numbers)), self.hashes)
