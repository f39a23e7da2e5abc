"""One step of the whole network."""

from __future__ import annotations

from typing import Any, TypeAlias

import numpy as np

from charlstm.export.numpy_parts.arrays import Array, weights
from charlstm.export.numpy_parts.attention import attend
from charlstm.export.numpy_parts.cells import LayerState, gru, lstm, peephole, rnn
from charlstm.export.numpy_parts.matches import match_embedding, remembered
from charlstm.export.numpy_parts.ngrams import ngram_embedding
from charlstm.export.numpy_parts.settings import (
    ATTENTION_WINDOW,
    CELL,
    HIDDEN_SIZE,
    HISTORY,
    LAYERS,
    MATCH_ORDERS,
    MEMBERS,
    NGRAM_ORDER,
    PARTS,
    SKIP_CONNECTIONS,
    STACKS,
    TENSORS,
)

State: TypeAlias = dict[str, Any]


def empty_layers() -> list[LayerState]:
    """The state of a stack of layers before any text: zeros."""
    zeros = np.zeros(HIDDEN_SIZE, np.float32)
    return [(zeros,) * PARTS] * LAYERS


def step_layers(stack: str, x: Array, states: list[LayerState]) -> list[LayerState]:
    """One step of a stack of layers, each of which reads h of the one below it.

    Args:
        stack: how the names of its weights begin.
        x: what the lowest layer reads, (D,).
        states: the state of each layer, from the lowest to the top.

    Returns:
        The next state of each layer.
    """
    below, after = x, []
    for k, state in enumerate(states):
        tensors = [weights()[f"{stack}.{k}.{name}"] for name in TENSORS]
        if CELL == "rnn":
            after.append(rnn(below, state, *tensors))
        if CELL == "lstm":
            after.append(lstm(below, state, *tensors))
        if CELL == "gru":
            after.append(gru(below, state, *tensors))
        if CELL == "peephole":
            after.append(peephole(below, state, *tensors))
        below = after[-1][0]
        if SKIP_CONNECTIONS:
            below = np.concatenate((below, x))
    return after


def features_of(hidden: list[Array]) -> Array:
    """What of the layers is read in the end: h of the top one, with skip connections h of all."""
    if SKIP_CONNECTIONS:
        return np.concatenate(hidden)
    return hidden[-1]


def empty_state() -> State:
    """What is known before any text: nothing."""
    state: State = {}
    if MEMBERS > 1:
        for stack in STACKS:
            state[stack] = empty_layers()
    else:
        state["layers"] = empty_layers()
    if ATTENTION_WINDOW:
        nothing = np.zeros((0, len(weights()["attention.key"])), np.float32)
        state["past"] = (nothing, nothing)
    if HISTORY:
        state["recent"] = (0,) * HISTORY
    if MATCH_ORDERS:
        state["slots"] = {}
    return state


def remember(token: int, state: State) -> State:
    """Tell the match memory which token follows, before a step reads it.

    A network that writes does not tell: it would find what it has just written, write it again, and go in circles.

    Args:
        token: the id of a token that was read.
        state: the state before it.

    Returns:
        The state with that memory.
    """
    return {**state, "slots": remembered(state["slots"], state["recent"], token)}


def step(token: int, state: State) -> tuple[Array, State]:
    """Read a token, and say how likely each is to be the next.

    Args:
        token: its id.
        state: what is known of the text before it.

    Returns:
        For each token its logit z, (V,): it is the next with the probability exp(z) / Σ exp(z). And what is known now.
    """
    after: State = {}
    x = weights()["embedding.weight"][token]
    if HISTORY:
        after["recent"] = (token + 1, *state["recent"][:-1])
    if NGRAM_ORDER:
        x = x + ngram_embedding(after["recent"])
    if MATCH_ORDERS:
        after["slots"] = state["slots"]
        x = x + match_embedding(after["slots"], after["recent"])
    if MEMBERS > 1:
        outputs = []
        for stack in STACKS:
            after[stack] = step_layers(stack, x, state[stack])
            outputs.append(features_of([parts[0] for parts in after[stack]]))
        features: Array = np.concatenate(outputs) / MEMBERS  # so the logits are the mean of theirs
    else:
        after["layers"] = step_layers("layers", x, state["layers"])
        hidden = [parts[0] for parts in after["layers"]]
        if ATTENTION_WINDOW:
            tensors = [weights()[f"attention.{name}"] for name in ("query", "key", "value", "out")]
            hidden[-1], after["past"] = attend(hidden[-1], state["past"], *tensors)
        features = features_of(hidden)
    return weights()["head.weight"] @ features + weights()["head.bias"], after
