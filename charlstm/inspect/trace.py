"""What a network computes while it reads a text, everything at every character.

The network reads as it always does, in windows; what passes into and out of each recurrent layer is kept, and from it
the cell's equations (`nn.cells`) are computed again, every part by its name. So a trace needs no forward pass of its
own, and holds for every cell, depth, ensemble, side input, attention and direction.

Letters: T tokens of the text, H units of a layer, E features of the embedding, V vocabulary, W attention window.
"""

from __future__ import annotations

from collections.abc import Iterator, Mapping
from contextlib import contextmanager
from dataclasses import dataclass
from functools import cached_property
from typing import Any

import numpy as np
import torch
from numpy.typing import NDArray
from torch import Tensor, nn

from charlstm.errors import OUT_OF_RANGE, CheckpointError
from charlstm.nn.attention import attention_weights
from charlstm.nn.cells import STEPS, Parts
from charlstm.nn.model import CharLM
from charlstm.nn.recurrence import RecurrentLayer
from charlstm.nn.state import LayerState, State

Floats = NDArray[np.float32]

WINDOW = 256
"""Tokens that are read at a time: the memory of a long text is that of a window, and of what is kept."""


@dataclass(frozen=True)
class LayerTrace:
    """What one recurrent layer computed at each token."""

    cell: str
    """The kind of cell, as in `nn.cells`."""
    inputs: Floats
    """x, (T, D)."""
    before: tuple[Floats, ...]
    """The state before each token, h' and with some cells c', (T, H) each."""
    parts: Mapping[str, Floats]
    """Every part of the cell's equations by its letter, as `nn.cells` returns them, (T, H) each."""

    @property
    def hidden_size(self) -> int:
        """H."""
        return int(self.parts["h"].shape[1])


@dataclass(frozen=True)
class Trace:
    """What a network computed while it read a text."""

    ids: NDArray[np.int64]
    """The tokens read, (T,)."""
    layers: Mapping[str, tuple[LayerTrace, ...]]
    """The layers of each stack from the lowest to the top, by the stack's name in `Architecture.stacks`. The rows of a
    backward stack are in the order of the text, too: what it computed when it had read from the end down to there."""
    log_probs: Floats
    """ln p of every token at the place after each token read, in a bidirectional network at the place itself: (T, V).
    """
    member_log_probs: Floats | None
    """The same by each member of an ensemble alone, (K, T, V); None of a single network."""
    embedded: Floats
    """The embedding of each token, (T, E)."""
    side: Mapping[str, Floats]
    """What each side input adds to it, by name, (T, E)."""
    attention: Floats | None
    """The weight of each earlier token, the newest last: (T, W), zero before the text; None without attention."""
    bidirectional: bool

    @cached_property
    def predicted(self) -> NDArray[np.int64]:
        """The token that each row of `log_probs` predicts where the text has it, (T - 1,), or (T,) with both sides."""
        return self.ids if self.bidirectional else self.ids[1:]

    @cached_property
    def nats(self) -> NDArray[np.float64]:
        """The loss of each token predicted, in nats, shaped as `predicted`; as wide as bits and sums of it need."""
        return -self.log_probs[np.arange(len(self.predicted)), self.predicted].astype(np.float64)

    @cached_property
    def ranks(self) -> NDArray[np.int64]:
        """How many tokens were thought likelier than the one that came, shaped as `predicted`."""
        rows = self.log_probs[: len(self.predicted)]
        ranks: NDArray[np.int64] = (rows > rows[np.arange(len(rows)), self.predicted][:, None]).sum(1)
        return ranks

    @cached_property
    def entropy(self) -> Floats:
        """The mean loss that the network expects at each row of `log_probs`, in nats, (T,)."""
        expected: Floats = -(np.exp(self.log_probs) * np.maximum(self.log_probs, -1e4)).sum(1)
        return expected

    def alternatives(self, count: int) -> tuple[NDArray[np.int64], Floats]:
        """The likeliest tokens of each row of `log_probs`, the likeliest first.

        Args:
            count: k, how many; no more than V are returned.

        Returns:
            Ids and probabilities, (T, k) each.
        """
        order = np.argsort(-self.log_probs, axis=1, kind="stable")[:, :count]
        return order, np.exp(np.take_along_axis(self.log_probs, order, 1))


def trace(model: CharLM, ids: NDArray[np.integer[Any]], *, window: int = WINDOW) -> Trace:
    """Read a text and keep everything.

    Args:
        model: the network, in evaluation mode; it is not changed.
        ids: the text, (T,), at least one token.
        window: tokens read at a time; a bidirectional network reads the whole text as one window.

    Returns:
        The trace. It takes about (4 · layers · H · 8 + V) · 4 bytes a token: read a long text with `trace_windows`.

    Raises:
        CheckpointError: a logit is not finite.
    """
    parts = [*trace_windows(model, ids, window=window)]
    return parts[0] if len(parts) == 1 else _join(parts)


def trace_windows(model: CharLM, ids: NDArray[np.integer[Any]], *, window: int = WINDOW) -> Iterator[Trace]:
    """Read a text window by window, in the memory of one.

    Args:
        model: as `trace`.
        ids: as `trace`.
        window: as `trace`.

    Yields:
        The trace of each window, in order; the state is carried from one to the next.

    Raises:
        CheckpointError: as `trace`.
    """
    if model.architecture.bidirectional:
        window = len(ids)
    state: State | None = None
    for begin in range(0, len(ids), window):
        traced, state = _trace_window(model, np.asarray(ids[begin : begin + window], np.int64), state)
        yield traced


@torch.no_grad()
def _trace_window(model: CharLM, ids: NDArray[np.int64], state: State | None) -> tuple[Trace, State]:
    device = next(model.parameters()).device
    with _recorded(model) as record:
        logits, next_state = model(torch.from_numpy(ids)[None].to(device), state)
    if not torch.isfinite(logits).all():  # here, since a page of NaN would look like an answer
        raise CheckpointError("the network's logits are not finite", hint=OUT_OF_RANGE)
    initial = model.empty_state(1) if state is None else state
    architecture = model.architecture
    layers = {}
    for number, name in enumerate(architecture.stacks):
        stack = model.get_submodule(name)
        assert isinstance(stack, nn.ModuleList)
        traced = []
        for layer, before in zip(stack, initial.layers[number], strict=True):
            assert isinstance(layer, RecurrentLayer)
            traced.append(_trace_layer(layer, *record.passed[layer], before))
        layers[name] = tuple(_reversed(each) if name == "backwards" else each for each in traced)
    attention = None
    if model.attention is not None and initial.attention is not None:
        hidden = record.attended[0]  # the hidden states of the top layer, (1, T, H)
        query, key, _, _ = model.attention.weights
        attention = _array(attention_weights(hidden, initial.attention, query, key)[0])
    members = None
    if len(architecture.stacks) > 1 and not architecture.bidirectional:
        members = _array(torch.stack([each.log_softmax(-1) for each in _member_logits(model, record.features)]))
    return (
        Trace(
            ids=ids,
            layers=layers,
            log_probs=_array(logits[0].float().log_softmax(-1)),
            member_log_probs=members,
            embedded=_array(record.embedded[0][:, 0]),
            side={name: _array(added[0]) for name, added in record.side.items()},
            attention=attention,
            bidirectional=architecture.bidirectional,
        ),
        next_state,
    )


def _member_logits(model: CharLM, features: Tensor) -> list[Tensor]:
    """The logits of each member of an ensemble, (T, V) each.

    Args:
        model: the ensemble.
        features: what its head read: the members' features side by side, divided by their number, (T, 1, K * F).
    """
    members = len(model.architecture.stacks)
    weights = model.head.weight.chunk(members, 1)
    pairs = zip(features[:, 0].chunk(members, 1), weights, strict=True)
    return [nn.functional.linear(part * members, weight, model.head.bias) for part, weight in pairs]


def _trace_layer(layer: RecurrentLayer, inputs: Tensor, outputs: Tensor, state: LayerState) -> LayerTrace:
    """Compute the cell's equations at all steps at once.

    What was h' at a step is known: the layer's output at the step before. What was c' is not, so the equations are
    computed from a first guess, c' is added up from their gates, and so on until it no longer changes. After n rounds
    the first n steps are exact; an LSTM, whose gates do not read c', needs two.

    Args:
        layer: the layer.
        inputs: x, (T, 1, D).
        outputs: h, (T, 1, H).
        state: the state before the first step, (1, H) each.
    """
    inputs, outputs = inputs[:, 0].float(), outputs[:, 0].float()
    cell, (h, *c) = STEPS[layer.cell], state
    before = [torch.cat((h, outputs[:-1]))]
    if c:
        before.append(torch.zeros_like(outputs))
    for _ in range(1 + len(inputs)):
        parts = cell(inputs, tuple(before), *layer.weights)
        if not c:
            break
        known = before[1]
        before[1] = _add_up(c[0], parts)
        if torch.equal(before[1], known):
            break
    return LayerTrace(
        cell=layer.cell,
        inputs=_array(inputs),
        before=tuple(map(_array, before)),
        parts={name: _array(part) for name, part in parts.items()},
    )


def _add_up(c: Tensor, parts: Parts) -> Tensor:
    """C' at each step, (T, H), by c = f ⊙ c' + i ⊙ g, from that before the first, (1, H)."""
    before = []
    for f, added in zip(parts["f"], parts["i"] * parts["g"], strict=True):
        before.append(c)
        c = f * c + added
    return torch.cat(before)


def _reversed(traced: LayerTrace) -> LayerTrace:
    """The trace of a layer that read from the end, in the order of the text."""
    return LayerTrace(
        traced.cell,
        traced.inputs[::-1],
        tuple(part[::-1] for part in traced.before),
        {name: part[::-1] for name, part in traced.parts.items()},
    )


# ---- what is kept while the network reads -----------------------------------------------------------------------


class _Record:
    """What the modules of a network received and returned while it read one window."""

    def __init__(self) -> None:
        self.passed: dict[nn.Module, tuple[Tensor, Tensor]] = {}
        """The inputs of each recurrent layer, (T, 1, D), and its hidden states, (T, 1, H)."""
        self.embedded: list[Tensor] = []
        """The embeddings, (T, 1, E)."""
        self.side: dict[str, Tensor] = {}
        """What each side input adds, (1, T, E)."""
        self.attended: list[Tensor] = []
        """The hidden states that attention read, (1, T, H)."""
        self.features: Tensor = torch.empty(0)
        """What the head read, (T, 1, F)."""


@contextmanager
def _recorded(model: CharLM) -> Iterator[_Record]:
    """Keep what passes between the modules of a network; afterwards it is as before."""
    record = _Record()

    def keep_passed(layer: nn.Module, arguments: tuple[Any, ...], output: tuple[Tensor, LayerState]) -> None:
        record.passed[layer] = arguments[0], output[0]

    def keep_attended(module: nn.Module, arguments: tuple[Any, ...]) -> None:
        record.attended.append(arguments[0])

    def keep_features(module: nn.Module, arguments: tuple[Any, ...]) -> None:
        record.features = arguments[0]

    def keep_embedded(module: nn.Module, arguments: tuple[Any, ...], output: Tensor) -> None:
        record.embedded.append(output)

    def keeper(name: str) -> Any:
        def keep(module: nn.Module, arguments: tuple[Any, ...], output: Tensor) -> None:
            record.side[name] = output

        return keep

    layers = [layer for layer in model.modules() if isinstance(layer, RecurrentLayer)]
    hooks = [layer.register_forward_hook(keep_passed) for layer in layers]
    hooks.append(model.embedding.register_forward_hook(keep_embedded))
    hooks.append(model.head.register_forward_pre_hook(keep_features))
    hooks += [module.register_forward_hook(keeper(name)) for name, module in model.side_inputs.items()]
    if model.attention is not None:
        hooks.append(model.attention.register_forward_pre_hook(keep_attended))
    try:
        yield record
    finally:
        for hook in hooks:
            hook.remove()


def _array(tensor: Tensor) -> Floats:
    return tensor.detach().float().cpu().numpy()


def _join(traces: list[Trace]) -> Trace:
    """Traces of windows that follow each other, as one."""
    first = traces[0]
    layers = {
        name: tuple(_join_layers([each.layers[name][depth] for each in traces]) for depth in range(len(stack)))
        for name, stack in first.layers.items()
    }
    members, attention = first.member_log_probs, first.attention
    if members is not None:
        members = np.concatenate([each.member_log_probs for each in traces if each.member_log_probs is not None], 1)
    if attention is not None:
        attention = np.concatenate([each.attention for each in traces if each.attention is not None])
    return Trace(
        ids=np.concatenate([each.ids for each in traces]),
        layers=layers,
        log_probs=np.concatenate([each.log_probs for each in traces]),
        member_log_probs=members,
        embedded=np.concatenate([each.embedded for each in traces]),
        side={name: np.concatenate([each.side[name] for each in traces]) for name in first.side},
        attention=attention,
        bidirectional=first.bidirectional,
    )


def _join_layers(layers: list[LayerTrace]) -> LayerTrace:
    first = layers[0]
    return LayerTrace(
        first.cell,
        np.concatenate([each.inputs for each in layers]),
        tuple(np.concatenate(parts) for parts in zip(*(each.before for each in layers), strict=True)),
        {name: np.concatenate([each.parts[name] for each in layers]) for name in first.parts},
    )
