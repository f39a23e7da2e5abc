"""Whether a run begins from the starter, the network that is included, or from random weights.

The starter has read English books. Whether that helps with a text depends on the text's language and kind, and no
detector of languages is asked: the starter itself predicts a piece of the text, and does it well or badly. Source:
``docs/decisions/fine-tuning.md``.
"""

from __future__ import annotations

import math
from collections.abc import Iterator
from contextlib import contextmanager
from dataclasses import dataclass

import numpy as np
import torch
from torch import Tensor
from torch.nn.functional import cross_entropy
from torch.nn.utils.rnn import pad_sequence

from charlstm.checkpoint.format import Checkpoint
from charlstm.corpora.read import Corpus
from charlstm.cpu import idle_cores
from charlstm.nn.model import CharLM
from charlstm.nn.side_inputs import SIDE_INPUTS
from charlstm.training.plan.merge import Given

CHANGEABLE = frozenset(
    {"vocab_size", "dropout", "weight_drop", *(name for kind in SIDE_INPUTS.values() for name in kind.training_only)}
)
"""Settings of the architecture that a run may change when it begins from another network."""

_HEAD = 1 << 20
"""Characters at the beginning of a text from which the pieces are taken."""
_PIECES, _PIECE = 4, 2048
"""How many pieces the starter predicts, and how many characters each has."""
_UNDERSTOOD = 3.0
"""Bits per character: a text that the starter predicts better is of its language."""
_MUCH_TEXT, _MUCH_TIME = 20_000_000, 7200.0
"""Bytes and seconds that together teach a fresh network, and a larger one, more: reasoned, not measured."""

_NO_TARGET = -100
"""What `cross_entropy` leaves out of a loss."""


@dataclass(frozen=True)
class Start:
    """What a run begins from, and why."""

    from_starter: bool
    reason: str
    """In plain words, the end of a sentence that says what it begins from; empty where nobody would ask."""
    bits: float = 0.0
    """Bits per character at which the network that it begins from reads the text; 0 without one, or if the text may be
    none, because it is read as bytes."""


NO_CHOICE = Start(False, "")
"""It begins from nothing, because the person said so, or because there is no starter."""


def may_start_from_another(given: Given) -> bool:
    """Return whether explicit settings leave the network, the tokenizer and the order of the text to the program.

    Args:
        given: explicit settings, by section.
    """
    data = {"tokenizer": "char", "min_count": 1, "windows": "stateful"}
    shape = any(name not in CHANGEABLE for name in given.get("model", {}))
    return not shape and all(given.get("data", {}).get(name, value) == value for name, value in data.items())


def choose_start(starter: Checkpoint, corpus: Corpus, max_time: float | None = None) -> Start:
    """Decide whether a run begins from the starter.

    Args:
        starter: the starter.
        corpus: the text.
        max_time: the seconds that were asked for, if any.

    Returns:
        The decision.

    Raises:
        TextError, NotFoundError, StorageError: the text cannot be read.
    """
    if corpus.size > _MUCH_TEXT and (max_time or 0.0) > _MUCH_TIME:
        return Start(False, "text and time are enough to teach a network of its own")
    bits = bits_of(starter, take_pieces(corpus))
    if bits > _UNDERSTOOD:
        return Start(False, f"the starter, which knows English prose, reads it at {bits:.1f} bits per character")
    reason = f"it reads this text at {bits:.2f} bits per character before it has learnt anything from it"
    return Start(True, reason, bits)


def start_from(init: Checkpoint, corpus: Corpus) -> Start:
    """Return the start of a run that begins from a network because the person said so.

    Args:
        init: the network.
        corpus: the text.

    Raises:
        TextError, NotFoundError, StorageError: the text cannot be read.
    """
    of_bytes = init.load_tokenizer().kind == "byte"
    return Start(False, "", 0.0 if of_bytes else bits_of(init, take_pieces(corpus)))


def bits_of(checkpoint: Checkpoint, pieces: list[str]) -> float:
    """How well a network predicts pieces of a text, in bits per character.

    Its match memory stores nothing meanwhile: what is asked is whether it knows such texts, and a text in any language
    may repeat itself.

    Args:
        checkpoint: the network.
        pieces: each at least one character. A character that it does not know costs as much as one of a million.

    Returns:
        The mean over all characters; infinity without pieces.
    """
    tokenizer, model = checkpoint.load_tokenizer(), CharLM(checkpoint.architecture)
    model.load_tensors(checkpoint.tensors)
    model.eval()
    before = "" if tokenizer.unknown_characters("\n") else "\n"  # without it the first character is not predicted
    characters, nats, texts = 0, 0.0, []
    for piece in pieces:
        unknown = set(tokenizer.unknown_characters(piece))
        known = "".join(character for character in piece if character not in unknown)
        characters, nats = characters + len(piece), nats + (len(piece) - len(known)) * math.log(1e6)
        texts.append(torch.from_numpy(tokenizer.encode(before + known).astype(np.int64)))
    texts = [text for text in texts if len(text) > 1]
    # Side by side, which takes hardly longer than one; but a backward stack would read the padding.
    groups = [[text] for text in texts] if model.architecture.bidirectional else [texts]
    with _on_idle_cores():
        nats += sum(_frozen_loss(model, group) for group in groups if group)
    return nats / characters / math.log(2) if characters else math.inf


@contextmanager
def _on_idle_cores() -> Iterator[None]:
    """Compute on no more cores than are idle: on a busy machine two that wait for each other take far longer."""
    most = torch.get_num_threads()
    torch.set_num_threads(min(most, idle_cores()))
    try:
        yield
    finally:
        torch.set_num_threads(most)


@torch.inference_mode()
def _frozen_loss(model: CharLM, texts: list[Tensor]) -> float:
    """The loss of texts after their first tokens in nats, without a memory of them; the ids of each are (tokens,)."""
    ids, targets = (pad_sequence(texts, batch_first=True, padding_value=value) for value in (0, _NO_TARGET))
    inputs = ids[:, 1:] if model.architecture.bidirectional else ids[:, :-1]
    logits, _ = model(inputs, model.empty_state(len(texts))._replace(frozen=True))
    return cross_entropy(logits.float().flatten(0, 1), targets[:, 1:].flatten(), reduction="sum").item()


def take_pieces(corpus: Corpus) -> list[str]:
    """Pieces evenly spread over the beginning of a text; the whole text if it is short."""
    head = ""
    for chunk in corpus.chunks():
        head += chunk
        if len(head) >= _HEAD:
            break
    if len(head) <= _PIECES * _PIECE:
        return [head] if head else []
    last = len(head) - _PIECE
    begins = [last * number // (_PIECES - 1) for number in range(_PIECES)]
    return [head[begin : begin + _PIECE] for begin in begins]
