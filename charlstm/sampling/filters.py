"""Filters of logits, and the draw: pure functions of arrays. A token a filter removes gets -inf.

Shapes: B rows drawn side by side, V the vocabulary.
"""

from __future__ import annotations

import math
from collections.abc import Sequence

import numpy as np
from numpy.typing import NDArray

from charlstm.engine.protocol import Logits, TokenIds

COLDEST = 1e-100
"""Temperatures below it count as 0: dividing by them could overflow."""


def ban(logits: Logits, ids: Sequence[int]) -> Logits:
    """Remove the tokens ``ids`` from every row; the caller leaves at least one."""
    allowed = logits.copy()
    allowed[:, list(ids)] = -np.inf
    return allowed


def repetition_penalty(logits: Logits, recent: TokenIds, penalty: float) -> Logits:
    """Make tokens of the recent past less likely (Keskar et al. 2019, section 4.1); a penalty below 1 more likely.

    Args:
        logits: (B, V).
        recent: ids (B, any number), the recent past of each row; how often a token is in it does not matter.
        penalty: positive logits are divided by it, negative ones multiplied.
    """
    places = _rows(logits), recent
    seen = logits[places]
    changed = logits.copy()
    changed[places] = np.where(seen > 0, seen / penalty, seen * penalty)
    return changed


def temperature(logits: Logits, value: float) -> Logits:
    """Divide by the temperature; 0 leaves only the likeliest token, the lowest id among equals."""
    return logits / value if value >= COLDEST else top_k(logits, 1)


def top_k(logits: Logits, k: int) -> Logits:
    """Keep the k likeliest tokens, of equals the lower ids."""
    kept = logits.copy()
    kept[_rows(logits), _ranking(logits)[:, k:]] = -np.inf
    return kept


def top_p(logits: Logits, share: float) -> Logits:
    """Keep the fewest likeliest tokens whose probabilities reach ``share`` (Holtzman et al. 2020, section 3.1)."""
    places = _rows(logits), _ranking(logits)
    ranked = logits[places]
    reached = np.exp(ranked - ranked[:, :1]).cumsum(axis=1)
    # A token goes when those before it reach the share already; the likeliest has nothing before it and stays.
    gone = reached[:, :-1] >= share * reached[:, -1:]
    ranked[:, 1:][gone] = -np.inf
    kept = np.empty_like(logits)
    kept[places] = ranked
    return kept


def min_p(logits: Logits, share: float) -> Logits:
    """Keep tokens at least ``share`` times as likely as the likeliest (Nguyen et al. 2024, section 3)."""
    lowest = logits.max(axis=1, keepdims=True) + math.log(share)
    return np.where(logits < lowest, -np.inf, logits)


def draw(logits: Logits, rows: Sequence[np.random.Generator]) -> TokenIds:
    """Draw one token a row from the softmax of its logits: ids (B,).

    By the Gumbel-max trick (Yellott 1977): of logits with independent standard Gumbel noise added, the highest is
    token k with the probability that softmax gives k. Nothing need be exponentiated or summed, which at the size of an
    alphabet is the quicker way; and -inf stays -inf, so a removed token is never drawn.

    Args:
        logits: (B, V), at least one a row finite.
        rows: a generator for each row; V numbers are taken from it.
    """
    shape = (1, logits.shape[1])
    noise = rows[0].gumbel(size=shape) if len(rows) == 1 else np.concatenate([row.gumbel(size=shape) for row in rows])
    ids: TokenIds = (logits + noise).argmax(axis=1)
    return ids


def log_probabilities(logits: Logits, ids: TokenIds) -> NDArray[np.float64]:
    """The log-probability (B,) in nats of each row's token, ids (B,), under the softmax of its logits (B, V)."""
    shifted = np.asarray(logits - logits.max(axis=1, keepdims=True), np.float64)
    chosen: NDArray[np.float64] = shifted[np.arange(len(ids)), ids] - np.log(np.exp(shifted).sum(axis=1))
    return chosen


def _ranking(logits: Logits) -> TokenIds:
    """The ids (B, V) from the likeliest to the least likely, equals by id."""
    return np.argsort(-logits, axis=1, kind="stable")


def _rows(logits: Logits) -> TokenIds:
    """Row numbers (B, 1) to index with beside ids (B, any number)."""
    return np.arange(len(logits))[:, None]
