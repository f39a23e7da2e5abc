"""N-gram embeddings: embeddings of the last few tokens together, looked up in a table instead of computed.

With h_n(t) the hash of the n tokens that end at step t (`hashing`), R buckets, N the order of the longest n-gram, and
e_r the rows of the table::

    u_t = Σ e_(h_n(t) mod R)        n = 2, …, N

Different n-grams may share a bucket, since R is far less than their number. Frequent n-grams dominate the row they
share. A step reads few rows and needs no matrix product, so a large table takes hardly more time than a small one.

Source: Bojanowski et al. 2017 (fastText); for byte-level language models Pagnoni et al. 2024 (BLT).
"""

from __future__ import annotations

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
from charlstm.schemas import Fraction

if TYPE_CHECKING:
    import numpy as np
    from numpy.typing import NDArray
    from torch import Tensor


class NgramEmbedding(SideInput, frozen=True, kw_only=True):
    """Embeddings of the n-grams of 2 to ``ngram_order`` tokens that end at each token."""

    name: ClassVar[str] = "ngrams"
    sparse: ClassVar[bool] = True
    training_only: ClassVar[tuple[str, ...]] = ("ngram_dropout", "ngram_decay")
    dropout_setting: ClassVar[str | None] = "ngram_dropout"

    ngram_order: Annotated[
        int, Meta(ge=0, le=16, description="Length of the longest n-gram with an embedding, in tokens; 0: none.")
    ] = 0
    ngram_buckets: Annotated[
        int, Meta(ge=1, le=1 << 24, description="Rows of the table that n-grams are hashed into.")
    ] = 65536
    ngram_dropout: Annotated[Fraction, Meta(description="Share of n-gram embeddings dropped in training.")] = 0.0
    ngram_decay: Annotated[
        float, Meta(ge=0.0, le=1e6, description="Weight decay of an n-gram embedding each time it is read.")
    ] = 2.0

    @property
    def enabled(self) -> bool:
        """See `SideInput`."""
        return self.ngram_order >= 2

    @property
    def history(self) -> int:
        """See `SideInput`."""
        return self.ngram_order

    @property
    def rows_per_token(self) -> int:
        """See `SideInput`."""
        return self.ngram_order - 1

    def table_rows(self, vocab_size: int) -> int:
        """See `SideInput`."""
        return self.ngram_buckets

    @property
    def dropout(self) -> float:
        """See `SideInput`. Without it a network relies on n-grams that its text repeats and other texts do not have."""
        return self.ngram_dropout

    @property
    def decay(self) -> float:
        """See `SideInput`."""
        return self.ngram_decay

    def window_rows(
        self, history: WindowHistory, memory: Memory, vocab_size: int, *, frozen: bool = False
    ) -> tuple[Tensor, Memory]:
        """See `SideInput`."""
        import torch  # only here: sampling on a CPU does not load it

        orders = range(2, self.ngram_order + 1)
        return torch.stack([history.hashes(order)[:, 1:] % self.ngram_buckets for order in orders], -1), ()

    def step_rows(
        self, history: StepHistory, memory: Any, vocab_size: int, *, frozen: bool = False
    ) -> tuple[list[int], Any]:
        """See `SideInput`."""
        return [hashed % self.ngram_buckets for hashed in history.hashes[: self.ngram_order - 1]], None

    def stack(self, memories: Sequence[Any]) -> Any:
        """See `SideInput`: there is no memory."""
        return ()

    def batch_rows(self, history: BatchHistory, stacked: Any, vocab_size: int) -> NDArray[np.int64]:
        """See `SideInput`."""
        import numpy as np  # only here: the command line reads the settings above without it

        return np.stack(history.hashes[: self.ngram_order - 1]) % self.ngram_buckets

    @classmethod
    def plan(cls, text: TextFacts) -> Mapping[str, tuple[Any, str]]:
        """See `SideInput`; the dropout depends on the number of passes, so `training.plan.rules` chooses it."""
        if text.device.startswith("mps"):
            return {"ngram_order": (0, "Apple's GPUs have no sparse gradients")}
        buckets = 1 << max(10, min(17, (text.train_tokens // 16).bit_length()))
        return {
            "ngram_order": (6 if text.effective_vocab_size <= FEW_TOKENS else 3, "cheap knowledge of spelling"),
            "ngram_buckets": (buckets, f"for {text.train_tokens:,} tokens"),
        }

    def summary(self) -> str:
        """See `SideInput`."""
        return f"n-grams up to {self.ngram_order}"
