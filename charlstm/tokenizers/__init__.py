"""Tokenizers: text to integer ids and back, exactly. Row 1 of the house: no torch here."""

from __future__ import annotations

from collections.abc import Callable, Mapping
from typing import Any

from charlstm.errors import CorruptError
from charlstm.tokenizers.base import Decoder, Encoder, Ids, Tokenizer, narrowest
from charlstm.tokenizers.byte import ByteTokenizer
from charlstm.tokenizers.char import CharTokenizer

__all__ = ["ByteTokenizer", "CharTokenizer", "Decoder", "Encoder", "Ids", "Tokenizer", "from_state", "narrowest"]


def _sentencepiece(state: Mapping[str, Any]) -> Tokenizer:
    # The import waits until such a checkpoint is met: it costs as much as the rest of a first sample.
    from charlstm.tokenizers.sentencepiece import SentencePieceTokenizer

    return SentencePieceTokenizer.from_state(state)


_FROM_STATE: dict[str, Callable[[Mapping[str, Any]], Tokenizer]] = {
    "char": CharTokenizer.from_state,
    "byte": ByteTokenizer.from_state,
    "sentencepiece": _sentencepiece,
}


def from_state(state: Mapping[str, Any]) -> Tokenizer:
    """The tokenizer that `Tokenizer.to_state` described.

    Raises:
        CorruptError: the description is not one of ours.
    """
    try:
        return _FROM_STATE[state["kind"]](state)
    except (KeyError, TypeError, ValueError) as fault:
        raise CorruptError(f"its tokenizer cannot be read ({type(fault).__name__}: {fault})") from fault
