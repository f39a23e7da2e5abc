"""How far back a network looks: its loss when the earlier context is cut off, or put in another order.

A gradient says what could matter, a loss what does. With L_k the mean loss of tokens whose last k tokens before them
are as they were, and everything earlier missing or shuffled, L_k falls to the loss with the whole context; where it has
come down to it, the network looks no further.
"""

from __future__ import annotations

import math
from collections.abc import Callable, Iterator, Sequence
from dataclasses import dataclass
from typing import Any

import numpy as np
import torch
from numpy.typing import NDArray

from charlstm.errors import TextError, UsageError
from charlstm.inspect.gradients import gradient_norms, relative_gradient
from charlstm.nn.model import CharLM
from charlstm.nn.state import State

DISTANCES = (1, 3, 10, 30, 100, 300)
"""The distances, in tokens, that are measured."""
WHOLE = 512
"""Tokens of the whole context."""
PLACES = 128
"""At how many places of the text the loss is measured."""
_ROWS = 64
"""Places that are read side by side."""
_WINDOW = 128
"""Tokens that are read at a time, to bound the memory."""
_GRADIENT_PLACES = 4


@dataclass(frozen=True)
class Memory:
    """How a network depends on what it has read."""

    distances: tuple[int, ...]
    """k, in tokens."""
    cut: NDArray[np.float64]
    """Bits a token with only the last k tokens before it, for each place and k: (places, distances)."""
    shuffled: NDArray[np.float64]
    """The same with the earlier ones in another order, words staying whole."""
    whole: NDArray[np.float64]
    """With all of them, (places,)."""
    gradient: NDArray[np.float64]
    """The mean norm of the gradient at each distance from 0, as a share of that at 0: (longest distance + 1,)."""

    def errors(self, extra: NDArray[np.float64]) -> NDArray[np.float64]:
        """The standard error of the bits lost at each distance, over the places."""
        spread: NDArray[np.float64] = (extra - self.whole[:, None]).std(0)
        return spread / math.sqrt(len(self.whole))

    def reach(self, extra: NDArray[np.float64], margin: float = 0.01) -> int | None:
        """The first distance at which no more is lost than can be measured, or None if there is none.

        Args:
            extra: `cut` or `shuffled`.
            margin: bits a token that are nothing even if they could be measured; else two standard errors are.
        """
        lost = extra.mean(0) - self.whole.mean()
        near = np.flatnonzero(lost <= np.maximum(margin, 2 * self.errors(extra)))
        return int(self.distances[near[0]]) if len(near) else None


def measure_memory(
    model: CharLM,
    ids: NDArray[np.integer[Any]],
    blank: int | None,
    *,
    places: int = PLACES,
    seed: int = 1,
    progress: Callable[[int, int], object] = lambda done, total: None,
) -> Memory:
    """Measure how far back a network looks.

    Args:
        model: a causal network, in evaluation mode.
        ids: the text, (T,).
        blank: the token that separates words, which shuffling keeps whole; None shuffles tokens.
        places: at how many places, spread over the text.
        seed: of the orders.
        progress: is called with the tokens read so far and in all; a step of a gradient counts as three.

    Returns:
        The losses and gradients.

    Raises:
        TextError: the text is too short.
        UsageError: the network is bidirectional.
    """
    if model.architecture.bidirectional:
        raise UsageError("how far back a network looks is asked of one that reads forwards; this one reads both ways")
    whole = min(WHOLE, len(ids) // 2)
    distances = tuple(distance for distance in DISTANCES if distance < whole)
    if len(distances) < 3:
        raise TextError(f"the text has {len(ids)} tokens, and looking back needs 20 or more")
    ends = np.unique(np.linspace(whole, len(ids) - 1, min(places, len(ids) - whole)).astype(np.int64))
    contexts = np.stack([ids[end - whole : end] for end in ends]).astype(np.int64)
    targets = ids[ends].astype(np.int64)
    rng = np.random.default_rng(seed)
    cut = [contexts[:, whole - distance :] for distance in distances]
    shuffled = [_with_early_shuffled(contexts, whole - distance, blank, rng) for distance in distances]
    longest = distances[-1]
    picked = contexts[np.linspace(0, len(contexts) - 1, min(_GRADIENT_PLACES, len(contexts))).astype(int)]
    of_a_gradient = 3 * longest * min(model.head.weight.shape)
    total = sum(each.size for each in (*cut, *shuffled, contexts)) + of_a_gradient * len(picked)
    done = 0

    def told(tokens: int) -> None:
        nonlocal done
        done += tokens
        progress(done, total)

    losses = [_bits(model, each, targets, told) for each in (*cut, *shuffled, contexts)]
    norms = []
    for context in picked:
        norms.append(gradient_norms(model, context[None], longest))
        told(of_a_gradient)
    return Memory(
        distances,
        np.stack(losses[: len(cut)], 1),
        np.stack(losses[len(cut) : -1], 1),
        losses[-1],
        relative_gradient(np.concatenate(norms)),
    )


def _with_early_shuffled(
    contexts: NDArray[np.int64], early: int, blank: int | None, rng: np.random.Generator
) -> NDArray[np.int64]:
    """Contexts of which the first ``early`` tokens are in another order."""
    mixed = contexts.copy()
    for row in mixed:
        row[:early] = _shuffled(row[:early], blank, rng)
    return mixed


def _shuffled(tokens: NDArray[np.int64], blank: int | None, rng: np.random.Generator) -> NDArray[np.int64]:
    """Words in another order, each with the blank after it; without a blank, tokens in another order."""
    if blank is None:
        return rng.permutation(tokens)
    words = np.split(tokens, np.flatnonzero(tokens == blank) + 1)
    order: Sequence[int] = rng.permutation(len(words)).tolist()
    return np.concatenate([words[place] for place in order])


@torch.no_grad()
def _bits(
    model: CharLM, contexts: NDArray[np.int64], targets: NDArray[np.int64], told: Callable[[int], None]
) -> NDArray[np.float64]:
    """The loss of the token after each context, each read from the state before any text: (places,)."""
    return np.concatenate([*_losses(model, contexts, targets, told)]) / math.log(2)


def _losses(
    model: CharLM, contexts: NDArray[np.int64], targets: NDArray[np.int64], told: Callable[[int], None]
) -> Iterator[NDArray[np.float64]]:
    device = next(model.parameters()).device
    for begin in range(0, len(contexts), _ROWS):
        rows = slice(begin, begin + _ROWS)
        state: State | None = None
        for window in torch.split(torch.from_numpy(contexts[rows]).to(device), _WINDOW, dim=1):
            logits, state = model(window, state)
            told(window.numel())
        log_probs = logits[:, -1].double().cpu().log_softmax(-1).numpy()
        yield -log_probs[np.arange(len(log_probs)), targets[rows]]
