"""What both interfaces do with a network: read a text, and draw one."""

from __future__ import annotations

from collections.abc import Iterator
from contextlib import contextmanager
from dataclasses import dataclass, field
from typing import Any

import numpy as np
from numpy.typing import NDArray

from charlstm.engine.bidirectional import BidirectionalEngine
from charlstm.engine.protocol import TextModel
from charlstm.errors import UnknownCharacter
from charlstm.filling.readers import CausalReader
from charlstm.filling.readers import Reader as FillReader
from charlstm.sampling.config import SampleConfig
from charlstm.sampling.position import Position, prefill
from charlstm.sampling.prompts import bos_ids, refuse_unknown
from charlstm.sampling.sampler import Fragment, sample
from charlstm.tokenizers import Ids, Tokenizer
from charlstm.web.asks import Which
from charlstm.web.attended import Attended, AttendedReader
from charlstm.web.models import Library, Network, Served
from charlstm.web.reading import Memory, Reader, Scored
from charlstm.web.rules import Kept, RuleBook, rule_book
from charlstm.web.turns import Job


@dataclass(frozen=True)
class Desk:
    """The networks of a server, and what it remembers of them."""

    library: Library
    memory: Memory = field(default_factory=Memory)
    rules_of: RuleBook = field(default_factory=rule_book)
    """The rules of a request, after a text."""
    units: dict[str, bytes] = field(default_factory=dict)
    """The answers of `/api/units`, by network."""

    def open(self, asked: Which, job: Job) -> Opened:
        """Put a causal network at the disposal of a request.

        Args:
            asked: which one.
            job: the request.

        Returns:
            The network.

        Raises:
            CharlstmError: there is no such network, or it is not causal.
        """
        network = self.library.network(asked)
        model = Attended(network.model, job)
        reader = Reader(self.memory, network.key, network.model, model, network.writing.record)
        return Opened(network, model, reader, job)


@dataclass(frozen=True)
class Opened:
    """A causal network at the disposal of one request."""

    network: Network
    model: Attended
    reader: Reader
    job: Job

    @property
    def tokenizer(self) -> Tokenizer:
        """Of the network."""
        return self.model.tokenizer

    def read(self, ids: NDArray[np.integer[Any]]) -> tuple[Position, Scored]:
        """Read a text.

        Args:
            ids: the text.

        Returns:
            The position after it, or where this network's texts begin if there is none; and each token's score.
        """
        position, scored = self.reader.read(ids)
        if position is None:
            starts = self.network.writing.starts
            position = prefill(self.model, self.tokenizer.encode(starts[0]) if starts else bos_ids(self.tokenizer))
        return position, scored

    def draw(
        self,
        ids: NDArray[np.integer[Any]],
        config: SampleConfig,
        rows: int,
        *,
        kept: Kept,
        model: TextModel | None = None,
        bias: NDArray[np.float64] | None = None,
    ) -> Iterator[Fragment]:
        """Continue a text.

        Args:
            ids: of the text.
            config: filters, stop rules, seed.
            rows: how many texts.
            kept: the rules that they keep.
            model: what draws; None is the network itself, which reads the text in any case.
            bias: added to the logits that are drawn from, (V,).

        Returns:
            The fragments.
        """
        start, _ = self.reader.read(ids, again=False)
        if start is not None and bias is not None:
            start = start._replace(logits=start.logits + bias)
        drawing = Attended(model or self.network.model, self.job, bias)
        begun, starts = ids[self.reader.beginning(ids) :].tolist(), self.network.writing.starts
        return sample(
            drawing, begun, config, rows=rows, starts=starts, start=start,
            guide=kept.guide, rhymes=kept.rhymes, particles=kept.particles, with_log_probabilities=kept.particles > 1,
        )  # fmt: skip


def ids_of(tokenizer: Tokenizer, text: str) -> Ids:
    """Encode a text that the page sends.

    Args:
        tokenizer: the network's.
        text: the text.

    Returns:
        Its ids.

    Raises:
        UnknownCharacter: a character is outside the alphabet.
    """
    with no_choice():
        refuse_unknown(tokenizer, text, where="text")  # as it stands: the page's marks stand beside its own characters
    return tokenizer.encode(text)


@contextmanager
def no_choice() -> Iterator[None]:
    """Let no error name ways to read an unknown character: the page shows a text as it is.

    Raises:
        UnknownCharacter: as in the ``with`` block, without them.
    """
    try:
        yield
    except UnknownCharacter as fault:
        fault.hint = fault.facts
        raise


def blanks_reader(served: Served, job: Job) -> FillReader:
    """The reader of the search for blanks.

    Args:
        served: the network.
        job: the request.
    """
    if isinstance(served.engine, BidirectionalEngine):
        return AttendedReader(served.engine, job)
    return CausalReader(Attended(served.engine, job))
