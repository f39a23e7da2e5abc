"""Which runs to remove, so that the newest or the best stay."""

from __future__ import annotations

from collections import defaultdict
from collections.abc import Sequence
from typing import Literal

from charlstm.checkpoint.summary import Summary


def surplus(runs: Sequence[Summary], keep: int, by: Literal["newest", "val-loss"]) -> list[Summary]:
    """Return the runs that can go.

    Bits per character compare only between models of one kind (causal or bidirectional) on one validation text, so
    ``"val-loss"`` keeps the best of each such group, and every run without a score. Broken runs always stay, and so
    does one causal model, if there is any: a bidirectional model cannot write.

    Args:
        runs: all runs, the newest first.
        keep: how many to keep; by ``"val-loss"`` how many of each group.
        by: which runs are worth keeping.

    Returns:
        The runs to remove, those most worth keeping first.
    """
    whole = [run for run in runs if run.fault is None]
    removed = whole[keep:] if by == "newest" else _worse_than_best(whole, keep)
    if any(not run.bidirectional for run in whole if run not in removed):
        return removed
    writer = next((run for run in removed if not run.bidirectional), None)
    return [run for run in removed if run is not writer]


def _worse_than_best(runs: Sequence[Summary], keep: int) -> list[Summary]:
    groups: dict[tuple[bool, str], list[tuple[float, int]]] = defaultdict(list)
    for index, run in enumerate(runs):
        if run.bits_per_char is not None and run.scored_on is not None:
            groups[run.bidirectional, run.scored_on].append((run.bits_per_char, index))
    return [runs[index] for scores in groups.values() for _, index in sorted(scores)[keep:]]
