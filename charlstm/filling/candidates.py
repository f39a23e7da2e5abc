"""Candidates: ways to fill the first blanks of a text, side by side."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass, replace
from typing import Any, TypeAlias

import numpy as np
from numpy.typing import NDArray

from charlstm.engine.softmax import log_softmax
from charlstm.filling.beam import Beam
from charlstm.filling.readers import Reader

BlankIds: TypeAlias = tuple[tuple[int, ...], ...]
"""The ids in each blank so far."""


@dataclass(frozen=True)
class Candidates:
    """Ways to fill the first blanks, side by side: a value."""

    left: Any
    """The reader's state of each, after the whole text to the left."""
    fillings: tuple[BlankIds, ...]
    beam: Beam

    def __len__(self) -> int:
        return len(self.fillings)

    def extend(self, reader: Reader, rows: Sequence[int], ids: Sequence[int], beam: Beam) -> Candidates:
        """Put one more token into the last blank.

        Args:
            reader: the network.
            rows: the candidate that each new one extends.
            ids: the token it adds.
            beam: the scores of the new candidates.

        Returns:
            The new candidates, one for each of ``ids``.
        """
        left = reader.advance(reader.select(self.left, rows), np.array(ids))
        fillings = tuple(
            (*self.fillings[row][:-1], (*self.fillings[row][-1], token)) for row, token in zip(rows, ids, strict=True)
        )
        return Candidates(left, fillings, beam)

    def read(self, reader: Reader, token: int, *, right: Any = None, index: int = 0, scored: bool) -> Candidates:
        """Read a token of the known text.

        Args:
            reader: the network.
            token: its id.
            right: the text to the right; only needed to score the token.
            index: of the token within ``right``.
            scored: whether the token's log-probability is added to the scores.

        Returns:
            The candidates after the token.
        """
        beam = self.beam
        if scored:
            beam = beam.add(log_softmax(reader.predict(self.left, right, index))[:, token])
        left = reader.advance(self.left, np.full(len(self), token))
        return replace(self, left=left, beam=beam)

    def select(self, reader: Reader, rows: NDArray[np.intp]) -> Candidates:
        """Keep some candidates, in the order given; all of them if there are as many rows.

        Args:
            reader: the network.
            rows: their indices, each at most once.

        Returns:
            The candidates kept.
        """
        if len(rows) == len(self):
            return self
        fillings = tuple(self.fillings[row] for row in rows.tolist())
        return Candidates(reader.select(self.left, rows.tolist()), fillings, self.beam.select(rows))

    @staticmethod
    def join(reader: Reader, parts: Sequence[Candidates]) -> Candidates:
        """Concatenate candidates.

        Args:
            reader: the network.
            parts: candidates at the same position of the text.

        Returns:
            All candidates, those of the first part first.
        """
        left = reader.join([part.left for part in parts])
        fillings = tuple(filling for part in parts for filling in part.fillings)
        return Candidates(left, fillings, Beam.join([part.beam for part in parts]))
