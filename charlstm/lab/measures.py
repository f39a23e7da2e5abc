"""What claims are about: quantities, each one number of a trained network."""

from __future__ import annotations

import copy
import math
from collections.abc import Callable
from dataclasses import dataclass

import numpy as np
import torch
from torch import Tensor
from torch.nn import functional
from torch.nn.functional import linear

from charlstm.evaluation.windows import LARGEST_ARRAY, evaluation_mode
from charlstm.inspect.gradients import gradient_norms, relative_gradient
from charlstm.lab.counting import MAX_N, count_b, counts_up_to
from charlstm.lab.gradient import EXCERPTS, FAR, LENGTH
from charlstm.lab.long_range import GAPS, longest_gap, recall_accuracy
from charlstm.lab.texts import Text
from charlstm.lab.variants import COUNT_TASK, RECALL_TASK, WINDOW, Trained
from charlstm.nn.dropout import DropoutRng
from charlstm.nn.model import CharLM
from charlstm.nn.recurrence import RecurrentLayer


@dataclass(frozen=True)
class Quantity:
    """How a number is measured in a network, and how it is written."""

    measure: Callable[[Trained], float]
    unit: str = ""
    number_format: str = "{:.0f}"
    limit: float = math.inf
    """The largest number that can be measured."""


_MASKED_AT = WINDOW // 2
"""The place in an excerpt of the masked character: as many characters before it as after it, but one."""
_MOST_EXCERPTS = 400
_ROWS = 32_000
"""Excerpts times candidates, at most, as every character of the vocabulary is a candidate in each excerpt."""
_LINES = 100
"""Lines of each gap over which the forget gate is averaged."""
_OPEN = 30.0
"""A bias at which a gate is 1 in fp32."""


def step_milliseconds(trained: Trained) -> float:
    """The mean time of a training step, in milliseconds."""
    return 1000 * trained.trainee.seconds / trained.trainee.steps


def parameters(trained: Trained) -> float:
    """The number of parameters."""
    return float(trained.trainee.model.parameter_count())


def lowest_loss(trained: Trained) -> float:
    """The lowest loss of all evaluations on the held-out text, in nats per character: as with early stopping."""
    return min(trained.losses)


def longest_gap_recalled(trained: Trained) -> float:
    """The longest gap across which it recalls a letter, in characters: see `long_range.longest_gap`."""
    return float(longest_gap([recall_accuracy(trained.trainee.model, RECALL_TASK, gap) for gap in GAPS]))


def recalled_percent(trained: Trained) -> float:
    """The letters recalled across gaps as long as those of its training, in percent."""
    return _recalled_percent(trained.trainee.model)


def recalled_percent_without_forgetting(trained: Trained) -> float:
    """As `recalled_percent`, with the forget gate of an LSTM held at 1."""
    model = trained.trainee.model
    return _recalled_percent(hold_forget_gate(model, torch.full((model.architecture.hidden_size,), _OPEN)))


def recalled_percent_with_even_forgetting(trained: Trained) -> float:
    """As `recalled_percent`, with the forget gate of each unit of an LSTM held at its own mean: see `mean_forget_gate`.

    The network then forgets as much as it does, but whatever it reads.
    """
    model = trained.trainee.model
    return _recalled_percent(hold_forget_gate(model, mean_forget_gate(model).logit()))


def highest_count(trained: Trained) -> float:
    """The n up to which it counts: see `counting.counts_up_to`."""
    return float(counts_up_to(count_b(trained.trainee.model, COUNT_TASK, MAX_N)))


def far_gradient(trained: Trained) -> float:
    """The gradient across `gradient.FAR` characters, relative to that across none: see `inspect.gradients`."""
    assert trained.text is not None
    excerpts = trained.text.excerpts(EXCERPTS, LENGTH)
    return float(relative_gradient(gradient_norms(trained.trainee.model, excerpts, FAR))[FAR])


def masked_loss(trained: Trained) -> float:
    """The loss of single masked characters given the text on both sides of each, in nats per character.

    A causal network gives it too, by Bayes' theorem: with c a character, l the text before it and r the text after it::

        p(c | l, r) = p(c | l) p(r | l c) / Σ_c' p(c' | l) p(r | l c')

    Every character of the vocabulary is tried, so this is exact.
    """
    assert trained.text is not None
    return float(masked_losses(trained.trainee.model, trained.text).mean())


def masked_losses(model: CharLM, text: Text) -> Tensor:
    """The loss of the character in the middle of each of some excerpts: see `masked_loss`.

    Args:
        model: a network of one direction or of two.
        text: the text whose held-out part has the excerpts.

    Returns:
        Nats, (excerpts,).
    """
    count = min(_MOST_EXCERPTS, max(1, _ROWS // text.vocab_size))
    excerpts: Tensor = torch.from_numpy(text.excerpts(count, WINDOW).astype(np.int64))
    with evaluation_mode(model), torch.inference_mode():
        if model.architecture.bidirectional:
            logits, _ = model(excerpts)
            scores = logits[:, _MASKED_AT]
        else:
            scores = torch.stack([_joint_scores(model, excerpt) for excerpt in excerpts])
        losses: Tensor = functional.cross_entropy(scores, excerpts[:, _MASKED_AT], reduction="none")
    return losses


def _joint_scores(model: CharLM, excerpt: Tensor) -> Tensor:
    """The score of every character c, log p(c | l) + log p(r | l c), (V,)."""
    before, after = excerpt[None, :_MASKED_AT], excerpt[None, _MASKED_AT + 1 :]
    logits, state = model(before)
    vocab, scores = logits.shape[2], []
    at_once = max(1, LARGEST_ARRAY // (4 * WINDOW * vocab))
    for candidates in torch.split(torch.arange(vocab), at_once):
        rows = len(candidates)
        inputs = torch.cat((candidates[:, None], after[:, :-1].expand(rows, -1)), 1)
        expanded = state.map(lambda part, rows=rows: part.expand(rows, *part.shape[1:]).contiguous())
        log_probabilities = model(inputs, expanded)[0].log_softmax(2)
        scores.append(log_probabilities.gather(2, after.expand(rows, -1)[:, :, None]).sum((1, 2)))
    joint: Tensor = logits[0, -1].log_softmax(0) + torch.cat(scores)
    return joint


def hold_forget_gate(model: CharLM, bias: Tensor) -> CharLM:
    """A copy of an LSTM of one layer whose forget gate is the same at every step, whatever it reads.

    Args:
        model: the network; see `nn.cells.lstm` for its equations.
        bias: the value of each unit's gate before the logistic function, (H,).

    Returns:
        The copy.
    """
    changed = copy.deepcopy(model)
    gate = _forget_gate(changed)
    weights = changed.state_dict()  # shares the memory of the weights
    weights["layers.0.weight_ih"][gate] = 0
    weights["layers.0.weight_hh"][gate] = 0
    weights["layers.0.bias"][gate] = bias
    return changed


def mean_forget_gate(model: CharLM) -> Tensor:
    """The forget gate of each unit of an LSTM of one layer, averaged over lines of the recall task, (H,).

    Every gap of `long_range.GAPS` that is no longer than those in training has the same weight.
    """
    layer, gate = model.get_submodule("layers.0"), _forget_gate(model)
    assert isinstance(layer, RecurrentLayer)
    weight_ih, weight_hh, bias = (weight[gate] for weight in layer.weights)
    means = []
    with evaluation_mode(model), torch.no_grad():
        for gap in _trained_gaps():
            lines = torch.from_numpy(RECALL_TASK.lines(np.random.default_rng(gap), gap, _LINES))
            x = model.embedding(lines.t())
            outputs, _ = layer(x, layer.empty_state(_LINES), DropoutRng())
            before = torch.cat((torch.zeros_like(outputs[:1]), outputs[:-1]))  # h' of each step
            means.append((linear(x, weight_ih, bias) + linear(before, weight_hh)).sigmoid().mean((0, 1)))
    return torch.stack(means).mean(0)


def zero_forget_bias(model: CharLM) -> None:
    """Set the bias of the forget gate of an LSTM of one layer to 0; `nn.recurrence.RecurrentLayer` begins with 1."""
    model.state_dict()["layers.0.bias"][_forget_gate(model)] = 0


def _forget_gate(model: CharLM) -> slice:
    """The rows of the forget gate, the second of i, f, g and o."""
    assert model.architecture.cell == "lstm"
    return slice(model.architecture.hidden_size, 2 * model.architecture.hidden_size)


def _recalled_percent(model: CharLM) -> float:
    gaps = _trained_gaps()
    return 100 * sum(recall_accuracy(model, RECALL_TASK, gap) for gap in gaps) / len(gaps)


def _trained_gaps() -> list[int]:
    return [gap for gap in GAPS if gap <= RECALL_TASK.longest]


STEP_TIME = Quantity(step_milliseconds, "ms", "{:.1f}")
PARAMETERS = Quantity(parameters, "parameters", "{:,.0f}")
LOSS = Quantity(lowest_loss, "nats/char", "{:.3f}")
MASKED_LOSS = Quantity(masked_loss, "nats/char", "{:.3f}")
LONGEST_GAP = Quantity(longest_gap_recalled, "characters", limit=GAPS[-1])
RECALLED = Quantity(recalled_percent, "%")
RECALLED_WITHOUT_FORGETTING = Quantity(recalled_percent_without_forgetting, "%")
RECALLED_WITH_EVEN_FORGETTING = Quantity(recalled_percent_with_even_forgetting, "%")
HIGHEST_COUNT = Quantity(highest_count, limit=MAX_N)
FAR_GRADIENT = Quantity(far_gradient, "of the gradient", "{:.0e}")
