"""What a network has learned of its tokens: which ones it takes for alike.

Letters: V tokens, E features.
"""

from __future__ import annotations

from dataclasses import dataclass
from typing import Any

import numpy as np
from numpy.typing import NDArray

from charlstm.nn.model import CharLM


@dataclass(frozen=True)
class Embeddings:
    """The tokens' embeddings, compared."""

    similarity: NDArray[np.float32]
    """The cosine of the angle between two embeddings, (V, V)."""
    plane: NDArray[np.float64]
    """Each token's place in the plane of the two directions in which they differ most (PCA), (V, 2)."""
    explained: tuple[float, float]
    """The share of their variance along each of the two."""

    def nearest(self, token: int, among: NDArray[np.integer[Any]], count: int) -> list[tuple[int, float]]:
        """The tokens most like one, with their cosines, the likest first.

        Args:
            token: its id.
            among: ids of the candidates.
            count: how many.
        """
        others = among[among != token]
        order = others[np.argsort(-self.similarity[token, others], kind="stable")][:count]
        return [(int(other), float(self.similarity[token, other])) for other in order]


def compare_embeddings(model: CharLM, among: NDArray[np.integer[Any]]) -> Embeddings:
    """Compare the embeddings of a network.

    Args:
        model: the network.
        among: the ids of the tokens that decide about the plane, such as those a text uses; three or more.

    Returns:
        The comparison of all tokens.
    """
    # In double precision, in which no square of a weight overflows.
    weight = model.embedding.weight.detach().cpu().double().numpy()[: model.architecture.vocab_size]
    norms = np.linalg.norm(weight, axis=1, keepdims=True)
    unit = weight / np.where(norms > 0, norms, 1)
    centre = weight[among].mean(0)
    _, spread, directions = np.linalg.svd(weight[among] - centre, full_matrices=False)
    shares = spread**2 / max(float((spread**2).sum()), 1e-12)
    plane = (weight - centre) @ directions[:2].T
    narrow = unit.astype(np.float32)
    return Embeddings(narrow @ narrow.T, plane, (float(shares[0]), float(shares[1])))
