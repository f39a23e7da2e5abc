"""The weights, and what is computed everywhere."""

from __future__ import annotations

import base64
import io
from functools import cache
from pathlib import Path
from typing import Any, TypeAlias

import numpy as np
from numpy.typing import NDArray

from charlstm.export.numpy_parts.settings import BESIDE, INT8, WEIGHTS

Array: TypeAlias = NDArray[np.floating[Any]]


@cache
def weights() -> dict[str, Array]:
    """Read the weights, once: matrices and vectors in float32, by name."""
    if BESIDE:
        with np.load(Path(__file__).with_suffix(".npz")) as file:
            stored = dict(file)
    else:
        with np.load(io.BytesIO(base64.b64decode(WEIGHTS))) as file:
            stored = dict(file)
    if INT8:
        for name in [name for name in stored if name.endswith(".scale")]:
            scale = stored.pop(name)
            matrix = name.removesuffix(".scale")
            stored[matrix] = stored[matrix] * scale[:, None]
    return {name: array.astype(np.float32) for name, array in stored.items()}


def sigmoid(z: Array) -> Array:
    """1 / (1 + exp(-z)), written so that no z overflows."""
    share: Array = 0.5 + 0.5 * np.tanh(0.5 * z)
    return share


def softmax(z: Array) -> Array:
    """exp(z) / Σ exp(z): numbers of any size become probabilities."""
    powers = np.exp(z - z.max())
    shares: Array = powers / powers.sum()
    return shares
