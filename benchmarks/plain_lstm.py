"""The network of a one-page program, which the benchmarks compare with: embedding, `nn.LSTM`, softmax."""

from __future__ import annotations

from torch import Tensor, nn

ALPHABET = "\n !$&',-.3:;?" + "".join(map(chr, range(65, 91))) + "".join(map(chr, range(97, 123)))
"""The 65 characters of tiny Shakespeare."""
EMBEDDING_SIZE = 64
SEQ_LEN = 64


class PlainLSTM(nn.Module):
    """Token ids (batch, time) → logits (batch, time, vocab).

    Args:
        num_layers: LSTM layers.
        hidden_size: units per layer.
        embedding_size: features of a token's embedding.
    """

    def __init__(self, num_layers: int, hidden_size: int, embedding_size: int = EMBEDDING_SIZE) -> None:
        super().__init__()
        self.embedding = nn.Embedding(len(ALPHABET), embedding_size)
        self.lstm = nn.LSTM(embedding_size, hidden_size, num_layers)
        self.head = nn.Linear(hidden_size, len(ALPHABET))

    def forward(self, inputs: Tensor) -> tuple[Tensor, object]:
        """The logits, and the state after the last token."""
        outputs, state = self.lstm(self.embedding(inputs.t()))
        return self.head(outputs).transpose(0, 1), state
