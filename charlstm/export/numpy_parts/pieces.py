"""Lines cut into pieces of words."""

from __future__ import annotations

import math
from itertools import pairwise

import numpy as np

from charlstm.export.numpy_parts.settings import BYTE_IDS, LONGEST_PIECE, PIECES, UNKNOWN_SCORE


def best_pieces(line: str) -> list[str]:
    """Cut a line into the pieces whose scores add up to most (Viterbi 1967; as pieces of words: Kudo 2018).

    With s_e the best sum of a cut that ends at e, and s_0 = 0::

        s_e = max over all pieces that end at e of: s_b + score of the piece from b to e

    Args:
        line: without newlines.

    Returns:
        The pieces; a character that is in none stands alone.
    """
    sums, begins = [0.0] + [-math.inf] * len(line), [0] * (len(line) + 1)
    for begin in range(len(line)):
        for end in range(begin + 1, min(begin + LONGEST_PIECE, len(line)) + 1):
            _, score = PIECES.get(line[begin:end], (0, UNKNOWN_SCORE if end == begin + 1 else -math.inf))
            if sums[begin] + score > sums[end]:
                sums[end], begins[end] = float(np.float32(sums[begin] + score)), begin
    pieces, end = [], len(line)
    while end:
        pieces.append(line[begins[end] : end])
        end = begins[end]
    return pieces[::-1]


def merged_pieces(line: str) -> list[str]:
    """Cut a line into pieces by byte-pair encoding: the two neighbours that make the best piece are merged, and so on.

    Args:
        line: without newlines.

    Returns:
        The pieces; a character that is in none stands alone.
    """
    pieces = list(line)
    while len(pieces) > 1:
        pairs = [left + right for left, right in pairwise(pieces)]
        scores = [PIECES[pair][1] if pair in PIECES else -math.inf for pair in pairs]
        best = max(scores)
        if best == -math.inf:
            break
        place = scores.index(best)
        pieces[place : place + 2] = [pairs[place]]
    return pieces


def ids_of(piece: str) -> list[int]:
    """The id of a piece, or those of its bytes if it is not known."""
    if piece in PIECES:
        return [PIECES[piece][0]]
    return [BYTE_IDS[byte] for byte in piece.encode("utf-8", "surrogateescape")]
