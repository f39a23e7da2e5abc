"""Filters of logits, and the draw: pure functions of arrays. A token that a filter removes gets -inf.

Shapes: B rows drawn side by side, V the vocabulary.
"""

from __future__ import annotations

import math
from collections.abc import Sequence

import numpy as np
from numpy.typing import NDArray

from charlstm.engine.protocol import Logits, TokenIds
from charlstm.sampling.config import SampleConfig

LOWEST_TEMPERATURE = 1e-100
"""A temperature below it counts as 0: dividing by it could overflow."""


def apply_filters(logits: Logits, config: SampleConfig, recent: TokenIds, banned: Sequence[int]) -> Logits:
    """Apply every filter that is on, in this order: ban, repetition penalty, top-k, top-p, min-p, temperature.

    The temperature comes last, so that what is cut off does not depend on it: hot text is varied, not garbled.

    Args:
        logits: (B, V), of the network.
        config: which filters are on.
        recent: (B, up to 64), the last ids of each row in any order, for the repetition penalty.
        banned: ids that are never drawn.

    Returns:
        (B, V), -inf for every token that was removed.
    """
    if banned:
        logits = ban(logits, banned)
    if config.repetition_penalty != 1:
        logits = repetition_penalty(logits, recent, config.repetition_penalty)
    if 0 < config.top_k < logits.shape[1]:
        logits = top_k(logits, config.top_k)
    if config.top_p < 1:
        logits = top_p(logits, config.top_p)
    if config.min_p > 0:
        logits = min_p(logits, config.min_p)
    if config.temperature != 1:
        logits = temperature(logits, config.temperature)
    return logits


def ban(logits: Logits, ids: Sequence[int]) -> Logits:
    """Remove tokens from every row.

    Args:
        logits: (B, V).
        ids: the tokens to remove; the caller leaves at least one.

    Returns:
        Logits, (B, V), -inf where a token is removed.
    """
    allowed = logits.copy()
    allowed[:, list(ids)] = -np.inf
    return allowed


def repetition_penalty(logits: Logits, recent: TokenIds, penalty: float) -> Logits:
    """Make recent tokens less likely (Keskar et al. 2019, section 4.1), or more likely with a penalty below 1.

    Args:
        logits: (B, V).
        recent: (B, any number), the recent ids of each row; how often an id occurs does not matter.
        penalty: positive logits are divided by it, negative ones multiplied.

    Returns:
        Logits, (B, V).
    """
    index = _rows(logits), recent
    before = logits[index]
    penalised = logits.copy()
    penalised[index] = np.where(before > 0, before / penalty, before * penalty)
    return penalised


def temperature(logits: Logits, value: float) -> Logits:
    """Divide by the temperature.

    Args:
        logits: (B, V).
        value: the temperature; 0 keeps only the likeliest token, the lowest id among equals.

    Returns:
        Logits, (B, V).
    """
    return logits / value if value >= LOWEST_TEMPERATURE else top_k(logits, 1)


def top_k(logits: Logits, k: int) -> Logits:
    """Keep the k likeliest tokens, the lower ids among equals.

    Args:
        logits: (B, V).
        k: at least 1.

    Returns:
        Logits, (B, V), -inf where a token is removed.
    """
    filtered = logits.copy()
    filtered[_rows(logits), _ranking(logits)[:, k:]] = -np.inf
    return filtered


def top_p(logits: Logits, probability: float) -> Logits:
    """Keep the fewest likeliest tokens whose probabilities add up to at least a value (Holtzman et al. 2020, 3.1).

    Args:
        logits: (B, V).
        probability: the value, above 0 and at most 1.

    Returns:
        Logits, (B, V), -inf where a token is removed.
    """
    index = _rows(logits), _ranking(logits)
    ranked = logits[index]
    cumulative = np.exp(ranked - ranked[:, :1]).cumsum(axis=1)
    # A token goes if those before it add up to enough already; nothing is before the likeliest, which therefore stays.
    removed = cumulative[:, :-1] >= probability * cumulative[:, -1:]
    ranked[:, 1:][removed] = -np.inf
    filtered = np.empty_like(logits)
    filtered[index] = ranked
    return filtered


def min_p(logits: Logits, ratio: float) -> Logits:
    """Keep tokens at least ``ratio`` times as likely as the likeliest (Nguyen et al. 2024, section 3).

    Args:
        logits: (B, V).
        ratio: above 0 and at most 1.

    Returns:
        Logits, (B, V), -inf where a token is removed.
    """
    lowest = logits.max(axis=1, keepdims=True) + math.log(ratio)
    return np.where(logits < lowest, -np.inf, logits)


def draw(logits: Logits, rngs: Sequence[np.random.Generator]) -> TokenIds:
    """Draw one token per row from the softmax of its logits.

    By the Gumbel-max trick (Yellott 1977): if independent standard Gumbel noise is added to the logits, token k has the
    highest sum with the probability that softmax gives k. Nothing is exponentiated or summed, which is quicker for
    vocabularies the size of an alphabet; and -inf stays -inf, so a removed token is never drawn.

    Args:
        logits: (B, V), at least one per row finite.
        rngs: one generator per row; V numbers are taken from each.

    Returns:
        (B,) token ids.
    """
    shape = (1, logits.shape[1])
    noise = rngs[0].gumbel(size=shape) if len(rngs) == 1 else np.concatenate([rng.gumbel(size=shape) for rng in rngs])
    ids: TokenIds = (logits + noise).argmax(axis=1)
    return ids


def log_probabilities(logits: Logits, ids: TokenIds) -> NDArray[np.float64]:
    """Compute the log-probability of one token per row under the softmax of its logits.

    Args:
        logits: (B, V).
        ids: (B,).

    Returns:
        (B,), in nats.
    """
    shifted = np.asarray(logits - logits.max(axis=1, keepdims=True), np.float64)
    nats: NDArray[np.float64] = shifted[np.arange(len(ids)), ids] - np.log(np.exp(shifted).sum(axis=1))
    return nats


def _ranking(logits: Logits) -> TokenIds:
    """The ids (B, V) from the likeliest to the least likely, equals by id."""
    return np.argsort(-logits, axis=1, kind="stable")


def _rows(logits: Logits) -> TokenIds:
    """Row numbers (B, 1), to index with beside ids (B, any number)."""
    return np.arange(len(logits))[:, None]
