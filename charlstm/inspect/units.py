"""Which units follow something: how well each unit's value tells a property of the text, against chance.

A unit is judged by the rank order of its values, so no threshold is chosen: by the area under the ROC curve (AUC) for a
property of yes and no, by Spearman's rank correlation for a graded one. Both are linear in the ranks of the unit, so
all units and all properties are one product of matrices.

The best unit is chosen on the first half of the text and reported on the second. With hundreds of units something
always looks good, so beside it stands what the best of all units comes to when the property is shifted in time: the
shifted property has the same runs and the same frequency, and says nothing about the text where it now stands.

Letters: T tokens of a half, U units, L properties, S shifts.
"""

from __future__ import annotations

from collections.abc import Callable, Iterator, Sequence
from dataclasses import dataclass
from typing import Any, TypeAlias

import numpy as np
from numpy.typing import NDArray

from charlstm.inspect.hypotheses import Hypothesis
from charlstm.inspect.subject import Subject
from charlstm.inspect.trace import trace_windows

SHIFTS = 200
"""How many shifted properties chance is measured by."""
LEAST_SHIFT = 1000
"""Tokens of the shortest shift, if the text has as many: properties have runs, of which some are long."""
_BINS = 256
_BLOCK = 256
"""Units whose ranks are in memory at a time."""
_RARE = 20
"""A property of yes and no is judged if each half has at least so many of both."""

Progress: TypeAlias = Callable[[int, int], None]
"""Told how much is done, and of how much."""


@dataclass(frozen=True)
class Unit:
    """A place in a network: a value for each token."""

    stack: str
    """The name of the stack of layers, as in `Architecture.stacks`."""
    layer: int
    """From 0, the lowest."""
    part: str
    """The part of the state, ``h`` or ``c``."""
    number: int

    def __str__(self) -> str:
        member = self.stack.removeprefix("layers").removeprefix("_")
        which = "" if not member else f", {'backwards' if member == 'backwards' else f'member {member}'}"
        return f"unit {self.number} of layer {self.layer + 1} ({self.part}{which})"


@dataclass(frozen=True)
class Finding:
    """The unit that follows a property best."""

    hypothesis: Hypothesis
    unit: Unit
    chosen: float
    """Its AUC or rank correlation on the half that it was chosen on."""
    value: float
    """The same on the other half."""
    chance: float
    """The highest that any unit comes to there with a shifted property."""
    frequency: float
    """Share of tokens that have the property; of a graded one, its mean."""

    @property
    def sign(self) -> int:
        """1 if the unit is high where the property is, -1 if it is low."""
        return 1 if self.chosen >= (0 if self.hypothesis.graded else 0.5) else -1

    @property
    def stands_out(self) -> bool:
        """Whether the unit tells more than the best one does by chance, and in the same direction on both halves."""
        graded = self.hypothesis.graded
        middle = 0 if graded else 0.5
        agrees = (self.value - middle) * (self.chosen - middle) > 0
        return agrees and bool(strength(self.value, graded=graded) > strength(self.chance, graded=graded))


def strength(value: Any, *, graded: bool) -> Any:
    """How much a unit tells, from 0 to 1: |AUC - 0.5| · 2, or |rank correlation|.

    Args:
        value: the AUC, or the rank correlation of a graded property; a number or an array.
        graded: which of the two it is.

    Returns:
        The strength, shaped as ``value``.
    """
    return abs(value) if graded else abs(value - 0.5) * 2


def surest_first(findings: Sequence[Finding]) -> list[Finding]:
    """Findings in another order: those that stand out first, and of them those that tell most.

    Args:
        findings: in any order.
    """
    return sorted(
        findings,
        key=lambda each: (each.stands_out, strength(each.value, graded=each.hypothesis.graded)),
        reverse=True,
    )


def find_units(
    subject: Subject, hypotheses: Sequence[Hypothesis], *, seed: int = 1, progress: Progress | None = None
) -> tuple[Finding, ...]:
    """Look for the unit that follows each property best.

    Args:
        subject: the network and the text: of 400 tokens little can be told, of 20,000 much.
        hypotheses: the properties; one that a half of the text hardly has is left out.
        seed: of the shifts.
        progress: as in `scores`.

    Returns:
        A finding for each property that the text has, in the order of ``hypotheses``.
    """
    units, bins = _binned_values(subject)
    middle = len(bins) // 2
    halves = bins[:middle], bins[middle : 2 * middle]
    labelled = []
    for hypothesis in hypotheses:
        label = labels_of(subject, hypothesis)
        parts = label[:middle], label[middle : 2 * middle]
        if all(_can_judge(part, graded=hypothesis.graded) for part in parts):
            labelled.append((hypothesis, parts))
    if not labelled:
        return ()
    graded = np.array([hypothesis.graded for hypothesis, _ in labelled])
    first, _ = scores(halves[0], np.stack([parts[0] for _, parts in labelled]), graded)
    shifts = _shifts(middle, np.random.default_rng(seed))
    second, chance = scores(halves[1], np.stack([parts[1] for _, parts in labelled]), graded, shifts, progress)
    findings = []
    for row, (hypothesis, parts) in enumerate(labelled):
        best = int(strength(first[row], graded=hypothesis.graded).argmax())
        figures = float(first[row, best]), float(second[row, best]), float(chance[row])
        findings.append(Finding(hypothesis, units[best], *figures, float(np.concatenate(parts).mean())))
    return tuple(findings)


def labels_of(subject: Subject, hypothesis: Hypothesis) -> NDArray[np.float32]:
    """The property at each token of a text: of several characters, at the last; of a byte, at the character before.

    Args:
        subject: the text.
        hypothesis: the property.

    Returns:
        The labels, (T,).
    """
    ends = np.maximum(np.cumsum([len(token) for token in subject.tokens]) - 1, 0)
    label: NDArray[np.float32] = hypothesis.label(subject.text)[ends]
    return label


def unit_values(subject: Subject, units: Sequence[Unit]) -> NDArray[np.float32]:
    """The values of some units over a text, c through tanh.

    Args:
        subject: the network and the text.
        units: which units, U of them.

    Returns:
        (T, U).
    """
    parts = []
    for traced in trace_windows(subject.model, subject.ids):
        columns = []
        for unit in units:
            values = traced.layers[unit.stack][unit.layer].parts[unit.part][:, unit.number]
            columns.append(np.tanh(values) if unit.part == "c" else values)
        parts.append(np.stack(columns, 1))
    return np.concatenate(parts)


def scores(
    bins: NDArray[np.uint8],
    labels: NDArray[np.floating[Any]],
    graded: NDArray[np.bool_],
    shifts: NDArray[np.integer[Any]] | None = None,
    progress: Progress | None = None,
) -> tuple[NDArray[np.float32], NDArray[np.float32]]:
    """The AUC or rank correlation of every unit with every property, and the best of all units by chance.

    With R the rank of a unit's value among its T values, equal ones sharing their mean rank, n₁ the number of tokens
    that have the property and n₀ of those that have not::

        AUC = (Σ_(t has it) R_t / n₁ - (n₁ + 1) / 2) / n₀

    Args:
        bins: the units' values as `_binned_values` gives them, (T, U).
        labels: the properties, (L, T).
        graded: which of them are graded, (L,).
        shifts: by how many tokens each property is moved around to measure chance, (S,); none of them by default.
        progress: told how many properties of blocks of units are done, and of how many.

    Returns:
        The figure of each unit, (L, U), and the strongest one that any unit has with any shift of the property, (L,).

    Source:
        Mann & Whitney 1947; Hanley & McNeil 1982 (the AUC from ranks); Spearman 1904.
    """
    tokens, count = bins.shape
    weights = labels.astype(np.float32)
    for row in np.flatnonzero(graded).tolist():
        ranks = _ranks_of(labels[row])
        weights[row] = (ranks - ranks.mean()) / (np.sqrt(((ranks - ranks.mean()) ** 2).sum()) or 1)
    ones, middle = weights.sum(1), np.where(graded, 0, 0.5).astype(np.float32)
    result, chance = np.empty((len(labels), count), np.float32), middle.copy()
    done, steps = 0, -(-count // _BLOCK) * len(labels)
    for begin in range(0, count, _BLOCK):
        block = slice(begin, begin + _BLOCK)
        unit_ranks = _ranks(bins[:, block])
        spread = np.maximum(np.sqrt((unit_ranks**2).sum(0)), 1)  # 0 of a unit that never changes
        for row, label in enumerate(weights):
            scale: Any = spread if graded[row] else ones[row] * max(tokens - ones[row], 1)
            result[row, block] = middle[row] + label @ unit_ranks / scale
            if shifts is not None:
                by_chance = middle[row] + _shifted(label, shifts) @ unit_ranks / scale
                candidates = np.append(by_chance, chance[row])
                chance[row] = candidates[strength(candidates, graded=bool(graded[row])).argmax()]
            done += 1
            if progress is not None:
                progress(done, steps)
    return result, chance


def _shifted(label: NDArray[np.float32], shifts: NDArray[np.integer[Any]]) -> NDArray[np.float32]:
    """A property moved around by each shift, (S, T)."""
    tokens = len(label)
    turned = np.lib.stride_tricks.sliding_window_view(np.concatenate((label, label)), tokens)
    chosen: NDArray[np.float32] = turned[tokens - shifts]
    return chosen


def _ranks(bins: NDArray[np.uint8]) -> NDArray[np.float32]:
    """The mean ranks of the values of each column, less their mean, (T, U)."""
    tokens, count = bins.shape
    flat = bins + _BINS * np.arange(count)
    counts = np.bincount(flat.ravel(), minlength=_BINS * count).reshape(count, _BINS)
    ends = counts.cumsum(1)
    means = (ends - counts + 1 + ends) / 2 - (tokens + 1) / 2
    ranks: NDArray[np.float32] = means.astype(np.float32).ravel()[flat]
    return ranks


def _ranks_of(values: NDArray[np.floating[Any]]) -> NDArray[np.float64]:
    """The mean ranks of some values, from 1, (T,)."""
    _, inverse, counts = np.unique(values, return_inverse=True, return_counts=True)
    ends = counts.cumsum()
    ranks: NDArray[np.float64] = ((ends - counts + 1 + ends) / 2)[inverse]
    return ranks


def _binned_values(subject: Subject) -> tuple[list[Unit], NDArray[np.uint8]]:
    """The values of all units over a text, in 256 equal steps from -1 to 1, c through tanh: (T, U) in a byte each."""
    units: list[Unit] = []
    parts = []
    for traced in trace_windows(subject.model, subject.ids):
        columns, units = [], []
        for stack, layers in traced.layers.items():
            for number, layer in enumerate(layers):
                for part in ("c", "h"):
                    if part in layer.parts:
                        values = np.tanh(layer.parts[part]) if part == "c" else layer.parts[part]
                        columns.append(np.clip((values + 1) * (_BINS / 2), 0, _BINS - 1).astype(np.uint8))
                        units += (Unit(stack, number, part, unit) for unit in range(layer.hidden_size))
        parts.append(np.concatenate(columns, 1))
    return units, np.concatenate(parts)


def _can_judge(label: NDArray[np.float32], *, graded: bool) -> bool:
    if graded:
        return bool(np.ptp(label) > 0)
    ones = int(label.sum())
    return min(ones, len(label) - ones) >= _RARE


def _shifts(tokens: int, rng: np.random.Generator) -> NDArray[np.int64]:
    least = min(LEAST_SHIFT, tokens // 4)
    return rng.integers(least, tokens - least, SHIFTS)


def snippets(
    tokens: Sequence[str], values: NDArray[np.floating[Any]], *, count: int = 6, length: int = 70
) -> Iterator[tuple[int, int]]:
    """Passages in which a unit does most: those with the widest spread of its values, apart from each other.

    Args:
        tokens: of the text, T.
        values: of the unit, (T,).
        count: how many passages.
        length: tokens of each, at most: it begins and ends between words, if one ends near enough.

    Yields:
        Where each begins and ends, in the order of the text.
    """
    length = min(length, len(tokens))
    starts = np.arange(0, len(tokens) - length + 1, max(1, length // 2))
    spread = np.array([values[start : start + length].std() for start in starts])
    chosen: list[int] = []
    for start in starts[np.argsort(-spread, kind="stable")].tolist():
        if len(chosen) < count and all(abs(start - other) >= length for other in chosen):
            chosen.append(start)
    for start in sorted(chosen):
        yield _next_word(tokens, start), _word_end(tokens, start + length)


def _next_word(tokens: Sequence[str], place: int) -> int:
    """Where the next word begins, or the place itself if that is far away or where the text begins."""
    near = range(place, min(place + _LONG_WORD, len(tokens)))
    return next((at for at in near if at == 0 or tokens[at - 1].isspace()), place)


def _word_end(tokens: Sequence[str], place: int) -> int:
    """Where the word before ended, or the place itself if that is far away or where the text ends."""
    near = range(place, place - _LONG_WORD, -1)
    return next((at for at in near if at >= len(tokens) or tokens[at].isspace()), place)


_LONG_WORD = 16
"""Tokens that a word is not expected to have."""
