"""From the candidates a search ends with to its answers."""

from __future__ import annotations

import numpy as np

from charlstm.engine.softmax import log_softmax
from charlstm.filling.candidates import Candidates
from charlstm.tokenizers import Tokenizer


def answers_of(candidates: Candidates, tokenizer: Tokenizer, count: int) -> list[tuple[tuple[str, ...], float]]:
    """Decode the best candidates.

    Args:
        candidates: those the search ends with.
        tokenizer: the network's.
        count: how many answers at most.

    Returns:
        The text in each blank, and its share of the probability of all candidates; the likeliest first.
    """
    shares = np.exp(log_softmax(candidates.beam.nats[None])[0])
    by_text: dict[tuple[str, ...], float] = {}  # the highest key first
    for row in candidates.beam.best(len(shares)).tolist():
        blanks = tuple(tokenizer.decode(ids) for ids in candidates.fillings[row])
        # Different tokens, such as parts of words, can spell the same text.
        by_text[blanks] = by_text.get(blanks, 0.0) + float(shares[row])
    if tokenizer.kind != "char":  # bytes need not form characters; answers of whole characters are preferred
        by_text = {blanks: share for blanks, share in by_text.items() if "\ufffd" not in "".join(blanks)} or by_text
    chosen = list(by_text.items())[:count]
    return sorted(chosen, key=lambda answer: -answer[1])
