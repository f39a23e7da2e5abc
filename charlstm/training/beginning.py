"""What a training is given besides its settings: the text, what it begins with, and how it is run."""

from __future__ import annotations

from collections.abc import Callable, Mapping, Sequence
from dataclasses import dataclass, field
from typing import Any

from numpy.typing import NDArray

from charlstm.checkpoint.format import Checkpoint
from charlstm.checkpoint.provenance import Provenance
from charlstm.engine.bidirectional import BidirectionalEngine
from charlstm.engine.load import load_engine
from charlstm.engine.network import Engine
from charlstm.tokenizers import Tokenizer
from charlstm.training.distributed import SINGLE_PROCESS, Ranks

WritePreview = Callable[[Checkpoint, Sequence[int]], str]
"""Generates a sample: takes the network and the ids of a passage of the validation text, returns a short text."""

LoadEngine = Callable[[Checkpoint], Engine | BidirectionalEngine]
"""Makes the engine of a network."""


@dataclass(frozen=True)
class TrainingText:
    """A text in two parts, as ids."""

    tokenizer: Tokenizer
    """The tokenizer of the text, stored in checkpoints."""
    train_ids: NDArray[Any]
    """What is trained on, (tokens,), memory-mapped or not; at least 2."""
    val_ids: NDArray[Any]
    """What is validated on, the contiguous part after it; may be empty."""
    val_characters: int
    """Its length in characters, for bits per character."""


@dataclass(frozen=True)
class Beginning:
    """Where a run comes from."""

    provenance: Provenance = field(default_factory=Provenance)
    """The origin of the run; training adds its progress."""
    weights: Mapping[str, NDArray[Any]] | None = None
    """Initial weights by their names in a checkpoint; None draws them from the seed."""
    new_tokens: Sequence[int] | NDArray[Any] = ()
    """The ids of the tokens that were added to those weights, for a text with characters of its own."""
    known_words: Sequence[str] = ()
    """Words that are real, though the text may lack them: those of the network that it begins with."""
    resume: Checkpoint | None = None
    """A ``resume`` checkpoint to continue from."""
    notice: str = ""
    """A notice for the user before the first step; empty for none."""


NEW = Beginning()
"""Random weights, of unknown origin."""


@dataclass(frozen=True)
class Session:
    """How a run is trained this time."""

    ranks: Ranks = SINGLE_PROCESS
    """This process among those that train together."""
    write_preview: WritePreview | None = None
    """Writes the samples shown during training; None shows none."""
    begun: float | None = None
    """When the command began, as `time.monotonic` tells it; None is now. A time budget is that of the whole command,
    with reading the text and measuring the machine."""
    command: str = ""
    """The command line, as typed."""
    load_engine: LoadEngine = load_engine
    """Makes the engine that tries how the trained network writes best: a program may let it set BLAS threads."""


ALONE = Session()
"""One process, no previews, from now on."""
