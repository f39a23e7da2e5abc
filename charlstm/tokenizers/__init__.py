"""Tokenizers: text to integer ids and back, exactly. No torch here."""

from __future__ import annotations

from collections.abc import Callable, Mapping
from typing import Any

from charlstm.errors import CorruptError
from charlstm.tokenizers.base import Decoder, Encoder, Ids, Tokenizer, narrowest
from charlstm.tokenizers.byte import ByteTokenizer
from charlstm.tokenizers.char import CharTokenizer

__all__ = ["ByteTokenizer", "CharTokenizer", "Decoder", "Encoder", "Ids", "Tokenizer", "from_state", "narrowest"]


def from_state(state: Mapping[str, Any]) -> Tokenizer:
    """Restore the tokenizer that `Tokenizer.to_state` described.

    Raises:
        CorruptError: no tokenizer is described so.
    """
    try:
        return _FROM_STATE[state["kind"]](state)
    except (KeyError, TypeError, ValueError) as fault:
        raise CorruptError(f"its tokenizer cannot be read ({type(fault).__name__}: {fault!s:.80})") from fault


def _sentencepiece(state: Mapping[str, Any]) -> Tokenizer:
    # Imported only for such a checkpoint: the import takes as long as the rest of a first sample.
    from charlstm.tokenizers.sentencepiece import SentencePieceTokenizer

    return SentencePieceTokenizer.from_state(state)


_FROM_STATE: dict[str, Callable[[Mapping[str, Any]], Tokenizer]] = {
    "char": CharTokenizer.from_state,
    "byte": ByteTokenizer.from_state,
    "sentencepiece": _sentencepiece,
}
