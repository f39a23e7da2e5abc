"""How a model judges a text: the negative log-likelihood of each token, and what follows from it."""

from __future__ import annotations

from dataclasses import dataclass
from typing import TYPE_CHECKING

import numpy as np
from numpy.typing import NDArray

if TYPE_CHECKING:
    pass


@dataclass(frozen=True)
class Score:
    """How a model judges a text."""

    nats: NDArray[np.float32]
    """The surprise at each token, (tokens,), in nats."""
    tokens: tuple[bytes, ...]
    """The UTF-8 bytes each token stands for."""
    characters: int
    bytes: int

    @property
    def nats_per_token(self) -> float:
        """The loss, as training reports it."""
        return float(self.nats.mean(dtype=np.float64))

    @property
    def perplexity(self) -> float:
        """Between how many equally likely tokens the model wavers."""
        return float(np.exp(self.nats_per_token))

    @property
    def bits_per_char(self) -> float:
        """Bits the model would need for each character."""
        return float(self.nats.sum(dtype=np.float64) / np.log(2) / self.characters)

    @property
    def bits_per_byte(self) -> float:
        """Bits the model would need for each byte of UTF-8; compressors are measured so."""
        return float(self.nats.sum(dtype=np.float64) / np.log(2) / self.bytes)
