"""Filling blanks, by a network that reads from both sides."""

from __future__ import annotations

import re
from typing import TypeAlias

import numpy as np

from charlstm.export.numpy_parts.arrays import Array, weights
from charlstm.export.numpy_parts.cells import LayerState
from charlstm.export.numpy_parts.network import empty_layers, features_of, step_layers
from charlstm.export.numpy_parts.settings import BEGIN, NEVER, REACH, RECORD, TOKENIZER, VOCAB_SIZE, WORD_ENDS
from charlstm.export.numpy_parts.tokens import decode, encode

MASK = VOCAB_SIZE  # the id of a token that is not known

Way: TypeAlias = tuple[float, list[int], list[LayerState]]


def read_on(stack: str, token: int, states: list[LayerState]) -> list[LayerState]:
    """Read a token in one direction.

    Args:
        stack: ``layers`` reads forwards, ``backwards`` from the end.
        token: its id.
        states: the state of each layer.

    Returns:
        The next state of each layer.
    """
    return step_layers(stack, weights()["embedding.weight"][token], states)


def after_each(tokens: list[int]) -> list[Array]:
    """What the backward layers say, at each token, about everything after it."""
    states = empty_layers()
    said = [features_of([state[0] for state in states])]
    for token in tokens[:0:-1]:
        states = read_on("backwards", token, states)
        said.append(features_of([state[0] for state in states]))
    return said[::-1]


def predict(states: list[LayerState], future: Array) -> Array:
    """How likely each token is between two sides.

    With p what the forward layers say of everything before it, and f what the backward layers say of what follows::

        m = tanh(M [p, f] + d)
        logits = W m + b

    Args:
        states: of the forward layers, after everything before.
        future: from `after_each`.

    Returns:
        The logits, (V,).
    """
    sides = np.concatenate((features_of([state[0] for state in states]), future))
    merged = np.tanh(weights()["merge.weight"] @ sides + weights()["merge.bias"])
    logits: Array = weights()["head.weight"] @ merged + weights()["head.bias"]
    return logits


def log_softmax(logits: Array) -> Array:
    """The logarithms of probabilities."""
    shifted = logits.astype(np.float64) - logits.max()
    nats: Array = shifted - np.log(np.exp(shifted).sum())
    return nats


def extended(ways: list[Way], future: Array, most: int) -> list[Way]:
    """Find one more token in every way, and keep the likeliest ways.

    Args:
        ways: each its log-probability, the ids found so far, and the state of the forward layers after them.
        future: what the backward layers say of everything after the token.
        most: how many to keep.

    Returns:
        The ways, the likeliest first.
    """
    longer: list[Way] = []
    for nats, found, states in ways:
        logits = predict(states, future)
        logits[list(NEVER)] = -np.inf
        scores = nats + log_softmax(logits)
        likeliest = np.argsort(-scores, kind="stable")[: min(most, VOCAB_SIZE - len(NEVER))]
        longer += [(float(scores[token]), [*found, token], states) for token in likeliest.tolist()]
    longer.sort(key=lambda way: -way[0])
    return [(nats, found, read_on("layers", found[-1], states)) for nats, found, states in longer[:most]]


def ended(ways: list[Way], future: Array) -> list[Way]:
    """Judge the ways also by how likely a word ends after them.

    Args:
        ways: as in `extended`.
        future: what the backward layers say of everything after the token that would end it.

    Returns:
        The ways, the likeliest first.
    """
    ends = [np.logaddexp.reduce(log_softmax(predict(states, future))[list(WORD_ENDS)]) for _, _, states in ways]
    judged = [(nats + float(end), found, states) for (nats, found, states), end in zip(ways, ends, strict=True)]
    return sorted(judged, key=lambda way: -way[0])


def cut_at_blanks(text: str) -> list[list[int]]:
    """The ids of a text: what is known, a blank of masks, what is known, and so on to what is known after the last.

    Raises:
        ValueError: there is no blank, or a character that the network does not know.
    """
    pieces = re.split("(_+)", text)
    if len(pieces) == 1:
        raise ValueError("the text has no blank: ____ stands for four tokens")
    ids = [[MASK] * len(piece) if piece.startswith("_") else encode(piece) for piece in pieces]
    if RECORD:
        ids[0] = encode(RECORD)[-1:] + ids[0]  # it begins where another has ended
    if not ids[-1] and WORD_ENDS:
        ids[-1] = [MASK]
    ids[0] = ids[0] or list(BEGIN)
    return ids


def fill(text: str, candidates: int = 100) -> str:
    """Fill the blanks of a text with what is likeliest there: a beam search from left to right.

    Args:
        text: each underscore is a token to find. If it ends with one, a word is to end there.
        candidates: ways to fill the blanks that are kept side by side.

    Returns:
        The text without blanks.

    Raises:
        ValueError: there is no blank, or a character that the network does not know.
    """
    before, *pieces = cut_at_blanks(text)
    states = empty_layers()
    for token in before[-REACH:]:
        states = read_on("layers", token, states)
    ways: list[Way] = [(0.0, [], states)]
    for number in range(0, len(pieces), 2):
        blank, known = pieces[number : number + 2]
        right = [token for piece in pieces[number:] for token in piece]
        future = after_each(right[: len(blank) + REACH])
        for place in range(len(blank)):
            ways = extended(ways, future[place], candidates)
        if known == [MASK]:
            ways = ended(ways, future[len(blank)])
        elif number + 2 < len(pieces):
            for token in known:
                ways = [(nats, found, read_on("layers", token, states)) for nats, found, states in ways]
    answers = [filled(text, found) for _, found, _ in ways]
    if TOKENIZER != "char":
        answers = [answer for answer in answers if "\ufffd" not in answer] or answers  # whole characters
    return answers[0]


def filled(text: str, found: list[int]) -> str:
    """A text with tokens in place of its blanks.

    Args:
        text: with underscores.
        found: the ids, one for each of them.
    """
    pieces, ids = re.split("(_+)", text), iter(found)
    return "".join(decode([next(ids) for _ in piece]) if piece.startswith("_") else piece for piece in pieces)
